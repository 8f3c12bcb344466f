"""The line that says what a session does."""

from anvilsrv.activity.doing import Doing


def test_while_something_is_asked_it_waits_for_you_whatever_else_is_told() -> None:
    doing, words = Doing(), list[str]()
    for made in (
        {"kind": "prompt", "id": "1"},
        {"kind": "ask", "id": "a1"},
        {"kind": "tool", "id": "t1", "name": "Bash", "title": "make check"},  # its hook is slow
        {"kind": "ask", "id": "a2"},
        {"kind": "decision", "id": "a1"},
        {"kind": "decision", "id": "a2"},
        {"kind": "ask", "id": "a3"},
        {"kind": "end", "id": ""},
    ):
        doing.hear(made)
        words.append(doing.words)
    you = "waiting for you"
    assert words == ["waiting for the model", you, you, you, you, "Bash: make check", you, ""]
