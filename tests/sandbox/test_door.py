"""Through the door: what is granted is reached with no variable set, and nothing else is. All is tried from inside a real sandbox."""

import json
import os
import select
import signal
import socket
import subprocess
import threading

import pytest
from door_world import HTTP, PATIENCE, PYTHON, RAW, TLS, DoorWorld, beside, lines, processes

GET = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def test_a_granted_name_is_reached_by_tls_http_and_plain_tcp(doors: DoorWorld) -> None:
    doors.start()
    doors.serve(TLS, "api.test")
    doors.serve(HTTP)
    doors.serve(RAW)
    hosts = [doors.host(f"api.test:{port}") for port in (TLS, HTTP, RAW)]
    code = f"""
body = urllib.request.urlopen("https://api.test:{TLS}/x").read()
assert json.loads(body)["path"] == "/x"
body = json.loads(urllib.request.urlopen("http://api.test:{HTTP}/y?z=1", b"text").read())
assert (body["path"], body["method"], body["body"]) == ("/y?z=1", "POST", "text"), body
print(reach("api.test", {RAW}, {GET!r})[:15])
"""
    assert doors.python(code, hosts) == "HTTP/1.1 200 OK"


def test_a_name_below_a_pattern_is_reached_and_the_pattern_s_own_is_not(door: DoorWorld) -> None:
    watch = door.start()
    door.serve(TLS, "*.test")
    code = f"print(tls('a.test', {TLS}, 'a.test'), told(socket.getaddrinfo, 'test', 1), told(socket.getaddrinfo, 'atest', 1))"
    found = door.python(code, [door.host(f"*.test:{TLS}")])
    assert found.startswith("HTTP/1.1 200 OK") and found.count("Name or service not known") == 2
    assert [(line["refused"], line["session"]) for line in lines(watch, 2)] == [("test", "s"), ("atest", "s")]


def test_a_name_that_is_not_granted_does_not_exist_and_is_told_once(door: DoorWorld) -> None:
    watch = door.start()
    asks = "for _ in range(3): print(told(socket.getaddrinfo, 'evil.example', 443))"
    assert door.python(asks, [door.host("api.test")]).count("Name or service not known") == 3
    assert lines(watch, 1) == [{"refused": "evil.example", "why": "no layer names it", "session": "s"}]
    assert beside(watch.read()) == []


ODD = [
    "0x7f.1",
    "2130706433",
    "127.1",
    "0177.0.0.1",
    "127.0.0.1",
    "0",
    "localhost",
    "::1",
    "::ffff:127.0.0.1",
    "\uff11\uff12\uff17.\uff10.\uff10.\uff11",
]


@pytest.mark.parametrize("name", ODD)
def test_what_getaddrinfo_reads_as_this_machine_leads_to_the_session_s_own_loopback(door: DoorWorld, name: str) -> None:
    """A server outside, at the same address and port, sees nobody; the door's own listener there closes what comes."""
    door.start()
    service = door.world.listen(("127.0.0.1", 0))
    port = service.sock.getsockname()[1]
    found = door.python(
        f"print(repr(told(reach, {name!r}, {port})), repr(told(reach, {name!r}, {RAW})))",
        [door.host(f"api.test:{RAW}")],
    )
    assert service.came == 0
    own, held = found.rsplit(" ", 1)
    assert "ECONNREFUSED" in own or "not known" in own
    assert held in ("''", "'ECONNRESET'", "'ECONNREFUSED'") or "known" in held


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "10.0.0.1", "192.168.1.1", "1.1.1.1", "198.18.0.1", "198.19.255.255", "100.100.100.200"],
)
def test_an_address_by_number_leads_nowhere(door: DoorWorld, address: str) -> None:
    door.start()
    found = door.python(f"print(repr(told(reach, {address!r}, {RAW}, b'x')))", [door.host(f"api.test:{RAW}")])
    assert found in ("'ENETUNREACH'", "''", "'ECONNRESET'")


def test_neither_udp_nor_another_port_nor_ipv6_leads_out(door: DoorWorld) -> None:
    door.start()
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind((door.address, RAW))
    udp.setblocking(False)
    other = door.world.listen((door.address, 0))
    with udp:
        code = f"""
at = socket.getaddrinfo("api.test", 1, socket.AF_INET)[0][4][0]
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.sendto(b"x", (at, {RAW}))
print(told(reach, "api.test", {other.sock.getsockname()[1]}), told(reach, {door.address!r}, {RAW}))
print(told(socket.getaddrinfo, "api.test", 1, socket.AF_INET6))
print(told(socket.socket, socket.AF_INET6, socket.SOCK_RAW, 58), told(socket.socket, 40, 1), told(socket.socket, 38, 5))
"""
        first, second, third = door.python(code, [door.host(f"api.test:{RAW}")]).splitlines()
        with pytest.raises(BlockingIOError):
            udp.recv(1)
    assert first.split()[0] == "ECONNREFUSED" and other.came == 0
    assert "address associated" in second.lower() or "not known" in second
    assert third == "EACCES EACCES EACCES"


