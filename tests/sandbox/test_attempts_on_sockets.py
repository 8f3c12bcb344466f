"""Attempts to reach somebody by a socket, in the full tier, in each network mode."""

import os
import socket
import subprocess

import pytest
from sandbox_world import World

from sandbox.text import describe

NONE: dict[str, object] = {}
ALL = {"network": {"enabled": True, "unrestricted": True}}
CONNECT = "def attempt():\n  s = socket.socket(socket.{family}, socket.{kind})\n  s.connect({address!r})\n"


def ports(*connect: int, bind: tuple[int, ...] = ()) -> dict[str, object]:
    return {"network": {"enabled": True, "connect_tcp": list(connect), "bind_tcp": list(bind)}}


@pytest.mark.parametrize("layer", [NONE, ALL, ports(443)], ids=["none", "all", "ports"])
def test_a_stream_socket_outside_the_grants_is_not_there(world: World, layer: dict[str, object]) -> None:
    """Connecting would need the path, and the path is not inside."""
    listener = world.listen(f"{world.outside}/stream")
    attempt = CONNECT.format(family="AF_UNIX", kind="SOCK_STREAM", address=f"{world.outside}/stream")
    assert world.attempt(attempt, layer) == "ENOENT"
    assert listener.came == 0
    assert world.freely(attempt) == "did it"


def test_the_users_own_9p_socket_is_not_in_the_namespace(world: World) -> None:
    """At the same path the agent finds its own session's socket."""
    users, own = world.listen(f"{world.ns}/agent"), world.listen(f"{world.sess}/agent", answer=b"own")
    attempt = "def attempt():\n  s = socket.socket(socket.AF_UNIX)\n"
    attempt += "  s.connect(os.environ['NAMESPACE'] + '/agent')\n  return s.recv(3)\n"
    assert world.attempt(attempt) == "b'own'"
    assert (users.came, own.counted(1)) == (0, 1)


def test_the_session_directory_shows_a_daemon_that_bound_anew(world: World) -> None:
    """The directory is bound, not the socket: a new socket of the same name is reached by a running agent."""
    first = world.listen(f"{world.sess}/agent", answer=b"old")
    code = (
        "def attempt():\n  for _ in range(2):\n    s = socket.socket(socket.AF_UNIX); s.connect(os.environ['NAMESPACE'] + '/agent')\n"
        "    print(s.recv(3).decode(), flush=True); sys.stdin.readline()\n"
    )
    spec = world.spec(["/usr/bin/python3", "-I", "-c", "import os, socket, sys\n" + code + "attempt()"])
    agent = subprocess.Popen(
        world.command(spec), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **world.identity
    )
    assert agent.stdin and agent.stdout
    with agent:
        assert agent.stdout.readline() == "old\n"
        os.unlink(f"{world.sess}/agent")
        world.listen(f"{world.sess}/agent", answer=b"new")
        agent.stdin.write("\n")
        agent.stdin.flush()
        assert agent.stdout.readline() == "new\n"
        agent.stdin.close()
    assert first.counted(1) == 1


def test_the_session_directory_cannot_be_changed_but_its_spool_can(world: World) -> None:
    """An agent cannot put a socket of its own in the place of the daemon's."""
    world.listen(f"{world.sess}/agent")
    for change in ("os.unlink(n + '/agent')", "open(n + '/x', 'w')", "os.rename(n + '/agent', n + '/spool/agent')"):
        assert world.attempt(f"def attempt():\n  n = os.environ['NAMESPACE']\n  {change}\n") in (
            "EROFS",
            "EACCES",
            "EXDEV",
        )
    assert world.attempt("def attempt(): open(os.environ['NAMESPACE'] + '/spool/x', 'w').close()\n") == "did it"
    assert (world.sess / "spool/x").exists()


def test_a_siblings_socket_is_not_inside(world: World) -> None:
    """Which socket was connected to is the identity, so another session's must not be in reach, whatever is granted."""
    state = world.home / ".local/state/anvillm/sessions/b/ns"
    state.mkdir(parents=True)
    world.own()
    sibling = world.listen(f"{state}/agent")
    attempt = CONNECT.format(family="AF_UNIX", kind="SOCK_STREAM", address=f"{state}/agent")
    for layer in (NONE, {"filesystem": {"ro": ["{HOME}"]}}, {"filesystem": {"rwx": ["{HOME}"]}}):
        assert world.attempt(attempt, layer) == "ENOENT"
    assert sibling.came == 0


