"""Paths in a policy: templates, what they resolve to, and which links may be followed on the way."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

TMPDIR = "{TMPDIR}"  # stays in a path until the tier is known
_TEMPLATE = re.compile(r"\{([^{}]*)\}")
_XDG = {
    "XDG_CONFIG_HOME": "{HOME}/.config",
    "XDG_DATA_HOME": "{HOME}/.local/share",
    "XDG_STATE_HOME": "{HOME}/.local/state",
    "XDG_CACHE_HOME": "{HOME}/.cache",
}


class Resolved(NamedTuple):
    """``path`` without links; ``links`` are those passed (path, target); ``kind`` is d, f or empty where missing."""

    path: str
    links: tuple[tuple[str, str], ...]
    kind: str


def expand(text: str, values: Mapping[str, str]) -> str:
    """Replace ``{NAME}`` by values; ``{TMPDIR}`` stays. ValueError names a template that has no value."""

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name == "TMPDIR":
            return TMPDIR
        found = values.get(name, "")
        if name in _XDG and not found.startswith("/"):  # relative ones are to be ignored, says the specification
            found = expand(_XDG[name], values)
        if not found:
            raise ValueError(f"{{{name}}} has no value")
        return found

    return _TEMPLATE.sub(value, text)


def absolute(text: str, values: Mapping[str, str]) -> str:
    """Return the path of a policy, expanded and normal. ValueError says what is unsafe in it."""
    if text.startswith("~/"):
        text = "{HOME}" + text[1:]
    path = expand(text, values)
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in path):
        raise ValueError(f"{path!r} has control characters in it")
    head, rest = (TMPDIR, path[len(TMPDIR) :]) if path.startswith(TMPDIR) else ("", path)
    if ((rest or not head) and not rest.startswith("/")) or TMPDIR in rest:
        raise ValueError(f"'{path}' is not absolute")
    if ".." in rest.split("/"):
        raise ValueError(f"'{path}' goes through ..")
    rest = os.path.normpath("/" + rest.strip("/"))
    if head or rest == "/tmp":  # /tmp is never the user's own
        return TMPDIR + (rest if head and rest != "/" else "")
    path = rest
    if path == "/":
        raise ValueError("'/' is everything: grant the directories that are needed")
    return path


def under(path: str, top: str) -> bool:
    """Return whether ``path`` is the directory ``top`` or beneath it."""
    return path == top or path.startswith(top.rstrip("/") + "/")


def beneath_any(path: str, tops: Iterable[str]) -> bool:
    """Return whether ``path`` is one of ``tops`` or beneath one."""
    return any(under(path, top) for top in tops)


def resolve(path: str, untrusted: Iterable[str] = ()) -> Resolved:
    """Follow the links in ``path``, but none that lies in a directory where an agent could have put it.

    PermissionError names such a link.
    """
    tops = tuple(untrusted)
    links: list[tuple[str, str]] = []
    done, rest = "/", [part for part in path.split("/") if part]
    while rest:
        name = rest.pop(0)
        if name in ("", "."):
            continue
        if name == "..":
            done = os.path.dirname(done)
            continue
        step = os.path.join(done, name)
        try:
            target = os.readlink(step)
        except OSError:
            done = step
            continue
        if beneath_any(done, tops):
            raise PermissionError(1, "an agent can put links there", step)
        links.append((step, target))
        if len(links) > 40:
            raise PermissionError(40, "too many links", path)
        if target.startswith("/"):
            done = "/"
        rest = target.split("/") + rest
    return Resolved(done, tuple(links), kind(done))


def kind(path: str) -> str:
    """Return ``d`` for a directory, ``f`` for anything else, empty if there is nothing."""
    try:
        status = os.lstat(path)
    except OSError:
        return ""
    return "d" if status.st_mode & 0o170000 == 0o040000 else "f"
