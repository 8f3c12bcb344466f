"""What stood in a window when it was clicked.

acme tells of each change of a body, and of each click, in the order in which they were. So the text under a click is known to the
letter, however much is drawn until the click is answered. acme leaves long texts out: those that Assist has written are noted
before they are.

The reader's thread owns a `Seen`; `wrote`, `failed` and `again` are for the window's owner.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from acme.lib.record import Record

KEPT = 1 << 18  # runes of the end of a large body
_WAITING = 256  # changes that are put together when there is no click
_UNKNOWN = "\0"  # a rune of which acme has not told


@dataclass(frozen=True, slots=True)
class Moment:
    """A body at the moment of a click: its text, or the end of it, from `start` on; and what the owner had `drawn` last."""

    text: str
    start: int
    drawn: object

    def between(self, q0: int, q1: int) -> str | None:
        """Return the text there; None if it is not known."""
        if not self.start <= q0 <= q1 <= self.start + len(self.text):
            return None
        found = self.text[q0 - self.start : q1 - self.start]
        return None if _UNKNOWN in found else found

    def line(self, place: int) -> tuple[int, str] | None:
        """Return where the line of that place begins, and its text with its end."""
        at = place - self.start
        if not 0 <= at <= len(self.text):
            return None
        begin = self.text.rfind("\n", 0, at) + 1
        end = self.text.find("\n", at) + 1 or len(self.text)
        if (begin == 0 and self.start) or _UNKNOWN in self.text[begin:end]:
            return None
        return self.start + begin, self.text[begin:end]

    def agrees(self, record: Record) -> bool:
        """Return whether it is known, and what acme says was clicked is there."""
        if not record.literal or record.q1 < self.start:
            return True
        found = self.between(record.q0, record.q1)
        return found is None or found == record.text


class Seen:
    """The body of one window as acme has shown it."""

    def __init__(self) -> None:
        self._text = ""
        self._start = 0
        self._changes: list[tuple[int, int, str]] = []  # place, runes taken away, text put there: not in `_text` yet
        self._ours: deque[tuple[str, object]] = deque()  # texts on their way, and what they are of
        self._drawn: object = None
        self._read: str | None = None

    def wrote(self, text: str, drawn: object) -> None:
        """Note that the owner is about to write that, as part of what `drawn` is."""
        self._ours.append((text, drawn))

    def failed(self) -> None:
        """Note that it was not written."""
        self._ours.pop()

    def again(self, body: str) -> None:
        """Take the body as it was read again."""
        self._read = body

    def changed(self, record: Record) -> None:
        """Take an insertion or a deletion that acme reports."""
        self._take()
        size, text = record.q1 - record.q0, record.text
        if record.kind == "D":
            self._changes.append((record.q0, size, ""))
        else:
            ours = self._ours[0] if self._ours and record.origin == "F" else None
            if ours is not None and (ours[0] == text or (record.left_out and len(ours[0]) == size)):
                text, self._drawn = self._ours.popleft()
            self._changes.append((record.q0, 0, text if len(text) == size else _UNKNOWN * size))
        if len(self._changes) >= _WAITING:
            self._put_together()

    def moment(self) -> Moment:
        """Return the body as it is now, in the order of what acme reports."""
        self._take()
        self._put_together()
        return Moment(self._text, self._start, self._drawn)

    def _take(self) -> None:
        if self._read is not None:
            self._text, self._start, self._read = self._read, 0, None
            self._changes.clear()

    def _put_together(self) -> None:
        if not self._changes:
            return
        low = min(at for at, _, _ in self._changes)
        if low < self._start:
            for change in self._changes:
                self._change(*change)
        else:  # what stands before the first of them is not copied for each
            head, tail = self._text[: low - self._start], self._text[low - self._start :]
            for at, size, text in self._changes:
                tail = tail[: at - low] + text + tail[at - low + size :]
            self._text = head + tail
        self._changes.clear()
        more = len(self._text) - KEPT
        if more > KEPT:
            self._text, self._start = self._text[more:], self._start + more

    def _change(self, at: int, size: int, text: str) -> None:
        """Apply one change; what comes before all that is kept only moves it."""
        if at >= self._start:
            place = at - self._start
            self._text = self._text[:place] + text + self._text[place + size :]
        else:
            within = max(0, at + size - self._start)
            self._text = self._text[within:]
            self._start += len(text) - (size - within)
