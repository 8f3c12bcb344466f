"""How long Emacs does not answer a key while conversations come; beside it an Emacs that does nothing, on the same machine.

    python bench/emacs_stalls.py [--lisp DIR] [--megabytes 13] [--sessions 10] [--seconds 20]

First one conversation of so many megabytes comes at once; then so many grow at the same time, as answers do. Meanwhile somebody types
into another buffer. Both Emacsen run in terminals of their own; a key is answered when its command has run. What is slow on a busy
machine is slow in both: what counts is the difference, and the longest piece of work in seconds of the processor.
"""

import argparse
import json
import os
import pty
import random
import re
import select
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Iterator
from fcntl import ioctl
from pathlib import Path

import ended  # noqa: F401

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.emacs import compile_into  # noqa: E402

LIMIT = 50  # ms of the processor for one piece of work
WORDS = (
    "the",
    "session",
    "keeps",
    "what",
    "it",
    "was",
    "asked",
    "until",
    "an",
    "agent",
    "has",
    "taken",
    "and",
    "`queue.py`",
)


def words(random_: random.Random, count: int) -> str:
    return " ".join(random_.choice(WORDS) for _ in range(count))


def answer(random_: random.Random) -> str:
    """Return what an agent says: a heading, a list, a table, code."""
    rows = "\n".join(f"| {words(random_, 2)} | {random_.random():.3f} | {words(random_, 4)} |" for _ in range(8))
    code = "\n".join(f"    if name_{n}(x, '{n}'):  # {words(random_, 4)}\n        return {n}" for n in range(20))
    items = "\n".join(f"- **{words(random_, 2)}**: {words(random_, 20)}, see `src/a.py:{n}`" for n in range(6))
    table = f"| a | b | c |\n|---|---|---|\n{rows}"
    code = f"```python\ndef f(x):\n{code}\n```"
    parts = (f"## {words(random_, 5)}", words(random_, 60), items, table, code, words(random_, 40))
    return "\n\n".join(parts) + "\n"


def turn(random_: random.Random, number: int) -> Iterator[dict[str, object]]:
    """Yield the objects of a turn as they come: thoughts, tools with what they say, edits, texts in pieces."""
    yield {"kind": "prompt", "id": str(number), "text": words(random_, 40), "origin": "queue"}
    for n in range(6):
        name = f"{number}-{n}"
        yield {"kind": "thinking", "id": f"h{name}", "on": False, "seconds": 3, "text": words(random_, 120)}
        text = answer(random_)
        for at in range(0, len(text), 60):
            yield {"kind": "text", "id": f"m{name}", "part": text[at : at + 60]}
        yield {"kind": "text", "id": f"m{name}", "text": text}
        yield {
            "kind": "tool",
            "id": f"t{name}",
            "name": "Bash",
            "type": "execute",
            "title": "make check",
            "input": {"command": "make check"},
        }
        lines = [f"tests/test_{k}.py:{k}: {words(random_, 12)}\n" for k in range(150)]
        for at in range(0, 150, 10):
            yield {"kind": "output", "id": f"t{name}", "part": "".join(lines[at : at + 10])}
        yield {"kind": "output", "id": f"t{name}", "text": "".join(lines), "end": "ok", "exit": 0, "seconds": 3}
        diff = "@@ -1,20 +1,20 @@\n" + "".join(f"-{words(random_, 8)}\n+{words(random_, 8)}\n" for _ in range(10))
        yield {"kind": "tool", "id": f"e{name}", "name": "Edit", "type": "edit", "title": "a.py", "input": {}}
        yield {
            "kind": "edit",
            "id": f"e{name}",
            "n": 1,
            "path": "a.py",
            "op": "change",
            "added": 10,
            "removed": 10,
            "diff": diff,
        }
        yield {"kind": "output", "id": f"e{name}", "end": "ok", "seconds": 0.2}
    yield {"kind": "usage", "context": 1000 * number, "window": 200000}
    if number % 10 == 5:  # a tool that says very much, some of it in one line
        yield {"kind": "output", "id": f"t{number}-0", "text": "x" * 200_000 + "\n" + "y\n" * 5000, "end": "ok"}
    yield {"kind": "end", "how": "answer", "seconds": 60, "background": 0, "reason": ""}


def lines(seed: int) -> Iterator[bytes]:
    """Yield an activity without end."""
    random_, seq = random.Random(seed), 0
    for number in range(1, 1 << 30):
        for one in turn(random_, number):
            seq += 1
            yield json.dumps({"seq": seq, "ts": 1795957322 + seq, "turn": number, **one}).encode() + b"\n"


