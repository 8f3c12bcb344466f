"""How a run is judged: which requests to a service are a prompt that came twice, and which an agent's own repeats."""

from tests.fleet.fleet import answered, saw
from tests.real_agents.model import Ask


def ask(*texts: str, results: tuple[str, ...] = ()) -> Ask:
    """Return a request with a conversation, of which the last text is the newest prompt."""
    return Ask(texts[-1], results, raw={"messages": [{"role": "user", "content": text} for text in texts]})


FIRST, OTHER = "pa0: answer\nwith two lines", "pa1: answer"


def test_a_request_that_an_agent_repeats_after_an_error_is_one_prompt() -> None:
    again = [ask(FIRST), ask(FIRST), ask(FIRST, "heard", OTHER), ask(FIRST), ask(FIRST, "heard", OTHER)]
    assert saw(again, []) == {"pa0": 1, "pa1": 1}


def test_a_prompt_that_was_typed_twice_came_twice_also_with_nothing_between() -> None:
    assert saw([ask(FIRST), ask(FIRST, FIRST)], []) == {"pa0": 2}
    assert saw([ask(FIRST), ask(FIRST, "heard", OTHER), ask(FIRST, "heard", OTHER, "heard", FIRST)], []) == {
        "pa0": 2,
        "pa1": 1,
    }


def test_after_its_agent_was_killed_the_same_request_is_a_prompt_that_came_again() -> None:
    assert saw([ask(FIRST), ask(FIRST)], [1]) == {"pa0": 2}
    assert saw([ask(FIRST), ask(FIRST)], [0, 2]) == {"pa0": 1}


def test_what_other_sessions_ask_and_results_of_tools_and_housekeeping_are_nothing_of_it() -> None:
    side = Ask("name it: pa0", side=True)
    assert saw([ask(FIRST), ask("pe0: answer"), side, ask(FIRST, results=("ok",)), ask(FIRST)], []) == {
        "pa0": 1,
        "pe0": 1,
    }


def test_a_prompt_that_came_together_with_what_was_typed_after_it_came_once() -> None:
    assert saw([ask(FIRST, OTHER), ask(FIRST, OTHER, "heard", FIRST + " again")], []) == {"pa0": 2, "pa1": 1}
    assert saw([ask(FIRST, OTHER)], []) == {"pa0": 1, "pa1": 1}


def test_of_a_prompt_that_came_together_with_what_was_typed_after_it_no_tool_need_have_run() -> None:
    assert answered([ask(FIRST), ask(FIRST, "heard", OTHER, "typed tb1")]) == {"pa0", "tb1"}
