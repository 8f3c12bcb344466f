"""An agent in its pane: its input box, its turns, the reports of its hooks on their way, its transcript; and the keys of a person.

Nothing here knows the daemon. A method is one step, and does it whatever comes of it.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from anvilsrv.sessions.tasks import Task


@dataclass(frozen=True)
class Kind:
    """What an agent tells: the text of a submit; by a line of its transcript that it was interrupted (else its title does); a name for
    each turn; and whether its transcript is written at once, late, or not at all."""

    name: str
    text: bool = True
    line: bool = True
    ident: bool = True
    transcript: str = "at once"

    def __repr__(self) -> str:
        return self.name


AT_ONCE = Kind("a transcript written at once")
LATE = Kind("a transcript that comes late", transcript="late")
HOOKS = Kind("hooks alone", line=False, ident=False, transcript="")
SILENT = Kind("hooks that do not tell what was submitted", text=False, line=False, ident=False, transcript="")
KINDS = (AT_ONCE, LATE, HOOKS, SILENT)


class Piece(NamedTuple):
    """Some text in an input box: of which prompt (0: a person's)."""

    prompt: int
    text: str


class Told(NamedTuple):
    """A report on its way to the daemon, made ``at``; ``waits``: the hook that brings it, and so the agent, waits for the reply."""

    kind: str
    at: float
    text: str = ""
    ident: str = ""
    waits: bool = True
    wake: bool = False
    pending: tuple[Task, ...] = ()
    task: str = ""


class Line(NamedTuple):
    """A line of the transcript."""

    kind: str
    at: float
    text: str = ""
    ident: str = ""


@dataclass
class Turn:
    """What an agent works at, and every words with which it ended so far."""

    pieces: list[Piece]
    ident: str
    said: list[str] = field(default_factory=list)
    others: list[list[str]] = field(default_factory=list)  # what was said in turns to which its words belong too

    @property
    def text(self) -> str:
        return "".join(piece.text for piece in self.pieces)


@dataclass
class Pane:
    """The process ``pid`` and what happened to it. ``reached``, ``reports``, ``lines`` and tmux's ``buffers`` outlive it."""

    kind: Kind
    tick: Callable[[], float]
    pid: int = 0
    status: int | None = 0  # how it ended; None: it runs
    box: list[Piece] = field(default_factory=list)
    frozen: deque[list[Piece] | None] | None = None  # what it has not read yet, while it is stopped; None: Enter
    entered: deque[list[Piece]] = field(default_factory=deque)  # submitted and not taken up yet
    turn: Turn | None = None
    works: dict[str, Turn] = field(default_factory=dict)  # work in the background -> the turn that began it
    last: str = ""  # the name of the turn that ended last
    reports: deque[Told] = field(default_factory=deque)
    lines: list[Line] = field(default_factory=list)
    unwritten: deque[Line] = field(default_factory=deque)
    buffers: dict[int, str] = field(default_factory=dict)
    reached: dict[int, list[Turn]] = field(default_factory=dict)  # prompt -> the turns that have it
    number: int = 0
    asking: int = 0  # hooks that got something for it, and ask whether they may give it on

    @property
    def alive(self) -> bool:
        return self.status is None

    @property
    def text(self) -> str:
        """What stands in the input."""
        return "".join(piece.text for piece in self.box)

    @property
    def coming(self) -> bool:
        """Whether a report is on its way, or soon will be."""
        return bool(self.reports or self.entered)

    @property
    def held_up(self) -> bool:
        """Whether the agent waits for a hook of its."""
        return bool(self.asking) or any(told.waits for told in self.reports)

    @property
    def can_begin(self) -> bool:
        return bool(self.entered) and self.turn is None and not self.held_up and self.frozen is None

    @property
    def can_join(self) -> bool:
        return bool(self.entered) and self.turn is not None and not self.held_up and self.frozen is None

    @property
    def can_end(self) -> bool:
        return self.turn is not None and not self.held_up and self.frozen is None

    def gives_up(self) -> None:
        """The daemon is away: hooks leave what they bring, and the agent goes on."""
        self.reports, self.asking = deque(told._replace(waits=False) for told in self.reports), 0

    # -- the process

    def starts(self) -> None:
        self.pid, self.status, self.turn, self.works, self.frozen = self.pid + 1, None, None, {}, None
        self.box, self.entered = [], deque()
        self.tell("ready")

    def dies(self, status: int) -> None:
        """Its row learns that later. What it had not written is lost."""
        self.status, self.turn, self.works, self.frozen = status, None, {}, None
        self.box, self.entered = [], deque()
        self.unwritten.clear()
        self.gives_up()

    def freezes(self) -> None:
        self.frozen = deque()

    def thaws(self) -> None:
        """It reads what came meanwhile."""
        unread, self.frozen = self.frozen or deque[list[Piece] | None](), None
        for one in unread:
            if one is None:
                self.enters()
            else:
                self.box += one

    # -- keys, a person's and the typist's

    def types(self, text: str, prompt: int = 0) -> None:
        piece = Piece(prompt, text)
        if self.frozen is not None:
            self.frozen.append([piece])
        else:
            self.box.append(piece)

    def clears(self) -> None:
        if self.frozen is None:
            self.box = []

    def enters(self) -> None:
        """Enter: the agent has what stands in its input."""
        if self.frozen is not None:
            self.frozen.append(None)
        elif self.box and self.alive:
            self.entered.append(self.box)
            self.box = []
            if self.kind.transcript == "at once":
                self.writes("enqueued")

    def escapes(self, back: bool = False) -> None:
        """Escape: the turn is broken off; ``back``: the agent puts its text into the input again."""
        turn, self.turn = self.turn, None
        if turn is not None:
            if back and not self.box:
                self.types(turn.text)
            if self.kind.line:
                self.tell("told", ident=turn.ident, waits=False)

    # -- what the agent tells

    def tell(self, kind: str, text: str = "", ident: str = "", waits: bool = True, **more: Any) -> None:
        self.reports.append(Told(kind, self.tick(), text, ident if self.kind.ident else "", waits, **more))

    def writes(self, kind: str, text: str = "", ident: str = "") -> None:
        """A line of its transcript: there at once, or soon."""
        line = Line(kind, self.tick(), text, ident if self.kind.ident else "")
        if self.kind.transcript == "at once":
            self.lines.append(line)
        elif self.kind.transcript:
            self.unwritten.append(line)

    def flushes(self) -> None:
        """What it has not written yet is written."""
        self.lines.append(self.unwritten.popleft())

    # -- what the agent does

    def begins(self, says: str | None = None) -> None:
        """It takes up what was entered; ``says``: it takes other words than it was given."""
        turn = self._works(self.entered.popleft())
        text = turn.text if says is None else says
        self.writes("taken", text, turn.ident)
        self.tell("submit", text if self.kind.text else "", turn.ident)

    def quits(self) -> None:
        """What was entered ends it: it says nothing."""
        self._works(self.entered.popleft())
        self.dies(0)

    def joins(self) -> None:
        """It takes what was entered into the turn that runs."""
        assert self.turn is not None
        pieces = self.entered.popleft()
        self.turn.pieces += pieces
        self._reach(pieces, self.turn)
        self.writes("joined", "".join(one.text for one in pieces), self.turn.ident)

    def refuses(self) -> None:
        """A hook of the user's own turns it down: nothing comes of it."""
        pieces = self.entered.popleft()
        turn = Turn(pieces, self._name())
        self._reach(pieces, turn)
        self.writes("refused", turn.text, turn.ident)
        if self.kind.line:
            self.tell("refused", turn.text, turn.ident, waits=False)

    def handed(self, prompt: int, text: str) -> None:
        """The reply to its hook: it goes on with that text, and does not report it."""
        self._works([Piece(prompt, text)], self.last or f"t{self.number}")

    def uses_a_tool(self) -> None:
        assert self.turn is not None
        self.writes("assistant")
        self.tell("active", ident=self.turn.ident, waits=False)

    def wakes(self, *which: int) -> None:
        """Work in the background is done, or several at once: it goes on by itself, with a submit for each."""
        others: list[list[str]] = []
        for name in [list(self.works)[at] for at in which or (0,)]:
            self.turn = Turn([], self._name(), self.works.pop(name).said, list(others))
            others.append(self.turn.said)
            self.writes("taken", "<task-notification>", self.turn.ident)
            task = name if self.kind.ident else ""
            self.tell("submit", "<task-notification>", self.turn.ident, wake=True, task=task)

    def ends(self, goes_on: bool = False, pending: bool = False) -> None:
        """It stops; ``goes_on``: a hook of the user's own makes it go on with the same turn, ``pending``: work goes on."""
        assert self.turn is not None
        words = f"re {self.turn.text or 'itself'}" + " again" * len(self.turn.said)
        for said in (self.turn.said, *self.turn.others):
            said.append(words)
        self.writes("assistant")
        if pending:
            self.works[f"b{self.tick():.0f}"] = self.turn
        works = tuple(Task(name if self.kind.ident else "") for name in self.works)
        self.tell("stop", words, self.turn.ident, pending=works)
        self.last = self.turn.ident
        if not goes_on:
            self.turn = None

    def fails(self) -> None:
        ident = self.turn.ident if self.turn is not None else ""
        self.turn = None
        self.tell("fail", "API error", ident)

    def _name(self) -> str:
        self.number += 1
        return f"t{self.number}"

    def _works(self, pieces: list[Piece], ident: str = "") -> Turn:
        self.turn = Turn(pieces, ident or self._name())
        self._reach(pieces, self.turn)
        return self.turn

    def _reach(self, pieces: list[Piece], turn: Turn) -> None:
        for piece in pieces:
            if piece.prompt:
                self.reached.setdefault(piece.prompt, []).append(turn)