@pytest.mark.parametrize("layer", [NONE, ALL], ids=["none", "all"])
def test_an_abstract_socket_is_not_reached(world: World, layer: dict[str, object]) -> None:
    """Another network namespace, or Landlock's scope where the network is shared."""
    name = f"\0anvil-test-{os.getpid()}-{world.uid}"
    listener = world.listen(name)
    attempt = CONNECT.format(family="AF_UNIX", kind="SOCK_STREAM", address=name)
    assert world.attempt(attempt, layer) == ("EPERM" if layer else "ECONNREFUSED")
    assert listener.came == 0
    assert world.freely(attempt) == "did it"


FAMILIES = {
    "a datagram unix socket": ("socket.AF_UNIX, socket.SOCK_DGRAM, 0", "all none ports"),
    "UDP": ("socket.AF_INET, socket.SOCK_DGRAM, 0", "ports"),
    "UDP over IPv6": ("socket.AF_INET6, socket.SOCK_DGRAM, 17", "ports"),
    "MPTCP": ("socket.AF_INET, socket.SOCK_STREAM, 262", "all none ports"),
    "SCTP": ("socket.AF_INET, socket.SOCK_STREAM, 132", "all none ports"),
    "SCTP seqpacket": ("socket.AF_INET, socket.SOCK_SEQPACKET, 132", "all none ports"),
    "UDP-Lite": ("socket.AF_INET, socket.SOCK_DGRAM, 136", "all none ports"),
    "raw": ("socket.AF_INET, socket.SOCK_RAW, 1", "all none ports"),
    "packets": ("socket.AF_PACKET, socket.SOCK_RAW, 0", "all none ports"),
    "netlink uevents": ("socket.AF_NETLINK, socket.SOCK_RAW, 15", "all none ports"),
    "netlink diagnosis": ("socket.AF_NETLINK, socket.SOCK_DGRAM, 4", "all none ports"),
    "vsock": ("40, socket.SOCK_STREAM, 0", "all none ports"),
    "kernel crypto": ("38, socket.SOCK_SEQPACKET, 0", "all none ports"),
    "bluetooth": ("31, socket.SOCK_RAW, 0", "all none ports"),
    "a high bit in the family": ("1 | 1 << 32, socket.SOCK_DGRAM, 0", "all none ports"),
}


@pytest.mark.parametrize("mode", ["none", "ports", "all"])
def test_sockets_of_other_kinds_are_not_made(world: World, mode: str) -> None:
    """Not even with the type's flags set, nor with bits that the kernel ignores."""
    layer = {"none": NONE, "ports": ports(443), "all": ALL}[mode]
    lines = ["def attempt():", "  found = {}", "  number = {'x86_64': 41, 'aarch64': 198}[os.uname().machine]"]
    wanted = [name for name, (_, modes) in FAMILIES.items() if mode in modes.split()]
    for name in wanted:
        family, kind, protocol = FAMILIES[name][0].split(", ")
        for flags in ("0", "0x80000", "0x80800"):
            lines += ["  try:", f"    call(number, {family}, {kind} | {flags}, {protocol}); found[{name!r}] = 'made'"]
            lines += ["  except OSError as error:", f"    if error.errno != 13: found[{name!r}] = error.errno"]
    assert world.attempt("\n".join([*lines, "  return found", ""]), layer) == "{}"


def test_a_datagram_socket_pair_is_not_made(world: World) -> None:
    """Either end could be pointed at somebody else's datagram socket."""
    assert world.attempt("def attempt(): socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)\n") == "EACCES"
    assert world.attempt("def attempt(): socket.socketpair()\n") == "did it"


def test_only_the_ports_that_were_granted_are_reached(world: World) -> None:
    """``enabled`` with ``connect_tcp`` means those, by every way of connecting."""
    good, bad = world.listen(("127.0.0.1", 0)), world.listen(("127.0.0.1", 0))
    right, wrong = good.sock.getsockname(), bad.sock.getsockname()
    layer = ports(right[1])
    connect = {"family": "AF_INET", "kind": "SOCK_STREAM"}
    assert world.attempt(CONNECT.format(address=right, **connect), layer) == "did it"
    assert world.attempt(CONNECT.format(address=wrong, **connect), layer) == "EACCES"
    six = CONNECT.format(address=("::ffff:127.0.0.1", wrong[1]), family="AF_INET6", kind="SOCK_STREAM")
    assert world.attempt(six, layer) == "EACCES"
    head = "def attempt():\n  s = socket.socket()\n"
    for address in (right, wrong):
        assert world.attempt(head + f"  s.sendto(b'x', 0x20000000, {address!r})\n", layer) == "EACCES"
        assert world.attempt(head + f"  s.sendmsg([b'x'], [], 0x20000000, {address!r})\n", layer) == "EACCES"
    assert world.freely(head + f"  s.sendto(b'x', 0x20000000, {wrong!r})\n") == "did it"
    assert (good.counted(1), bad.counted(1)) == (1, 1)


