"""What a person has written in a window and not sent yet, on disk: acme's Dump keeps no text of a program's window, and a
crash of acme or of the machine keeps none either. `<state>/assist/<window>`, a file for each.

Each file belongs to the thread of its window.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from anvilsrv import paths


class Draft:
    """The text of one window, by the words that open it (``prompt a3f2b9d1``); a window without such words keeps none."""

    def __init__(self, words: str) -> None:
        self._path = paths.state_dir() / "assist" / quote(words, safe=" ") if words else None
        self._saved: str | None = None

    def read(self) -> str:
        """Return what was kept, or nothing."""
        if self._path is None:
            return ""
        try:
            return self._path.read_text("utf-8", "replace")
        except FileNotFoundError:
            return ""

    def save(self, text: str) -> None:
        """Keep `text`; nothing is kept of one that is blank. Raises OSError."""
        if self._path is None or text == self._saved:
            return
        self._saved = text
        if not text.strip():
            self.drop()
            return
        self._path.parent.mkdir(0o700, parents=True, exist_ok=True)
        new = Path(f"{self._path}.new")
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb") as file:
            file.write(text.encode("utf-8", "replace"))
        new.replace(self._path)

    def drop(self) -> None:
        """Drop what was sent, or thrown away by the person."""
        if self._path is not None:
            with suppress(FileNotFoundError):
                self._path.unlink()
