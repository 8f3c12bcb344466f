"""9p-read-inbox over a real daemon."""

import json
import subprocess

from anvilsrv.inside.read_inbox import complete
from tests.conftest import Daemon, Home
from tests.mailing import archived, program, send, shell

__all__ = ["shell"]  # a fixture


def test_the_oldest_message_is_shown_and_done(home: Home, daemon: Daemon, shell: str) -> None:
    for body in ("first\nline", "second"):
        send(daemon, shell, "user", body, subject="about")
    done = home.run(*program("inside.read_inbox"))
    assert done.returncode == 0
    assert done.stdout.startswith(f"From: sh ({shell})\nDate: ")
    assert done.stdout.endswith("\n\nfirst\nline\n\n")
    assert archived(daemon, "user") == ["first\nline"]
    assert home.run(*program("inside.read_inbox")).stdout.endswith("\n\nsecond\n\n")
    done = home.run(*program("inside.read_inbox"))
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "no messages\n")


def test_all_messages_are_printed_as_json_and_kept(home: Home, daemon: Daemon, shell: str) -> None:
    for body in ("one", "two"):
        send(daemon, shell, "user", body)
    for _ in range(2):
        done = home.run(*program("inside.read_inbox"), "-a", "-j", "-k")
        assert [json.loads(line)["body"] for line in done.stdout.splitlines()] == ["one", "two"]
    assert archived(daemon, "user") == []


def test_a_message_that_another_reader_just_filed_is_no_error(daemon: Daemon) -> None:
    assert not complete(daemon.client(), "user", "0-gone")


def test_it_waits_for_a_message_that_is_not_there_yet(home: Home, daemon: Daemon, shell: str) -> None:
    argv = [*program("inside.read_inbox"), "-w", "user"]
    with subprocess.Popen(argv, env=home.env, stdout=subprocess.PIPE, text=True) as process:
        send(daemon, shell, "user", "at last")
        assert process.communicate(timeout=30)[0].endswith("\n\nat last\n\n")
    assert process.returncode == 0


def test_in_a_session_it_reads_that_sessions_inbox(home: Home, daemon: Daemon, shell: str) -> None:
    """Run inside the sandbox, by the agent, over its own socket."""
    user = daemon.client()
    user.write(f"{shell}/in", f"{' '.join(map(repr, program('inside.read_inbox')))} 2>&1\n".encode())
    assert b"no messages" in user.read(f"{shell}/out")


def test_an_unknown_owner_and_a_missing_daemon_are_said(home: Home, stopped_daemon: Daemon) -> None:
    done = home.run(*program("inside.read_inbox"))
    assert done.returncode == 2
    assert "cannot connect" in done.stderr
    stopped_daemon.start()
    done = home.run(*program("inside.read_inbox"), "nobody")
    assert done.returncode == 2
    assert "no such session 'nobody'" in done.stderr
