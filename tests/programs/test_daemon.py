"""The command anvilsrv: one daemon per namespace, exit statuses, clean ends."""

import os
import signal
import socket
import subprocess
import sys

import pytest

from anvilsrv.errors import Unavailable
from anvilsrv.p9.client import Client, P9Error
from anvilsrv.programs import control
from anvilsrv.programs import daemon as process
from anvilsrv.programs.place import Place
from tests.conftest import ROOT, Daemon, Home, wait_until


@pytest.fixture
def place(home: Home, monkeypatch: pytest.MonkeyPatch) -> Place:
    for name, value in home.env.items():
        monkeypatch.setenv(name, value)
    return Place()


def test_start_status_and_stop_have_their_exit_statuses(home: Home, place: Place) -> None:
    assert home.anvilsrv("status").returncode == 3
    assert home.anvilsrv("stop").returncode == 3
    started = home.anvilsrv("start")
    try:
        assert started.returncode == 0 and f"serves {home.socket}" in started.stdout
        again = home.anvilsrv("start")
        assert again.returncode == 1 and "anvilsrv: already running (pid" in again.stderr
        shown = home.anvilsrv("status")
        assert shown.returncode == 0 and "0 session(s)" in shown.stdout
    finally:
        assert home.anvilsrv("stop").returncode == 0
    assert place.holder() is None
    assert not place.pid_file.exists()
    assert "Traceback" not in place.log.read_text()


