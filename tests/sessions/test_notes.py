"""Notes about a session: which there are, and that the most urgent comes first."""

from typing import Any

import pytest

from anvilsrv.sessions.notes import NOTES, notes

PLAIN: dict[str, Any] = {
    "ask": None, "sandbox_tier": "full", "sandbox_gaps": [], "held": "", "error": "", "unread": 0, "queued": 0, "background": 0,
}  # fmt: skip


def test_nothing_is_noted_of_a_session_that_works_as_it_should() -> None:
    assert notes(PLAIN) == []


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"ask": {"id": "1", "text": "?"}}, "ask"),
        ({"sandbox_tier": "none"}, "nosandbox"),
        ({"sandbox_tier": "weak", "sandbox_gaps": ["sockets by path stay open"]}, "weak"),
        ({"sandbox_tier": "full", "sandbox_gaps": ["abstract sockets stay open"]}, "weak"),
        ({"held": "limit until 14:00"}, "held"),
        ({"error": "boom"}, "error"),
        ({"unread": 1}, "mail"),
        ({"queued": 2}, "queued"),
    ],
)
def test_each_note_has_its_reason(fields: dict[str, Any], word: str) -> None:
    assert notes(PLAIN | fields) == [word]


def test_a_session_that_nothing_holds_is_called_so_and_not_weak_as_well() -> None:
    assert notes(PLAIN | {"sandbox_tier": "none", "sandbox_gaps": ["nothing is enforced"]}) == ["nosandbox"]


def test_what_waits_for_a_person_comes_first() -> None:
    everything = {
        "ask": {},
        "sandbox_tier": "weak",
        "held": "x",
        "error": "x",
        "unread": 1,
        "queued": 1,
        "background": 1,
    }
    assert notes(PLAIN | everything | {"ask": {"id": "1"}}) == [
        "ask",
        "weak",
        "held",
        "error",
        "background",
        "mail",
        "queued",
    ]
    assert [word for word, _ in NOTES] == ["ask", "nosandbox", "weak", "held", "error", "background", "mail", "queued"]