class Editor:
    """An Emacs in a terminal, and somebody who types into it."""

    def __init__(self, work: Path, name: str, lisp: Path, open_: str) -> None:
        self.out = work / f"{name}.json"
        self.sent: list[float] = []
        self.took: list[float] = []
        self.drawn = 0
        self.ready = threading.Event()
        env = os.environ | {
            "NAMESPACE": str(work),
            "HOME": str(work),
            "TERM": "xterm-256color",
            "BENCH_OUT": str(self.out),
        }
        if open_:
            env["BENCH_OPEN"] = open_
        pid, self.fd = pty.fork()
        if pid == 0:
            os.execvpe("emacs", ["emacs", "-nw", "-Q", "-L", str(lisp), "-l", str(ROOT / "bench/emacs-stalls.el")], env)
        self.pid = pid
        ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 160, 0, 0))
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        rest = b""
        while True:
            try:
                data = os.read(self.fd, 65536)
            except OSError:
                return
            now = time.perf_counter()
            rest += data
            for found in re.finditer(rb"\x1b\]9;(\d+);(\d+)\x07", rest):
                self.drawn = int(found[2])
                if number := int(found[1]):
                    self.took.append(1000 * (now - self.sent[number - 1]))
                else:
                    self.ready.set()
            rest = rest[rest.rfind(b"\x1b") :][-64:] if b"\x07" not in rest[rest.rfind(b"\x1b") :] else b""

    def type(self, keys: bytes = b"a") -> None:
        self.sent.append(time.perf_counter())
        os.write(self.fd, keys)

    def settle(self) -> None:
        """Wait until every key is answered."""
        end = time.monotonic() + 60
        while len(self.took) < len(self.sent) and time.monotonic() < end:
            time.sleep(0.02)

    def end(self) -> dict[str, object]:
        os.write(self.fd, b"\x03\x05")
        end = time.monotonic() + 120
        while time.monotonic() < end and os.waitpid(self.pid, os.WNOHANG) == (0, 0):
            time.sleep(0.05)
        os.close(self.fd)
        found: dict[str, object] = json.loads(self.out.read_text())
        return found | {
            "key_longest_ms": max(self.took),
            "key_p99_ms": sorted(self.took)[int(0.99 * len(self.took))],
            "keys": len(self.took),
        }


def last(path: Path) -> int:
    """Return the number of the last object in a file."""
    return int(json.loads(path.read_bytes().splitlines()[-1])["seq"])


def measure(lisp: Path, files: dict[str, list[Path]], seconds: float) -> dict[str, dict[str, object]]:
    """Type while the first file of each session is there at once and the others come one after the other, until all is drawn."""
    whole = sum(last(paths[-1]) for paths in files.values())
    with tempfile.TemporaryDirectory(prefix="ab") as name:
        work = Path(name)
        env = os.environ | {"PYTHONPATH": str(ROOT)}
        words_ = [sys.executable, str(ROOT / "tests/emacs/fake_tree.py"), str(work / "agent"), str(len(files))]
        with subprocess.Popen(words_, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as tree:
            assert tree.stdin is not None and tree.stdout is not None
            tree.stdout.readline()

            def tell(session: str, path: Path) -> None:
                print(f"activity {session} {path}", file=tree.stdin, flush=True)

            for session, (first, *_) in files.items():
                tell(session, first)
            busy = Editor(work, "busy", lisp, " ".join(files))
            idle = Editor(work, "idle", lisp, "")
            for one in (busy, idle):
                if not one.ready.wait(60):
                    raise SystemExit("Emacs does not start")
            busy.type(b"\x03\x0f")
            end = time.monotonic() + seconds
            steps = zip(*(rest for _, *rest in files.values()), strict=True)
            more = [(session, path) for step in steps for session, path in zip(files, step, strict=True)]
            pause = seconds / max(1, len(more))
            due = time.monotonic()
            bound = end + 9 * seconds
            while time.monotonic() < end or (busy.drawn < whole and time.monotonic() < bound):
                busy.type()
                idle.type()
                while more and time.monotonic() > due:
                    tell(*more.pop(0))
                    due += pause
                select.select([], [], [], 0.03)
            for one in (busy, idle):
                one.settle()
            found = {"busy": {"drawn": f"{busy.drawn} of {whole}"} | busy.end(), "idle": idle.end()}
            tree.stdin.close()
        return found


def cut(work: Path, name: str, source: Iterator[bytes], sizes: list[int]) -> list[Path]:
    """Return files of so many bytes each, of whole lines."""
    made = []
    for number, size in enumerate(sizes):
        path = work / f"{name}-{number}"
        with path.open("wb") as out:
            while out.tell() < size:
                out.write(next(source))
        made.append(path)
    return made


def main() -> int:
    """Print the figures; 1 if one piece of work is over the limit."""
    args = argparse.ArgumentParser()
    args.add_argument("--lisp", type=Path)
    args.add_argument("--megabytes", type=int, default=13)
    args.add_argument("--sessions", type=int, default=10)
    args.add_argument("--seconds", type=float, default=20)
    args.add_argument("--only", choices=("large", "many"))
    given = args.parse_args()
    worst = 0.0
    with tempfile.TemporaryDirectory(prefix="ab") as name:
        work = Path(name)
        lisp = given.lisp or work / "lisp"
        if not given.lisp:
            lisp.mkdir()
            compile_into(lisp)
        ids = [f"{n:08x}" for n in range(1, given.sessions + 1)]
        runs = {
            "large": {ids[0]: cut(work, "large", lines(1), [given.megabytes * 1_000_000])},
            "many": {
                one: cut(work, one, lines(n), [100] + [1500] * int(20 * given.seconds)) for n, one in enumerate(ids)
            },
        }
        for what, files in runs.items():
            if given.only in (None, what):
                print(f"{what}: load {os.getloadavg()[0]:.1f}")
                for who, figures in measure(lisp, files, given.seconds).items():
                    for key, value in figures.items():
                        print(f"  {who} {key:18} {round(value, 1) if isinstance(value, float) else value}")
                    worst = max(worst, float(str(figures["longest_cpu_ms"])))
    return int(worst > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
