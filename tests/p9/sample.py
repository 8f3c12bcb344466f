"""A tree to try the server on: one file of each kind. Qid paths are fixed, so that transcripts can name them."""

import threading
from collections import deque
from typing import Any

from anvilsrv.errors import Invalid
from anvilsrv.p9.tree import LATER, File, Handle, Later, Request, SnapshotHandle, StaticDir, TextFile
from anvilsrv.p9.wire import Stat


class Recorder:
    """What happened to handles, in order; ``wait`` for an entry."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._changed = threading.Condition()

    def add(self, entry: str) -> None:
        with self._changed:
            self.seen.append(entry)
            self._changed.notify_all()

    def wait(self, entry: str, times: int = 1) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.seen.count(entry) >= times, 10), (entry, self.seen)


class Stream(File):
    """Reads park until ``publish``; like ``events``. All opens share one queue of waiting reads."""

    mode = 0o600

    def __init__(self, name: str, path: int, record: Recorder, slow: bool = False) -> None:
        super().__init__(name, path)
        self.record = record
        self.slow = slow
        self.waiting: deque[Request] = deque()
        self.lock = threading.Lock()
        self.hold: threading.Semaphore | None = None  # what a read waits for before it parks

    def open(self, who: Any, mode: int, req: Request) -> "StreamHandle":
        return StreamHandle(self)

    def publish(self, data: bytes) -> list[bool]:
        """Answer every waiting read; which of them still wanted it."""
        with self.lock:
            waiting, self.waiting = self.waiting, deque()
        return [req.done(data) for req in waiting]


class StreamHandle(Handle):
    def __init__(self, file: Stream) -> None:
        self.file = file
        self.got = b""

    def read(self, offset: int, count: int, req: Request) -> Later:
        if self.file.hold:
            self.file.record.add("reading")
            assert self.file.hold.acquire(timeout=10)
        with self.file.lock:
            self.file.waiting.append(req)
        self.file.record.add("parked")
        return LATER

    def write(self, offset: int, data: bytes, req: Request) -> int:
        assert offset == len(self.got)
        self.got += data
        self.file.record.add(f"write {len(data)}")
        return len(data)

    def clunk(self, req: Request) -> None:
        self.file.record.add(f"clunk {len(self.got)}")

    def hangup(self) -> None:
        self.file.record.add(f"hangup {len(self.got)}")

    def cancel(self, req: Request) -> None:
        with self.file.lock:
            if req in self.file.waiting:
                self.file.waiting.remove(req)
        self.file.record.add("cancel")


class Gate(File):
    """Each write (and the clunk) waits until ``let`` lets it pass, on a worker or parked."""

    mode = 0o200

    def __init__(self, name: str, path: int, record: Recorder, slow: bool) -> None:
        super().__init__(name, path)
        self.record = record
        self.slow = slow
        self.waiting: deque[Request] = deque()
        self.passes = threading.Semaphore(0)

    def open(self, who: Any, mode: int, req: Request) -> "GateHandle":
        return GateHandle(self)

    def let(self, value: int = 0) -> bool:
        """Let one write pass: a slow one by its worker, a parked one by an answer."""
        if self.slow:
            self.passes.release()
            return True
        return self.waiting.popleft().done(value)


class GateHandle(Handle):
    def __init__(self, gate: Gate) -> None:
        self.gate = gate

    def write(self, offset: int, data: bytes, req: Request) -> int | Later:
        self.gate.record.add(f"begin {data.decode()}")
        if self.gate.slow:
            assert self.gate.passes.acquire(timeout=10)
            self.gate.record.add(f"end {data.decode()}")
            return len(data)
        self.gate.waiting.append(req)
        return LATER

    def clunk(self, req: Request) -> None:
        self.gate.record.add("clunk")

    def hangup(self) -> None:
        self.gate.record.add("hangup")

    def cancel(self, req: Request) -> None:
        self.gate.waiting.remove(req)
        self.gate.record.add("cancel")


class Ctl(File):
    """Takes writes; reading the same fid gives the last one in capitals. ``bad`` is refused, ``late`` at clunk."""

    mode = 0o600

    def __init__(self, name: str, path: int) -> None:
        super().__init__(name, path)
        self.truncated = 0

    def open(self, who: Any, mode: int, req: Request) -> "CtlHandle":
        return CtlHandle()

    def truncate(self, who: Any) -> None:
        self.truncated += 1


class CtlHandle(Handle):
    last = b""

    def read(self, offset: int, count: int, req: Request) -> bytes:
        return self.last.upper()[offset : offset + count]

    def write(self, offset: int, data: bytes, req: Request) -> int:
        if data == b"bad":
            raise Invalid("bad command: 'bad'")
        self.last = data
        return len(data)

    def clunk(self, req: Request) -> None:
        if self.last == b"late":
            raise Invalid("too late")


class Boom(File):
    """Breaks in its open with an error that is no AnvilError."""

    def open(self, who: Any, mode: int, req: Request) -> Handle:
        raise ZeroDivisionError("boom")


class Who(File):
    def open(self, who: Any, mode: int, req: Request) -> Handle:
        return SnapshotHandle(str(who).encode())


class Plain(TextFile):
    """Belongs to nobody in particular, so that its directory entry is the same everywhere."""

    def stat(self, who: Any) -> Stat:
        return super().stat(who)._replace(uid="u", gid="g", muid="m")


class Sample:
    """The tree and its moving parts."""

    def __init__(self) -> None:
        self.record = Recorder()
        self.stream = Stream("stream", 10, self.record)
        self.slow_stream = Stream("slowstream", 11, self.record, slow=True)
        self.gate = Gate("gate", 12, self.record, slow=False)
        self.slow_gate = Gate("slowgate", 13, self.record, slow=True)
        self.ctl = Ctl("ctl", 14)
        self.big = bytes(range(256)) * 4096
        many = [TextFile(f"file-{n:04}", lambda who: b"x", path=1000 + n) for n in range(500)]
        deep = StaticDir("bottom", [TextFile("treasure", lambda who: b"gold\n", path=99)], path=98)
        for level in range(20, 0, -1):
            deep = StaticDir(str(level), [deep], path=200 + level)
        inner = Plain("inner", lambda who: b"inside\n", path=7)
        nodes = [
            TextFile("hello", lambda who: b"hello world\n", path=2),
            TextFile("empty", lambda who: b"", path=3),
            TextFile("big", lambda who: self.big, path=4),
            TextFile("secret", lambda who: b"secret", path=5, mode=0o000),
            StaticDir("dir", [inner], path=6),
            StaticDir("many", many, path=8),
            Boom("boom", 9),
            self.stream,
            self.slow_stream,
            self.gate,
            self.slow_gate,
            self.ctl,
            Who("who", 15),
            StaticDir("void", [], path=16),
            deep,
        ]
        self.nodes = {node.name: node for node in nodes}
        self.root = StaticDir("/", self.nodes, path=1)
        for node in [*nodes, *many, inner, self.root]:
            node.born = 1_700_000_000
