"""What comes of a turn is told in the order in which it happens: readers of ``events`` and of mail rely on it."""

import ast
import inspect

from anvilsrv.sessions.happened import Outcomes
from tests.conftest import ROOT
from tests.desk.parts import Parts


def test_an_answer_is_mailed_before_its_session_is_idle(parts: Parts) -> None:
    agent = parts.idle()
    parts.mail(agent)
    number = parts.job(lambda tx: parts.send.last(tx, agent))
    before = parts.mark()
    parts.deliver(agent, number)
    parts.report(agent, "Submit")
    parts.report(agent, "Stop", response="yes")
    told = [one for one in parts.told(before) if one != "session_update"]
    assert told == ["archived", "response", "message QUERY_RESPONSE", "state_change idle"]


def test_an_answer_to_the_agent_itself_is_handed_over_at_once(parts: Parts) -> None:
    """It is in the queue before the next prompt is looked for."""
    agent = parts.idle()
    parts.mail(agent, sender=agent)
    parts.deliver(agent, parts.job(lambda tx: parts.send.last(tx, agent)))
    parts.report(agent, "Submit")
    asker = parts.report(agent, "Stop", response="yes")
    assert "QUERY_RESPONSE" in asker.replies[0]["stdout"]
    assert parts.row(agent).state == "running"


def test_a_failure_that_is_mailed_to_the_agent_itself_waits_like_the_rest(parts: Parts) -> None:
    agent = parts.idle()
    parts.mail(agent, sender=agent)
    parts.deliver(agent, parts.job(lambda tx: parts.send.last(tx, agent)))
    parts.report(agent, "Submit")
    parts.report(agent, "Fail", error="API Error: 500")
    assert (parts.row(agent).state, parts.row(agent).gate.why, len(parts.queue(agent))) == (
        "idle",
        "API Error: 500; the next prompt or 'go' lets the queue go on",
        1,
    )


def test_a_persons_prompt_ends_one_turn_and_begins_another(parts: Parts) -> None:
    agent = parts.idle()
    parts.taken(agent, "first")
    before = parts.mark()
    parts.report(agent, "Submit", prompt="second")
    assert parts.told(before) == ["response", "state_change idle", "state_change running"]


def test_a_failed_turn_tells_its_error_last(parts: Parts) -> None:
    agent = parts.idle()
    parts.taken(agent)
    before = parts.mark()
    parts.report(agent, "Fail", error="API Error: 500")
    assert parts.told(before) == ["response", "state_change idle", "error API Error: 500"]


def test_a_crash_tells_the_lost_prompt_then_the_state_then_why(parts: Parts) -> None:
    agent = parts.idle()
    parts.taken(agent)
    before, row = parts.mark(), parts.row(agent)
    parts.job(lambda tx: parts.life.died(tx, agent, row.pid, 137, ""))
    why = "agent ended: killed by SIGKILL"
    assert parts.told(before) == ["response", "state_change starting", f"error {why}"]


def test_a_kill_answers_everybody_before_the_session_is_gone(parts: Parts) -> None:
    agent = parts.idle()
    parts.taken(agent)
    parts.mail(agent)
    before = parts.mark()
    parts.job(lambda tx: parts.life.kill(tx, agent))
    assert parts.told(before) == ["message LOG_ERROR", "response", "state_change exited", "session_end"]


def test_what_comes_of_a_turn_is_never_dropped(parts: Parts) -> None:
    """Outcomes happen as they are read, so a call whose result is not used would do nothing, silently."""
    lazy = tuple(
        f"{part}.{name}"
        for part, made in vars(parts.turns).items()
        for name, method in inspect.getmembers(made, inspect.ismethod)
        if inspect.get_annotations(method).get("return") is Outcomes
    )
    assert {"stepper.apply", "reported.stopped", "delivered.paste", "by_hand.hold", "course.hear"} <= set(lazy)
    found = 0
    for path in sorted((ROOT / "anvilsrv").rglob("*.py")):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(lazy):
                found += 1
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
                assert not ast.unparse(node.value.func).endswith(lazy), path
    assert found > 30
