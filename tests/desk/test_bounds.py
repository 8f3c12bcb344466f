"""What one agent can fill: the store with answers, events and the numbers of reports, the log with its mistakes."""

import pytest

from anvilsrv.allowance import BOUNDS
from anvilsrv.desk import stamps
from anvilsrv.sessions import conversation, prompts
from anvilsrv.sessions.errors import AT_ONCE, EVERY, Errors
from anvilsrv.sessions.machine import Status
from tests.desk.parts import Parts


def turn(parts: Parts, agent: str, answer: str) -> bytes:
    """Run a turn that is answered with that. Returns the answer that is kept."""
    number = parts.taken(agent)
    parts.report(agent, "Stop", response=answer)
    assert parts.status(number) == Status.DONE
    return bytes(parts.get(number).response or b"")


def test_answers_are_kept_while_a_session_has_not_filled_its_part(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A short one always is; of another it is said how long it was."""
    monkeypatch.setitem(BOUNDS, "answers", BOUNDS["answers"]._replace(most=10_000))
    hostile, other = parts.idle(), parts.idle()
    assert len(turn(parts, hostile, "x" * 9000)) == 9000
    assert turn(parts, hostile, "y" * 5000).startswith(b"(5,000 bytes were not kept: ")
    parts.report(hostile, "Submit", prompt="forged " + "z" * 5000)
    parts.report(hostile, "Stop", response="")
    assert len(parts.get(parts.job(lambda tx: prompts.last(tx, hostile))).text) < 200
    assert turn(parts, hostile, "short") == b"short"
    assert len(turn(parts, other, "x" * 9000)) == 9000
    parts.job(lambda tx: parts.life.kill(tx, hostile))
    assert parts.job(lambda tx: [row["session"] for row in tx.all("SELECT session FROM answers WHERE bytes > 0")]) == [
        other
    ]


def test_what_waits_is_counted_as_the_rows_are(parts: Parts) -> None:
    """Whatever becomes of a prompt."""
    agent = parts.idle()
    parts.taken(agent)
    for text in ("one", "three", "seven"):
        parts.prompt(agent, text, origin="lead")
    edited = parts.get(parts.prompt(agent, "x", "lead")).n
    parts.job(lambda tx: parts.send.edit(tx, agent, edited, "longer"))

    def counted() -> tuple[tuple[int, int], tuple[int, int]]:
        row = parts.job(
            lambda tx: tx.one(
                "SELECT count(*) AS n, coalesce(sum(length(text)), 0) AS size FROM prompts WHERE origin = 'lead' AND status = 'queued'"
            )
        )
        assert row is not None
        return parts.job(lambda tx: prompts.waiting_of(tx, "lead")), (row["n"], row["size"])

    assert counted() == ((4, 19), (4, 19))
    first = parts.job(lambda tx: prompts.head(tx, agent))
    assert first is not None
    parts.job(lambda tx: parts.send.drop(tx, agent, first.n))
    assert counted()[0] == counted()[1] == (3, 16)
    parts.job(lambda tx: parts.life.kill(tx, agent))
    assert counted()[0] == counted()[1] == (0, 0)


def test_reports_that_are_made_up_push_no_other_sessions_out(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stamps, "KEEP", 3)
    monkeypatch.setattr(stamps, "OFTEN", 1)
    hostile, other = parts.idle(), parts.idle()
    parts.report(other, "Note", number="first")
    for number in range(10):
        parts.report(hostile, "Note", number=f"forged {number}")
    kept = parts.job(lambda tx: [row["id"] for row in tx.all("SELECT id FROM reports ORDER BY rowid")])
    assert f"{other} first" in kept
    assert [one for one in kept if one.startswith(hostile)][-1] == f"{hostile} forged 9"
    assert len([one for one in kept if one.startswith(hostile)]) <= 4


def test_mistakes_without_end_are_told_now_and_then_with_how_many_were_left_out() -> None:
    errors = Errors()
    assert [errors.left_out("a", 100.0) for _ in range(AT_ONCE)] == [0] * AT_ONCE
    assert [errors.left_out("a", 100.0) for _ in range(7)] == [None] * 7
    assert errors.left_out("b", 100.0) == 0, "another session's are told"
    assert errors.left_out("a", 100.0 + EVERY) == 7
    assert errors.left_out("a", 100.0 + EVERY) is None


def test_an_error_of_a_session_says_how_many_before_it_were_left_out(parts: Parts) -> None:
    agent = parts.idle()
    for number in range(AT_ONCE + 5):
        parts.job(lambda tx, number=number: parts.registry.error(tx, agent, f"mistake {number}"))  # type: ignore[misc]
    told = [one["error"] for one in parts.events("error")]
    assert told == [f"mistake {number}" for number in range(AT_ONCE)]
    parts.job(lambda tx: parts.registry.error(tx, agent, "x" * 1_000_000))
    assert len(str(parts.row(agent).error)) < 20_000


def test_a_long_turn_is_shown_in_pages(parts: Parts) -> None:
    """Who reads a log makes nothing large of what one agent said."""
    agent = parts.idle()
    n = parts.get(parts.taken(agent)).n
    for number in range(30):
        text = f"<{number}>" + "x" * 9000
        parts.job(
            lambda tx, number=number, text=text: parts.registry.activity.record(
                tx, agent, n, "text", id=f"m{number}", text=text
            )
        )  # type: ignore[misc]
    parts.report(agent, "Stop", response="done")
    pages, cursor = list[bytes](), None
    while not pages or pages[-1]:
        page, cursor = parts.job(lambda tx: parts.send.conversation(tx, agent, cursor))  # noqa: B023
        pages.append(page)
    shown = b"".join(pages)
    assert len(pages) > 4 and max(map(len, pages)) < conversation.PAGE + 10_000
    assert [shown.count(f"<{number}>".encode()) for number in range(30)] == [1] * 30
    assert shown.endswith(b"\tdone\n\n")
