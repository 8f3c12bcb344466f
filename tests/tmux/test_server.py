"""The life of a real tmux server: how it starts, what it gets of us, how it is found again, how it ends."""

import fcntl
import os
import select
import signal
import subprocess
import sys
import termios
import threading
import time
from array import array
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from anvilsrv.errors import Unavailable
from anvilsrv.tmux import process
from anvilsrv.tmux.server import QUIET
from anvilsrv.tmux.tmux import Tmux
from tests.conftest import ROOT, wait_until
from tests.panes import control_clients, detach_all, server_pid, stopped

# A daemon that watches a busy pane and does not come round to reading what tmux sends.
BUSY = """
import os, signal, sys
from pathlib import Path
from anvilsrv.tmux.tmux import Tmux
tmux = Tmux(Path(sys.argv[1]), print)
tmux.ensure()
pane = tmux.new_window("00000001", ["yes"], cwd="/", env={}).id
with tmux.watch(pane) as watch:
    watch.wake = signal.pause
    signal.pause()
"""


def ended(pid: int) -> bool:
    """Wait until a process is gone."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    found = bool(poll.poll(20_000))
    os.close(fd)
    return found


def test_the_servers_environment_holds_no_secrets_of_ours(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_SECRET", "xyzzy")
    tmux = Tmux(top / "tmux", pytest.fail)
    tmux.ensure()
    try:
        tmux.new_window(
            "00000001", ["sh", "-c", f"env >{top}/new; mv {top}/new {top}/env; sleep 1000"], cwd="/", env={}
        )
        wait_until((top / "env").exists, "it did not run")
        assert "xyzzy" not in (top / "env").read_text()
        assert b"xyzzy" not in Path(f"/proc/{server_pid(tmux)}/environ").read_bytes()
        assert "PATH=" in (top / "env").read_text()
    finally:
        tmux.kill_server()
        tmux.close()


def test_the_server_holds_none_of_our_descriptors_and_outlives_us(top: Path) -> None:
    lock = os.open(top / "lock", os.O_CREAT | os.O_RDWR)
    os.set_inheritable(lock, True)
    tmux = Tmux(top / "tmux", pytest.fail)
    tmux.ensure()
    tmux.new_window("00000001", ["sleep", "1000"], cwd="/", env={})
    tmux.close()
    os.close(lock)
    again = Tmux(top / "tmux", pytest.fail)
    try:
        again.ensure()
        assert [one.window for one in again.panes()] == ["00000001"]
        for holder in Path("/proc").glob("[0-9]*/fd/*"):
            try:
                assert os.readlink(holder) != str(top / "lock")
            except OSError:
                continue
    finally:
        again.kill_server()
        again.close()


def test_a_session_whose_windows_were_all_closed_is_made_anew(tmux: Tmux) -> None:
    tmux.command("kill-session", "-t", "=anvillm")
    tmux.ensure()
    assert tmux.new_window("00000001", ["sleep", "1000"], cwd="/", env={}).pid


def test_a_socket_path_too_long_is_said(top: Path) -> None:
    with pytest.raises(Unavailable, match="too long"):
        Tmux(top / ("x" * 120), pytest.fail).ensure()


def test_no_shell_of_the_user_is_needed(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/bin/false")
    tmux = Tmux(top / "tmux", pytest.fail)
    try:
        tmux.ensure()
        tmux.new_window("00000001", ["sleep", "1000"], cwd="/", env={})
        assert [one.dead for one in tmux.panes()] == [False]
    finally:
        tmux.kill_server()
        tmux.close()


def test_a_server_whose_socket_was_deleted_is_found_again(tmux: Tmux) -> None:
    """As the cleaners of /tmp do; by one who comes new, and by one whose clients a person detached."""
    tmux.new_window("00000001", ["sleep", "1000"], cwd="/", env={})
    server = server_pid(tmux)
    os.unlink(tmux.socket)
    following = Tmux(tmux.socket, pytest.fail)
    try:
        assert [one.window for one in following.panes()] == ["00000001"]
        following.ensure()
        assert server_pid(following) == server
        clients = control_clients(following)
        os.unlink(tmux.socket)
        for client in clients:
            os.kill(client, signal.SIGKILL)
        wait_until(lambda: pid_of(following) == server, "it is not found again")
    finally:
        following.close()


def pid_of(tmux: Tmux) -> int | None:
    try:
        return server_pid(tmux)
    except Unavailable:  # it was asked in the moment when its client went
        return None


def test_a_server_that_hangs_without_its_socket_is_not_replaced_by_another(tmux: Tmux) -> None:
    server = server_pid(tmux)
    os.unlink(tmux.socket)
    with stopped(server, 30.0):
        impatient = Tmux(tmux.socket, pytest.fail, timeout=0.3)
        with pytest.raises(Unavailable, match="does not answer"):
            impatient.ensure()
        impatient.close()
    wait_until(tmux.socket.exists, "it does not make its socket")
    assert server_pid(tmux) == server


def test_a_socket_of_the_longest_name_that_the_system_has_is_enough(top: Path) -> None:
    tmux = Tmux(top / ("x" * (107 - len(os.fsencode(top)) - 1)), pytest.fail)
    try:
        tmux.ensure()
        assert tmux.panes() == []
    finally:
        tmux.kill_server()
        tmux.close()


def test_many_who_start_it_at_once_get_one_server(top: Path) -> None:
    several = [Tmux(top / "tmux", pytest.fail) for _ in range(4)]
    threads = [threading.Thread(target=one.ensure) for one in several]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len({server_pid(one) for one in several}) == 1
    finally:
        several[0].kill_server()
        for one in several:
            one.close()


def test_a_server_that_was_killed_is_reported_and_made_anew(tmux: Tmux) -> None:
    pane = tmux.new_window("00000001", ["sleep", "1000"], cwd="/", env={}).id
    os.kill(server_pid(tmux), signal.SIGKILL)
    with pytest.raises(Unavailable, match="tmux"):
        tmux.capture(pane)
    tmux.ensure()
    assert tmux.panes() == []
    assert tmux.new_window("00000001", ["sleep", "1000"], cwd="/", env={}).pid


def test_a_client_that_a_person_detached_is_replaced(tmux: Tmux) -> None:
    """But not while others may be going: tmux 3.3a crashes when it tells of that while one is attaching."""
    [before] = control_clients(tmux)
    began = time.monotonic()
    detach_all(tmux)
    assert ended(before)

    def replaced() -> bool:
        try:
            return before not in control_clients(tmux)
        except Unavailable:  # it was asked in the moment when it went
            return False

    wait_until(replaced, "it was not replaced")
    assert time.monotonic() - began >= QUIET


def test_a_server_that_is_slow_fails_nothing_that_is_asked_of_it(tmux: Tmux) -> None:
    """Neither an adoption, nor a launch, nor typing, nor a look."""
    pane = tmux.new_window("00000001", ["cat"], cwd="/", env={}).id
    other = Tmux(tmux.socket, pytest.fail)

    def launch() -> None:
        other.ensure()
        other.new_window("00000002", ["sleep", "1000"], cwd="/", env={})

    try:
        with stopped(server_pid(tmux), 6.0), ThreadPoolExecutor() as pool:  # more than the 5 s that once were the bound
            jobs = [pool.submit(one) for one in (tmux.ensure, launch, tmux.panes, lambda: tmux.wait_output(pane, 0))]
            typing = pool.submit(tmux.paste, pane, b"typed\n")
            for job in (*jobs, typing):
                job.result(30)
        assert [one.window for one in other.panes()] == ["00000001", "00000002"]
        wait_until(lambda: "typed" in tmux.capture(pane), "it was not typed")
    finally:
        other.close()


def queued(client: int) -> int:
    """Return the bytes that a control client, or its server, has written and nobody has read."""
    try:
        out = os.open(f"/proc/{client}/fd/1", os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return 0
    count = array("i", [0])
    fcntl.ioctl(out, termios.FIONREAD, count)
    os.close(out)
    return count[0]


@pytest.fixture
def left(tmux: Tmux) -> Iterator[int]:
    """The control client of a daemon that was killed with output on its way."""
    argv = [sys.executable, "-c", BUSY, str(tmux.socket)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=ROOT) as daemon:
        try:
            full = wait_until(
                lambda: [one for one in control_clients(tmux) if queued(one) > 30_000], "nobody stops reading"
            )
        finally:
            daemon.kill()
    assert isinstance(full, list)
    yield full[0]


def test_what_a_killed_daemon_left_is_cleared_by_the_next(tmux: Tmux, left: int) -> None:
    """tmux 3.3a never lets go of such a client."""
    following = Tmux(tmux.socket, pytest.fail)
    following.ensure()
    following.close()
    assert ended(left)
    wait_until(lambda: left not in control_clients(tmux), "the server keeps it")


def test_a_server_ends_though_a_killed_daemon_left_a_client(tmux: Tmux, left: int) -> None:
    """tmux 3.3a waits for it for ever."""
    server = server_pid(tmux)
    tmux.kill_server()
    assert ended(server)
    assert ended(left)


def test_a_server_whose_socket_was_deleted_is_ended_too(tmux: Tmux) -> None:
    server = server_pid(tmux)
    os.unlink(tmux.socket)
    tmux.kill_server()
    assert ended(server)


def test_a_server_that_hangs_is_ended_too(tmux: Tmux) -> None:
    server = server_pid(tmux)
    with stopped(server, 60.0):
        tmux.kill_server()
        assert ended(server)


def test_a_thread_that_cannot_be_had_is_told_at_once_each_time_and_later_had(
    top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for a loop that does not run."""
    tmux = Tmux(top / "tmux", pytest.fail)
    with monkeypatch.context() as full:

        def start(self: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        full.setattr(threading.Thread, "start", start)
        for _ in range(2):
            with pytest.raises(Unavailable, match="cannot reach tmux: can't start new thread"):
                tmux.panes()
    tmux.ensure()
    try:
        assert tmux.panes() == []
    finally:
        tmux.kill_server()
        tmux.close()


def test_a_tmux_that_does_not_start_is_told_with_where_to_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "tmux"
    program.write_text("#!/bin/sh\necho 'create window failed: fork failed: Permission denied'; exit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(process, "program", lambda: str(program))
    with pytest.raises(
        Unavailable, match=r"^cannot start tmux: .*Permission denied \(anvilsrv doctor looks for the cause\)"
    ):
        process.start(tmp_path / "s", 30)
