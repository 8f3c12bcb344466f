#!/usr/bin/env python3
"""How fast the 9P server is, beside bare echo servers and pyroute2's plan9 server, all measured in the same run.

    python bench/p9.py            the tables, medians of interleaved rounds; exit status 1 if a target is missed
    python bench/p9.py --one      client and server on one processor, and rates by the processor time of both
    python bench/p9.py --light    with a client that has its requests ready and only compares the replies
    python bench/p9.py --rounds 3 --seconds 0.2
    python bench/p9.py --before DIR   with the server of another checkout beside ours, and the ratios of the two

Every server is a process of its own, on the last processor; this process, on the first, is the client. The echo servers
get the same requests and send them back as they are, so they show what the machine, the kernel and the interpreter
give before a server does any 9P.

The client encodes each request and decodes each reply, as every user's does, and the ratios are those that such a user
sees. That costs it 5 us a message, more than any server here but pyroute2's; ``--light`` takes it away and shows more of
the servers and less of the world: requests are encoded beforehand, and a reply has to be the one that was decoded and
checked once. Either sends each request by a write of its own, as the clients of the world do (plan9port, 9fans/go, ours),
also when 32 are in flight; a client that sent them in one piece would have them served in one piece.

What the numbers can be:
- An answer is waited for by a sleeping client, and to wake it costs the same whoever has answered; on virtual machines
  it costs most of the round trip. So no server can be faster than the echo, and ``ceiling`` is echo/pyroute2 of the same
  run: the ratio to pyroute2 that a server would have that does nothing. A target beyond it is out of reach and not counted.
- The targets were set on a machine where pyroute2 needed 83 us for a read of 32 in flight. Where it needs 20, because the
  interpreter is faster and the kernel is not, the ratios to it are smaller. Its releases do not differ (0.9.1, the first
  with a plan9 server, to 0.9.7).
- On a busy machine rates say little. The processor time that a server needs for a request says more and is printed
  beside them; ``--one`` counts nothing else. There a round trip has no processor to wake, and nothing overlaps.
"""

import argparse
import asyncio
import contextlib
import os
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import ended  # noqa: F401

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from anvilsrv.p9 import wire

CONTENT = b"hello world\n"  # so that an Rread has the size of the Tread
CONNECTIONS = 64
DEEP = 32
RECEIVE = 32 * 1024  # for all; with 64 KiB malloc goes to the kernel each time

# measure, against which server, and at least what ratio
TARGETS = [
    ("read", "echo", 0.65),
    ("cycle x64", "epoll", 0.50),
    ("32 deep", "epoll", 0.50),
    ("read", "pyroute2", 2.5),
    ("cycle x64", "pyroute2", 4.0),
    ("32 deep", "pyroute2", 8.0),
]


# --- servers: each serves until it is killed --------------------------------------------------------------------------


