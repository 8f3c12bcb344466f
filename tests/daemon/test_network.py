"""The network of a session by host: what its agent reaches, what the user is told of what it does not, and the way in."""

import http.server
import json
import os
import signal
import socket
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from anvilsrv.errors import AnvilError
from tests.conftest import PATIENCE, Daemon, wait_until
from tests.session import Session

FETCH = "/usr/bin/python3 -c 'import urllib.request as u; print(u.urlopen(\"http://api.test:8080/\").read().decode())'"
ASK = "/usr/bin/python3 -c 'import socket; socket.getaddrinfo(\"{}\", 443)' 2>&1 | tail -1"


class Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def agent(daemon: Daemon) -> Iterator[Session]:
    """A shell that may reach api.test, a stand-in on the loopback."""
    address = ".".join(["127", *(str(1 + byte % 250) for byte in os.urandom(3))])
    with http.server.ThreadingHTTPServer((address, 8080), Hello) as service:
        thread = threading.Thread(target=service.serve_forever, args=(0.05,))
        thread.start()
        roles = daemon.home.config / "roles"
        roles.mkdir(parents=True, exist_ok=True)
        host = f"{{name: 'api.test:8080', addresses: [{address}]}}"
        (roles / "net.yaml").write_text(f"filesystem: {{rwx: ['{{CWD}}']}}\nnetwork: {{hosts: [{host}]}}\n")
        yield Session.new(daemon, "shell", "role=net")
        service.shutdown()
        thread.join()


def test_a_daemon_that_is_ended_while_an_agent_starts_does_not_wait_for_the_door(daemon: Daemon) -> None:
    Session.starting(daemon)
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.process.wait(PATIENCE / 2) == 0


def door(daemon: Daemon) -> list[int]:
    """Return the processes of its door, the first one first."""
    path = str(daemon.home.state / "door" / "socket").encode()
    found = []
    for one in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path in one.read_bytes().split(b"\0"):
                found.append(int(one.parent.name))
        except OSError:
            continue
    return sorted(found)


def test_a_granted_host_is_reached_and_another_one_is_told_in_sandbox_and_events(
    daemon: Daemon, agent: Session
) -> None:
    assert "host\tapi.test:8080 at 127." in agent.read("sandbox")
    assert agent.ask(FETCH) == "hello\n"
    assert "not known" in agent.ask(ASK.format("evil.test"))
    wait_until(lambda: "refused\tevil.test\tno layer names it\n" in agent.read("sandbox"), "the line in sandbox")
    events = map(json.loads, agent.client.open("events.0").read(65536).decode().splitlines())
    told = next(event for event in events if event["type"] == "network")
    assert (told["session_id"], told["what"], told["text"]) == (agent.id, "refused", "evil.test\tno layer names it")


def test_the_network_goes_on_when_the_daemon_is_killed_and_the_next_one_hears_what_is_refused(
    daemon: Daemon, agent: Session
) -> None:
    assert agent.ask(FETCH) == "hello\n"
    before = door(daemon)
    daemon.kill()
    daemon.start()
    again = agent.again()
    again.wait("idle")
    assert again.ask(FETCH) == "hello\n"
    assert door(daemon) == before
    again.ask(ASK.format("evil.test"))
    wait_until(lambda: "refused\tevil.test" in again.read("sandbox"), "the line in sandbox")


def test_a_door_that_is_killed_is_started_again(daemon: Daemon, agent: Session) -> None:
    assert agent.ask(FETCH) == "hello\n"
    before = door(daemon)
    ends = [os.pidfd_open(pid) for pid in before]
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    for end in ends:
        os.close(end)
    wait_until(lambda: not set(before) & set(door(daemon)) and len(door(daemon)) == 2, "the next door")
    assert agent.ask(FETCH) == "hello\n"


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def serve(agent: Session, port: int) -> None:
    agent.ask(f"echo inside > index.html; /usr/bin/python3 -m http.server -b 127.0.0.1 {port} >/dev/null 2>&1 &")


