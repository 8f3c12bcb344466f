"""anvillm-hook as agents run it: by its path, without site-packages."""

import errno
import json
import os
import re
import stat
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from anvilsrv.errors import Full
from anvilsrv.inside import hook
from tests.conftest import wait_until
from tests.panes import PYTHON, SOURCE, Daemon, daemon

__all__ = ["daemon"]  # a fixture

COMMAND = [PYTHON, "-I", "-S", str(SOURCE / "inside/hook.py")]
NOWHERE = {"NAMESPACE": "/nonexistent/ns", "ANVILLM_SESSION": "ab12cd34"}


def run(
    daemon: Daemon, *args: str, stdin: bytes = b"{}", env: dict[str, str] | None = None
) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [*COMMAND, *args], input=stdin, env=daemon.env if env is None else env, capture_output=True, timeout=30
    )


def test_the_payload_arrives_with_its_name_time_and_number(daemon: Daemon) -> None:
    done = run(daemon, "Stop", stdin=json.dumps({"text": "é\ud800 \n"}).encode())
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    report = daemon.reports.get(timeout=5)
    assert (report["hook"], report["payload"]) == ("Stop", {"text": "é\ud800 \n"})
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", report["report"])
    assert abs(report["ts"] - time.time()) < 30


def test_a_report_tells_when_its_program_was_started_and_so_does_one_that_waits_in_the_spool(daemon: Daemon) -> None:
    program = ["sh", "-c", 'sleep 0.3; exec "$@"', "sh", *COMMAND, "Stop"]  # as if the interpreter got no processor
    before = time.monotonic()
    with subprocess.Popen(program, stdin=subprocess.DEVNULL, env=daemon.env) as begun:
        started = time.monotonic()
        assert begun.wait(30) == 0
    assert before <= daemon.reports.get(timeout=5)["mono"] < started + 0.02  # a tick
    run(daemon, "--ago=1500", "Stop")
    assert daemon.reports.get(timeout=5)["mono"] < before
    daemon.stop()
    before = time.monotonic()
    run(daemon, "Later")
    run(daemon, "--ago=60000", "Earlier")
    earlier, later = daemon.spooled()
    assert (earlier["hook"], later["hook"]) == ("Earlier", "Later")
    assert before <= later["mono"] <= time.monotonic()


def test_the_reply_is_printed_and_its_status_is_the_exit(daemon: Daemon) -> None:
    daemon.answer = lambda report: {"stdout": '{"decision": "é"}\n', "exit": 2}
    done = run(daemon, "Stop")
    assert (done.returncode, done.stdout) == (2, '{"decision": "é"}\n'.encode())


def test_a_reply_of_megabytes_is_printed_whole(daemon: Daemon) -> None:
    daemon.answer = lambda report: {"stdout": "x" * 3_000_000}
    assert len(run(daemon, "Stop").stdout) == 3_000_000


@pytest.mark.parametrize(
    "missing", [{}, {"NAMESPACE": "/tmp"}, {"ANVILLM_SESSION": "ab12cd34"}, {"NAMESPACE": "", "ANVILLM_SESSION": ""}]
)
def test_outside_of_anvillm_it_is_silent(daemon: Daemon, missing: dict[str, str]) -> None:
    done = run(daemon, "Stop", stdin=b"garbage", env=missing)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert daemon.reports.empty()


@pytest.mark.parametrize(
    ("stdin", "payload"),
    [
        (b"", {}), (b" \n", {}), (b"not json", {"garbage": "not json"}), (b"[1]", {"garbage": [1]}), (b"\xff{", {"garbage": "\ufffd{"}),
        (b'{"a": "\xff"}', {"a": "\udcff"}), (b"[" * 100_000, {"garbage": "[" * 65536}),
    ],
)  # fmt: skip
def test_whatever_stands_on_its_input_is_reported(daemon: Daemon, stdin: bytes, payload: dict[str, Any]) -> None:
    assert run(daemon, "Stop", stdin=stdin).returncode == 0
    assert daemon.next("Stop") == payload


