"""Acme as a file service: its windows, and the log of what happens to them (acme(4)).

acme does what it is asked for in its order, and draws the screen after each request: what a person types waits for all that was asked
before. So one window is drawn at a time, however many stream: of ours one request at most waits then.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from acme.lib.window import Window
from anvilsrv import paths
from anvilsrv.errors import Unavailable
from anvilsrv.p9.client import Client, File

_COLUMN = 12
_TRIES = 20


@dataclass(frozen=True, slots=True)
class Listed:
    """What is wanted of a line of `index`: a window, and its tag's first line."""

    id: int
    tag: str

    @property
    def name(self) -> str:
        """The window's name: the tag up to ``Del Snarf`` (a name may have blanks)."""
        return name_of(self.tag)


def name_of(tag: str) -> str:
    """Return the name at the beginning of a tag, by acme's own rule."""
    left = tag.split(" |", 1)[0].split("\t|", 1)[0]
    if " Del Snarf" in left:
        return left.split(" Del Snarf", 1)[0]
    return left.replace("\t", " ").split(" ", 1)[0]


class Acme:
    """A connection to the acme of this namespace. May be used by several threads."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._drawing = threading.RLock()
        self._listing = threading.Lock()  # guards the next
        self._open_index: File | None = None

    @classmethod
    def dial(cls) -> Acme:
        """Connect; Unavailable when no acme runs in the namespace."""
        path = Path(paths.namespace(), "acme")
        try:
            return cls(Client(str(path), timeout=None))  # acme answers no one while the person sweeps
        except Unavailable as error:
            raise Unavailable(f"no acme in '{paths.namespace()}': {error}") from None

    def new(self) -> Window:
        """Return a new window, where acme puts it."""
        ctl = self.client.open("new/ctl", 2)
        return Window(self.client, int(ctl.read(_COLUMN, 0)), ctl, self._drawing)

    def window(self, id: int) -> Window:
        """Return the window of that number; it need not exist yet or any more."""
        return Window(self.client, id, drawing=self._drawing)

    def windows(self) -> list[Listed]:
        """Return every window, as `index` has them: by column, from the top."""
        for _ in range(_TRIES):
            try:
                return [_listed(line) for line in self._index().split("\n") if line]
            except ValueError:  # acme makes the text again for each read: two pieces may not fit together
                continue
        raise Unavailable("acme's index changes faster than it can be read")

    def _index(self) -> str:
        """Return the text of `index`, in one read if it fits: a second one, for the end, might see another text. The file stays open,
        for acme makes the text again for each read.
        """
        with self._listing:
            if self._open_index is None:
                self._open_index = self.client.open("index")
        data = piece = self._open_index.read(offset=0)
        while len(piece) == self.client.iounit:
            piece = self._open_index.read(offset=len(data))
            data += piece
        return data.decode("utf-8", "replace")

    def find(self, name: str) -> Window | None:
        """Return the window of that name, if there is one (a slash at the end makes no difference, as in acme)."""
        wanted = name.rstrip("/") or "/"
        for listed in self.windows():
            if (listed.name.rstrip("/") or "/") == wanted:
                return self.window(listed.id)
        return None

    def directory(self, path: str) -> None:
        """Show the directory, as acme does."""
        window = self.find(path)
        with closing(window or self.new()) as shown:
            if window is None:
                shown.name(f"{path.rstrip('/')}/")
                shown.ctl("get")
            shown.show()

    def beside(self, directory: str) -> Window | None:
        """Return a window of that directory, by its name, if there is one."""
        wanted = directory.rstrip("/")
        listed = next((each for each in self.windows() if os.path.dirname(each.name) == wanted), None)
        return self.window(listed.id) if listed is not None else None

    def log(self) -> Iterator[tuple[int, str, str]]:
        """Yield what happens to windows from now on: number, operation (new zerox get put del focus), name. Blocks."""
        with self.client.open("log", 0) as file:
            for line in file.lines():
                id, operation, name = line.decode().rstrip("\n").split(" ", 2)
                yield int(id), operation, name

    def close(self) -> None:
        self.client.close()


def _listed(line: str) -> Listed:
    numbers = [
        int(line[i * _COLUMN : (i + 1) * _COLUMN]) for i in range(5)
    ]  # all: a line in pieces has other text there
    return Listed(numbers[0], line[5 * _COLUMN :])
