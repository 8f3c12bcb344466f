"""The windows of a fake acme, and what acme does with them; `fakeacme` serves them as files.

Everything is done under one lock, as acme does it under its row lock.
"""

from __future__ import annotations

import re
import threading
from typing import Any

from faketext import BUILTINS, AcmeError, Text, file_at, grow, in_command, in_word

from anvilsrv.p9.tree import Request

EVENT = 256  # runes of text that an event record may carry
FILES = ("addr", "body", "ctl", "data", "editout", "errors", "event", "rdsel", "wrsel", "tag", "xdata")


class Window:
    """One window, and the records of its event file that nobody has read."""

    def __init__(self, acme: Screen, id: int) -> None:
        self.acme = acme
        self.id = id
        self.name = ""
        self.user_tag = " Look "
        self.body = Text()
        self.tag_dot = (0, 0)
        self.addr = (0, 0)
        self.nomark = self.dirty = self.gone = False
        self.open_count = dict.fromkeys(FILES, 0)
        self.events = b""
        self.reader: tuple[int, Request] | None = None
        self.dump: dict[str, str] = {}
        self.shown = 0
        self.written = 0  # edits of the body by programs

    @property
    def tag(self) -> Text:
        file_menu = " Undo Put" if self.dirty and not self.open_count["event"] else ""
        return Text(f"{self.name} Del Snarf{file_menu} |{self.user_tag}", *self.tag_dot, in_body=False)

    @property
    def directory(self) -> str:
        return self.name[: self.name.rfind("/") + 1].rstrip("/") or "/"

    @property
    def scratch(self) -> bool:
        return self.name.endswith(("/guide", "+Errors"))

    def report(self, who: str, record: str) -> None:
        """Add a record for the reader of `event`; without one nothing is kept."""
        if self.open_count["event"]:
            self.events += (who + record).encode()
            self.feed()

    def feed(self) -> None:
        if self.reader is not None and self.events:
            (count, req), self.reader = self.reader, None
            data, rest = self.events[:count], self.events[count:]
            if req.done(data):
                self.events = rest

    def insert(self, who: str, at: int, text: str) -> None:
        self.body.insert(at, text)
        self.dirty = True
        self.written += who != "K"
        size = len(text) if len(text) <= EVENT else 0
        self.report(who, f"I{at} {at + len(text)} 0 {size} {text if size else ''}\n")

    def cut(self, who: str, q0: int, q1: int) -> None:
        self.body.delete(q0, q1)
        self.dirty = True
        self.report(who, f"D{q0} {q1} 0 0 \n")

    def replace(self, text: str) -> None:
        """A write to `data`."""
        q0, q1 = self.addr
        if max(q0, q1) > len(self.body.content):
            raise AcmeError("address out of range")
        if q1 > q0:
            self.cut("F", q0, q1)
        before = self.body.q0, self.body.q1
        self.insert("F", q0, text)
        self.body.q0, self.body.q1 = (place + len(text) if place >= q0 else place for place in before)
        self.addr = (q0 + len(text),) * 2

    def delete(self) -> None:
        self.gone = True
        self.acme.windows.pop(self.id, None)
        self.events = b""
        if self.reader is not None:
            self.reader[1].fail("window shut down")
            self.reader = None
        self.acme.note(self.id, "del", self.name)

    def del_(self, cautious: bool) -> bool:
        """Del: refused once, with a word in +Errors, when the window is changed and nobody else looks after it."""
        if self.dirty and not self.scratch and (cautious or not self.open_count["event"]):
            self.acme.warn("", f"{self.name} modified\n")
            self.dirty = False
            return False
        self.delete()
        return True


