"""An agent in its pane: its input box, its turns, and the reports of its hooks on their way; and the keys of a person.

Nothing here knows the daemon. A method is one step, and does it whatever comes of it.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass(frozen=True)
class Kind:
    """What an agent tells: the text of a submit, and by a line of its transcript that it was interrupted (else its title does)."""

    name: str
    text: bool
    line: bool

    def __repr__(self) -> str:
        return self.name


# Agents whose transcript is written at once and those whose lines come late are one to today's table; those without one are the second.
FULL = Kind("hooks and a transcript", text=True, line=True)
HOOKS = Kind("hooks alone", text=True, line=False)
SILENT = Kind("hooks that do not tell what was submitted", text=False, line=False)
KINDS = (FULL, HOOKS, SILENT)


class Piece(NamedTuple):
    """Some text in an input box: of which prompt (0: a person's)."""

    prompt: int
    text: str


class Told(NamedTuple):
    """A report on its way to the daemon; ``waits``: the hook that brings it, and so the agent, waits for the reply."""

    kind: str
    text: str = ""
    waits: bool = True


@dataclass
class Turn:
    """What an agent works at, and with what words it will end."""

    pieces: list[Piece]

    @property
    def text(self) -> str:
        return "".join(piece.text for piece in self.pieces)

    @property
    def words(self) -> str:
        return f"re {self.text}"


@dataclass
class Pane:
    """The process ``pid`` and what happened to it. ``reached`` and ``reports`` outlive it."""

    kind: Kind
    pid: int = 0
    status: int | None = 0  # how it ended; None: it runs
    box: list[Piece] = field(default_factory=list)
    entered: deque[list[Piece]] = field(default_factory=deque)  # submitted and not taken up yet
    turn: Turn | None = None
    reports: deque[Told] = field(default_factory=deque)
    reached: dict[int, list[str]] = field(default_factory=dict)  # prompt -> the words with which its turns end

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
        return any(told.waits for told in self.reports)

    @property
    def can_begin(self) -> bool:
        return bool(self.entered) and self.turn is None and not self.held_up

    @property
    def can_end(self) -> bool:
        return self.turn is not None and not self.held_up

    def gives_up(self) -> None:
        """The daemon is away: hooks leave what they bring, and the agent goes on."""
        self.reports = deque(told._replace(waits=False) for told in self.reports)

    # -- the process

    def starts(self) -> None:
        self.pid, self.status, self.turn = self.pid + 1, None, None
        self.box, self.entered = [], deque()
        self.reports.append(Told("ready"))

    def dies(self, status: int) -> None:
        """Its row learns that later."""
        self.status, self.turn = status, None
        self.box, self.entered = [], deque()
        self.gives_up()

    # -- keys, a person's and the typist's

    def types(self, text: str, prompt: int = 0) -> None:
        self.box.append(Piece(prompt, text))

    def clears(self) -> None:
        self.box = []

    def enters(self) -> None:
        """Enter: the agent has what stands in its input."""
        if self.box and self.alive:
            self.entered.append(self.box)
            self.box = []

    def escapes(self, back: bool = False) -> None:
        """Escape: the turn is broken off; ``back``: the agent puts its text into the input again."""
        turn, self.turn = self.turn, None
        if turn is not None:
            if back and not self.box:
                self.types(turn.text)
            if self.kind.line:
                self.reports.append(Told("told", waits=False))

    # -- what the agent does

    def begins(self, says: str | None = None) -> None:
        """It takes up what was entered; ``says``: it reports other words than it was given."""
        text = self._works(self.entered.popleft())
        self.reports.append(Told("submit", (text if says is None else says) if self.kind.text else ""))

    def handed(self, prompt: int, text: str) -> None:
        """The reply to its hook: it goes on with that text, and does not report it."""
        self._works([Piece(prompt, text)])

    def _works(self, pieces: list[Piece]) -> str:
        self.turn = Turn(pieces)
        for piece in pieces:
            if piece.prompt:
                self.reached.setdefault(piece.prompt, []).append(self.turn.words)
        return self.turn.text

    def ends(self) -> None:
        assert self.turn is not None
        self.reports.append(Told("stop", self.turn.words))
        self.turn = None

    def fails(self) -> None:
        self.turn = None
        self.reports.append(Told("fail", "API error"))