def test_a_daemon_that_has_ended_meanwhile_is_told_in_a_sentence(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    monkeypatch.setattr(Place, "holder", lambda place: gone.pid)
    with pytest.raises(Unavailable, match="has just ended, or runs in another container"):
        control.stop(place)


def test_wrong_usage_exits_with_2(home: Home) -> None:
    assert home.anvilsrv("jump").returncode == 2


@pytest.mark.parametrize(
    ("namespace", "sentence"), [("here", "must be an absolute path"), ("/tmp/" + "x" * 90, "is too long")]
)
def test_a_namespace_in_which_no_agent_could_run_is_refused(home: Home, namespace: str, sentence: str) -> None:
    home.env["NAMESPACE"] = namespace
    done = home.anvilsrv("start")
    assert done.returncode == 1
    assert sentence in done.stderr
    assert not (home.work / namespace).exists()


def test_a_second_daemon_says_who_holds_the_namespace(daemon: Daemon) -> None:
    assert daemon.process is not None
    other = daemon.home.anvilsrv("fgstart")
    assert other.returncode == 1
    assert f"is held by another anvilsrv (pid {daemon.process.pid})" in other.stderr


def test_a_stale_pid_file_and_socket_hinder_nothing(stopped_daemon: Daemon) -> None:
    stopped_daemon.start()
    stopped_daemon.kill()
    assert stopped_daemon.home.socket.exists()
    assert stopped_daemon.home.anvilsrv("status").returncode == 3
    stopped_daemon.start()


def test_a_namespace_that_others_may_enter_is_refused(home: Home) -> None:
    home.namespace.chmod(0o755)
    refused = home.anvilsrv("start")
    assert refused.returncode == 1
    assert "is open to others: its mode is 0755, not 0700" in refused.stderr


def test_restart_keeps_the_pid_and_never_lets_the_namespace_go(daemon: Daemon, place: Place) -> None:
    assert daemon.process is not None
    done = daemon.home.anvilsrv("restart")
    assert done.returncode == 0, done.stderr
    assert place.holder() == daemon.process.pid
    assert daemon.client().read("list") == b""


def test_sigterm_ends_it_with_status_0_and_no_thread_or_socket_stays(daemon: Daemon) -> None:
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.process.wait(20) == 0
    assert not daemon.home.socket.exists()
    assert "Traceback" not in daemon.words()


@pytest.mark.parametrize("how", ["stop", "signal"])
def test_an_agent_whose_backend_s_file_went_can_still_be_ended(daemon: Daemon, how: str) -> None:
    mine = daemon.home.config / "backends/mine.yaml"
    mine.parent.mkdir(parents=True)
    mine.write_text((ROOT / "cfg/backends/shell.yaml").read_text().replace("  aliases: [sh]\n", ""))
    client = daemon.client()
    client.write("ctl", f"new mine {daemon.home.work} alias=one".encode())
    client.write("one/in", b"echo here")
    assert client.read("one/out") == b"here\n"
    mine.unlink()
    if how == "stop":
        client.write("one/ctl", b"stop")
        wait_until(lambda: client.read("one/state") == b"stopped\n", "it runs on")
    assert daemon.process is not None
    daemon.process.terminate()
    assert daemon.process.wait(30) == 0


def test_each_message_is_printed_with_D(home: Home) -> None:
    argv = [sys.executable, "-m", "anvilsrv.programs.cli", "fgstart", "-D"]
    with subprocess.Popen(argv, env=home.env, stderr=subprocess.PIPE, text=True) as running:
        try:
            wait_until(home.socket.exists, "no socket")
            home.run(sys.executable, "-m", "anvilsrv.inside.anvil9p", "read", "agent/list")
        finally:
            running.terminate()
        _, said = running.communicate(timeout=20)
    assert "Tversion tag 65535 msize" in said and "Rclunk" in said


def test_the_supervisor_is_told_when_it_is_ready(home: Home) -> None:
    address = str(home.top / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(address)
        sock.settimeout(20)
        argv = [sys.executable, "-m", "anvilsrv.programs.cli", "fgstart"]
        with subprocess.Popen(argv, env=home.env | {"NOTIFY_SOCKET": address}, stderr=subprocess.DEVNULL) as running:
            try:
                assert sock.recv(100).decode() == f"READY=1\nMAINPID={running.pid}"
            finally:
                running.terminate()
        assert sock.recv(100) == b"STOPPING=1"


def test_agents_have_the_umask_of_the_user_and_keep_it_over_a_restart(home: Home) -> None:
    command = f"umask 0002; exec {sys.executable} -m anvilsrv.programs.cli start"
    assert home.run("sh", "-c", command).returncode == 0
    try:
        for again in ("one", "two"):
            with Client(str(home.socket), timeout=30) as client:
                client.write("ctl", f"new shell {home.work} alias={again}".encode())
                client.write(f"{again}/in", f"umask; : >{again}".encode())
                assert client.read(f"{again}/out") == b"0002\n"
            assert (home.work / again).stat().st_mode & 0o777 == 0o664
            assert home.anvilsrv("restart").returncode == 0
        assert home.state.stat().st_mode & 0o077 == 0
        assert home.socket.stat().st_mode & 0o777 == 0o600
    finally:
        home.anvilsrv("stop")


def test_an_end_that_goes_wrong_is_an_end_all_the_same(home: Home) -> None:
    code = (
        "import os, signal, sys, threading\nfrom anvilsrv import app\nfrom anvilsrv.programs import daemon\n"
        "from anvilsrv.programs.place import Place\n"
        "def wrong(self, agents):\n    raise OSError('by test')\n"
        "app.App.stop = wrong\n"
        "daemon.notify_ready = lambda: os.kill(os.getpid(), signal.SIGTERM)\n"
        "sys.exit(daemon.serve(Place(), False, True))"
    )
    ended = subprocess.run([sys.executable, "-c", code], env=home.env, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 1
    assert "the end went wrong" in ended.stderr and "by test" in ended.stderr


def test_an_end_that_takes_too_long_is_cut_short_and_says_where_it_was(home: Home) -> None:
    code = (
        "import os, threading\nfrom anvilsrv.programs.daemon import overdue\n"
        "def stuck():\n    overdue(0.1, lambda: os._exit(7))\n    threading.Event().wait(60)\nstuck()"
    )
    ended = subprocess.run([sys.executable, "-c", code], env=home.env, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 7
    assert "in stuck" in ended.stderr


def test_a_start_that_fails_says_why_at_the_terminal(home: Home, place: Place) -> None:
    place.state.mkdir(mode=0o700, parents=True)
    (place.state / "store.db").write_bytes(b"this is no database" * 100)
    refused = home.anvilsrv("start")
    assert refused.returncode == 1
    assert "cannot open store" in refused.stderr and "not a database" in refused.stderr


def test_a_log_that_is_full_is_put_aside_once(home: Home, place: Place) -> None:
    place.state.mkdir(mode=0o700, parents=True)
    old = b"x" * process.LOG_SIZE
    place.log.write_bytes(old)
    assert home.anvilsrv("start").returncode == 0
    assert home.anvilsrv("stop").returncode == 0
    assert place.log.with_name("anvilsrv.log.1").read_bytes() == old
    assert "stopping" in place.log.read_text()


def test_a_full_disk_refuses_writes_with_the_reason_and_loses_nothing(daemon: Daemon) -> None:
    client = daemon.client()
    assert daemon.process is not None
    import resource

    message = b'{"to":"user","type":"LOG_ERROR","subject":"kept"}'
    client.write("user/mail", message)
    state = daemon.home.state
    limit = sum(file.stat().st_size for file in state.glob("store.db*"))
    _, hard = resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (limit, hard))
    refused = 0
    for _ in range(50):
        try:
            client.write("user/mail", b'{"to":"user","type":"LOG_ERROR","body":"' + b"x" * 8000 + b'"}')
        except Exception as error:
            assert "cannot save" in str(error)
            refused += 1
    assert refused
    resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
    client.write("user/mail", message)
    assert client.read("user/inbox").count(b'"kept"') == 2
    assert os.path.exists(f"/proc/{daemon.process.pid}")


def test_the_log_tells_what_became_of_sessions_and_what_went_wrong(home: Home, place: Place) -> None:
    assert home.anvilsrv("start").returncode == 0
    try:
        with Client(str(home.socket)) as client:
            session = client.write_read("ctl", f"new shell {home.work} alias=one\n".encode()).decode().strip()
            wait_until(lambda: client.read(f"{session}/state") == b"idle\n", "it does not become idle")
            with pytest.raises(P9Error, match="incomplete JSON"):  # at clunk: 9p does not look
                client.write("user/mail", b'{"to": "one"')
            os.kill(int(client.read(f"{session}/pid")), signal.SIGKILL)
            wait_until(lambda: "killed by SIGKILL" in place.log.read_text(), "no line about the agent's death")
            wait_until(lambda: client.read(f"{session}/state") == b"idle\n", "it is not started again")
            client.write(f"{session}/ctl", b"kill\n")
    finally:
        home.anvilsrv("stop")
    lines = [line.split(" ", 2)[2] for line in place.log.read_text().splitlines()]
    assert [line for line in lines if session in line or "user" in line] == [
        f"INFO {session} one: new: shell in {home.work}",
        "WARNING user: mail: incomplete JSON",
        f"INFO {session} one: starting",
        f"WARNING {session} one: agent ended: killed by SIGKILL: A prompt is a command, the response its output."
        " C-c interrupts, C-d ends.",  # what it said last
        f"INFO {session} one: exited",
    ]
