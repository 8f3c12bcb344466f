"""The model behind every stand-in service: it does what the prompt tells it to.

A prompt may hold directives, one a line, carried out one for each request of the turn:

    @@say TEXT             answer TEXT (a literal ``\\n`` starts a new line)
    @@size BYTES           answer so many bytes of lines (``sized``)
    @@slow SECONDS TEXT    answer word by word, SECONDS in all
    @@hold NAME TEXT       answer the first half, wait until ``release(NAME)``, answer the rest
    @@mute NAME TEXT       send not a byte until ``release(NAME)``
    @@call TOOL JSON       use a tool; its result asks for the next directive
    @@both TOOL JSON ;; TOOL JSON ...    use several at once
    @@fail STATUS [times=N] [header=value ...] MESSAGE    refuse, N times (for good without it)

Without directives left the answer after a tool is ``tool said: ...`` and otherwise ``heard <length> <sha256>``, which
shows whether the prompt arrived byte for byte.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

DIRECTIVE = re.compile(r"^\s*@@(say|size|slow|hold|mute|call|both|fail)\b[ ]?(.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Ask:
    """One request, in words that no service owns."""

    prompt: str  # the newest text of a person, the whole of it
    results: tuple[str, ...] = ()  # results of tools since that text, oldest first
    tools: tuple[str, ...] = ()  # names of the tools on offer
    system: str = ""
    side: bool = False  # housekeeping of the agent (titles, summaries), not the conversation
    raw: dict[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Say:
    text: str
    seconds: float = 0.0
    gate: str = ""
    mute: bool = False


@dataclass(frozen=True)
class Call:
    tools: tuple[tuple[str, dict[str, Any]], ...]  # name, arguments


@dataclass(frozen=True)
class Fail:
    status: int
    message: str
    headers: dict[str, str] = field(default_factory=dict)


Reply = Say | Call | Fail


def _tool(text: str) -> tuple[str, dict[str, Any]]:
    tool, _, arguments = text.strip().partition(" ")
    return tool, json.loads(arguments or "{}")


def heard(prompt: str) -> str:
    """Return what the model answers to a prompt without directives."""
    data = prompt.encode()
    return f"heard {len(data)} {hashlib.sha256(data).hexdigest()[:16]}"


def sized(count: int) -> str:
    """Return that many bytes of lines, each another."""
    return "".join(f"line {number} {'x' * 60}\n" for number in range(count // 60))[:count]


class Model:
    """Answers requests and remembers them; used by many connections at once."""

    def __init__(self) -> None:
        self.asks: list[Ask] = []
        self._changed = threading.Condition()
        self._released: set[str] = set()
        self._failures: dict[str, int] = {}
        self._closed = False

    def release(self, gate: str) -> None:
        """Let the answer held under this name go on, now or when it comes."""
        with self._changed:
            self._released.add(gate)
            self._changed.notify_all()

    def restart(self) -> None:
        """Remember nothing of what was asked and released: another test begins."""
        with self._changed:
            self.asks.clear()
            self._released.clear()
            self._failures.clear()

    def close(self) -> None:
        """Let everything held go."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def prompts(self) -> list[str]:
        """Return the prompts of the conversation proper, each once per turn, oldest first."""
        with self._changed:
            return [ask.prompt for ask in self.asks if not ask.side and not ask.results]

    @property
    def last(self) -> Ask:
        """The last request of the conversation proper; the agent may ask for a title at any time."""
        with self._changed:
            return [ask for ask in self.asks if not ask.side][-1]

    def wait(self, count: int, timeout: float = 120.0) -> list[str]:
        """Wait until so many prompts arrived; AssertionError with what came if they do not."""
        with self._changed:
            done = self._changed.wait_for(lambda: self._count() >= count, timeout)
        assert done, f"{self._count()} of {count} prompts arrived: {self.prompts()}"
        return self.prompts()

    def _count(self) -> int:
        return sum(1 for ask in self.asks if not ask.side and not ask.results)

    def reply(self, ask: Ask) -> Reply:
        with self._changed:
            self.asks.append(ask)
            self._changed.notify_all()
        if ask.side:
            return Say("housekeeping")
        for kind, rest in self._left(ask):
            answer = self._carry_out(kind, rest, ask)
            if answer is not None:
                return answer
        return Say(f"tool said: {ask.results[-1]}" if ask.results else heard(ask.prompt))

    @staticmethod
    def _left(ask: Ask) -> list[tuple[str, str]]:
        """Return the directives that are still to be carried out: every result of a tool settles (a part of) one."""
        orders, settled = DIRECTIVE.findall(ask.prompt), len(ask.results)
        while settled > 0 and orders:
            kind, rest = orders.pop(0)
            settled -= len(rest.split(" ;; ")) if kind == "both" else 1
        return orders

    def _carry_out(self, kind: str, rest: str, ask: Ask) -> Reply | None:
        if kind == "say":
            return Say(rest.replace("\\n", "\n"))
        if kind == "size":
            return Say(sized(int(rest)))
        if kind in ("call", "both"):
            return Call(tuple(_tool(part) for part in (rest.split(" ;; ") if kind == "both" else [rest])))
        first, _, text = rest.replace("\\n", "\n").partition(" ")
        if kind == "slow":
            return Say(text, seconds=float(first))
        if kind in ("hold", "mute"):
            return Say(text, gate=first, mute=kind == "mute")
        return self._fail(int(first), text, ask)

    def _fail(self, status: int, rest: str, ask: Ask) -> Fail | None:
        pairs = dict(re.findall(r"(?:^|(?<= ))([\w-]+)=(\S+)", rest))
        times = pairs.pop("times", None)
        message = re.sub(r"(^|(?<= ))[\w-]+=\S+ ?", "", rest).strip() or "refused by the stand-in"
        if times is not None:
            with self._changed:
                count = self._failures[ask.prompt] = self._failures.get(ask.prompt, 0) + 1
            if count > int(times):
                return None
        return Fail(status, message, pairs)

    def open(self, say: Say) -> None:
        """Before the first byte of an answer."""
        if say.mute:
            self._await(say.gate)

    def _await(self, gate: str) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or gate in self._released)

    def pieces(self, say: Say) -> Iterator[str]:
        """Yield the text of an answer in the pieces and at the pace in which it is to be sent."""
        words = re.findall(r"\s*\S+|\s+", say.text) or [""]
        if say.gate and not say.mute:
            half = (len(words) + 1) // 2
            yield "".join(words[:half])
            self._await(say.gate)
            yield "".join(words[half:])
        elif say.seconds:
            for word in words:
                with self._changed:
                    self._changed.wait_for(lambda: self._closed, say.seconds / len(words))
                yield word
        else:
            yield say.text