class Screen:
    """All windows, the log of what happens to them, and what acme does by itself."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.windows: dict[int, Window] = {}
        self.last = 0
        self.log: list[str] = []
        self.log_readers: list[tuple[Any, Request]] = []
        self.did: list[tuple[str, str]] = []  # what acme itself did: builtins, commands run, looks

    def new(self, name: str = "", body: str = "") -> Window:
        with self.changed:
            self.last += 1
            window = self.windows[self.last] = Window(self, self.last)
            self.note(window.id, "new", "")
            window.name, window.body.content = name, body
            return window

    def find(self, name: str) -> Window | None:
        return next((w for w in self.windows.values() if w.name.rstrip("/") == name.rstrip("/")), None)

    def note(self, id: int, operation: str, name: str) -> None:
        with self.changed:
            self.log.append(f"{id} {operation} {name}\n")
            waiting, self.log_readers = self.log_readers, []
            for handle, req in waiting:
                req.done(handle.next())
            self.changed.notify_all()

    def warn(self, directory: str, text: str) -> None:
        name = f"{directory.rstrip('/')}/+Errors" if directory else "+Errors"
        window = self.find(name) or self.new(name)
        window.body.insert(len(window.body.content), text)

    # what acme does itself

    def execute(self, window: Window, text: Text, q0: int, q1: int, chord: tuple[str, str] | None, back: bool) -> None:
        start, end = grow(text, q0, q1, in_command)
        if start == end:
            return
        said = text.content[start:end]
        words = said.split()
        builtin = bool(words) and words[0] in BUILTINS
        if not back and window.open_count["event"]:
            self._report_execution(window, text, (q0, q1), (start, end), builtin, chord)
        elif builtin:
            self.did.append(("builtin", said))
            if words[0] == "Del":
                window.del_(cautious=False)
            elif words[0] == "Delete":
                window.delete()
        else:
            self.did.append(("run", said))

    def _report_execution(
        self,
        window: Window,
        text: Text,
        clicked: tuple[int, int],
        meant: tuple[int, int],
        builtin: bool,
        chord: tuple[str, str] | None,
    ) -> None:
        if chord is not None and len(chord[0].encode()) > EVENT:
            self.warn("", "argument string too long\n")
            return
        kind = "X" if text.in_body else "x"
        flag = builtin * 1 | (clicked != meant) * 2 | (chord is not None) * 8
        window.report("M", _record(kind, clicked, flag, text))
        if clicked != meant:
            window.report("M", _record(kind, meant, 0, text))
        for part in chord or ():
            window.report("M", f"{kind}0 0 0 {len(part)} {part}\n")

    def look(self, window: Window, text: Text, q0: int, q1: int, back: bool) -> None:
        names = {each.name for each in self.windows.values()}
        found = file_at(text, q0, q1, window.directory, names)
        start, end = found[:2] if found else grow(text, q0, q1, in_word)
        if start == end:
            return
        if back or not window.open_count["event"]:
            self.did.append(("look", found[2] if found else text.content[start:end]))
            return
        kind = "L" if text.in_body else "l"
        known = found is not None and found[2].split(":")[0] in names
        flag = known * 1 | bool(found) * 4
        if (start, end) == (q0, q1):
            window.report("M", _record(kind, (q0, q1), flag, text))
            return
        window.report("M", _record(kind, (q0, q1), flag | 2, text))
        said = found[2] if found else text.content[start:end]
        window.report("M", f"{kind}{start} {end} {flag} {len(said)} {said}\n")

    def back(self, window: Window, message: str) -> None:
        """Somebody wrote an event back."""
        for line in message.splitlines(keepends=True):
            parts = re.fullmatch(r"([EFKM])([xXlLrR])\s*(\d+) +(\d+) *\n", line)
            if parts is None:
                raise AcmeError("bad event syntax")
            q0, q1 = int(parts[3]), int(parts[4])
            text = window.body if parts[2].isupper() else window.tag
            if not q0 <= q1 <= len(text.content):
                raise AcmeError("bad event syntax")
            if parts[2] in "xX":
                self.execute(window, text, q0, q1, None, back=True)
            else:
                self.look(window, text, q0, q1, back=True)


def _record(kind: str, place: tuple[int, int], flag: int, text: Text) -> str:
    said = text.content[place[0] : place[1]]
    size = len(said) if len(said) <= EVENT else 0
    return f"{kind}{place[0]} {place[1]} {flag} {size} {said if size else ''}\n"
