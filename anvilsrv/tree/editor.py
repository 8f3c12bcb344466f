"""The file ``<id>/editor``: the session's agent asks the user's editor, which reads what is asked and writes what it answers.

Who opens it decides which end it is. The session writes one question, and reads its answer from the same fid. The user's editor is
attached as long as it has the file open for reading; it may write its answers there, or to the file opened for writing.

Threads: ``took`` runs on a worker, where what was written is parsed; the rest is in ``editors.py``.
"""

from typing import Any

from anvilsrv.allowance import Share
from anvilsrv.errors import Conflict, Denied, Invalid
from anvilsrv.p9 import wire
from anvilsrv.p9.tree import Later, Request
from anvilsrv.sessions.state import View
from anvilsrv.strict_json import dumps
from anvilsrv.tree.drafts import Exchange
from anvilsrv.tree.editors import Question
from anvilsrv.tree.hook import Replies
from anvilsrv.tree.nodes import Place
from anvilsrv.tree.parked import Parked

MOST = 1 << 20  # bytes of what is asked or answered, as JSON
TOOLS = {
    "definitions": "xref",
    "references": "xref",
    "symbols": "imenu",
    "diagnostics": "diagnostics",
    "buffers": "buffers",
    "selection": "selection",
    "eldoc": "eldoc",
    "project": "project",
    "open_diff": "open_diff",
}
"""What can be asked, and the word under ``emacs:`` in a role that grants it."""


def exchange(at: Place, mode: int) -> Exchange:
    """Return the exchange of one open of the file."""
    return _Asks(at) if at.who.session is not None else _Answers(at, mode & 3 != wire.OWRITE)


def question(found: dict[str, Any], view: View) -> dict[str, Any]:
    """Return what an editor may read of it, with the session's directory. Raises Invalid, Denied."""
    tool, arguments = found.get("tool"), found.get("arguments", {})
    if not isinstance(tool, str) or tool not in TOOLS:
        raise Invalid(f"editor: invalid tool (expected {', '.join(TOOLS)})")
    if not isinstance(arguments, dict) or len(dumps(arguments)) > MOST:
        raise Invalid(f"editor: invalid arguments: not an object, or more than {MOST >> 20} MiB")
    if TOOLS[tool] not in view.shown_of_emacs():
        raise Denied(f"permission denied: no role or task of this session grants it (emacs: [{TOOLS[tool]}])")
    paths, hidden = view.readable()
    return {"tool": tool, "arguments": arguments, "cwd": view.cwd, "paths": paths, "hidden": hidden}


class Lines(Parked):
    """What one editor is to read: whole lines one after another, whatever the offsets."""

    def __init__(self) -> None:
        super().__init__()
        self._rest = b""  # of the line that is being read; under the lock, as the next
        self._lines: dict[int, bytes] = {}

    def peek(self, offset: int, count: int) -> bytes | None:
        data = self._rest or next(iter(self._lines.values()), b"")
        return data[:count] or None

    def advance(self, data: bytes) -> None:
        line = self._rest or self._lines.pop(next(iter(self._lines)))
        self._rest = line[len(data) :]

    def put(self, number: int, line: bytes) -> None:
        """Put one more line, under a number."""
        with self.lock:
            self._lines[number] = line
        self.wake()

    def take_back(self, number: int) -> bool:
        """Withdraw that line. Returns whether that was in time."""
        with self.lock:
            return self._lines.pop(number, None) is not None


class _Asks(Exchange):
    """The agent's end."""

    def __init__(self, at: Place) -> None:
        self._at = at
        self._open = Share(at.who.allowance, "streams", 1)
        self._replies = Replies()
        self._question: Question | None = None
        self._held: Share | None = None

    def took(self, found: dict[str, Any], count: int, req: Request, held: Share) -> int:
        if self._question is not None and self._question.asked:
            raise Conflict("busy: editor: one question at a time")
        asked = question(found, self._at.view)
        self._let_go()
        self._replies.expect()
        try:
            self._question = self._at.domain.editors.ask(
                self._at.view.id, asked, lambda reply: self._replies.give(dumps(reply).encode() + b"\n")
            )
        except BaseException:
            self._replies.give(None)
            raise
        self._held = held  # until it is closed, or asks again: its answer counts as the question did
        return count

    def reply(self, offset: int, count: int, req: Request) -> bytes | Later:
        return self._replies.read(offset, count, req)

    def cancelled(self, req: Request) -> None:
        self._replies.cancel(req)

    def gone(self) -> None:
        if self._question is not None:
            self._at.domain.editors.withdraw(self._question)
        self._let_go()
        self._open.let_go()

    def _let_go(self) -> None:
        if self._held is not None:
            self._held.let_go()
            self._held = None


class _Answers(Exchange):
    """The editor's end; ``reads``: it is attached."""

    def __init__(self, at: Place, reads: bool) -> None:
        self._editors = at.domain.editors
        self._session = at.view.id
        self._lines = Lines() if reads else None
        if self._lines is not None:
            self._editors.attach(self._session, self._lines)

    def took(self, found: dict[str, Any], count: int, req: Request, held: Share) -> int:
        held.let_go()
        number = found.get("id")
        if not isinstance(number, int) or ("result" in found) == ("error" in found):
            raise Invalid("editor: invalid answer: it must have an id, and a result or an error")
        if "error" in found and not isinstance(found["error"], str):
            raise Invalid("editor: invalid answer: an error must be a string")
        reply: dict[str, Any] = {word: found[word] for word in ("result", "error") if word in found}
        if len(dumps(reply)) > MOST:
            reply = {"error": f"the editor's answer has more than {MOST >> 20} MiB"}
        self._editors.answered(self._session, number, reply)
        return count

    def reply(self, offset: int, count: int, req: Request) -> bytes | Later:
        return b"" if self._lines is None else self._lines.read(offset, count, req)

    def cancelled(self, req: Request) -> None:
        if self._lines is not None:
            self._lines.cancel(req)

    def gone(self) -> None:
        if self._lines is not None:
            self._editors.detach(self._session, self._lines)
