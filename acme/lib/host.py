"""What a window may ask of Assist as a whole, and the command that it asks it for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from acme.lib.agent import Agent, Backend, Roster, Session
from anvilsrv.front.tail import Tail


@dataclass(frozen=True, slots=True)
class Call:
    """A command as it was given: its word, what was swept behind it or chorded onto it, and where that came from."""

    word: str
    rest: str
    chord: str | None
    source: str | None

    @property
    def argument(self) -> str:
        """What the command is about: the words behind it, else the chord's argument."""
        return self.rest or (self.chord or "").strip()

    @property
    def words(self) -> list[str]:
        return [*self.rest.split(), *(self.chord or "").split()]


class Host(Protocol):
    """Assist, as its windows see it (`acme.lib.app`)."""

    agent: Agent
    roster: Roster
    online: bool
    home: str
    command: str
    mail: int  # messages in the user's inbox
    trouble: str  # the last background error
    tick: int  # goes on while something runs

    def open(self, kind: str, subject: str = "") -> None: ...
    def label(self, id: str) -> str: ...
    def reread(self, session: Session) -> None: ...
    def edited_too(self, id: str) -> tuple[str, ...]: ...
    def begin(self, backend: Backend, call: Call, beside: str) -> None: ...
    def directory(self, path: str) -> None: ...
    def attach(self, session: Session) -> None: ...
    def fire(self, session: Session, text: str, source: str | None) -> None: ...
    def tail(self, session: str, told: Callable[[bytes], None]) -> Tail: ...
    def turns(self, session: str, told: Callable[[list[str]], None]) -> Tail: ...
    def sync(self) -> None: ...
    def refetch(self) -> None: ...
    def tell(self, text: str) -> None: ...
    def changed_tasks(self) -> None: ...
    def gone(self, pane: object, wanted: bool) -> None: ...
