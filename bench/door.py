"""The door's cost: CPU of the relay, throughput beside a direct connection, a 64 B round trip, the first byte, idle connections.

    python bench/door.py [MIB]

Both ways carry the same bytes, in turn, from a server on this machine: the direct one by a sandbox that shares the network
(``connect_tcp``), the other through the door. Bytes are plain TCP, as those of TLS are to the door.
"""

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import ended  # noqa: F401
from arguments import numbers

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sandbox import launcher, policy
from sandbox.door_client import Watch, ensure
from sandbox.plan import specification

PORT, ROUNDS, IDLE = 7022, 5, 1000
ADDRESS = "127.77.7.7"

INSIDE = """
import socket, sys, time, json
name, port, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
def ask(word):
    sock = socket.create_connection((name, port)); sock.sendall(word); return sock
for line in sys.stdin:
    word = line.split()[0]
    t = time.perf_counter()
    if word == "bulk":
        sock, count, buffer = ask(b"b"), 0, bytearray(1 << 20)
        while part := sock.recv_into(buffer): count += part
        assert count == size << 20, count
    elif word == "trip":
        sock = ask(b"e"); sock.setsockopt(6, 1, 1); sock.sendall(b"x" * 64); sock.recv(64)
        each = []
        for _ in range(5000):
            a = time.perf_counter(); sock.sendall(b"x" * 64); sock.recv(64); each.append(time.perf_counter() - a)
        each.sort(); print(json.dumps(each[len(each) // 2])); sys.stdout.flush(); continue
    elif word == "first":
        each = []
        for _ in range(200):
            a = time.perf_counter(); sock = ask(b"e" + b"x" * 64); sock.recv(1); each.append(time.perf_counter() - a); sock.close()
        each.sort(); print(json.dumps(each[len(each) // 2])); sys.stdout.flush(); continue
    elif word == "idle":
        kept = [ask(b"e" + b"x" * 64) for _ in range(int(line.split()[1]))]
        for sock in kept: sock.recv(64)
    elif word == "busy":
        import select, threading
        kept, poll = {}, select.epoll()
        for _ in range(int(line.split()[1])):
            sock = ask(b"e" + b"x" * 64); kept[sock.fileno()] = sock; poll.register(sock, select.EPOLLIN)
        def busy():
            while True:
                for fd, _ in poll.poll(): kept[fd].send(kept[fd].recv(64) or b"x")
        threading.Thread(target=busy, daemon=True).start()
    print(json.dumps(time.perf_counter() - t)); sys.stdout.flush()
"""


def serve(listener: socket.socket, size: int) -> None:
    """Serve ``b``: that many MiB; ``e``: an echo."""

    def one(sock: socket.socket) -> None:
        chunk = bytes(1 << 20)
        with sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                if sock.recv(1) == b"b":
                    for _ in range(size):
                        sock.sendall(chunk)
                    return
                while data := sock.recv(4096):
                    sock.sendall(data)
            except OSError:
                return

    while True:
        try:
            sock, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=one, args=(sock,), daemon=True).start()


class Inside:
    """A program in a sandbox with that network."""

    def __init__(self, top: Path, name: str, network: dict[str, Any], door: str, size: int) -> None:
        cwd = top / name
        cwd.mkdir()
        made = policy.load(config=[], backend="", role=None, tasks=[], cwd=str(cwd), namespace=str(top / "ns"), env=os.environ,
                           extra=[("bench", {"network": network})])  # fmt: skip
        argv = ["/usr/bin/python3", "-c", INSIDE, name, str(PORT), str(size)]
        spec = specification(
            made, argv, tier="full", namespace_source="", tmpdir="", env=os.environ, door=door, session=name
        )
        path = top / f"{name}.json"
        path.touch(0o600)
        path.write_text(json.dumps(spec))
        self.process = subprocess.Popen(
            launcher.command(str(path)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def do(self, words: str) -> float:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(words + "\n")
        self.process.stdin.flush()
        return float(json.loads(self.process.stdout.readline()))

    def close(self) -> None:
        self.process.communicate()


def relay(path: str) -> int:
    """Return the process of the door's only session."""
    found = []
    for one in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.encode() in one.read_bytes().split(b"\0"):
                found.append(int(one.parent.name))
        except OSError:
            continue
    return max(found)


def cpu(pid: int) -> float:
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> int:
    """Return the KiB of its own: what it shares with the process that it came from is counted there."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(text.split("Rss:")[1].split()[0])


def main(size: int) -> None:
    """Print each figure with its bound."""
    with tempfile.TemporaryDirectory() as directory, socket.create_server((ADDRESS, PORT), backlog=1024) as listener:
        top = Path(os.path.realpath(directory))
        threading.Thread(target=serve, args=(listener, size), daemon=True).start()
        door = str(top / "door" / "socket")
        ensure(door)
        watch = Watch(door)
        host = {"name": f"served.test:{PORT}", "addresses": [ADDRESS]}
        through = Inside(top, "served.test", {"hosts": [host]}, door, size)
        direct = Inside(top, ADDRESS, {"enabled": True, "connect_tcp": [PORT]}, "", size)
        through.do("trip"), direct.do("trip")
        pid = relay(door)
        before, rates = cpu(pid), []
        for _ in range(ROUNDS):
            rates.append((size / direct.do("bulk"), size / through.do("bulk")))
        used = (cpu(pid) - before) / (ROUNDS * size / 1024)
        ratio = statistics.median(b / a for a, b in rates)
        print(f"relay\t{used:.2f} s of CPU per GiB\t(at most 0.3)")
        print(f"bulk\t{statistics.median(b for _, b in rates):.0f} MiB/s, {ratio:.0%} of direct\t(at least 40 %)")
        trips = [(direct.do("trip"), through.do("trip")) for _ in range(ROUNDS)]
        a, b = (statistics.median(one) * 1e6 for one in zip(*trips, strict=True))
        print(f"64 B\t{b:.0f} us, direct {a:.0f}\t(at most 60 more)")
        firsts = [(direct.do("first"), through.do("first")) for _ in range(ROUNDS)]
        a, b = (statistics.median(one) * 1e3 for one in zip(*firsts, strict=True))
        print(f"first byte\t{b:.2f} ms, direct {a:.2f}\t(at most 2 more)")
        through.do(f"idle {IDLE}")
        print(f"{IDLE} idle\t{resident(pid) / 1024:.0f} MiB\t(at most 40)")
        near = Inside(top, "near.test", {"hosts": [host | {"name": f"near.test:{PORT}"}]}, door, size)
        before = statistics.median(through.do("trip") for _ in range(ROUNDS)) * 1e6
        near.do(f"busy {IDLE}")
        after = statistics.median(through.do("trip") for _ in range(ROUNDS)) * 1e6
        print(f"{IDLE} busy ones of another session\t{after:.0f} us, without {before:.0f}\t(at most 3 times)")
        near.process.kill()
        through.close()
        direct.close()
        watch.close()


if __name__ == "__main__":
    main(int(numbers(__doc__, mib=512)[0]))
