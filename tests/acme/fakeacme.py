"""A fake acme: the window files of acme(4) as plan9port's acme serves them.

What it keeps to, and `test_fakeacme` checks against recorded bytes: rune addresses; events only while `event` is
open, gathered until they are read, with expansions, chords and texts left out past 256 runes; an event not written
back does not happen; data and selection rules of `data`; acme's error strings; and its deaths: a message over 8168
bytes of data, ``clean`` and ``delete`` in one write, an attach by anybody but the owner.
"""

from __future__ import annotations

import re
import threading
from typing import Any

from faketext import BUILTINS, BadAddress, Text, address, file_at, grow, in_command, in_word

from anvilsrv.errors import Conflict, Denied, Invalid
from anvilsrv.p9.server import Server
from anvilsrv.p9.tree import LATER, Dir, File, Handle, Later, Node, Request, TextFile, owner

EVENT = 256  # runes of text that an event record may carry
IOUNIT = 8168
_MODES = {"errors": 0o200, "editout": 0o200, "wrsel": 0o200, "rdsel": 0o400}
_FILES = ("addr", "body", "ctl", "data", "editout", "errors", "event", "rdsel", "wrsel", "tag", "xdata")
_PLAIN = ("lock", "unlock", "clean", "dirty", "show", "delete", "del", "get", "put", "dot=addr", "addr=dot")
_PLAIN += ("limit=addr", "nomark", "mark", "nomenu", "menu", "cleartag")
_WRITES = {"event": "_event_back"}
_NAMED = ("name ", "font ", "dumpdir ", "dump ")


class Window:
    """One window, and the records of its event file that nobody has read."""

    def __init__(self, acme: FakeAcme, id: int) -> None:
        self.acme = acme
        self.id = id
        self.name = ""
        self.user_tag = " Look "
        self.body = Text()
        self.tag_dot = (0, 0)
        self.addr = (0, 0)
        self.nomark = self.dirty = self.gone = False
        self.open_count = dict.fromkeys(_FILES, 0)
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
            raise Invalid("address out of range")
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


class FakeAcme:
    """The program. Everything is done under one lock, as acme does it under its row lock."""

    def __init__(self, path: str) -> None:
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.path = path
        self.windows: dict[int, Window] = {}
        self.last = 0
        self.log: list[str] = []
        self.log_readers: list[tuple[Any, Request]] = []
        self.did: list[tuple[str, str]] = []  # what acme itself did: builtins, commands run, looks
        self.died = ""
        self.server: Server | None = Server(trace=self._trace)
        self.server.listen(path, Root(self))
        self.server.start()

    def stop(self) -> None:
        """End; the second time nothing happens."""
        server, self.server = self.server, None
        if server is not None:
            server.stop()

    def die(self, why: str) -> None:
        self.died = self.died or why
        self.server.unlisten(self.path)
        raise Denied(why)

    def _trace(self, line: str) -> None:
        if "Tattach" in line and owner() not in line:
            self.died = f"attach by another than {owner()}: {line}"

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
                raise Invalid("bad event syntax")
            q0, q1 = int(parts[3]), int(parts[4])
            text = window.body if parts[2].isupper() else window.tag
            if not q0 <= q1 <= len(text.content):
                raise Invalid("bad event syntax")
            if parts[2] in "xX":
                self.execute(window, text, q0, q1, None, back=True)
            else:
                self.look(window, text, q0, q1, back=True)


def _record(kind: str, place: tuple[int, int], flag: int, text: Text) -> str:
    said = text.content[place[0] : place[1]]
    size = len(said) if len(said) <= EVENT else 0
    return f"{kind}{place[0]} {place[1]} {flag} {size} {said if size else ''}\n"


# the files


class Root(Dir):
    def __init__(self, acme: FakeAcme) -> None:
        super().__init__("/")
        self.acme = acme

    def children(self, who: Any) -> list[Node]:
        names = ("acme", "cons", "consctl", "draw", "editout", "index", "label", "log")
        return [self.lookup(who, name) or TextFile(name, lambda _: b"", mode=0) for name in names]

    def lookup(self, who: Any, name: str) -> Node | None:
        acme = self.acme
        if name == "new":
            return Folder(acme.new())
        if name.isdigit():
            window = acme.windows.get(int(name))
            return Folder(window) if window is not None else None
        if name == "index":
            return TextFile(name, lambda _: index(acme).encode())
        if name == "log":
            return Log(acme)
        if name == "cons":
            return WindowFile(name, Window(acme, 0))
        return None


def index(acme: FakeAcme) -> str:
    with acme.lock:
        return "".join(f"{sizes(w)}{w.tag.content.split(chr(10))[0]}\n" for w in acme.windows.values())


def sizes(window: Window) -> str:
    numbers = (window.id, len(window.tag.content), len(window.body.content), 0, int(window.dirty))
    return "".join(f"{number:11d} " for number in numbers)


class Folder(Dir):
    def __init__(self, window: Window) -> None:
        super().__init__(str(window.id))
        self.window = window

    def children(self, who: Any) -> list[Node]:
        return [WindowFile(name, self.window) for name in _FILES]


class WindowFile(File):
    def __init__(self, name: str, window: Window) -> None:
        super().__init__(name, mode=_MODES.get(name, 0o600))
        self.window = window

    def open(self, who: Any, mode: int, req: Request) -> Handle:
        window = self.window
        with window.acme.changed:
            if self.name == "addr" and not window.open_count["addr"]:
                window.addr = (0, 0)
            window.open_count[self.name] = window.open_count.get(self.name, 0) + 1
            return Opened(self.name, window)


