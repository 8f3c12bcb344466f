"""Values that go into the machines and come out of them: what happened, what was seen when someone looked, and what came of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from anvilsrv.sessions.prompt import Prompt
from anvilsrv.sessions.tasks import Task


@dataclass(frozen=True)
class Happened:
    """Something that was reported or asked for. ``at``: when (monotonic, s). ``ident``: the agent's own name of the turn.

    ``text`` is what was submitted (None: it is not told), ``response`` what was said, ``reason`` why it failed, ``until`` when the
    limit that it failed on ends (epoch, s), ``pending`` the work that goes on in the background (None: it is not told), ``task`` the
    agent's own name of the work that woke it, ``handover`` the reply in which the next mail may be given, ``status`` how the process
    ended.
    """

    at: float
    ident: str = ""
    text: str | None = None
    response: str = ""
    reason: str = ""
    until: float | None = None
    pending: tuple[Task, ...] | None = None
    task: str = ""
    handover: str = ""
    status: int | None = None


class Look(Enum):
    """What the agent's input shows, compared with what we typed."""

    FREE = auto()  # nothing
    OURS = auto()  # exactly the prompt on its way
    ONLY_OURS = auto()  # nothing but texts that we typed
    AMONG = auto()  # the prompt on its way, and other words
    MIXED = auto()  # something else
    UNREAD = auto()  # nothing that counts: the agent has not read yet what was typed last
    UNKNOWN = auto()  # the kind of agent does not say what its input looks like


@dataclass(frozen=True)
class Proof:
    """A line of the transcript that says that the prompt was taken: when, in which turn, and whether that ran already."""

    at: float
    ident: str = ""
    joined: bool = False


@dataclass(frozen=True)
class Seen:
    """What was found out about a prompt on its way, outside of a job. ``trusted``: the transcript of this kind of agent is written at
    once; ``silent``: nothing at all was written there since the paste; ``unpasted``: tmux still has what was to be pasted; ``shown``:
    by what it is known, when Enter is pressed, that the input still shows that."""

    look: Look | None = None
    proof: Proof | None = None
    trusted: bool = False
    silent: bool = False
    unpasted: bool = False
    shown: str = ""


NOTHING = Seen()


@dataclass(frozen=True)
class Began:
    """The agent took this prompt."""

    prompt: Prompt


@dataclass(frozen=True)
class Handed:
    """This prompt is to be given in the reply to a hook."""

    prompt: Prompt


@dataclass(frozen=True)
class Ended:
    """This prompt is answered, or (``error``) cannot be; ``again``: later words replace the answer that it had."""

    prompt: Prompt
    response: str | None
    error: str | None
    again: bool = False


@dataclass(frozen=True)
class Press:
    """The keys that interrupt are to be pressed."""


@dataclass(frozen=True)
class Tidy:
    """What stands in the input is to be cleared, where that is nothing but texts of ours."""


Outcome = Began | Handed | Ended | Press | Tidy
Outcomes = Iterator[Outcome]
