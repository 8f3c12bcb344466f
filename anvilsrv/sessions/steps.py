"""A turn as ``<id>/log`` shows it: what the agent says, as it says it, and between that a line for each tool, edit and question.

A reader's place in a turn is a :class:`Told`: a text that grows is given as far as it has come, and then the rest of it.

Threads: runs on the store's thread, in a job.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from anvilsrv.activity import rows
from anvilsrv.activity.live import squeezed
from anvilsrv.activity.recorder import says
from anvilsrv.display import one_line, shown
from anvilsrv.sessions.blocks import block, header
from anvilsrv.sessions.prompt import Prompt
from anvilsrv.store.store import Tx
from anvilsrv.strict_json import whole

KINDS = ("text", "tool", "edit", "decision")
WIDEST = 200  # characters of a line
LOOKED = 4  # times as much as an answer has, in which it is looked for
LINE = re.compile(r"\n(?=[^\n])")


class Growing(NamedTuple):
    """A text that grows just now."""

    id: str
    text: str


class Given(NamedTuple):
    """How much of a text was given: characters, and those of them that are not blanks, which agents change."""

    characters: int = 0
    solid: int = 0


class Told(NamedTuple):
    """How far a turn was given: the last record, what was given of texts, the text that is open, the prompts that joined; ``steps``:
    the last line is one of a step."""

    record: int = 0
    texts: tuple[tuple[str, Given], ...] = ()
    open: str = ""
    joined: int = 0
    steps: bool = False


class Writer:
    """Writes on from where a reader stands; ``out`` is what came."""

    def __init__(self, told: Told) -> None:
        self.out = bytearray()
        self._record, self._joined = told.record, told.joined
        self._texts = dict(told.texts)
        self._open, self._steps = told.open, told.steps

    @property
    def told(self) -> Told:
        """Where the reader stands now."""
        return Told(self._record, tuple(self._texts.items()), self._open, self._joined, self._steps)

    def turn(
        self, tx: Tx, session: str, turn: int, joined: Sequence[Prompt], growing: Iterable[Growing], most: int
    ) -> bool:
        """Write what has happened in the turn, until it is ``most`` bytes. Returns whether that is all. ``joined`` are
        prompts that were taken into it, in their order.
        """
        grows = {one.id: one.text for one in growing}
        for seq, made in rows.first_told(tx, session, turn, KINDS, self._record):
            if len(self.out) >= most:
                return False
            self._record = seq
            self._join(joined, made["ts"])
            if made["kind"] != "text":
                self._step(tx, session, made)
            elif not made.get("parent") and (ident := str(made.get("id", ""))) not in grows:
                self._whole(rows.newest(tx, session, "text", ident), made["ts"])
        self._join(joined, tx.now.wall)
        for ident, text in grows.items():
            self._say(ident, text, tx.now.wall)
        return True

    def end(self, answer: bytes) -> None:
        """End the turn; ``answer`` is the block of its answer, empty where it was told."""
        self._close()
        self.out += answer

    def _join(self, joined: Sequence[Prompt], until: float) -> None:
        while self._joined < len(joined) and (joined[self._joined].started or joined[self._joined].created) <= until:
            one = joined[self._joined]
            self._joined += 1
            self._close()
            self.out += block("USER", one.started or one.created, one.text)

    def _step(self, tx: Tx, session: str, made: Mapping[str, Any]) -> None:
        if text := _line(tx, session, made):
            if not self._steps:
                self._close()
            indent = "\t  · " if made.get("parent") else "\t· "
            self.out += f"{indent}{one_line(text)[:WIDEST]}\n".encode("utf-8", "replace")
            self._steps = True

    def _whole(self, known: tuple[int, Mapping[str, Any]] | None, when: float) -> None:
        made = known[1] if known is not None else {}
        if made.get("void") or "cut" in made:
            return
        ident = str(made.get("id", ""))
        self._say(ident, made.get("text", ""), when)
        if self._open == ident:
            self._close()

    def _say(self, ident: str, text: str, when: float) -> None:
        """Give the rest of a text. What it ends with waits: line ends may be the end of all."""
        text = shown(text).rstrip("\n")
        given = self._texts.get(ident, Given())
        rest = _rest(text, given)
        if not rest.strip():
            return
        if self._open != ident:
            self._close()
            rest = rest.lstrip("\n") if given.characters else rest
            self.out += header("ASSISTANT", when).encode()
            self.out += b"" if rest.startswith("\n") else b"\t"
            self._open = ident
        self.out += LINE.sub("\n\t", rest).encode("utf-8", "replace")
        self._texts[ident] = Given(len(text), len(squeezed(text)))

    def _close(self) -> None:
        """End the open block: what comes now begins after an empty line."""
        self.out += b"\n\n" if self._open else b"\n" if self._steps else b""
        self._open, self._steps = "", False


def _rest(text: str, given: Given) -> str:
    if len(squeezed(text[: given.characters])) == given.solid:
        return text[given.characters :]
    left = given.solid
    for at, character in enumerate(text):
        if not left:
            return text[at:]
        left -= not character.isspace()
    return ""


def is_told(tx: Tx, session: str, turn: int, answer: str) -> bool:
    """Return whether the texts of a turn contain its answer: agents give the last of them, or all."""
    words, said, size = squeezed(whole(shown(answer))), list[Mapping[str, Any]](), 0  # as it is recorded
    for one in rows.of_turn(tx, session, turn, "text"):  # the last first
        if not one.get("parent"):
            said.append(one)
            size += len(one.get("text", ""))
        if size > LOOKED * (len(answer) + 1000) or len(said) > LOOKED * 1000:
            break
    newest = {one.get("id"): one for one in reversed(said)}
    texts = [one["text"] for one in newest.values() if "text" in one and "cut" not in one]
    return bool(texts) and (not words or says(words, reversed(texts)))


def _line(tx: Tx, session: str, made: Mapping[str, Any]) -> str:
    match made["kind"]:
        case "tool" if made.get("type") != "edit":
            name, title = made.get("name", ""), made.get("title", "")
            return f"{name} {title}".strip() if title != name else name
        case "edit":
            return _edit(tx, session, made)
        case "decision":
            asked = rows.newest(tx, session, "ask", str(made.get("id", "")))
            question = asked[1].get("text", "") if asked is not None else ""
            return f"{question.strip().partition(chr(10))[0]} → {made.get('choice') or made.get('by', '')}"
    return ""  # an edit's own line says what came of it


def _edit(tx: Tx, session: str, made: Mapping[str, Any]) -> str:
    """Return a line such as ``Edit lexer:41 +3 −1``."""
    tool = rows.newest(tx, session, "tool", str(made.get("id", "")))
    name = (tool[1].get("name") if tool is not None else "") or "Edit"
    place = made.get("path", "") + (f":{made['line']}" if made.get("line") is not None else "")
    counts = f" +{made['added']} −{made['removed']}" if "added" in made and "removed" in made else ""
    return f"{name} {place}{counts}"
