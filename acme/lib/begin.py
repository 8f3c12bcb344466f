"""Starting a session: which directory a person means, and with which options."""

from __future__ import annotations

import os
import re
from pathlib import Path

from acme.lib.agent import Backend
from anvilsrv.errors import Invalid, Unavailable

# rc(1), which runs programs in acme, takes no bare =
_OPTION = re.compile(r"(role|tasks|alias|branch|base|from|bead|model|mode)[=:](\S+)")
_ADDRESS = re.compile(r":[#0-9/$].*$")


def options(text: str) -> tuple[str, list[str]]:
    """Return directory and options of ``/some dir role=reviewer``; the options are at the end. ``role:reviewer`` is the
    same.
    """
    words: list[str] = []
    while found := re.search(r"(?:^|\s)(\S+)\s*$", text):
        option = _OPTION.fullmatch(found[1])
        if option is None:
            break
        words.insert(0, f"{option[1]}={option[2]}")
        text = text[: found.start()]
    return text.strip(), words


def directory(text: str, source: str | None, home: str) -> str:
    """Return the directory `text` names: absolute, of ``~``, or relative to where it is written.

    `source` is where a chorded text was swept (``/a/x.go:#4,#9``); a file that was chorded stands for its directory.
    Invalid if there is no such directory.
    """
    beside = os.path.dirname(_ADDRESS.sub("", source)) if source else home
    path = Path(os.path.normpath(os.path.join(beside, os.path.expanduser(text))))
    if source and not path.exists():
        path = Path(_ADDRESS.sub("", str(path)))
    if source and path.is_file():
        path = path.parent
    if not path.is_dir():
        raise Invalid(f"no directory '{path}'")
    return str(path)


def checked(backend: Backend) -> Backend:
    """Return the backend. Raises Unavailable, with the reason, when it cannot run here."""
    if backend.trouble:
        raise Unavailable(f"{backend.word} cannot run here: {backend.trouble}")
    return backend
