"""The line editor of the shell agent: bytes from a terminal become a line, shown on one row whatever it holds.

Pasted text (bracketed) is taken as it is; typed control characters mean what they mean in a shell. A line that is longer than
the row, or has several lines, is shown by the part around the cursor.
"""

import codecs
import re
import unicodedata

PROMPT = "$ "
PASTE_ON, PASTE_OFF = b"\x1b[200~", b"\x1b[201~"
HISTORY = 500  # lines
_ESCAPE = re.compile(rb"\x1b(\[[0-9;?]*[ -/]*[@-~]|O[@-~]|[^\[O])")
_KEYS = {
    b"[A": "up", b"OA": "up", b"[B": "down", b"OB": "down", b"[C": "right", b"OC": "right", b"[D": "left", b"OD": "left",
    b"[H": "home", b"OH": "home", b"[1~": "home", b"[F": "end", b"OF": "end", b"[4~": "end", b"[3~": "delete",
    b"\x01": "home", b"\x02": "left", b"\x04": "delete", b"\x05": "end", b"\x06": "right", b"\x08": "rubout", b"\x0b": "kill_end",
    b"\x0e": "down", b"\x10": "up", b"\x15": "clear", b"\x17": "kill_word", b"\x7f": "rubout",
}  # fmt: skip


class Editor:
    """One line that is being edited. ``feed`` takes bytes; what comes out are events: see there."""

    def __init__(self, prompt: str = PROMPT) -> None:
        self.prompt = prompt
        self.text = ""
        self.cursor = 0
        self._history: list[str] = []
        self._place = 0
        self._draft = ""
        self._rest = b""
        self._pasting = False
        self._pasted: list[str] = []
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, data: bytes) -> tuple[str, bytes]:
        """Take ``data`` up to the first event: ``enter``, ``interrupt``, ``end`` or ``redraw``, and the bytes not yet looked at.

        The event is empty when all was taken and the line only needs to be shown.
        """
        data = self._rest + data
        self._rest = b""
        while data:
            if self._pasting:
                data = self._paste(data)
                continue
            taken, event = self._one(data)
            if not taken:
                self._rest = data
                break
            data = data[taken:]
            if event:
                return event, data
        return "", b""

    @property
    def pasting(self) -> bool:
        """Whether the end of a paste is still to come. The line does not have it yet: it comes in thousands of pieces."""
        return self._pasting

    def _paste(self, data: bytes) -> bytes:
        end = data.find(PASTE_OFF)
        if end >= 0:
            self._insert("".join([*self._pasted, self._decoder.decode(data[:end], final=True)]))
            self._pasting, self._pasted = False, []
            return data[end + len(PASTE_OFF) :]
        keep = next((n for n in range(min(len(PASTE_OFF) - 1, len(data)), 0, -1) if PASTE_OFF.startswith(data[-n:])), 0)
        self._pasted.append(self._decoder.decode(data[: len(data) - keep]))
        self._rest = data[len(data) - keep :]
        return b""

    def _one(self, data: bytes) -> tuple[int, str]:
        """Return the first key in ``data``: how many bytes it has (0: more are to come), and its event."""
        if data[:1] == b"\x1b":
            return self._escape(data)
        if data[:1] in (b"\r", b"\n"):
            return 1, "enter"
        if data[:1] == b"\x03":
            return 1, "interrupt"
        if data[:1] == b"\x0c":
            return 1, "redraw"
        if data[:1] == b"\x04" and not self.text:
            return 1, "end"
        if data[0] < 32 or data[0] == 127:
            self._key(_KEYS.get(data[:1], ""))
            return 1, ""
        count = next((at for at, byte in enumerate(data) if byte < 32 or byte == 127), len(data))
        self._insert(self._decoder.decode(data[:count]))
        return count, ""

    def _escape(self, data: bytes) -> tuple[int, str]:
        if data.startswith(PASTE_ON):
            self._pasting = True
            self._decoder.reset()
            return len(PASTE_ON), ""
        found = _ESCAPE.match(data)
        if found is None:
            return (0, "") if len(data) < 16 else (1, "")
        self._key(_KEYS.get(found[1], ""))
        return found.end(), ""

    # -- keys -----------------------------------------------------------------------------------------------------

    def _insert(self, text: str) -> None:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        self.text = self.text[: self.cursor] + text + self.text[self.cursor :]
        self.cursor += len(text)

    def _key(self, name: str) -> None:
        before, after = self.text[: self.cursor], self.text[self.cursor :]
        match name:
            case "left":
                self.cursor = max(0, self.cursor - 1)
            case "right":
                self.cursor = min(len(self.text), self.cursor + 1)
            case "home":
                self.cursor = 0
            case "end":
                self.cursor = len(self.text)
            case "rubout":
                self._set(before[:-1], after)
            case "delete":
                self._set(before, after[1:])
            case "kill_end":
                self._set(before, "")
            case "kill_word":
                self._set(re.sub(r"\S*\s*$", "", before), after)
            case "clear":
                self._set("", "")
            case "up" | "down":
                self._recall(-1 if name == "up" else 1)

    def _set(self, before: str, after: str) -> None:
        self.text, self.cursor = before + after, len(before)

    def _recall(self, step: int) -> None:
        place = self._place + step
        if not 0 <= place <= len(self._history):
            return
        if self._place == len(self._history):
            self._draft = self.text
        self._place = place
        self._set(self._draft if place == len(self._history) else self._history[place], "")

    def take(self) -> str:
        """Return the line as entered; it goes into the history, and an empty one begins."""
        line = self.text
        if line.strip() and self._history[-1:] != [line]:
            self._history = [*self._history, line][-HISTORY:]
        self.drop()
        return line

    def drop(self) -> None:
        """Begin an empty line."""
        self._set("", "")
        self._draft = ""
        self._place = len(self._history)

    # -- the row ----------------------------------------------------------------------------------------------------

    def row(self, width: int) -> str:
        """Return what redraws the row: the prompt, the line as far as it fits into ``width`` columns, the cursor put in
        place.
        """
        room = max(8, width - len(self.prompt) - 1)
        before, after = (
            _shown(self.text[max(0, self.cursor - 4 * room) : self.cursor]),
            _shown(self.text[self.cursor : self.cursor + 4 * room]),
        )
        left, right = _tail(before, room * 3 // 4 if after else room), ""
        right = _head(after, room - columns(left))
        if len(left) < len(before) or self.cursor > 4 * room:
            left = "…" + left[1:]
        if len(right) < len(after):
            right = right[:-1] + "…"
        back = f"\x1b[{columns(right)}D" if right else ""
        return f"\r\x1b[K\x1b[1m{self.prompt}\x1b[0m{left}{right}{back}"


def _shown(text: str) -> str:
    """Return every character on one row: newlines and control characters as signs."""
    return "".join(
        "⏎" if c == "\n" else " " if c == "\t" else "�" if unicodedata.category(c)[0] == "C" else c for c in text
    )


def columns(text: str) -> int:
    """Return how many columns a terminal needs for ``text``."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _tail(text: str, room: int) -> str:
    while columns(text) > room:
        text = text[max(1, (columns(text) - room) // 2) :]
    return text


def _head(text: str, room: int) -> str:
    while columns(text) > room:
        text = text[: -max(1, (columns(text) - room) // 2)]
    return text
