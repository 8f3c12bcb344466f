"""One session: its six states, which changes between them are legal, its row, and the picture of it that readers see.

The picture (:class:`View`) is immutable and rebuilt from the rows after each commit that touched the session, so
the 9P thread reads it without a lock, and followers compare the one before with the one after.
"""

import json
import re
import sqlite3
from dataclasses import dataclass, field, fields
from enum import StrEnum
from functools import lru_cache
from typing import Any

from anvilsrv.display import one_line, standing
from anvilsrv.errors import Invalid, NotPermitted
from anvilsrv.sessions import gate, questions
from anvilsrv.sessions.gate import Gate
from anvilsrv.sessions.machine import Status
from anvilsrv.sessions.notes import needs, notes
from anvilsrv.words import ROOT


class State(StrEnum):
    """What a session is, as the file ``state`` says it (anvilsrv(4))."""

    STARTING = "starting"
    IDLE = "idle"
    RUNNING = "running"
    STOPPED = "stopped"
    ERROR = "error"
    EXITED = "exited"


class Wanted(StrEnum):
    """What the user wants of a session's process."""

    RUN = "run"
    STOP = "stop"
    RESTART = "restart"
    FRESH = "fresh"  # restarted with a new conversation
    OVER = "over"  # its time is over: it stops, and says so
    LOG = "log"  # restarted with a new one that has the log of the old one as its context


# from -> the states that may follow (`exited` is reached from anywhere and left never)
LEGAL: dict[State, frozenset[State]] = {
    State.STARTING: frozenset({State.IDLE, State.STOPPED, State.ERROR, State.EXITED}),
    State.IDLE: frozenset({State.RUNNING, State.STARTING, State.STOPPED, State.ERROR, State.EXITED}),
    State.RUNNING: frozenset({State.IDLE, State.STARTING, State.STOPPED, State.ERROR, State.EXITED}),
    State.STOPPED: frozenset({State.STARTING, State.EXITED}),
    State.ERROR: frozenset({State.STARTING, State.STOPPED, State.EXITED}),
    State.EXITED: frozenset(),
}
LIVE = (State.STARTING, State.IDLE, State.RUNNING)

ALIAS = re.compile(r"[A-Za-z0-9_-]{1,64}")
ID = re.compile(r"[0-9a-f]{8}")


def check_change(before: State, after: str) -> State:
    """Return the state called ``after``. Raises Invalid for a word that is not a state, Conflict for a change that is
    not legal.
    """
    try:
        state = State(after)
    except ValueError:
        raise Invalid(f"invalid state '{after}' (expected {', '.join(State)})") from None
    if state != before and state not in LEGAL[before]:
        raise NotPermitted(f"cannot go from {before} to {state}")
    return state


def check_alias(alias: str) -> str:
    """Return ``alias`` if it may name a session (``[A-Za-z0-9_-]+``, no file of the root, nothing like an id)."""
    if not ALIAS.fullmatch(alias):
        raise Invalid(f"invalid alias '{alias[:80]}': only letters, digits, '_' and '-', at most 64")
    if alias in ROOT:
        raise Invalid(f"invalid alias '{alias}': a file has that name")
    if ID.fullmatch(alias):
        raise Invalid(f"invalid alias '{alias}': it looks like an id")
    return alias


def same(alias: str) -> str:
    """Return what is equal for aliases that a person takes for the same."""
    return alias.casefold().replace("-", "").replace("_", "")


