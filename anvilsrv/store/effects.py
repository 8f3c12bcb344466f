"""What a job wants done in the world once it is on disk: frozen values, performed once, in order, by the daemon (app.py).

They are for what happens and is not state. What *is* stands in rows, and the parts that act on it follow the rows.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol


class Event(NamedTuple):
    """``seq``; the sessions it concerns (empty: none in particular); its line without the newline."""

    seq: int
    sessions: frozenset[str]
    line: bytes


class Item(NamedTuple):
    """An object of ``activity``: its number, the turn that it belongs to, its kind, its line with the newline."""

    seq: int
    turn: int
    kind: str
    line: bytes


class Waiting(Protocol):
    """A hook program that brought a report and waits for the reply (tree/hook.py). Called on the store's thread."""

    def answer(self, reply: Mapping[str, Any]) -> None:
        """Send the reply: ``stdout`` and ``exit`` of the hook program, or nothing."""


@dataclass(frozen=True)
class Publish:
    """Readers of ``events`` get this event."""

    event: Event


@dataclass(frozen=True)
class Said:
    """Readers of ``<id>/activity`` get these; the blocks that are ``whole`` (kind, id) grow no more."""

    session: str
    items: tuple[Item, ...]
    whole: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Later:
    """What ``session`` does, and what its agent says, is to be told in ``delay`` seconds."""

    session: str
    delay: float


@dataclass(frozen=True)
class Wake:
    """Those who wait for this topic look again."""

    topic: str


@dataclass(frozen=True)
class Note:
    """A line for the daemon's log; ``level`` is one of logging's."""

    level: int
    text: str


@dataclass(frozen=True)
class Asked:
    """The agent of ``session`` asked something in report ``number``: ``by`` waits for the answer, which ``reply(choice)`` puts into its
    words; ``otherwise`` is the reply if it is not answered."""

    session: str
    number: str
    by: Waiting
    reply: Callable[[str], Mapping[str, Any]]
    otherwise: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Unasked:
    """That question of ``session`` is over; its asker gets ``reply`` (None: it was not answered)."""

    session: str
    number: str
    reply: Mapping[str, Any] | None


@dataclass(frozen=True)
class Given:
    """``by``, who asked under the number ``link`` for the next prompt of ``session``, gets it."""

    session: str
    link: str
    by: Waiting
    reply: Mapping[str, Any]


@dataclass(frozen=True)
class Interrupt:
    """Press the keys that break off a turn."""

    session: str


@dataclass(frozen=True)
class Clear:
    """Clear the agent's input, where it holds nothing but texts that we typed."""

    session: str


Effect = Publish | Said | Later | Wake | Note | Asked | Unasked | Given | Interrupt | Clear