def fetched(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/index.html", timeout=PATIENCE) as answer:
            return bool(answer.read() == b"inside\n")
    except OSError:
        return False


def test_a_server_inside_is_reached_from_outside_once_it_is_forwarded(daemon: Daemon) -> None:
    agent, port = Session.new(daemon, "shell"), free_port()
    serve(agent, port)
    with pytest.raises(OSError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/")
    agent.write("ctl", f"forward {port}")
    assert f"forward\ttcp {port}\thttp://127.0.0.1:{port}\n" in agent.read("sandbox")
    assert agent.row["forwards"] == [port]
    wait_until(lambda: fetched(port), "the server inside")
    agent.write("ctl", f"unforward {port}")
    assert agent.row["forwards"] == []
    with pytest.raises(OSError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/")
    for wrong in ("forward 0", "forward 65536", "forward x", f"unforward {port}"):
        with pytest.raises(AnvilError):
            agent.write("ctl", wrong)


def end(processes: list[int]) -> None:
    for pid in processes:
        os.kill(pid, signal.SIGKILL)


def test_what_was_forwarded_comes_back_with_the_door_and_ends_with_the_agent(daemon: Daemon) -> None:
    agent, port = Session.new(daemon, "shell"), free_port()
    serve(agent, port)
    agent.write("ctl", f"forward {port}")
    wait_until(lambda: fetched(port), "the server inside")
    before = door(daemon)
    end(before[1:])  # what serves the session
    wait_until(lambda: len(door(daemon)) == 2 and fetched(port), "the server inside after the session's part died")
    before = door(daemon)
    end(before)
    wait_until(lambda: not set(before) & set(door(daemon)) and fetched(port), "the server inside after the door died")
    pid = agent.read("pid")
    agent.write("ctl", "restart")
    wait_until(lambda: agent.read("pid") not in ("0\n", pid), "the next agent")
    agent.wait("idle")
    assert agent.row["forwards"] == []
    with socket.socket() as ours:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        ours.bind(("127.0.0.1", port))


def test_a_port_that_somebody_else_took_meanwhile_is_told(daemon: Daemon) -> None:
    agent, port = Session.new(daemon, "shell"), free_port()
    agent.write("ctl", f"forward {port}")
    before = door(daemon)
    for pid in before:
        os.kill(pid, signal.SIGSTOP)
    with socket.socket() as ours:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        os.kill(before[-1], signal.SIGKILL)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        wait_until(lambda: bound(ours, port), "the port to be free")
        ours.listen()
        end(before[:-1])
        wait_until(lambda: f"port {port} is not forwarded any more" in agent.row["error"], "the error")
        assert agent.row["forwards"] == []


def bound(sock: socket.socket, port: int) -> bool:
    try:
        sock.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True


def test_what_a_layer_publishes_is_reached_from_the_start(daemon: Daemon) -> None:
    port = free_port()
    roles = daemon.home.config / "roles"
    roles.mkdir(parents=True)
    (roles / "web.yaml").write_text(f"filesystem: {{rwx: ['{{CWD}}']}}\nnetwork: {{publish: [{port}]}}\n")
    agent = Session.new(daemon, "shell", "role=web")
    assert agent.row["forwards"] == [port]
    serve(agent, port)
    wait_until(lambda: fetched(port), "the server inside")
    end(door(daemon))
    wait_until(lambda: len(door(daemon)) == 2 and fetched(port), "the server inside after the door died")
    agent.write("ctl", "kill")
    wait_until(lambda: not fetched(port), "the port to be closed")


def test_the_door_goes_with_the_last_that_needs_it(daemon: Daemon, agent: Session) -> None:
    before = door(daemon)
    assert len(before) == 2
    agent.write("ctl", "kill")
    wait_until(lambda: len(door(daemon)) == 1, "the session's part of the door to end")
    daemon.close()
    wait_until(lambda: not door(daemon), "the door to end")
