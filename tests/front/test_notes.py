"""Notes about a session, as a person reads them."""

from typing import Any

from anvilsrv.front.notes import label, notes
from anvilsrv.sessions.notes import NOTES

ROW: dict[str, Any] = {
    "id": "a3f2b9d1", "alias": "", "ask": {"text": "sure?"}, "sandbox_gaps": ["sockets stay open"], "unread": 2, "queued": 1,
    "error": "boom", "held": "limit", "notes": [word for word, _ in NOTES],
}  # fmt: skip


def test_the_notes_are_those_the_daemon_names_in_its_order() -> None:
    assert [note.text for note in notes(ROW)] == [
        "asks", "NO SANDBOX", "weak sandbox", "held", "error", "background", "2 mail", "1 queued",
    ]  # fmt: skip
    assert notes(ROW | {"notes": []}) == []


def test_a_note_with_a_reason_has_it_behind_it() -> None:
    assert [note.line for note in notes(ROW)] == [
        "asks: sure?", "NO SANDBOX", "weak sandbox: sockets stay open", "held: limit", "error: boom", "background",
        "2 mail", "1 queued",
    ]  # fmt: skip


def test_of_several_questions_the_oldest_is_quoted_and_the_number_told() -> None:
    asks = [{"text": "sure?"}, {"text": "really?"}]
    assert notes(ROW | {"asks": asks})[0].line == "asks (2): sure?"


def test_what_needs_a_person_is_loud() -> None:
    assert [note.text for note in notes(ROW) if note.loud] == ["asks", "NO SANDBOX", "weak sandbox", "error"]


def test_a_word_of_a_newer_daemon_is_shown_as_it_is() -> None:
    assert [note.line for note in notes(ROW | {"notes": ["unprotect"]})] == ["unprotect"]


def test_a_session_is_called_by_its_alias_or_its_id() -> None:
    assert label(ROW) == "a3f2b9d1"
    assert label(ROW | {"alias": "dev"}) == "dev"