@dataclass(frozen=True)
class Session:
    """A row of the table ``sessions``. Times are in seconds since the epoch; ``policy`` is the file ``sandbox``."""

    id: str
    seq: int
    alias: str
    backend: str
    cwd: str
    role: str
    tasks: tuple[str, ...]
    parent: str | None
    state: State
    wanted: Wanted
    error: str
    context: bytes
    conversation: str | None
    transcript: str | None
    pane: str | None
    pid: int  # 0: no process
    tier: str
    policy: str
    crashes: int  # in a row
    since: int  # the last turn before its conversation began; 0: none
    carried: int  # the last turn whose log the first prompt of its conversation has before it; 0: none
    handed: int  # turns in a row that were begun through the stop hook
    numbers: int  # the last number of a prompt that was given
    gate: Gate  # who holds the queue
    ask: tuple[dict[str, Any], ...]  # the open questions, oldest first
    usage: dict[str, Any]
    created: float
    changed: float
    started: float | None
    began: float | None  # when its process was started, on the monotonic clock
    doing: str  # in a turn, what its agent does
    doing_since: float | None  # when that began, or it came into this state
    seen: int  # the number of the last prompt whose answer the user has looked at
    command: tuple[str, ...]  # what is run, where the backend takes any
    chosen: dict[str, str]  # options of its agent, by name
    itself: dict[str, Any]  # what its agent tells of itself (activity/itself.py)
    limits: dict[str, str]  # those that the user set, as they were written
    ran: float | None  # when its run began, on the monotonic clock; None: it will begin with the next start
    branch: str  # its own; empty: it works on the user's
    forked: str | None  # the conversation with which its own begins
    beside: str  # the session whose sandbox it shares; empty: it has its own
    told: float | None  # when an interrupt was told last, or its process ended, on the same

    @property
    def live(self) -> bool:
        """True if there is an agent, or soon will be."""
        return self.state in LIVE

    @property
    def label(self) -> str:
        """The alias, or else the id."""
        return self.alias or self.id

    @property
    def controls(self) -> bool:
        """True if its policy lets it prompt and control the sessions that it spawned."""
        return any(line.startswith("agents\tcontrol\t") for line in self.policy.splitlines())

    def agent(self) -> dict[str, Any]:
        """Return the model and the mode of its agent, those that were chosen for it first, and the part of its context
        that is left, in percent; what is unknown is empty, or None.
        """
        return {
            "model": self.chosen.get("model") or self.itself.get("model", ""),
            "mode": self.chosen.get("mode") or self.itself.get("mode", ""),
            "context_left": self.itself.get("context_left"),
        }

    def shown_of_emacs(self) -> list[str]:
        """Return what of the user's Emacs its sandbox's policy lets it ask for."""
        return [line.split("\t")[1] for line in self.policy.splitlines() if line.startswith("emacs\t")]

    def readable(self) -> tuple[list[str], list[str]]:
        """Return the paths that its sandbox's policy grants, and those below them that the session does not see, or has
        as its own.
        """
        lines = [line.split("\t") for line in self.policy.splitlines()]
        granted = [line[1] for line in lines if line[0] in ("ro", "rox", "rw", "rwx")]
        return granted, [line[1] for line in lines if line[0] in ("hidden", "private")]

    def limit(self, name: str) -> str:
        """Return a limit of its sandbox as it is written, ``none`` for none."""
        found = (line.split("\t") for line in self.policy.splitlines())
        return next((one[2].partition(" ")[0] for one in found if one[:2] == ["limit", name]), "none")

    def refusal(self) -> str:
        """Return why a session that is not live takes nothing, as an error says it."""
        return f"session '{self.id}' {standing(self.state)}" + (f": {self.error}" if self.error else "")


COLUMNS = tuple(one.name for one in fields(Session))


@lru_cache(maxsize=1024)
def _tasks(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))


def from_row(row: sqlite3.Row) -> Session:
    """Return the typed value of a row."""
    made: dict[str, Any] = {name: row[name] for name in COLUMNS}
    made["alias"] = row["alias"] or ""
    made["tasks"] = _tasks(row["tasks"])
    made["state"], made["wanted"] = State(row["state"]), Wanted(row["wanted"])
    made["ask"] = questions.kept(json.loads(row["ask"]) if row["ask"] else None)
    made["usage"] = json.loads(row["usage"]) if row["usage"] != "{}" else {}
    made["limits"] = json.loads(row["limits"]) if row["limits"] != "{}" else {}
    made["gate"] = gate.read(row["gate"])
    made["command"] = _tasks(row["command"])
    made["chosen"] = json.loads(row["chosen"]) if row["chosen"] != "{}" else {}
    made["itself"] = json.loads(row["itself"]) if row["itself"] != "{}" else {}
    return Session(**made)