def listening(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(path)
    sock.listen(128)
    return sock


def serve_echo(path: str) -> None:
    """Serve with a thread per connection."""

    def serve(conn: socket.socket) -> None:
        while data := conn.recv(RECEIVE):
            conn.sendall(data)

    listener = listening(path)
    print("ready", flush=True)
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()


def serve_epoll(path: str) -> None:
    """Serve with one thread."""
    listener, epoll, conns = listening(path), select.epoll(), {}
    epoll.register(listener, select.EPOLLIN)
    print("ready", flush=True)
    while True:
        for fd, _event in epoll.poll():
            if fd == listener.fileno():
                conn, _address = listener.accept()
                conns[conn.fileno()] = conn
                epoll.register(conn, select.EPOLLIN)
            elif data := conns[fd].recv(RECEIVE):
                conns[fd].send(data)
            else:
                epoll.unregister(fd)
                conns.pop(fd).close()


def serve_ours(path: str) -> None:
    from anvilsrv.p9.server import Server
    from anvilsrv.p9.tree import StaticDir, TextFile

    with Server() as server:
        server.listen(path, StaticDir("/", [TextFile("hello", lambda who: CONTENT)]))
        print("ready", flush=True)
        threading.Event().wait()


def serve_pyroute2(path: str) -> None:
    from pyroute2.plan9 import Marshal9P
    from pyroute2.plan9.filesystem import Filesystem
    from pyroute2.plan9.server import Plan9ServerProtocol

    async def serve() -> None:
        filesystem = Filesystem()
        filesystem.create("hello", data=CONTENT.decode())
        loop = asyncio.get_running_loop()
        server = await loop.create_unix_server(lambda: Plan9ServerProtocol(None, Marshal9P(), filesystem), path)
        print("ready", flush=True)
        await server.serve_forever()

    asyncio.run(serve())


ORDER = ("echo", "epoll", "ours", "before", "pyroute2")
SERVERS = {"echo": serve_echo, "epoll": serve_epoll, "ours": serve_ours, "pyroute2": serve_pyroute2}


@contextlib.contextmanager
def running(kind: str, path: str, before: Path | None) -> Iterator[int]:
    """Start a server; its process id. ``before`` is our server by the code of that checkout."""
    program, kind = (before / "bench/p9.py", "ours") if before and kind == "before" else (__file__, kind)
    process = subprocess.Popen([sys.executable, program, "--serve", kind, path], stdout=subprocess.PIPE)
    try:
        assert process.stdout and process.stdout.readline() == b"ready\n", f"{kind} does not start"
        yield process.pid
    finally:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


# --- the client -------------------------------------------------------------------------------------------------------


CYCLE = [
    wire.Twalk(1, 0, 2, ("hello",)),
    wire.Topen(1, 2, wire.OREAD),
    wire.Tread(1, 2, 0, 4096),
    wire.Tclunk(1, 2),
]
TREAD = wire.Tread(1, 1, 0, 4096)
READ = wire.encode(TREAD)


class Subject:
    """A server as the client sees it: connections that are attached, with the file open as fid 1.

    What the server answers to each request is looked at once, here; in the measures it must be the same bytes.
    """

    def __init__(self, kind: str, path: str, whole: bool) -> None:
        self.whole = whole
        self.echo = kind in ("echo", "epoll")
        self.conns = [socket.socket(socket.AF_UNIX) for _ in range(CONNECTIONS)]
        for conn in self.conns:
            conn.connect(path)
            self.ask(conn, wire.Tversion(wire.NOTAG, 65536, wire.VERSION))
            self.ask(conn, wire.Tattach(1, 0, wire.NOFID, "bench", ""))
            self.ask(conn, wire.Twalk(1, 0, 1, ("hello",)))
            self.ask(conn, wire.Topen(1, 1, wire.OREAD))
        first = self.conns[0]
        self.cycle = [(wire.encode(msg), self.ask(first, msg), msg) for msg in CYCLE]
        reads = [wire.Tread(tag, 1, 0, 4096) for tag in range(DEEP)]
        self.again = {
            self.ask(first, msg): (wire.encode(msg), msg) for msg in reads
        }  # by the reply that makes room for it
        self.reply = self.ask(first, wire.decode(READ))
        assert len(self.reply) == len(READ)

    def ask(self, conn: socket.socket, msg: wire.Message) -> bytes:
        """Return the frame of the reply, which is what it should be."""
        conn.sendall(wire.encode(msg))
        frame = conn.recv(RECEIVE)
        answer = wire.decode(frame)
        assert answer == msg if self.echo else type(answer).__name__ == "R" + type(msg).__name__[1:], answer
        assert type(answer) is not wire.Rread or answer.data == CONTENT
        return frame

    def out(self, frame: bytes, msg: wire.Message) -> bytes:
        """Return a request as it is sent."""
        return wire.encode(msg) if self.whole else frame

    def came(self, frame: bytes) -> bytes:
        """Return a reply that was received."""
        if self.whole:
            wire.decode(frame)
        return frame

    def close(self) -> None:
        for conn in self.conns:
            conn.close()

    def reads(self, seconds: float) -> float:
        """Return small reads a second, one after the other."""
        conn, count, start = self.conns[0], 0, time.perf_counter()
        while time.perf_counter() < start + seconds:
            for _ in range(100):
                conn.send(self.out(READ, TREAD))
                assert self.came(conn.recv(RECEIVE)) == self.reply
            count += 100
        return count / (time.perf_counter() - start)

    def deep(self, seconds: float) -> float:
        """Return small reads a second, always 32 in flight: each answer makes room for the next request."""
        conn, size, count, rest = self.conns[0], len(READ), 0, b""
        start = time.perf_counter()
        for request, _msg in self.again.values():
            conn.send(request)
        while True:
            late = time.perf_counter() > start + seconds
            data = rest + conn.recv(RECEIVE)
            whole = len(data) - len(data) % size
            rest = data[whole:]
            for pos in range(0, whole, size):
                request, msg = self.again[self.came(data[pos : pos + size])]
                if not late:
                    conn.send(self.out(request, msg))
            count += whole // size
            if late:
                break
        elapsed, left = time.perf_counter() - start, DEEP * size - whole - len(rest)
        while left:
            left -= len(conn.recv(RECEIVE))
        return count / elapsed

    def cycles(self, seconds: float) -> float:
        """Return walk+open+read+clunk cycles a second, on all connections at once."""
        epoll, count, start = select.epoll(), 0, time.perf_counter()
        conns = {conn.fileno(): conn for conn in self.conns}
        step = dict.fromkeys(conns, 0)
        for fd, conn in conns.items():
            epoll.register(fd, select.EPOLLIN)
            conn.send(self.cycle[0][0])
        while step:
            late = time.perf_counter() > start + seconds
            for fd, _event in epoll.poll():
                assert self.came(conns[fd].recv(RECEIVE)) == self.cycle[step[fd]][1]
                step[fd] = (step[fd] + 1) % len(CYCLE)
                if step[fd] == 0:
                    count += 1
                    if late:
                        del step[fd]
                        epoll.unregister(fd)
                        continue
                request, _reply, msg = self.cycle[step[fd]]
                conns[fd].send(self.out(request, msg))
        epoll.close()
        return count / (time.perf_counter() - start)


MEASURES: dict[str, Callable[[Subject, float], float]] = {
    "read": Subject.reads,
    "cycle x64": Subject.cycles,
    "32 deep": Subject.deep,
}

BARE = {name: other for name, other, _target in TARGETS if other in ("echo", "epoll")}


def processor_time(pid: int) -> float:
    """Return the microseconds that all threads of a process have run."""
    return sum(int(stat.read_text().split()[0]) for stat in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1000


Samples = dict[tuple[str, str], list[float]]  # by measure and server, one of each round


def measure(rounds: int, seconds: float, one: bool, whole: bool, before: Path | None) -> tuple[Samples, Samples]:
    """Return rates, and the server's processor time a request; the servers take turns within a round.

    ``one``: the rate is that of seconds of processor time, of both sides.
    """
    rates: Samples = {}
    costs: Samples = {}
    kinds = [kind for kind in ORDER if kind in SERVERS or before]
    with contextlib.ExitStack() as stack:
        where = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench"))
        pids = {kind: stack.enter_context(running(kind, f"{where}/{kind}", before)) for kind in kinds}
        subjects = {kind: Subject(kind, f"{where}/{kind}", whole) for kind in kinds}
        for subject in subjects.values():
            stack.callback(subject.close)
        for turn in range(rounds + 1):
            for name, function in MEASURES.items():
                for kind in kinds if turn % 2 else reversed(kinds):  # no server always follows the same one
                    subject = subjects[kind]
                    theirs, mine, start = processor_time(pids[kind]), processor_time(os.getpid()), time.perf_counter()
                    rate = function(subject, seconds)
                    count = rate * (time.perf_counter() - start)
                    cost = (processor_time(pids[kind]) - theirs) / count
                    if one:
                        rate = 1e6 / (cost + (processor_time(os.getpid()) - mine) / count)
                    if turn:  # the first warms up
                        rates.setdefault((name, kind), []).append(rate)
                        costs.setdefault((name, kind), []).append(cost)
    return rates, costs


def table(title: str, samples: Samples, digits: int) -> None:
    kinds = [kind for kind in ORDER if ("read", kind) in samples]
    print(f"{title:28}" + "".join(f"{kind:>10}" for kind in kinds))
    for name in MEASURES:
        medians = [statistics.median(samples[name, kind]) for kind in kinds]
        print(f"{name:28}" + "".join(f"{median:10.{digits}f}" for median in medians))
    print()


def ratio(a: list[float], b: list[float]) -> float:
    """Return the median of the rounds' ratios."""
    return statistics.median(x / y for x, y in zip(a, b, strict=True))


def report(rates: Samples, costs: Samples) -> bool:
    """Print the tables; True if every target is met."""
    table("a second, median", rates, 0)
    table("server processor time, us", costs, 1)
    met = True
    for name, other, target in TARGETS:
        rate = ratio(rates[name, "ours"], rates[name, other])
        cost = ratio(costs[name, other], costs[name, "ours"])
        most = ratio(rates[name, BARE[name]], rates[name, other])
        verdict = "met" if rate >= target else "beyond" if most < target else "MISSED"
        met &= verdict != "MISSED"
        print(
            f"{name:10} ours/{other:9}{rate:6.2f}   target {target:4.2f} {verdict:7}"
            f"ceiling {most:5.2f}   by server processor time {cost:5.2f}"
        )
    for name in [name for name in MEASURES if (name, "before") in rates]:
        rate = ratio(rates[name, "ours"], rates[name, "before"])
        cost = ratio(costs[name, "before"], costs[name, "ours"])
        print(f"{name:10} ours/before   {rate:6.3f}   by server processor time {cost:6.3f}")
    return met


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--serve", nargs=2, metavar=("SERVER", "PATH"), help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--one", action="store_true", help="client and server on one processor")
    parser.add_argument("--light", action="store_true", help="the client neither encodes nor decodes")
    parser.add_argument("--seconds", type=float, default=0.4, help="for each server, measure and round")
    parser.add_argument("--before", type=Path, metavar="DIR", help="another checkout, whose server is measured too")
    options = parser.parse_args()
    last = (os.cpu_count() or 1) - 1
    os.sched_setaffinity(0, {last if options.serve or options.one else 0})
    if options.serve:
        SERVERS[options.serve[0]](options.serve[1])
        return 0
    samples = measure(options.rounds, options.seconds, options.one, not options.light, options.before)
    return 0 if report(*samples) else 1


if __name__ == "__main__":
    sys.exit(main())
