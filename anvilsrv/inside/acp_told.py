"""What happens in a session, as objects of its activity: lines of a file that the daemon follows (docs/backends.md, ``follow``).

Text goes out in pieces as it comes, and once more as a whole when its message is over. No one waits for the file, and what cannot be
written is left out: the answer is reported all the same.

Threads: called on the thread of the front.
"""

import json
import os
import time
from collections.abc import Iterable, Mapping
from typing import Any

from anvilsrv.inside import acp_shown
from anvilsrv.inside.acp_said import Diff, Tool
from anvilsrv.inside.acp_wire import HALF

MOST = 1 << 20  # characters of a text that are told once more as a whole
GATHERED = 1 << 14  # characters of pieces that go out as one while more is there to be read
PIECE = 1 << 14  # characters of one part
TOOLS = 1000  # that may be open
INPUT = 1 << 18  # characters of what a tool was given, that is told
PARTS = -1  # in place of how much was told: the agent itself tells it in parts
ENDS = {"completed": "ok", "failed": "failed", "cancelled": "interrupted"}
STATES = {"pending": "todo", "in_progress": "doing", "completed": "done", "cancelled": "dropped"}
COMPACTED = ("completed", "done", "failed")


class Growing:
    """A text or a thought that grows: its id, what it has so far, and when it began."""

    def __init__(self, kind: str, id: str) -> None:
        self.kind = kind
        self.id = id
        self.pieces: list[str] = []
        self.size = 0
        self.began = time.monotonic()

    def add(self, piece: str) -> None:
        """Add more of it."""
        self.size += len(piece)
        if self.size <= MOST:
            self.pieces.append(piece)

    @property
    def whole(self) -> str | None:
        """All of it; None where that is too much."""
        return "".join(self.pieces) if self.size <= MOST else None