def patched(change: str, *words: str) -> list[str]:
    """Return the program's command line with other bounds."""
    code = (
        f"import sys; sys.path.insert(0, {str(SOURCE.parent)!r})\n"
        f"from anvilsrv.inside import hook; {change}; sys.exit(hook.main({list(words)!r}))"
    )
    return [PYTHON, "-I", "-S", "-c", code]


def test_an_input_that_is_never_closed_or_missing_does_not_hold_it(daemon: Daemon) -> None:
    read, write = os.pipe()
    os.write(write, b'{"a": 1}')
    try:
        program = patched("hook.SILENCE = 0.2", "Stop")
        assert subprocess.run(program, stdin=read, env=daemon.env, timeout=20).returncode == 0
        assert daemon.next("Stop") == {"a": 1}
        program = patched("hook.LIFE = hook.CONNECT + 0.5", "Stop")
        assert subprocess.run(program, stdin=read, env=daemon.env, timeout=20).returncode == 0
        assert daemon.next("Stop") == {}
    finally:
        os.close(read)
        os.close(write)
    closed = ["sh", "-c", 'exec "$@" <&-', "sh", *COMMAND, "Stop"]
    assert subprocess.run(closed, env=daemon.env, timeout=20).returncode == 0
    assert daemon.next("Stop") == {}


def test_a_payload_that_is_long_in_coming_is_read_to_its_end(daemon: Daemon) -> None:
    program = patched("hook.SILENCE = 0.05", "Stop")
    with subprocess.Popen(program, stdin=subprocess.PIPE, env=daemon.env) as begun:
        assert begun.stdin is not None
        for piece in (b"", b'{"a": "{}', b'{}"}'):
            assert daemon.silent(0.3)
            begun.stdin.write(piece)
            begun.stdin.flush()
        assert daemon.next("Stop") == {"a": "{}{}"}
        begun.stdin.close()
        assert begun.wait(20) == 0


def test_of_a_payload_that_is_too_large_its_largest_texts_are_left_out(daemon: Daemon) -> None:
    large, larger = "é" * 700_000, "x" * 5_000_000
    run(daemon, "Stop", stdin=json.dumps({"id": "a", "large": large, "larger": larger}).encode())
    assert daemon.next("Stop") == {"id": "a", "left_out": {"larger": len(larger) + 2, "large": 6 * len(large) + 2}}


def test_while_the_daemon_is_away_the_report_is_spooled_and_private(daemon: Daemon) -> None:
    daemon.stop()
    done = run(daemon, "Stop", stdin=b'{"a": 1}')
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    [file] = (daemon.namespace / "spool").iterdir()
    assert re.fullmatch(r"\d{19}-[0-9a-f-]{36}\.json", file.name)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    [report] = daemon.spooled()
    assert (report["hook"], report["payload"]) == ("Stop", {"a": 1})
    assert report["report"] in file.name


