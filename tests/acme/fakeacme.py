"""A fake acme: the window files of acme(4) as plan9port's acme serves them.

What it keeps to, and `test_fakeacme` checks against recorded bytes: rune addresses; events only while `event` is
open, gathered until they are read, with expansions, chords and texts left out past 256 runes; an event not written
back does not happen; data and selection rules of `data`; acme's error strings; and its deaths: a message over 8168
bytes of data, ``clean`` and ``delete`` in one write, an attach by anybody but the owner.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fakescreen import FILES, Screen, Window
from faketext import AcmeError, address

from anvilsrv.p9.server import Server
from anvilsrv.p9.tree import LATER, Dir, File, Handle, Later, Node, Request, TextFile, owner

IOUNIT = 8168
_MODES = {"errors": 0o200, "editout": 0o200, "wrsel": 0o200, "rdsel": 0o400}
_PLAIN = ("lock", "unlock", "clean", "dirty", "show", "delete", "del", "get", "put", "dot=addr", "addr=dot")
_PLAIN += ("limit=addr", "nomark", "mark", "nomenu", "menu", "cleartag")
_WRITES = {"event": "_event_back"}
_NAMED = ("name ", "font ", "dumpdir ", "dump ")


class FakeAcme(Screen):
    """The program, served at `path`. `died` says of what it would have died."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path
        self.wide = 1464  # pixels of a line
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
        if self.server is not None:
            self.server.unlisten(self.path)
        raise AcmeError(why)

    def _trace(self, line: str) -> None:
        if "Tattach" in line and owner() not in line:
            self.died = f"attach by another than {owner()}: {line}"


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
            return Index(name, lambda _: index(acme).encode())
        if name == "log":
            return Log(acme)
        if name == "cons":
            return WindowFile(name, Window(acme, 0))
        return None


class Index(TextFile):
    """Its text is made again for each read."""

    def open(self, who: Any, mode: int, req: Request) -> Handle:
        return IndexHandle(lambda: self.content(who))


class IndexHandle(Handle):
    def __init__(self, content: Callable[[], bytes]) -> None:
        self._content = content

    def read(self, offset: int, count: int, req: Request) -> bytes:
        return self._content()[offset : offset + count]


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
        return [WindowFile(name, self.window) for name in FILES]


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
                raise AcmeError("deleted window")
            if self.name in ("data", "xdata"):
                return self._runes(min(count, IOUNIT))
            if self.name == "event":
                return self._event(min(count, IOUNIT), req)
            content = {
                "addr": lambda: "{:11d} {:11d} ".format(*window.addr),
                "body": lambda: window.body.content,
                "tag": lambda: window.tag.content,
                "ctl": lambda: (
                    f"{sizes(window)}{window.acme.wide:11d} /lib/font/bit/lucsans/euro.8.font {36:11d} {0:11d} {0:11d} "
                ),
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
                raise AcmeError("deleted window")
            if len(data) > IOUNIT:
                window.acme.die(f"a message of {len(data)} bytes")
            try:
                text = data.decode()
            except UnicodeDecodeError:
                raise AcmeError(f"fake acme: part of a rune in {self.name}") from None
            getattr(self, _WRITES.get(self.name, f"_{self.name}"))(text.replace("\0", ""))
            window.acme.changed.notify_all()
        return len(data)

    def _addr(self, text: str) -> None:
        self.window.addr = address(self.window.body.content, self.window.addr, text)

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
                    raise AcmeError("ill-formed control message")
                self._set(name.strip(), text[at + len(name) : end])
                return end
        for name in _PLAIN:
            if text.startswith(name, at):
                self._plain(name)
                return at + len(name)
        raise AcmeError("ill-formed control message")

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
        elif name == "get":
            path = Path(window.name)
            window.body.content = "\n".join(os.listdir(path)) if path.is_dir() else path.read_text("utf-8")
            window.body.q0 = window.body.q1 = 0
            window.dirty = False
        elif name == "del":
            if not window.del_(cautious=True):
                raise AcmeError("file dirty")
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
