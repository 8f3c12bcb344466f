"""One window of acme, through its files (acme(4)).

Places are in runes, that is, in characters of a Python string. The files stay open while the Window lives: closing
`addr` would reset the address, closing `data` would end `nomark`, closing `event` would drop `dump`. A Window belongs
to one thread; only `gestures` may be read by another one.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from acme.lib.event import Gesture, Parser
from anvilsrv.errors import AnvilError, NotFound
from anvilsrv.p9.client import Client, File, P9Error
from anvilsrv.p9.wire import ORDWR, OWRITE

_CHUNK = 8000  # bytes a message: acme takes 8168 and dies of more
_TRIES = 5
_GONE = ("deleted window", "window shut down", "file does not exist")


class WindowGone(NotFound):
    """The window was deleted."""


class Window:
    """The window `id`. Every method raises WindowGone once it is deleted, and ConnectionLost when acme ended."""

    def __init__(self, client: Client, id: int, ctl: File | None = None) -> None:
        self.client = client
        self.id = id
        self._files: dict[str, File] = {"ctl": ctl} if ctl is not None else {}
        self._changing = threading.Lock()  # held during many changes, each of which would be a useless event

    # the whole window

    def ctl(self, message: str) -> None:
        """One message to `ctl`, in a write of its own (``clean`` and ``delete`` in one write crash acme)."""
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
        """What Load runs, and where, to bring the window back. Holds as long as `event` is open."""
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
        """True when acme holds the body for changed."""
        return self._read_at("ctl", 60)[48:59].strip() == b"1"

    def font(self) -> tuple[str, int]:
        """The body's font file and the width of its tabs in pixels."""
        fields = self._read_at("ctl", 1024)[60:].decode().rsplit(None, 3)
        return fields[0].split(None, 1)[1].strip("'"), int(fields[1])

    # text

    def body(self) -> str:
        """All of the body; read again if the person typed while it was read in pieces."""
        for _ in range(_TRIES):
            with self._guard():
                text = self.client.read(f"{self.id}/body").decode("utf-8", "replace")
            if len(text) == int(self._read_at("ctl", 36)[24:]):
                break
        return text

    def tag_text(self) -> str:
        with self._guard():
            return self.client.read(f"{self.id}/tag").decode("utf-8", "replace")

    def address(self, address: str) -> tuple[int, int]:
        """Evaluate an address as after a colon (``#3,#9``, ``$``, ``/regexp/``), set it, and give its two places.

        P9Error ``address out of range`` where it has none.
        """
        self._write("addr", _bytes(address))
        return self._address()

    def dot(self) -> tuple[int, int]:
        """The person's selection. Sets the address."""
        self._open("addr")
        self.ctl("addr=dot")
        return self._address()

    def select(self, q0: int, q1: int) -> None:
        """Move the person's selection, without scrolling."""
        self._write("addr", f"#{q0},#{q1}".encode())
        self.ctl("dot=addr")

    def text(self, q0: int, q1: int) -> str:
        """The body from `q0` to `q1`."""
        self._write("addr", f"#{q0},#{q1}".encode())
        parts = []
        with self._guard():
            file = self._open("xdata")
            while part := file.read(_CHUNK, 0):
                parts.append(part)
        return b"".join(parts).decode("utf-8", "replace")

    def replace(self, q0: int, q1: int, text: str) -> int:
        """Put `text` in place of the body from `q0` to `q1`; the place after it.

        acme scrolls to the end of it if `q0` is in view, moves a selection that lies behind it, and gives up one that
        lies within.
        """
        self._write("addr", f"#{q0},#{q1}".encode())
        text = text.replace("\0", "")
        for chunk in _chunks(text) or [b""]:
            self._write("data", chunk)
        return q0 + len(text)

    def append(self, text: str) -> None:
        """Put `text` at the end of the body."""
        end = self.address("$")[1]
        self.replace(end, end, text)

    @contextmanager
    def bulk(self, clean: bool = True) -> Iterator[None]:
        """Changes that are one for Undo. With `clean` the window is clean afterwards, and its history is gone."""
        self._open("data")
        with self._changing:
            self.ctl("nomark")
            try:
                yield
            finally:
                self.ctl("mark")
                if clean:
                    self.clean()

    def errors(self, text: str) -> None:
        """A line in the ``+Errors`` window of this window's directory."""
        self._write("errors", _bytes(text.rstrip("\n") + "\n"))

    # gestures

    def listen(self) -> None:
        """Open `event`: from now on nothing that is clicked happens by itself."""
        self._open("event")

    def gestures(self) -> Iterator[Gesture]:
        """What the person does, as it happens; ends when the window is deleted or `event` is closed."""
        parser = Parser()
        file = self._open("event")
        while True:
            with self._changing:
                pass
            try:
                data = file.read(_CHUNK, 0, timeout=None)
            except P9Error as error:
                if _is_gone(error):
                    return
                raise
            if not data:
                return
            yield from parser.feed(data)

    def back(self, gesture: Gesture) -> None:
        """Let acme do it after all. What has meanwhile become impossible (``bad event syntax``) is let go."""
        try:
            self._write("event", gesture.back())
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
    """`text` in messages of whole runes: `data` does not join a rune that was cut."""
    data = text.encode("utf-8", "replace")
    cuts = [0]
    while len(data) - cuts[-1] > _CHUNK:
        cut = cuts[-1] + _CHUNK
        while data[cut] & 0xC0 == 0x80:
            cut -= 1
        cuts.append(cut)
    return [data[a:b] for a, b in zip(cuts, [*cuts[1:], len(data)], strict=True) if b > a]
