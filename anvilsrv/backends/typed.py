"""What is typed for a prompt: a text that the agent takes for one, and that it reports as it was typed. Pure.

An agent takes some characters away, takes some texts for commands of its own, and ends at others. What it takes away is taken away
before, so that its report can be compared; a guard makes a text harmless, or refuses it with a sentence that says what to do instead.

Texts are others' and may have megabytes. A pattern can cost the square of its text, and while it is searched nothing else runs, so
guards see the two ends of a long one only.
"""

import json
import re
from dataclasses import dataclass

END = 2048  # characters at either end that guards see of a longer text
PART = 32768  # the same of what an agent says


@dataclass(frozen=True)
class Drop:
    """Characters that the agent takes away: ``anywhere``, at the ``start`` or at the ``end``."""

    anywhere: str = ""
    start: str = ""
    end: str = ""

    def kept(self, text: str) -> str:
        """Return what is left."""
        if self.anywhere:  # str.translate looks each character up
            text = re.sub(f"[{re.escape(self.anywhere)}]", "", text)
        return text.lstrip(self.start).rstrip(self.end)


@dataclass(frozen=True)
class Guard:
    """A prompt that matches ``when`` gets ``prefix`` and ``suffix``, so that the agent takes it for text; or it is ``refuse``\\ d,
    which says why."""

    when: re.Pattern[str]
    prefix: str
    suffix: str
    refuse: str


@dataclass(frozen=True)
class Input:
    """How a prompt is typed. ``settle`` and ``confirm`` in seconds; ``empty`` matches an empty input line, ``busy`` a
    screen of an agent that keeps what was entered until it can take it; ``most`` is how many characters the agent takes, ``line`` how
    many in one line, ``bytes`` how many bytes it takes as JSON; 0: as many as there are."""

    settle: float
    submit: tuple[str, ...]
    clear: tuple[str, ...]
    confirm: float
    empty: re.Pattern[str] | None
    find: re.Pattern[str] | None
    styled: bool
    busy: re.Pattern[str] | None
    drop: Drop
    most: int
    line: int
    bytes: int
    guards: tuple[Guard, ...]

    def safe(self, text: str) -> str:
        """Return the text as it is typed, without empty lines before it: an input whose first line is empty may look
        free.
        """
        text = self.drop.kept(text)
        begins = len(text) - len(text.lstrip())
        text = text[text.rfind("\n", 0, begins) + 1 :] if begins < len(text) else text
        for guard in self.guards:
            if not guard.refuse and guard.when.search(ends(text)):
                text = guard.prefix + text + guard.suffix
        return text

    def refusal(self, text: str) -> str:
        """Return why the text cannot be typed; empty if it can."""
        kept = self.drop.kept(text)
        if not kept.strip():
            return "the agent would take nothing of it: it has no character but blanks and invisible ones"
        if self.most and (length := units(self.safe(text))) > self.most:
            return f"it has {length:,} characters, and the agent takes {self.most:,}: put it into a file, and name that"
        if self.line and (longest := max(map(units, kept.split("\n")))) > self.line:
            return f"a line of it has {longest:,} characters, and the agent takes {self.line:,}: put it into a file, and name that"
        if (
            self.bytes
            and (size := len(json.dumps(kept, ensure_ascii=False).encode("utf-8", "replace")) - 2) > self.bytes
        ):
            return (
                f"it has {size:,} bytes as JSON, and the agent takes {self.bytes:,}: put it into a file, and name that"
            )
        return next((one.refuse for one in self.guards if one.refuse and one.when.search(ends(kept))), "")


def ends(text: str, size: int = END) -> str:
    """Return a text, if it is not long; else ``size`` characters of its beginning and of its end."""
    return text if len(text) <= 2 * size else f"{text[:size]}\n{text[-size:]}"


def bounded(text: str) -> str:
    """Return the part of an agent's text that patterns are searched in."""
    return ends(text, PART)


def units(text: str) -> int:
    """Return how long a text is for programs that count in UTF-16: an emoji is two."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2