def test_a_daemon_that_came_back_meanwhile_gets_it_and_the_spool_is_empty(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.stop()
    for name, value in daemon.env.items():
        monkeypatch.setenv(name, value)
    spool = hook.spool

    def spool_and_start(namespace: str, report: str, data: bytes, made: float | None = None) -> str:
        path = spool(namespace, report, data, made)
        daemon.start()
        return path

    monkeypatch.setattr(hook, "spool", spool_and_start)
    daemon.answer = lambda report: {"stdout": "later"}
    assert hook.send("Stop", {"a": 1}) == {"stdout": "later"}
    assert daemon.next("Stop") == {"a": 1}
    assert daemon.spooled() == []


def test_a_daemon_that_does_not_answer_is_waited_for_only_so_long(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in daemon.env.items():
        monkeypatch.setenv(name, value)
    daemon.answer = lambda report: None
    began = time.monotonic()
    assert hook.send("Stop", {}, timeout=0.2) == {}
    assert time.monotonic() - began < 5
    assert len(daemon.spooled()) == 1
    numbers = {daemon.reports.get(timeout=5)["report"] for _ in range(2)}
    assert numbers == {daemon.spooled()[0]["report"]}


@pytest.mark.parametrize(("word", "status"), [("--wait", 0), ("--wait=2", 2), ("--wait=999", 255)])
def test_a_question_that_no_daemon_answers_ends_as_its_agent_needs_it(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch, word: str, status: int
) -> None:
    for name, value in {**daemon.env, "NAMESPACE": "/nonexistent"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(hook, "AWAY", 0.1)
    monkeypatch.setattr(hook, "read_payload", lambda fd, until: {})
    assert hook.main([word, "BeforeTool"]) == status


def test_a_spool_without_a_place_is_reported_on_standard_error_alone(daemon: Daemon) -> None:
    done = run(daemon, "Stop", env=NOWHERE)
    assert (done.returncode, done.stdout) == (0, b"")
    assert b"report lost" in done.stderr


@pytest.fixture
def full_disk(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no room for the spool; the daemon has none twice."""

    def spool(namespace: str, report: str, data: bytes, made: float | None = None) -> str:
        raise OSError(errno.ENOSPC, "No space left on device", "/spool")

    for name, value in daemon.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(hook, "spool", spool)
    daemon.answer = lambda report: refuse() if daemon.reports.qsize() <= 2 else {"stdout": "saved"}


def refuse() -> None:
    raise Full(f"cannot save yet: {Full.WORDS}")


def test_a_report_that_is_nowhere_on_a_full_disk_is_kept_until_the_daemon_has_saved_it(
    daemon: Daemon, full_disk: None
) -> None:
    assert hook.send("Stop", {"a": 1}) == {"stdout": "saved"}
    assert len({daemon.reports.get(timeout=5)["report"] for _ in range(3)}) == 1


def test_it_is_kept_over_the_end_of_a_daemon_that_had_it_in_its_memory(daemon: Daemon, full_disk: None) -> None:
    replies: list[dict[str, Any]] = []
    hooked = threading.Thread(target=lambda: replies.append(hook.send("Stop", {"a": 1})))
    hooked.start()
    first = daemon.reports.get(timeout=10)
    daemon.stop()
    daemon.answer = lambda report: {"stdout": "saved"}
    daemon.start()
    hooked.join(10)
    assert replies == [{"stdout": "saved"}]
    assert daemon.reports.get(timeout=5) == first


def test_a_report_is_not_kept_for_ever(
    daemon: Daemon, full_disk: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(hook, "HOLD", 0.0)
    assert hook.send("Stop", {"a": 1}) == {}
    assert "report lost: cannot write '/spool': No space left" in capsys.readouterr().err


def test_a_daemon_without_room_may_be_left_alone_with_what_is_in_the_spool(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in daemon.env.items():
        monkeypatch.setenv(name, value)
    daemon.answer = lambda report: refuse()
    assert hook.send("Stop", {"a": 1}) == {}
    assert [one["payload"] for one in daemon.spooled()] == [{"a": 1}]


def test_the_spool_is_not_written_through_a_link(daemon: Daemon, top: Path) -> None:
    victim = top / "victim"
    victim.write_text("untouched")
    os.symlink(victim, f"{daemon.namespace}/spool/{1:019}-x.json.tmp")
    with pytest.raises(FileExistsError):
        hook.spool(str(daemon.namespace), "x", b"data", 1e-9)
    assert victim.read_text() == "untouched"


def test_a_question_waits_over_a_restart_of_the_daemon(daemon: Daemon) -> None:
    daemon.answer = lambda report: None
    with subprocess.Popen(
        [*COMMAND, "--wait", "Ask"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=daemon.env
    ) as asking:
        assert asking.stdin is not None
        asking.stdin.write(b'{"q": 1}')
        asking.stdin.close()
        first = daemon.reports.get(timeout=10)
        daemon.stop()
        daemon.waiting.clear()
        daemon.start()
        second = daemon.reports.get(timeout=10)
        assert second == first
        daemon.release({"stdout": "yes"})
        assert asking.stdout is not None
        assert asking.stdout.read() == b"yes"
        assert asking.wait(10) == 0
    assert daemon.spooled() == []


@pytest.mark.parametrize(("go", "printed"), [(True, b"next"), (False, b"")])
def test_a_prompt_that_a_daemon_gave_and_did_not_live_to_confirm_is_asked_for_again(
    daemon: Daemon, go: bool, printed: bytes
) -> None:
    daemon.answer = lambda report: {"stdout": "next", "take": 7} if "hook" in report else None
    with subprocess.Popen([*COMMAND, "Stop"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=daemon.env) as asking:
        assert asking.stdin is not None
        asking.stdin.write(b"{}")
        asking.stdin.close()
        stop, first = (daemon.reports.get(timeout=10) for _ in range(2))
        assert (first["take"], first["of"]) == (7, stop["report"])
        daemon.stop()
        daemon.waiting.clear()
        daemon.start()
        assert daemon.reports.get(timeout=10) == first
        daemon.answer = lambda report: {}
        daemon.release({"go": go})
        assert asking.stdout is not None
        assert asking.stdout.read() == printed
        assert asking.wait(10) == 0
    assert daemon.spooled() == []


def test_it_says_when_the_agent_has_what_a_reply_brought(daemon: Daemon) -> None:
    answers: list[dict[str, Any]] = [{"stdout": "next", "take": 7, "exit": 2}, {"go": True}, {}]
    daemon.answer = lambda report: answers.pop(0)
    done = run(daemon, "Stop")
    assert (done.stdout, done.returncode, answers) == (b"next", 2, [])
    _, asked, said = (daemon.reports.get(timeout=10) for _ in range(3))
    assert (asked["gives"], said["given"]) == (True, 7)


def test_where_the_daemon_does_not_live_to_hear_that_the_agent_has_it_the_next_one_finds_that(daemon: Daemon) -> None:
    daemon.answer = lambda report: (
        {"stdout": "next", "take": 7} if "hook" in report else {"go": True} if "take" in report else None
    )
    with subprocess.Popen([*COMMAND, "Stop"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=daemon.env) as telling:
        assert telling.stdin is not None
        telling.stdin.write(b"{}")
        telling.stdin.close()
        for _ in range(3):
            said = daemon.reports.get(timeout=10)
        daemon.stop()
        assert telling.stdout is not None
        assert telling.stdout.read() == b"next"
        assert telling.wait(10) == 0
    assert daemon.spooled() == [said]


def test_usage_is_told(daemon: Daemon) -> None:
    assert run(daemon).returncode == 2
    assert b"usage" in run(daemon, "--help").stdout
    assert run(daemon, "--help").returncode == 0


def test_reports_from_many_at_once_all_arrive(daemon: Daemon) -> None:
    done: list[int] = []
    threads = [threading.Thread(target=lambda: done.append(run(daemon, "Stop").returncode)) for _ in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert done == [0] * 6
    wait_until(lambda: daemon.reports.qsize() == 6, "some did not arrive")


def test_it_loads_nothing_that_is_slow(daemon: Daemon) -> None:
    path = f"import sys; sys.path.insert(0, {str(SOURCE.parent)!r})"
    code = f"{path}\nfrom anvilsrv.inside import hook; hook.send('Stop', {{}}); print(*sys.modules)"
    done = subprocess.run([PYTHON, "-I", "-S", "-c", code], env=daemon.env, capture_output=True, text=True, timeout=30)
    loaded = set(done.stdout.split())
    assert daemon.next("Stop") == {}
    assert not loaded & {
        "asyncio",
        "subprocess",
        "yaml",
        "sqlite3",
        "ssl",
        "uuid",
        "logging",
        "click",
        "inspect",
    }