def test_only_the_ports_that_were_granted_are_bound(world: World) -> None:
    """The same for servers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    bind = "def attempt(): socket.socket().bind(('127.0.0.1', {}))\n"
    assert world.attempt(bind.format(port), ports(443, bind=(port,))) == "did it"
    assert world.attempt(bind.format(port), ports(443)) == "EACCES"


@pytest.mark.parametrize(
    "network", [{"enabled": True}, {"enabled": False, "connect_tcp": [443]}, {"unrestricted": True}]
)
def test_a_network_that_is_not_really_asked_for_is_none(world: World, network: dict[str, object]) -> None:
    """No ports and not unrestricted, or not enabled: an empty network with only its own loopback."""
    listener = world.listen(("127.0.0.1", 0))
    attempt = CONNECT.format(family="AF_INET", kind="SOCK_STREAM", address=listener.sock.getsockname())
    assert world.attempt(attempt, {"network": network}) == "ECONNREFUSED"
    assert (
        world.attempt("def attempt(): return [n for _, n in socket.if_nameindex()][:1]\n", {"network": network})
        == "['lo']"
    )
    assert listener.came == 0


def test_the_loopback_of_an_empty_network_works(world: World) -> None:
    """A server under test and its client meet inside."""
    code = (
        "def attempt():\n  a = socket.create_server(('127.0.0.1', 0)); b = socket.create_connection(a.getsockname())\n"
        "  u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(('127.0.0.1', 0))\n"
    )
    assert world.attempt(code) == "did it"


def test_names_are_looked_up_over_tcp_where_udp_is_closed(world: World) -> None:
    """The policy says so, and resolver and file inside are set for it."""
    code = "def attempt(): return (os.environ['RES_OPTIONS'], open('/etc/resolv.conf').read().split()[-2:])\n"
    assert world.attempt(code, ports(443)) == "('use-vc', ['options', 'use-vc'])"
    assert "connect\ttcp 53\tdns over tcp\n" in describe(world.policy(ports(443)), "full")


def test_the_resolver_really_asks_over_tcp(world: World) -> None:
    """A name server on loopback that only knows TCP is enough."""
    if os.geteuid() != 0:
        pytest.skip("only root can serve port 53")
    pid = os.getpid()
    address = (
        f"127.{1 + (pid >> 14) % 250}.{(pid >> 7) % 128}.{1 + pid % 128}"  # another for each who runs the tests now
    )
    server = socket.create_server((address, 53))
    code = "def attempt(): return socket.getaddrinfo('anvil.test', 80, socket.AF_INET, socket.SOCK_STREAM)[0][4][0]\n"
    argv = ["/usr/bin/python3", "-I", "-c", "import os, socket\n" + code + "print(attempt())"]
    spec = world.spec(argv, ports(443))
    spec["files"]["/etc/resolv.conf"] = f"nameserver {address}\noptions use-vc timeout:2 attempts:1\n"
    with subprocess.Popen(world.command(spec), stdout=subprocess.PIPE, text=True, **world.identity) as agent, server:
        server.settimeout(20)
        peer, _ = server.accept()
        with peer:
            question = peer.recv(512)[2:]
            name_end = question.index(b"\0", 12) + 5
            record = b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04" + bytes((192, 0, 2, 7))
            reply = question[:2] + b"\x81\x80\0\x01\0\x01\0\0\0\0" + question[12:name_end] + record
            peer.sendall(len(reply).to_bytes(2, "big") + reply)
        assert agent.stdout is not None
        assert agent.stdout.read() == "192.0.2.7\n"


def test_a_socket_that_global_yaml_let_in_is_reached_and_no_other(world: World) -> None:
    """acme's socket in the namespace, by name."""
    acme, plumb = world.listen(f"{world.ns}/acme", answer=b"acme"), world.listen(f"{world.ns}/plumb")
    (world.config / "global.yaml").write_text("unix: [acme]\n")
    connect = "def attempt():\n  s = socket.socket(socket.AF_UNIX)\n  s.connect(os.environ['NAMESPACE'] + '/{}')\n  return s.recv(4)\n"
    assert world.attempt(connect.format("acme")) == "b'acme'"
    assert world.attempt(connect.format("plumb")) == "ENOENT"
    assert (acme.counted(1), plumb.came) == (1, 0)