@dataclass(frozen=True)
class View(Session):
    """What is shown of a session, and what its followers act on."""

    queued: int = 0  # prompts in the queue
    turns: int = 0  # number of the last turn
    last: int = 0  # number of the last prompt
    background: int = 0  # turns of which work goes on after their words
    answered: int = 0  # number of the last prompt that is answered, or failed
    in_turn: int = 0  # number of the turn that is open; 0: none
    prompt: int = 0  # the prompt that is on its way; 0: none
    status: Status | None = None  # of that prompt
    tries: int = 0  # how often it was chosen
    handed_over: bool = False  # a reply to a hook carries it: it is not typed
    times: dict[str, float] = field(default_factory=dict)  # when what a file shows changed

    @property
    def on_its_way(self) -> bool:
        """Whether a prompt is being delivered."""
        return self.prompt != 0

    def gaps(self) -> list[str]:
        """Return what its sandbox does not enforce here, in words; empty if it enforces everything."""
        return [line[4:] for line in self.policy.splitlines() if line.startswith("gap\t")]

    def left(self) -> list[str]:
        """Return what its turns left in repositories: commits, and what may run something outside."""
        return [
            line for line in self.policy.splitlines() if line.startswith(("commits\t", "planted\t", "unprotected\t"))
        ]

    def forwards(self, *words: str) -> list[int]:
        """Return the ports of its sandbox that are served on this machine's loopback: by ``forward``, by ``publish``,
        or both.
        """
        lines = [line.split("\t") for line in self.policy.splitlines()]
        return sorted(
            {int(line[1].removeprefix("tcp ")) for line in lines if line[0] in (words or ("forward", "publish"))}
        )

    def line(self) -> str:
        """Return its line in ``list``."""
        branch = f"\t{one_line(self.branch)}" if self.branch else ""
        return f"{self.id}\t{self.alias or '-'}\t{self.state}\t{self.pid}\t{one_line(self.cwd)}{branch}\n"

    def needs(self, mailed: bool) -> str:
        """Return what it needs its user for; ``mailed``: mail of it waits in the user's inbox."""
        return needs(self.state, bool(self.ask), not self.gate.open, mailed, self.answered > self.seen)

    def summary(self, attach: str, unread: int, mailed: bool = False) -> dict[str, Any]:
        """Return its object in ``sessions``; ``attach`` is the content of ``tmux``, ``unread`` the number of messages
        in its inbox, ``mailed`` whether mail of it waits in the user's.
        """
        shown = {
            "id": self.id, "alias": self.alias, "backend": self.backend, "cwd": self.cwd, "state": self.state, "pid": self.pid,
            "branch": self.branch, "beside": self.beside,
            "role": self.role, "tasks": list(self.tasks), "parent": self.parent, "tmux": attach,
            "ask": questions.shown(self.ask[0]) if self.ask else None, "asks": [questions.shown(one) for one in self.ask],
            "unread": unread, "queued": self.queued, "background": self.background, "since": self.doing_since or self.created,
            "doing": self.doing if self.state == State.RUNNING else "", "seen": self.seen, "answered": self.answered,
            "held": self.gate.why, "usage": self.usage, **self.agent(),
            "error": self.error, "sandbox_tier": self.tier,
            "sandbox_gaps": self.gaps(), "left": self.left(), "forwards": self.forwards(), "emacs": self.shown_of_emacs(),
            "context": self.context.decode("utf-8", "replace"),
            "created": self.created, "changed": self.changed,
        }  # fmt: skip
        return shown | {"notes": notes(shown), "needs": self.needs(mailed)}
