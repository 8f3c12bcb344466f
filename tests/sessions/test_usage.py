"""Tokens: what an agent's lines add up to, whichever are read, and however often."""

from collections.abc import Iterator

import pytest

from anvilsrv.sessions import usage
from tests.sessions.model.rows import Ledger


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    made = Ledger(lambda *_: None)
    yield made
    made.close()


def add(ledger: Ledger, *told: tuple[str, usage.Figures]) -> dict[str, float]:
    return ledger.call(lambda tx: usage.add(tx, "a", told))


def test_a_message_counts_once_however_many_lines_it_has_and_however_often_they_are_read(ledger: Ledger) -> None:
    lines = [("a", {"input": 10, "output": 1}), ("a", {"input": 10, "output": 5}), ("b", {"input": 7, "output": 2})]
    assert add(ledger, *lines) == add(ledger, *lines) == add(ledger, lines[0]) == {"input": 17, "output": 7}
    assert ledger.call(lambda tx: usage.add(tx, "another", lines[:1])) == {"input": 10, "output": 1}


def test_totals_of_two_conversations_add_up_and_none_becomes_smaller(ledger: Ledger) -> None:
    assert add(ledger, ("all of x", {"input": 10})) == {"input": 10}
    assert add(ledger, ("all of x", {"input": 25}), ("all of y", {"input": 5, "output": 1})) == {
        "input": 30,
        "output": 1,
    }
    assert add(ledger, ("all of x", {"input": 3})) == {"input": 30, "output": 1}


def test_what_an_earlier_version_counted_is_told_until_it_is_counted_again(ledger: Ledger) -> None:
    before = {"input": 30.0, "cached": 4.0}
    assert usage.shown(before, add(ledger, ("a", {"input": 10, "output": 2}))) == {
        "input": 30,
        "cached": 4,
        "output": 2,
    }
    assert usage.shown(before, add(ledger, ("b", {"input": 25}))) == {"input": 35, "cached": 4, "output": 2}


def test_one_session_cannot_fill_the_store(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "MOST", 3)
    assert add(ledger, *((f"m{n}", {"input": 1}) for n in range(9))) == {"input": 3}
    assert add(ledger, ("m0", {"input": 2})) == {"input": 4}
    assert ledger.look(lambda tx: len(tx.all("SELECT 1 FROM usage"))) == 4
    ledger.call(lambda tx: usage.forget(tx, "a"))
    assert ledger.look(lambda tx: tx.all("SELECT 1 FROM usage")) == []
