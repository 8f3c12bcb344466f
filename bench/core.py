"""Figures of the daemon: start, memory, `list`, events to many readers, a prompt on its way into the pane.

    python bench/core.py [--quick]

Prints medians, and ratios against a limit or a peer measured in the same run. Everything runs in a directory of its own
with a daemon of its own, and is gone afterwards. ``--quick`` sends fewer events.
"""

import argparse
import contextlib
import json
import os
import select
import shutil
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import ended  # noqa: F401

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from anvilsrv import paths  # noqa: E402
from anvilsrv.errors import AnvilError  # noqa: E402
from anvilsrv.p9 import wire  # noqa: E402
from anvilsrv.p9.client import Client  # noqa: E402
from anvilsrv.store.store import Store  # noqa: E402

PROBE = """
import os, sys, termios, time, tty
sys.path.insert(0, {root!r})
from anvilsrv.inside import hook
tty.setraw(0)
hook.send("Ready", {{}})
got = b""
while True:
    data = os.read(0, 65536)
    if not got:
        print(repr(time.monotonic()), file=open({out!r}, "a"), flush=True)
    got += data
    if got.endswith(b"\\r"):
        hook.send("Submit", {{"text": got.decode(errors="replace")}})
        hook.send("Stop", {{"text": "ok"}})
        got = b""
"""

BACKEND = """
backend:
  title: Probe
  command: ["{{PYTHON}}", "-I", "-S", "{program}"]
  ready: {{timeout: 20}}
  hooks:
    Ready:  {{report: ready}}
    Submit: {{report: submit, text: text}}
    Stop:   {{report: stop, text: text}}
  input: {{settle: 0, submit: Enter, confirm: 3}}
filesystem: {{ro: ["{root}"], rw: ["{cwd}"], rox: ["{root}"]}}
"""


class Bench:
    """A home with a daemon."""

    def __init__(self) -> None:
        self.top = Path(tempfile.mkdtemp(prefix="avb-", dir="/tmp"))
        self.work = self.top / "work"
        for name in ("home", "ns", "work"):
            (self.top / name).mkdir(mode=0o700)
        drop = ("TMUX", "DISPLAY")
        self.env = {k: v for k, v in os.environ.items() if k not in drop and not k.startswith(("XDG_", "ANVIL"))}
        self.env |= {"HOME": str(self.top / "home"), "NAMESPACE": str(self.top / "ns")}
        self.socket = str(self.top / "ns" / paths.SERVICE)
        os.environ.update({"HOME": self.env["HOME"], "NAMESPACE": self.env["NAMESPACE"]})
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Start the daemon; seconds until its socket answered."""
        begin = time.monotonic()
        argv = [sys.executable, "-m", "anvilsrv.programs.cli", "fgstart"]
        self.process = subprocess.Popen(argv, env=self.env, stderr=open(self.top / "log", "ab"))  # noqa: SIM115
        while True:
            with contextlib.suppress(AnvilError), Client(self.socket) as client:
                client.read("list")
                return time.monotonic() - begin
            threading.Event().wait(0.002)

    def memory(self) -> float:
        """Return resident MB."""
        assert self.process is not None
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait()
            self.process = None

    def remember(self, count: int) -> None:
        """Put stopped sessions into the store, as if they had been made."""
        state = paths.state_dir()
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        store = Store(state / "store.db", lambda *settled: None, lambda error: None)
        store.start()
        store.stop()
        now = time.time()
        with contextlib.closing(sqlite3.connect(state / "store.db")) as db, db:
            for number in range(count):
                db.execute(
                    "INSERT OR IGNORE INTO sessions(id, seq, alias, backend, cwd, state, wanted, created, changed)"
                    " VALUES(?,?,?,'shell',?,'stopped','stop',?,?)",
                    (f"{number:08x}", number, f"agent-{number}", str(self.work), now, now),
                )

    def close(self) -> None:
        self.stop()
        subprocess.run(
            ["tmux", "-S", str(self.top / "ns/anvillm.tmux"), "kill-server"], capture_output=True, check=False
        )
        shutil.rmtree(self.top, ignore_errors=True)


@contextlib.contextmanager
def bench() -> Iterator[Bench]:
    made = Bench()
    try:
        yield made
    finally:
        made.close()


def report(what: str, value: float, limit: float, unit: str) -> None:
    print(f"{what:<58} {value:9.2f} {unit:<4} limit {limit:g} {unit}  ({value / limit:.2f} of it)", flush=True)


def starting() -> None:
    with bench() as one:
        times = []
        for _ in range(5):
            times.append(one.start())
            one.stop()
        report("daemon start to socket, median of 5", statistics.median(times), 0.6, "s")
        one.remember(100)
        one.start()
        report("resident memory, 100 sessions remembered", one.memory(), 60, "MB")
        one.stop()
        one.remember(500)
        one.start()
        times = []
        for _ in range(200):
            begin = time.perf_counter()
            with Client(one.socket) as client:
                client.read("list")
            times.append(1000 * (time.perf_counter() - begin))
        report("connect and read list, 500 sessions, median of 200", statistics.median(times), 5, "ms")
        with Client(one.socket) as client:
            client.read("sessions")
            times = []
            for _ in range(200):
                begin = time.perf_counter()
                client.read("sessions")
                times.append(1000 * (time.perf_counter() - begin))
        report("read sessions, 500 sessions, median of 200", statistics.median(times), 3, "ms")


def attach(path: str, name: str) -> tuple[socket.socket, bytes]:
    """Return a raw connection with ``name`` open on fid 1, and its Tread."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.connect(path)
    for message in (
        wire.Tversion(wire.NOTAG, 8192, "9P2000"),
        wire.Tattach(0, 0, wire.NOFID, "bench", ""),
        wire.Twalk(0, 0, 1, (name,)),
        wire.Topen(0, 1, wire.OREAD),
    ):
        sock.sendall(wire.encode(message))
        sock.recv(8192)
    return sock, wire.encode(wire.Tread(0, 1, 0, 4096))


