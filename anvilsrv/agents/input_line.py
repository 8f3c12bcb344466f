"""What an agent's input shows, compared with what we typed.

Agents draw a text in their own way: wrapped, in a box, shortened, or as a placeholder for something long. So what is compared are the
characters that everybody draws. Where only a part of a long text is shown, that part must be in it, in one piece. Pure.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

from anvilsrv.backends.backend import Backend
from anvilsrv.display import plain
from anvilsrv.sessions.happened import Look
from anvilsrv.tmux.screen import Screen

LINES = re.compile("[─-▟⏎…�]")  # what boxes are drawn with, and signs for what cannot be shown
RULER = re.compile(r"^\s*\S?[─━═▀▄▁▔]{3}")  # the edge of a box
MARK = re.compile(r"^[\s│┃|]*[❯>›!$*#%]\s?")  # what stands before an input
PLACEHOLDER = re.compile(r"\[Pasted[^\]\n]*\]", re.IGNORECASE)  # how a long text is shown
JOINED = re.compile(
    "[\u200d\ufffd][\u2600-\u27bf\U0001f000-\U0001faff]?|[\U0001f3fb-\U0001f3ff]"
)  # tmux draws not all of a joined sign, and some agents draw what joins it as a sign of its own
PART = 100  # characters of a text that are taken for a part of it although nothing says that more is there
LINES_LEFT = 100  # of a text, that may be left of it
LONG = 200  # characters of a text for which an agent may show a placeholder


def compare(backend: Backend, screen: Screen, words: str, texts: Iterable[str]) -> Look:
    """Return what the input shows: ``words`` is what was typed last, ``texts`` what else may be of ours."""
    if backend.input.empty is None:
        return Look.UNKNOWN
    if is_free(backend, screen):
        return Look.FREE
    rows = rows_of(backend, screen)
    ours, drawn = drawable(words), list(_ends(rows))
    if ours and any(_is(one, ours, words) for one in drawn):
        return Look.OURS
    known = sorted({made for one in (words, *texts) for made in _left(one)} - {""}, key=len, reverse=True)
    long = any(_is_long(one) for one in (words, *texts))
    if any(_made_of(one, known, long) for one in drawn):
        return Look.ONLY_OURS
    return Look.AMONG if ours and any(ours in drawable(one) for one in drawn) else Look.MIXED


def is_free(backend: Backend, screen: Screen) -> bool:
    """Return whether the input is empty: its first line, and what is below it in the same frame."""
    if not backend.free(screen):
        return False
    whole = backend.input.find is None or "\n" in (
        backend.input_line(screen) or ""
    )  # what is seen of it is all there is
    rows = [] if whole else rows_of(backend, screen)
    end = next((at for at, row in enumerate(rows) if at and RULER.match(row)), 1)
    return not any(drawable(row) for row in rows[1:end])


def rows_of(backend: Backend, screen: Screen) -> list[str]:
    """Return the rows from the one in which the input begins; from the one with the cursor if the backend gives no
    other place.
    """
    lines = [plain(line) for line in screen.lines]
    if backend.input.find is None:
        return lines[screen.y : screen.y + 1] if screen.y < len(lines) else []
    text = "\n".join(screen.lines)
    found = max(backend.input.find.finditer(text), key=re.Match.start, default=None)
    return [] if found is None else lines[text.count("\n", 0, found.start()) :]


def standing(backend: Backend, screen: Screen, words: str) -> list[int]:
    """Return the rows of the screen, from 0, in which ``words`` of ours begin and end, and the one with the cursor:
    there a key changes something.
    """
    rows, ours = rows_of(backend, screen), drawable(words)
    top = screen.y if backend.input.find is None else len(screen.lines) - len(rows)
    ends = [said.count("\n") for said in _ends(rows) if ours and _is(said, ours, words)]
    return [top, *(top + end for end in ends[:1]), screen.y]


def drawable(text: str) -> str:
    """Return the characters of a text that every agent draws."""
    known = JOINED.sub("", unicodedata.normalize("NFC", plain(text)))
    kept = (c for c in known if unicodedata.category(c)[0] not in "CZM")
    return LINES.sub("", "".join(kept))


def _ends(rows: Sequence[str]) -> Iterator[str]:
    """Yield what may be the whole input: its first rows, up to each that is followed by an empty row, a ruler or
    nothing.
    """
    said = ""
    for at, row in enumerate(rows):
        if RULER.match(row) and at:
            return
        said += MARK.sub("", row, count=1) if not at else row
        following = rows[at + 1] if at + 1 < len(rows) else ""
        if not drawable(following) or RULER.match(following):
            yield said
        said += "\n"


def _is(shown: str, ours: str, words: str) -> bool:
    """Return whether that is our text: whole, as a placeholder, or a part of it if not all can be seen."""
    line = drawable(shown)
    if line == ours:
        return True
    if _is_long(words) and PLACEHOLDER.fullmatch(shown.strip()):
        return True
    part = "…" in shown or len(line) >= PART
    return part and len(line) > 3 and line in ours


def _left(text: str) -> Iterator[str]:
    """Yield a text, and its first and its last lines: each key that clears an input removes one line, before or after
    the cursor.
    """
    lines = text.split("\n")
    said = ""
    for line in lines[:LINES_LEFT]:
        said += drawable(line)
        yield said
    said = ""
    for line in reversed(lines[-LINES_LEFT:]):
        said = drawable(line) + said
        yield said
    yield drawable(text)


def _is_long(text: str) -> bool:
    return len(text) > LONG or "\n" in text


def _made_of(shown: str, known: Sequence[str], long: bool) -> bool:
    """Return whether nothing is there but such texts, one after the other."""
    bare = PLACEHOLDER.sub("", shown) if long else shown
    rest = drawable(bare)
    if not rest:
        return bare != shown
    while rest:
        first = next((one for one in known if rest.startswith(one)), None)
        if first is None:
            return any(one.startswith(rest) or one.endswith(rest) for one in known) and len(rest) >= PART
        rest = rest[len(first) :]
    return True
