"""Tokens: what an agent's lines add up to."""

from anvilsrv.sessions import usage


def test_the_tokens_of_a_message_count_once_however_many_lines_it_has() -> None:
    tally = usage.Tally()
    tally.add({"input": 10, "output": 1}, "a")
    tally.add({"input": 10, "output": 5}, "a")
    assert tally.add({"input": 7, "output": 2}, "b") == {"input": 17, "output": 7}


def test_figures_without_a_message_are_totals() -> None:
    tally = usage.Tally()
    tally.add({"input": 10})
    assert tally.add({"input": 25}) == {"input": 25}