def events(count: int, readers: int = 200, rate: float = 50.0) -> None:
    with bench() as one:
        one.start()
        poll = select.epoll()
        socks = {}
        for _ in range(readers):
            sock, tread = attach(one.socket, "events")
            sock.sendall(tread)
            poll.register(sock, select.EPOLLIN)
            socks[sock.fileno()] = [sock, b"", 0]
        sent: list[float] = []
        delays: list[float] = []

        def write() -> None:
            with Client(one.socket) as client:
                begin = time.monotonic()
                for number in range(count):
                    threading.Event().wait(max(0.0, begin + number / rate - time.monotonic()))
                    body = json.dumps({"to": "user", "type": "QUERY_REQUEST", "subject": str(number)}).encode()
                    sent.append(time.monotonic())
                    client.write("user/mail", body)

        writer = threading.Thread(target=write)
        writer.start()
        deadline = time.monotonic() + count / rate + 30
        left = readers
        while left and time.monotonic() < deadline:
            for fd, _ in poll.poll(1):
                state = socks[fd]
                state[1] += state[0].recv(65536)
                now = time.monotonic()
                while len(state[1]) >= 4 and len(state[1]) >= (size := int.from_bytes(state[1][:4], "little")):
                    data = wire.decode(state[1][:size]).data  # type: ignore[union-attr]
                    state[1] = state[1][size:]
                    for line in data.splitlines():
                        delays.append(now - sent[int(json.loads(line)["subject"])])
                        state[2] += 1
                    if state[2] < count:
                        state[0].sendall(tread)
                    else:
                        left -= 1
        writer.join()
        got = sum(state[2] for state in socks.values())
        for state in socks.values():
            state[0].close()
        poll.close()
        print(f"events: {readers} readers got {got} of {readers * count}")
        delays.sort()
        report(f"event to reader, p99 of {len(delays)}", 1000 * delays[int(len(delays) * 0.99)], 50, "ms")
        report("event to reader, median", 1000 * delays[len(delays) // 2], 50, "ms")


def prompts(count: int = 50) -> None:
    with bench() as one:
        out = one.work / "times"
        program = one.top / "probe.py"
        program.write_text(PROBE.format(root=str(ROOT), out=str(out)))
        config = one.top / "home/.config/anvillm/backends"
        config.mkdir(parents=True)
        (config / "probe.yaml").write_text(BACKEND.format(program=program, root=ROOT, cwd=one.work))
        text = (config / "probe.yaml").read_text().replace(f'rox: ["{ROOT}"]', f'rox: ["{ROOT}", "{one.top}/probe.py"]')
        (config / "probe.yaml").write_text(text)
        one.start()
        with Client(one.socket) as client:
            session = client.write_read("ctl", f"new probe {one.work}\n".encode()).decode().strip()
            written, answered = [], []
            for number in range(count):
                while client.read(f"{session}/state") != b"idle\n":
                    threading.Event().wait(0.01)
                written.append(time.monotonic())
                client.write(f"{session}/in", f"prompt {number}\n".encode())
                client.read(f"{session}/out")
                answered.append(time.monotonic())
        arrived = [float(line) for line in out.read_text().splitlines()]
        delays = [1000 * (a - w) for a, w in zip(arrived, written, strict=True)]
        report(f"prompt's first byte in the pane, median of {count}", statistics.median(delays), 30, "ms")
        whole = [1000 * (a - w) for a, w in zip(answered, written, strict=True)]
        report("prompt written to answer read, median", statistics.median(whole), 100, "ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    starting()
    prompts()
    events(200 if quick else 2000)


if __name__ == "__main__":
    main()
