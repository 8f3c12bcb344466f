"""One window of acme, through its files (acme(4)).

Places are in runes, that is, in characters of a Python string. The files stay open while the Window lives: closing
`addr` would reset the address, closing `data` would end `nomark`, closing `event` would drop `dump`. A Window belongs
to one thread; only `gestures` and `dotted` are for another one, which reads what is clicked. `_alone` is held for what has more
than one message, as all that needs the address, of which acme has one for a window; the reader of events waits for it, since what
is drawn in many changes is of no use to it before its end. `drawing` is one lock for all windows, taken before `_alone`: see acme.py.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from acme.lib.event import Dot, Gesture, Parser
from acme.lib.seen import Seen
from anvilsrv.errors import AnvilError, NotFound
from anvilsrv.p9.client import Client, File, P9Error
from anvilsrv.p9.wire import ORDWR, OWRITE

_CHUNK = 8000  # bytes a message: acme takes 8168 and dies of more
_RUNE = 4  # bytes of a rune at most: acme sends whole ones
_TRIES = 5
_GONE = ("deleted window", "window shut down", "file does not exist")


class WindowGone(NotFound):
    """The window was deleted."""


class Window:
    """The window `id`. Every method raises WindowGone once it is deleted, and ConnectionLost when acme ended."""

    def __init__(
        self, client: Client, id: int, ctl: File | None = None, drawing: threading.RLock | None = None
    ) -> None:
        self.client = client
        self.id = id
        self.drawing = drawing or threading.RLock()
        self._files: dict[str, File] = {"ctl": ctl} if ctl is not None else {}
        self._drawn: object = None
        self._seen = Seen()
        self._alone = threading.RLock()

    # the whole window

    def draws(self, what: object) -> None:
        """Note that what is written from now on shows this: `Moment.drawn` of a click on it."""
        self._drawn = what

    @property
    def drawn(self) -> object:
        """What was written last shows this."""
        return self._drawn

    def ctl(self, message: str) -> None:
        """Write a message to `ctl`, or several, a line each (``clean`` and ``delete`` in one write crash acme)."""
        self._write("ctl", message.encode() + b"\n")

    def name(self, name: str) -> None:
        self.ctl(f"name {name}")

    def tag(self, text: str) -> None:
        """Make what stands right of the bar `text`, and have acme lay it out in as many lines as it needs."""
        self.ctl("cleartag")
        self._write("tag", _bytes(f" {text} "))
        self.ctl("menu")  # a change left of the bar is what makes acme look at the size of the tag
        self.ctl("nomenu")

    def dump(self, command: str, directory: str) -> None:
        """Set what Load runs, and where, to bring the window back. Holds as long as `event` is open."""
        self.ctl(f"dump {command}")
        self.ctl(f"dumpdir {directory}")

    def clean(self) -> None:
        self.ctl("clean")

    def show(self) -> None:
        """Bring dot into view, and the window with it if it was folded away."""
        self.ctl("show")

    def delete(self) -> None:
        """Delete the window, changed or not; one that is gone already is deleted."""
        with suppress(WindowGone):
            self.ctl("delete")

    def close(self) -> None:
        """Give the files back. The window stays if it was not deleted."""
        while self._files:
            with suppress(AnvilError):
                self._files.popitem()[1].close()

    def dirty(self) -> bool:
        """Return True when acme holds the body for changed."""
        return self._read_at("ctl", 60)[48:59].strip() == b"1"

    def font(self) -> tuple[str, int, int]:
        """Return the body's font file, and the widths of its tabs and of a line in pixels."""
        fields = self._read_at("ctl", 1024)[60:].decode().rsplit(None, 3)
        width, font = fields[0].split(None, 1)
        return font.strip("'"), int(fields[1]), int(width)

    # text

    def body(self) -> str:
        """Return all of the body; read again if the person typed while it was read in pieces."""
        for _ in range(_TRIES):
            text = self._all("body")
            if len(text) == int(self._read_at("ctl", 36)[24:]):
                break
        return text

    def _all(self, name: str) -> str:
        """Return all of a text. A piece that is shorter than one may be is the last: no more is asked for, because acme
        draws the screen after each request.
        """
        pieces, at = [], 0
        with self._guard():
            file, most = self._open(name), self.client.iounit
            while piece := file.read(most, at):
                pieces.append(piece)
                at += len(piece)
                if len(piece) < most - _RUNE:
                    break
        return b"".join(pieces).decode("utf-8", "replace")

    def tag_text(self) -> str:
        with self._guard():
            return self.client.read(f"{self.id}/tag").decode("utf-8", "replace")

    def address(self, address: str) -> tuple[int, int]:
        """Evaluate an address as after a colon (``#3,#9``, ``$``, ``/regexp/``), set it, and give its two places.

        P9Error ``address out of range`` where it has none.
        """
        with self._alone:
            self._write("addr", _bytes(address))
            return self._address()

    def dot(self) -> tuple[int, int]:
        """Return the person's selection. Sets the address."""
        with self._alone:
            self._open("addr")
            self.ctl("addr=dot")
            return self._address()

    def dotted(self) -> Dot:
        """Return the selection and its lines."""
        with self._alone:
            q0, q1 = self.dot()
            last = q1 - 1 if q1 > q0 else q1
            start, end = self.address(f"#{q0}-+")[0], self.address(f"#{last}-+")[1]
            return Dot(q0, q1, start, self.text(start, end))

    def select(self, q0: int, q1: int) -> None:
        """Move the person's selection, without scrolling."""
        with self._alone:
            self._write("addr", f"#{q0},#{q1}".encode())
            self.ctl("dot=addr")

    def text(self, q0: int, q1: int) -> str:
        """Return the body from `q0` to `q1`."""
        found = ""
        with self._alone, self._guard():
            self._write("addr", f"#{q0},#{q1}".encode())
            file = self._open("xdata")
            while len(found) < q1 - q0 and (part := file.read(_CHUNK, 0)):
                found += part.decode("utf-8", "replace")
        return found

    def from_there(self, q0: int) -> str:
        """Return the body from `q0` on, which is asked for once more only if it is long. P9Error ``address out of range``."""
        found = b""
        with self._alone, self._guard():
            self._write("addr", f"#{q0},$".encode())
            file = self._open("xdata")
            while piece := file.read(_CHUNK, 0):
                found += piece
                if len(piece) < _CHUNK - _RUNE:
                    break
        return found.decode("utf-8", "replace")

    def replace(self, q0: int, q1: int, text: str) -> int:
        """Put `text` in place of the body from `q0` to `q1`; the place after it.

        acme scrolls to the end of it if `q0` is in view, moves a selection that lies behind it, and gives up one that
        lies within.
        """
        text = text.replace("\0", "")
        with self._alone:
            self._write("addr", f"#{q0},#{q1}".encode())
            self._put_all(text)
        return q0 + len(text)

    def _put_all(self, text: str) -> None:
        for chunk in _chunks(text) or [b""]:
            self._put(chunk)

    def _put(self, chunk: bytes) -> None:
        """Write to `data`. acme tells of it as it does of all changes, but not the text if that is long."""
        if not chunk or "event" not in self._files:
            self._write("data", chunk)
            return
        self._seen.wrote(chunk.decode(), self._drawn)
        try:
            self._write("data", chunk)
        except AnvilError:
            self._seen.failed()
            raise

    def append(self, text: str) -> None:
        """Put `text` at the end of the body."""
        with self._alone:
            self._write("addr", b"$")
            self._put_all(text.replace("\0", ""))

    @contextmanager
    def bulk(self, clean: bool = True) -> Iterator[None]:
        """Make changes that Undo takes back together with what the person has typed last: they are no steps of their own, or it would
        never get behind what is drawn again after each. With `clean` the window is clean afterwards, and its history is gone, so that
        acme need not be told; else it is told each time, since who closes `data` or `xdata` of the window ends that.
        """
        self._open("data")
        with self.alone():
            if not clean:
                self.ctl("nomark")
            try:
                yield
            finally:
                if clean:
                    self.ctl("clean")

    def errors(self, text: str) -> None:
        """Write a line to the ``+Errors`` window of this window's directory."""
        self._write("errors", _bytes(text.rstrip("\n") + "\n"))

    # gestures

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Do what is not to be seen before its end by the reader of what is clicked, while no other window is drawn."""
        with self.drawing, self._alone:
            yield

    def listen(self) -> None:
        """Open `event`: from now on nothing that is clicked happens by itself, and what is clicked is known."""
        self._open("event")
        self.look_again()

    def look_again(self) -> None:
        """Read what stands in the window now."""
        self._seen.again(self.body())

    def gestures(self) -> Iterator[Gesture]:
        """Yield what the person does, as it happens; ends when the window is deleted or `event` is closed."""
        parser = Parser()
        file = self._open("event")
        while True:
            with self._alone:
                pass
            try:
                data = file.read(_CHUNK, 0, timeout=None)
            except P9Error as error:
                if _is_gone(error):
                    return
                raise
            if not data:
                return
            yield from filter(None, map(self._saw, parser.feed(data)))

    def _saw(self, gesture: Gesture) -> Gesture | None:
        """Return a gesture with the body in which it was made. What was drawn is none."""
        if gesture.kind in "ID":
            self._seen.changed(gesture.clicked)
            return gesture if gesture.origin in "KM" else None
        if gesture.kind not in "XxLlRr":
            return gesture
        body = self._seen.moment()
        known = not gesture.in_body or (body.agrees(gesture.clicked) and body.agrees(gesture.meant))
        return replace(gesture, body=body if known else None)

    def back(self, gesture: Gesture, moved: int = 0) -> None:
        """Let acme do it after all, so many runes further on. What has meanwhile become impossible (``bad event syntax``) is let go."""
        try:
            self._write("event", gesture.back(moved))
        except P9Error as error:
            if "bad event syntax" not in str(error):
                raise

    # files

    def _address(self) -> tuple[int, int]:
        q0, q1 = self._read_at("addr", 24).split()
        return int(q0), int(q1)

    def _open(self, name: str) -> File:
        file = self._files.get(name)
        if file is None:
            with self._guard():
                file = self.client.open(f"{self.id}/{name}", OWRITE if name in ("errors", "tag") else ORDWR)
            self._files[name] = file
        return file

    def _read_at(self, name: str, count: int) -> bytes:
        with self._guard():
            return self._open(name).read(count, 0)

    def _write(self, name: str, data: bytes) -> None:
        with self._guard():
            self._open(name).write(data, 0)

    @contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            yield
        except P9Error as error:
            if _is_gone(error):
                raise WindowGone(f"window {self.id} is gone") from None
            raise


def _is_gone(error: P9Error) -> bool:
    return str(error).startswith(_GONE)


def _bytes(text: str) -> bytes:
    return text.replace("\0", "").encode("utf-8", "replace")


def _chunks(text: str) -> list[bytes]:
    """Return `text` in messages of whole runes: `data` does not join a rune that was cut."""
    data = text.encode("utf-8", "replace")
    cuts = [0]
    while len(data) - cuts[-1] > _CHUNK:
        cut = cuts[-1] + _CHUNK
        while data[cut] & 0xC0 == 0x80:
            cut -= 1
        cuts.append(cut)
    return [data[a:b] for a, b in zip(cuts, [*cuts[1:], len(data)], strict=True) if b > a]
