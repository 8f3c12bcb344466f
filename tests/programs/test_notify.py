"""anvillm-notify over a real daemon: it waits for events, and does not poll."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from anvilsrv.programs import notify
from tests.conftest import Daemon, Home, wait_until
from tests.mailing import program, send, shell

__all__ = ["shell"]  # a fixture


@contextmanager
def notifier(home: Home) -> Iterator[Callable[[], list[str]]]:
    """anvillm-notify with a command that writes down what it is told."""
    told = home.top / "told"
    command = home.top / "tell"
    command.write_text(f'#!/bin/sh\nprintf "%s | %s\\n" "$1" "$2" >>{told}\n')
    command.chmod(0o755)
    told.touch()
    env = home.env | {"ANVILLM_NOTIFY": str(command)}
    with subprocess.Popen(program("programs.notify"), env=env, stderr=subprocess.PIPE) as process:
        try:
            yield lambda: told.read_text().splitlines()
        finally:
            process.terminate()
            process.wait(20)


def test_the_user_is_told_of_mail_ends_and_errors_also_after_a_crash(home: Home, daemon: Daemon, shell: str) -> None:
    with notifier(home) as told:

        def seen(start: str) -> bool:
            # What makes an event is repeated until the program, which takes a moment to start, has seen one.
            return any(line.startswith(start) for line in told())

        wait_until(lambda: send(daemon, shell, "user", "x", subject="hello") or seen("mail from sh | hello"), "mail")
        daemon.client().write(f"{shell}/in", b"true\n")
        wait_until(lambda: seen("sh has finished | "), "the end of a turn")
        daemon.kill()
        daemon.start()
        send(daemon, shell, "user", "y", kind="LOG_ERROR", subject="again")
        wait_until(lambda: seen("mail from sh | again"), "mail after a crash")
        assert sum(line == "mail from sh | again" for line in told()) == 1


def test_without_a_daemon_there_is_nothing_to_wait_for(home: Home) -> None:
    done = home.run(*program("programs.notify"))
    assert done.returncode == 2
    assert "cannot connect" in done.stderr


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (
            {"type": "ask", "session_id": "a", "ask": {"text": "May I?\nReally?"}},
            ("A needs you", "May I? Really?", True),
        ),
        ({"type": "ask", "session_id": "a", "ask": None}, None),
        ({"type": "response", "session_id": "a", "error": "limit"}, ("A failed", "limit", True)),
        ({"type": "error", "session_id": None, "error": "x" * 400}, ("AnviLLM: error", "x" * 299 + "…", True)),
        (
            {"type": "message", "from": "a", "to": "user", "kind": "APPROVAL_REQUEST", "subject": ""},
            ("mail from A", "approval request", True),
        ),
        ({"type": "message", "from": "user", "to": "a", "kind": "PROMPT_REQUEST"}, None),
        ({"type": "state_change", "session_id": "a", "state": "running"}, None),
        ({"type": "bead", "bead_id": "bd-1", "op": "claim"}, None),
    ],
)
def test_only_what_the_user_must_know_is_told(event: dict, expected: tuple | None) -> None:
    assert notify.notice(event, str.upper) == expected
