"""What a gesture means: the text that was on the screen when it was made, and where that stands now."""

from __future__ import annotations

import re
from contextlib import suppress

from acme.lib.event import Gesture
from acme.lib.table import Key
from acme.lib.window import Window
from anvilsrv.errors import Conflict
from anvilsrv.p9.client import P9Error

_WORD = re.compile(r"[\w:-]+")


def line(window: Window, gesture: Gesture) -> tuple[int, str]:
    """Return where the line that was clicked began, and its text; of the tag all of it."""
    if not gesture.in_body:
        return 0, window.tag_text()
    at = gesture.clicked.q0
    found = gesture.body.line(at) if gesture.body is not None else None
    if found is not None:
        return found
    meant = gesture.meant
    with suppress(P9Error):  # out of range: it has gone
        if not meant.literal or window.text(meant.q0, meant.q1) == meant.text:
            start, end = window.address(f"#{at}-+")
            return start, window.text(start, end)
    raise moved()


def text(window: Window, gesture: Gesture) -> str:
    """Return the gesture's text, also if it was too long for the event."""
    record = gesture.meant
    if not record.left_out:
        return record.text
    if not gesture.in_body:
        return window.tag_text()[record.q0 : record.q1]
    found = gesture.body.between(record.q0, record.q1) if gesture.body is not None else None
    return window.text(record.q0, record.q1) if found is None else found


def words(window: Window, gesture: Gesture) -> list[str]:
    """Return what may be meant: the word under the click as ids and aliases are spelled, then what acme took for it.

    acme ends a word at a hyphen, which an alias may have; so the line is looked at.
    """
    meant = text(window, gesture).strip()
    if not gesture.empty:
        return [meant]
    start, there = line(window, gesture)
    at, q0, q1 = (place - start for place in (gesture.clicked.q0, gesture.meant.q0, gesture.meant.q1))
    for found in _WORD.finditer(there):
        known = not gesture.meant.literal or there[q0:q1].strip() == meant
        if known and found.start() <= min(at, q0) and max(at, q1) <= found.end():
            return [found.group(), meant]
    return [meant]


def shift(window: Window, gesture: Gesture, key: Key) -> int:
    """Return by how many runes what was clicked has moved since: its line, or one of the same key with the same text.

    Conflict if there is none: it has gone, or is another.
    """
    if not gesture.in_body:
        return _shift_in_tag(window.tag_text(), gesture)
    start, there = line(window, gesture)
    with suppress(P9Error):  # out of range
        if window.text(start, start + len(there)) == there:
            return 0
    at, places = 0, []
    inside = there[max(0, gesture.meant.q0 - start) : max(0, gesture.meant.q1 - start)] or there.rstrip("\n")
    for one in window.body().splitlines(keepends=True):
        if one.rstrip("\n") == there.rstrip("\n"):
            places.append((False, abs(at - start), at - start))
        elif key(one.rstrip("\n")) == key(there.rstrip("\n")) != "" and one.count(inside) == 1 == there.count(inside):
            by = at + one.index(inside) - (start + there.index(inside))
            places.append((True, abs(by), by))
        at += len(one)
    if not places:
        raise moved()
    return min(places)[2]


def _shift_in_tag(tag: str, gesture: Gesture) -> int:
    """Return the shift in a tag, which is moved by a new name at its beginning."""
    record = gesture.meant
    if not record.literal or tag[record.q0 : record.q1] == record.text or not record.text:
        return 0
    places = [found.start() - record.q0 for found in re.finditer(re.escape(record.text), tag)]
    if not places:
        raise moved()
    return min(places, key=abs)


def moved() -> Conflict:
    return Conflict("what was clicked has moved or is gone; nothing was done")