class Opened(Handle):
    def __init__(self, name: str, window: Window) -> None:
        self.name = name
        self.window = window

    def read(self, offset: int, count: int, req: Request) -> bytes | Later:
        window = self.window
        with window.acme.changed:
            if window.gone:
                raise Denied("deleted window")
            if self.name in ("data", "xdata"):
                return self._runes(min(count, IOUNIT))
            if self.name == "event":
                return self._event(min(count, IOUNIT), req)
            content = {
                "addr": lambda: "{:11d} {:11d} ".format(*window.addr),
                "body": lambda: window.body.content,
                "tag": lambda: window.tag.content,
                "ctl": lambda: f"{sizes(window)}{800:11d} /lib/font/bit/lucsans/euro.8.font {36:11d} {0:11d} {0:11d} ",
            }[self.name]()
            return content.encode()[offset : offset + count]

    def _runes(self, count: int) -> bytes:
        """Whole runes from the address on; `xdata` ends at its end."""
        window = self.window
        q0, q1 = window.addr
        text = window.body.content[q0 : q1 if self.name == "xdata" else None]
        data = text.encode()[:count].decode("utf-8", "ignore")
        window.addr = (q0 + len(data),) * 2 if self.name == "data" else (q0 + len(data), max(q1, q0 + len(data)))
        return data.encode()

    def _event(self, count: int, req: Request) -> bytes | Later:
        window = self.window
        if not window.events:
            window.reader = (count, req)
            return LATER
        data, window.events = window.events[:count], window.events[count:]
        return data

    def write(self, offset: int, data: bytes, req: Request) -> int:
        window = self.window
        with window.acme.changed:
            if window.gone:
                raise Denied("deleted window")
            if len(data) > IOUNIT:
                window.acme.die(f"a message of {len(data)} bytes")
            try:
                text = data.decode()
            except UnicodeDecodeError:
                raise Invalid(f"fake acme: part of a rune in {self.name}") from None
            getattr(self, _WRITES.get(self.name, f"_{self.name}"))(text.replace("\0", ""))
            window.acme.changed.notify_all()
        return len(data)

    def _addr(self, text: str) -> None:
        try:
            self.window.addr = address(self.window.body.content, self.window.addr, text)
        except BadAddress as error:
            raise Invalid(str(error)) from None

    def _data(self, text: str) -> None:
        self.window.replace(text)

    _xdata = _data

    def _body(self, text: str) -> None:
        self.window.insert("E", len(self.window.body.content), text)

    def _tag(self, text: str) -> None:
        window = self.window
        window.user_tag += text

    def _errors(self, text: str) -> None:
        self.window.acme.warn(self.window.directory, text)

    def _cons(self, text: str) -> None:
        self.window.acme.warn("", text)

    def _event_back(self, text: str) -> None:
        self.window.acme.back(self.window, text)

    def _ctl(self, text: str) -> None:
        if re.search(r"clean\n+delete", text):
            self.window.acme.die("clean and delete in one write")
        at = 0
        while at < len(text):
            at = self._command(text, at)
            while text[at : at + 1] == "\n":
                at += 1

    def _command(self, text: str, at: int) -> int:
        for name in _NAMED:
            if text.startswith(name, at):
                end = text.find("\n", at)
                if end <= at + len(name):
                    raise Invalid("ill-formed control message")
                self._set(name.strip(), text[at + len(name) : end])
                return end
        for name in _PLAIN:
            if text.startswith(name, at):
                self._plain(name)
                return at + len(name)
        raise Invalid("ill-formed control message")

    def _set(self, what: str, value: str) -> None:
        if what == "name":
            self.window.name = value
        else:
            self.window.dump[what] = value

    def _plain(self, name: str) -> None:
        window = self.window
        if name in ("clean", "dirty"):
            window.dirty = name == "dirty"
        elif name == "delete":
            window.delete()
        elif name == "del":
            if not window.del_(cautious=True):
                raise Conflict("file dirty")
        elif name == "dot=addr":
            window.body.q0, window.body.q1 = window.addr
        elif name == "addr=dot":
            window.addr = (window.body.q0, window.body.q1)
        elif name in ("nomark", "mark"):
            window.nomark = name == "nomark"
        elif name == "cleartag":
            window.user_tag = ""
        elif name == "show":
            window.shown += 1

    def clunk(self, req: Request) -> None:
        self._close()

    def hangup(self) -> None:
        self._close()

    def _close(self) -> None:
        window = self.window
        with window.acme.changed:
            window.open_count[self.name] -= 1
            if self.name in ("data", "xdata"):
                window.nomark = False
            if self.name == "event" and not window.open_count["event"]:
                window.dump = {}

    def cancel(self, req: Request) -> None:
        with self.window.acme.changed:
            if self.window.reader is not None and self.window.reader[1] is req:
                self.window.reader = None


class Log(File):
    mode = 0o400

    def __init__(self, acme: FakeAcme) -> None:
        super().__init__("log")
        self.acme = acme

    def open(self, who: Any, mode: int, req: Request) -> Handle:
        return LogHandle(self.acme, len(self.acme.log))


class LogHandle(Handle):
    """One line a read; waits for the next one."""

    def __init__(self, acme: FakeAcme, at: int) -> None:
        self.acme = acme
        self.at = at

    def next(self) -> bytes:
        self.at += 1
        return self.acme.log[self.at - 1].encode()

    def read(self, offset: int, count: int, req: Request) -> bytes | Later:
        with self.acme.changed:
            if self.at < len(self.acme.log):
                return self.next()
            self.acme.log_readers.append((self, req))
            return LATER

    def cancel(self, req: Request) -> None:
        with self.acme.changed:
            self.acme.log_readers = [each for each in self.acme.log_readers if each[1] is not req]