def test_a_client_hello_that_names_another_host_or_none_is_refused(door: DoorWorld) -> None:
    """Each by its own: the service is not even connected to."""
    watch = door.start()
    service = door.serve(TLS, "api.test")
    code = f"""
for name in ("other.test", None, "api.test.evil"):
    print(type(told(tls, "api.test", {TLS}, name)).__name__)
for data in (b"GET / HTTP/1.0\\r\\n\\r\\n", b"\\x16\\x03\\x01\\0\\0"):
    print(repr(told(reach, "api.test", {TLS}, data)))
"""
    found = door.python(code, [door.host(f"api.test:{TLS}"), door.host(f"other.test:{TLS}")])
    assert found.splitlines()[:3] == ["str"] * 3
    assert service.came == 0
    why = [line["why"] for line in lines(watch, 4)]
    assert why == [
        "the connection names 'other.test'", "the connection names no host", "the connection names 'api.test.evil'",
        "the connection does not begin as TLS does",
    ]  # fmt: skip


def test_a_name_that_comes_to_lead_to_this_machine_is_refused(door: DoorWorld) -> None:
    """As one does whose owner answers with an address of ours: without ``addresses`` none of this machine is connected to."""
    watch = door.start()
    service = door.world.listen(("127.0.0.1", 0))
    port = service.sock.getsockname()[1]
    name = socket.gethostname()
    found = door.python(f"print(repr(told(reach, {name!r}, {port}, b'x')))", [f"{name}:{port}"])
    assert found in ("''", "'ECONNRESET'") and service.came == 0
    assert lines(watch, 1)[0]["refused"] == name


def test_a_port_of_plain_http_that_is_not_granted_for_a_name_says_403_and_why(door: DoorWorld) -> None:
    watch = door.start()
    service = door.serve(HTTP)
    code = f"print(reach('api.test', {HTTP}, {GET!r}))"
    found = door.python(code, [door.host(f"other.test:{HTTP}"), door.host(f"api.test:{RAW}")])
    assert (
        found.startswith("HTTP/1.1 403 Forbidden") and "api.test" in found and "is not granted to this sandbox" in found
    )
    assert service.came == 0 and lines(watch, 1)[0]["refused"] == "api.test"


def test_nothing_inside_can_bind_over_the_door_and_the_session_s_own_ports_are_free(door: DoorWorld) -> None:
    door.start()
    code = f"""
for address in ("0.0.0.0", "127.0.0.1", "198.18.0.2"):
    sock = socket.socket(); sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    print(told(sock.bind, (address, {RAW})))
own = socket.create_server(("127.0.0.1", 3000))
print(told(reach, "localhost", 3000, b"", 0) == "")
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
print(told(udp.bind, ("127.0.0.1", 53)))
"""
    assert door.python(code, [door.host(f"api.test:{RAW}")]).split() == ["EADDRINUSE"] * 3 + ["True", "EACCES"]


def test_without_a_door_nothing_is_started(door: DoorWorld) -> None:
    """The launcher's wait has an end, and its sentence says what is missing."""
    result = door.run(["true"], [door.host("api.test")])
    assert result.returncode == 126 and "the door of the network does not answer" in result.stderr


def test_a_door_that_hangs_does_not_hang_the_start(door: DoorWorld) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as deaf:
        deaf.bind(door.socket)
        os.chmod(door.socket, 0o666)
        deaf.listen(1)
        result = door.run(["true"], [door.host("api.test")])
    assert result.returncode == 126 and "does not answer (timed out)" in result.stderr


def test_a_door_that_dies_is_replaced_and_what_came_meanwhile_is_served(doors: DoorWorld) -> None:
    """First the session's process, then all of it: each time the open connection ends and the next one waits for the new door."""
    doors.start()
    doors.serve(RAW)
    code = f"""
for line in sys.stdin:
    print(told(reach, "a.test", {RAW}, {GET!r})[:15])
"""
    with doors.running(code, [doors.host(f"*.test:{RAW}")]) as agent:
        assert agent.stdin and agent.stdout

        def ask() -> str:
            assert agent.stdin and agent.stdout
            agent.stdin.write("\n")
            agent.stdin.flush()
            return agent.stdout.readline()

        assert ask() == "HTTP/1.1 200 OK\n"
        for victim in ("the session's process", "all of it"):
            main, child = processes(doors.socket)
            over = os.pidfd_open(child)
            os.kill(main if victim == "all of it" else child, signal.SIGKILL)
            assert select.select([over], [], [], PATIENCE)[0]
            os.close(over)
            assert ask() == "HTTP/1.1 200 OK\n", victim


def test_the_door_of_a_session_ends_with_it_and_the_last_door_some_time_later(door: DoorWorld) -> None:
    door.start()
    with door.running("print('here'); sys.stdin.read()", [door.host("api.test")]) as agent:
        assert agent.stdout and agent.stdout.readline() == "here\n"
        _, child = processes(door.socket)
        over = os.pidfd_open(child)
    assert select.select([over], [], [], PATIENCE)[0]
    os.close(over)