class Told:
    """The file at ``path``; empty: nothing is told. ``cwd``: where relative paths of the agent begin."""

    def __init__(self, path: str, cwd: str = "/") -> None:
        self._cwd = cwd
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600) if path else -1
        self._turn = ""
        self._texts = 0  # of the turn
        self._growing: Growing | None = None
        self._pieces: list[str] = []  # of a text, not written yet
        self._gathered = 0
        self._tools: dict[str, int] = {}  # those that have not ended: how much of their output was told
        self._denied: set[str] = set()

    def begin(self, turn: str) -> None:
        """Begin a turn; what came since the last one belongs to that."""
        self.message_over()
        self._turn, self._texts = turn, 0

    def text(self, piece: str) -> None:
        """Add more of what the agent says."""
        self._grow("text").add(piece)
        self._pieces.append(piece)
        self._gathered += len(piece)
        if self._gathered > GATHERED:
            self.flush()

    def thought(self, piece: str) -> None:
        """Add more of what it thinks."""
        self._grow("thinking").add(piece)

    def tool(self, known: Tool, news: Tool) -> None:
        """Report news of the use of a tool: what it is, what it gives, how it ended, and what it has changed."""
        self.message_over()
        if not known.id:
            return
        ended = ENDS.get(known.status or "")
        if known.id not in self._tools:
            self._tools[known.id] = 0
            while len(self._tools) > TOOLS:
                del self._tools[next(iter(self._tools))]
        kind = known.kind or "other"
        self._line(
            "tool", id=known.id, name=known.name or kind, type=kind, title=known.title or None, input=_small(known.input),
            places=[{"path": os.path.join(self._cwd, path), "line": line} for path, line in known.places or ()] or None,
        )  # fmt: skip
        self._output(known, news)
        if ended is None:
            return
        if ended == "ok":
            for number, one in enumerate(known.diffs or (), 1):
                self._edit(known, number, one)
        self._ended(known.id, "denied" if ended == "failed" and known.id in self._denied else ended, known)

    def denied(self, tool: str) -> None:
        """Report that what it asked leave for was refused."""
        self._denied.add(tool)

    def plan(self, items: Iterable[tuple[str, str]]) -> None:
        """Report its plan, the whole of it."""
        self._line("plan", items=[{"text": text, "state": STATES.get(state, "todo")} for text, state in items])

    def said(self, kind: str, text: str) -> None:
        """Report a sentence of the agent's program, or of ours: of the kinds notice, compaction, retry and note."""
        if kind == "compaction":
            word = text.rpartition(": ")[2]
            self._line("compact", state="done" if word in COMPACTED else "begun")
        elif kind == "retry":
            self._line("retry", reason=text)
        else:
            self._line("note", text=text, level="info" if kind == "notice" else None)

    def chose(self, what: str, value: str) -> None:
        """Report that the agent has another mode or model now."""
        if what in ("mode", "model"):
            self._line("session", what=what, value=value)

    def end(self, figures: Mapping[str, float] | None = None) -> None:
        """End the turn, and what is open in it; ``figures``: what was used so far."""
        self.message_over()
        for name in list(self._tools):
            self._ended(name, "denied" if name in self._denied else "interrupted", None)
        self._denied.clear()
        if figures:
            self._line("usage", **figures)

    def message_over(self) -> None:
        """End the message: what it says or thinks next is another."""
        self.flush()
        one, self._growing = self._growing, None
        if one is None:
            return
        if one.kind == "thinking":
            self._line("thinking", id=one.id, on=False, seconds=round(time.monotonic() - one.began, 1), text=one.whole)
        elif one.whole is not None:
            self._line("text", id=one.id, text=one.whole)

    def flush(self) -> None:
        """Write what was gathered of a text."""
        if self._growing is None or not self._pieces:
            return
        text, self._pieces, self._gathered = "".join(self._pieces), [], 0
        for at in range(0, len(text), PIECE):
            self._line("text", id=self._growing.id, part=text[at : at + PIECE])

    def close(self) -> None:
        """Close: the program ends."""
        self.end()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _grow(self, kind: str) -> Growing:
        """Return what grows now, which is of that kind."""
        if self._growing is None or self._growing.kind != kind:
            self.message_over()
            self._texts += 1
            self._growing = Growing(kind, f"{self._turn[:16]} {self._texts}")
            if kind == "thinking":
                self._line("thinking", id=self._growing.id, on=True)
        return self._growing

    # -- tools

    def _output(self, known: Tool, news: Tool) -> None:
        """Add what came since the last news: some agents report more of it, others the whole again."""
        if news.part is not None:
            part, self._tools[known.id] = news.part, PARTS
        elif news.text is not None and known.status not in ENDS and self._tools[known.id] != PARTS:
            part, self._tools[known.id] = news.text[self._tools[known.id] :], len(news.text)
        else:
            return
        for at in range(0, len(part), PIECE):
            self._line("output", id=known.id, part=part[at : at + PIECE])

    def _ended(self, name: str, end: str, known: Tool | None) -> None:
        in_parts = self._tools.pop(name, 0) == PARTS
        text = known.text if known is not None and not in_parts else None
        self._line("output", id=name, end=end, text=text, exit=known.exit if known is not None else None)

    def _edit(self, known: Tool, number: int, one: Diff) -> None:
        found = acp_shown.changes(one)
        line = next((line for path, line in known.places or () if path == one.path), None) if one.old else None
        diff = None if found is None else "\n".join(found) + "\n"
        op = "change" if one.old is not None else "add"
        self._line("edit", id=known.id, n=number, path=os.path.join(self._cwd, one.path), op=op, diff=diff, line=line)

    # -- the file

    def _line(self, kind: str, **fields: Any) -> None:
        if self._fd < 0:
            return
        given = {name: value for name, value in fields.items() if value is not None}
        made = {"kind": kind, **given, "turn": self._turn, "at": time.time()}
        data = HALF.sub("\ufffd", json.dumps(made, ensure_ascii=False, default=str)).encode() + b"\n"
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError:
            pass  # the disk is full: the answer is reported all the same


def _small(value: Any) -> Any:
    """Return what a tool was given, unless that is too much."""
    return value if len(json.dumps(value)) <= INPUT else None
