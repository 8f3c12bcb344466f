"""9p-read-inbox, anvillm-notify and Alog over a real daemon: each waits for events, none of them polls."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from anvilsrv.programs import notify
from tests.conftest import ROOT, Daemon, Home, wait_until
from tests.session import Session

sys.path.insert(0, str(ROOT / "tests/acme"))
from fakeacme import FakeAcme


@pytest.fixture
def shell(home: Home, daemon: Daemon) -> str:
    """An idle shell session with the alias `sh`."""
    return Session.new(daemon, "shell", "alias=sh").id


def program(module: str) -> list[str]:
    return [sys.executable, "-c", f"from anvilsrv.{module} import main; main()"]


def send(daemon: Daemon, sender: str, to: str, body: str, kind: str = "QUERY_REQUEST", subject: str = "") -> None:
    message = {"to": to, "type": kind, "subject": subject, "body": body}
    daemon.client().write(f"{sender}/mail", json.dumps(message).encode())


def archived(daemon: Daemon, owner: str) -> list[str]:
    return [one["body"] for one in json.loads(daemon.client().read(f"{owner}/archive"))]


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


def test_all_of_them_as_json_and_kept(home: Home, daemon: Daemon, shell: str) -> None:
    for body in ("one", "two"):
        send(daemon, shell, "user", body)
    for _ in range(2):
        done = home.run(*program("inside.read_inbox"), "-a", "-j", "-k")
        assert [json.loads(line)["body"] for line in done.stdout.splitlines()] == ["one", "two"]
    assert archived(daemon, "user") == []


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
    assert "no session 'nobody'" in done.stderr


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


@pytest.fixture
def alog(home: Home) -> list[str]:
    """Alog with anvil9p as its 9P program."""
    (home.top / "bin").mkdir()
    client = home.top / "bin/anvil9p"
    client.write_text(f'#!/bin/sh\nexec {sys.executable} -m anvilsrv.inside.anvil9p "$@"\n')
    client.chmod(0o755)
    home.env["PATH"] = f"{client.parent}:{home.env['PATH']}"
    return [str(ROOT / "bin/Alog")]


def test_alog_follows_the_messages(home: Home, daemon: Daemon, shell: str, alog: list[str]) -> None:
    with subprocess.Popen(alog, env=home.env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        for body in ("one", "two"):
            send(daemon, shell, "user", body)
            lines = iter(process.stdout.readline, "")
            assert next(line for line in lines if body in line).strip() == body
        process.terminate()


def test_alog_in_acme_fills_a_window_and_ends_with_it(home: Home, daemon: Daemon, shell: str, alog: list[str]) -> None:
    acme = FakeAcme(str(home.namespace / "acme"))
    try:
        name = f"{home.work}/+Log.sh"
        with subprocess.Popen([*alog, "sh"], env=home.env | {"winid": "1"}, cwd=home.work) as process:
            try:
                daemon.client().write(f"{shell}/in", b"echo it works\n")
                wait_until(lambda: (w := acme.find(name)) and "it works" in w.body.content, "the window shows nothing")
                wait_until(lambda: not acme.find(name).dirty, "the window is left dirty")
                with acme.changed:
                    acme.find(name).delete()
                assert process.wait(20) == 0
            finally:
                process.terminate()
        assert not acme.died
    finally:
        acme.stop()


def test_alog_refuses_a_session_that_is_not_there(home: Home, daemon: Daemon, alog: list[str]) -> None:
    done = home.run(*alog, "nobody", env=home.env | {"winid": "1"})
    assert done.returncode == 1
    assert "nobody" in done.stderr
    assert home.run(*alog, "-x").returncode == 2


SCRIPTS = [ROOT / "bin/Alog", *sorted((ROOT / "workflows").iterdir())]


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_shellcheck_finds_nothing(script: Path) -> None:
    argv = ["shellcheck", "-x", "-P", "SCRIPTDIR", "-S", "warning", "-s", "sh", script]
    assert subprocess.run(argv, capture_output=True, text=True, timeout=60).stdout == ""