def test_the_launcher_s_sockets_are_not_the_agent_s(door: DoorWorld) -> None:
    door.start()
    code = "print([fd for fd in range(3, 256) if not told(os.fstat, fd) == 'EBADF'])"
    assert door.python(code, [door.host("api.test")]) == "[]"


def test_the_names_of_the_machine_s_own_files_do_not_come_before_the_door(door: DoorWorld) -> None:
    door.start()
    found = door.python("print(open('/etc/hosts').read(), open('/etc/resolv.conf').read())", [door.host("api.test")])
    assert found.split() == [
        "127.0.0.1",
        "localhost",
        "::1",
        "localhost",
        "ip6-localhost",
        "ip6-loopback",
        "nameserver",
        "127.0.0.1",
        "search",
        "invalid",
    ]


def test_a_forwarded_port_is_reached_from_outside_until_it_is_withdrawn(doors: DoorWorld) -> None:
    """By IPv4 and by IPv6; before that nothing outside can connect."""
    watch = doors.start()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = f"""
family, address = sys.stdin.readline().split()
server = socket.create_server((address, {port}), family=getattr(socket, family))
print("ready")
while True:
    sock, _ = server.accept()
    sock.sendall(b"inside")
    sock.close()
"""
    for address in ("AF_INET 127.0.0.1", "AF_INET6 ::1"):
        with doors.running(code, []) as agent:
            assert agent.stdin and agent.stdout
            agent.stdin.write(address + "\n")
            agent.stdin.flush()
            assert agent.stdout.readline() == "ready\n"
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port))
            watch.forward("s", port, True, 7)
            assert lines(watch, 1) == [{"answer": 7, "error": "", "session": "s"}]
            with socket.create_connection(("127.0.0.1", port), PATIENCE) as sock:
                assert sock.recv(16) == b"inside"
            watch.forward("s", port, False, 8)
            assert lines(watch, 1)[0]["error"] == ""
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port))


def test_what_cannot_be_forwarded_is_said(door: DoorWorld) -> None:
    watch = door.start()
    watch.forward("nobody", 3000, True, 1)
    assert lines(watch, 1) == [{"session": "nobody", "answer": 1, "error": "it is not running"}]
    taken = door.world.listen(("127.0.0.1", 0)).sock.getsockname()[1]
    with door.running("print('x'); sys.stdin.read()", []) as agent:
        assert agent.stdout and agent.stdout.readline()
        watch.forward("s", taken, True, 2)
        assert lines(watch, 1)[0]["error"] == f"127.0.0.1:{taken}: Address already in use"


def test_a_slow_peer_costs_bounded_memory_and_loses_nothing(door: DoorWorld) -> None:
    """The service sends 64 MiB that nobody reads; then somebody does."""
    door.start()
    total = 64 << 20
    server = socket.create_server((door.address, RAW))
    sent = threading.Event()

    def send() -> None:
        sock, _ = server.accept()
        with sock:
            sock.sendall(b"x" * total)
        sent.set()

    thread = threading.Thread(target=send)
    thread.start()
    code = f"""
sock = socket.create_connection(("api.test", {RAW}))
print("open"); sys.stdin.readline()
count = 0
while part := sock.recv(1 << 20):
    count += len(part)
print(count)
"""
    with server, door.running(code, [door.host(f"api.test:{RAW}")]) as agent:
        assert agent.stdin and agent.stdout and agent.stdout.readline() == "open\n"
        child = processes(door.socket)[-1]
        assert not sent.wait(1.0)
        with open(f"/proc/{child}/status") as file:
            resident = int(file.read().split("VmRSS:")[1].split()[0])
        assert resident < 60_000
        agent.stdin.write("\n")
        agent.stdin.flush()
        assert agent.stdout.readline() == f"{total}\n"
        thread.join(PATIENCE)


def test_another_user_is_not_served(door: DoorWorld) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs another user")
    door.start()
    os.chmod(door.socket, 0o777)
    os.chmod(door.top, 0o777)
    os.chmod(door.world.top, 0o755)
    code = f"""
import socket
sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
sock.connect({door.socket!r})
sock.send(b'{{"watch": true}}')
print(sock.recv(9))
"""
    result = subprocess.run(
        [PYTHON, "-c", code], user=4242, group=4242, extra_groups=[], capture_output=True, text=True, cwd="/"
    )
    assert result.stdout == "b''\n" or "Error" in result.stderr


@pytest.mark.parametrize("words", [b"", b"[]", b"{", json.dumps({"session": 7}).encode(), b'{"watch": false}'])
def test_who_does_not_speak_as_a_keeper_does_is_hung_up_on(door: DoorWorld, words: bytes) -> None:
    door.start()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.settimeout(PATIENCE)
        sock.connect(door.socket)
        sock.send(words)
        assert sock.recv(10) == b""
