"""The machine of turns, as data: what is done to a turn when a report about it comes.

Pure. Which turn a report is about is found by the agent's own name for it (``turn_rows.py``); where the agent has none, it is the open
turn, else the last. A report's time decides, never the order in which reports are heard. What the agent begins because work in the
background is done belongs to the turn that began that work, where the agent names it (``tasks.py``). It may tell of the end of several
works before it says a word: then its words are those of each of their turns.

A turn is OPEN from its submit to its end. Where the agent said its words and work of its own goes on in the background it is PENDING,
else CLOSED. At most one turn of a session is OPEN.
"""

from enum import Enum, StrEnum, auto


class TurnStatus(StrEnum):
    """Of a turn."""

    OPEN = "open"
    PENDING = "pending"
    CLOSED = "closed"


class Heard(Enum):
    """What is heard about a turn."""

    SUBMIT = auto()  # a prompt was submitted
    WAKE = auto()  # the agent submitted a prompt of its own
    JOINED = auto()  # another prompt was taken into it
    END = auto()  # it stopped or failed, or an interrupt was reported
    ACTIVE = auto()  # a tool reported: the turn continues
    DIED = auto()  # the process is gone


class When(Enum):
    """What decides between the alternatives of a cell."""

    OLD = auto()  # from a process that is gone; if turns have no names: older than the last reported interrupt
    OLDER = auto()  # SUBMIT: older than the open turn. END: not later than the turn's beginning and last activity
    AGAIN = auto()  # SUBMIT: of this turn, heard before
    NEWER = auto()  # later than its end
    MEANT = auto()  # WAKE: it is known which turn began the work that woke the agent, or only one can have
    BUSY = auto()  # another turn is open
    TOGETHER = auto()  # WAKE: the open turn began with a wake too, and nothing has happened in it since
    WORK = auto()  # END: work that it began is still running


class Do(Enum):
    """What is done, in order."""

    OPEN = auto()  # a new turn is OPEN; it is closed immediately if its end was heard before
    OVER = auto()  # a new turn is made CLOSED
    REPLACE = auto()  # the open turn is closed, and its prompts are FAILED
    SHARE = auto()  # the open turn is PENDING: the answer of the next open turn is its answer too
    REOPEN = auto()  # the turn is OPEN again; for WAKE: the turn that is meant
    NAME = auto()  # the turn that is meant gets that name too: what is said under it is its answer
    JOIN = auto()  # the prompt belongs to it
    CLOSE = auto()  # CLOSED, its prompts DONE or FAILED
    WAIT = auto()  # PENDING, its prompts DONE
    WORDS = auto()  # what was said now replaces its answer
    BEGUN = auto()  # it stays closed, and the work that it began is recorded as its own
    NOTE = auto()  # record the time of its last activity
    KEEP = auto()  # keep the report until its submit is heard


Cases = tuple[tuple[tuple[When, ...], tuple[Do, ...]], ...]
W, D = When, Do
HEARD_TWICE: Cases = (((W.AGAIN,), ()),)

# The first alternative counts whose facts all hold. None: no turn is known that is meant; for a submit, none is open.
TURNS: dict[TurnStatus | None, dict[Heard, Cases]] = {
    None: {
        Heard.SUBMIT: (((W.OLD,), (D.OVER,)), ((), (D.OPEN,))),
        Heard.WAKE: (((W.OLD,), (D.OVER,)), ((W.MEANT,), (D.REOPEN,)), ((), (D.OPEN,))),
        Heard.JOINED: (((W.OLD,), (D.OVER,)), ((W.BUSY,), (D.REPLACE, D.OPEN)), ((), (D.OPEN,))),
        Heard.END: (((), (D.KEEP,)),),
        Heard.ACTIVE: (((), (D.KEEP,)),),
    },
    TurnStatus.OPEN: {
        Heard.SUBMIT: (*HEARD_TWICE, ((W.OLD,), (D.OVER,)), ((W.OLDER,), (D.OVER,)), ((), (D.REPLACE, D.OPEN))),
        Heard.WAKE: (
            *HEARD_TWICE,
            ((W.OLD,), (D.OVER,)),
            ((W.OLDER, W.MEANT), (D.NAME,)),
            ((W.OLDER,), (D.OVER,)),
            ((W.TOGETHER, W.MEANT), (D.SHARE, D.REOPEN)),
            ((W.TOGETHER,), (D.SHARE, D.OPEN)),
            ((W.MEANT,), (D.REPLACE, D.REOPEN)),
            ((), (D.REPLACE, D.OPEN)),
        ),
        Heard.JOINED: (((), (D.JOIN, D.NOTE)),),
        Heard.END: (((W.OLDER,), ()), ((W.WORK,), (D.WAIT,)), ((), (D.CLOSE,))),
        Heard.ACTIVE: (((), (D.NOTE,)),),
        Heard.DIED: (((), (D.CLOSE,)),),
    },
    TurnStatus.PENDING: {
        Heard.SUBMIT: HEARD_TWICE,
        Heard.WAKE: HEARD_TWICE,
        Heard.JOINED: (((W.BUSY,), (D.JOIN,)), ((), (D.REOPEN, D.JOIN))),
        Heard.END: (((W.NEWER,), (D.WORDS,)),),
        Heard.ACTIVE: (((W.OLD,), ()), ((W.NEWER, W.BUSY), ()), ((W.NEWER,), (D.REOPEN,))),
        Heard.DIED: (((), (D.CLOSE,)),),
    },
    TurnStatus.CLOSED: {
        Heard.SUBMIT: HEARD_TWICE,
        Heard.WAKE: HEARD_TWICE,
        Heard.JOINED: (
            ((W.OLD,), (D.JOIN,)),
            ((W.NEWER, W.BUSY), (D.JOIN,)),
            ((W.NEWER,), (D.REOPEN, D.JOIN)),
            ((), (D.JOIN,)),
        ),
        Heard.END: (((W.NEWER,), (D.WORDS,)), ((W.WORK,), (D.BEGUN,))),
        Heard.ACTIVE: (((W.OLD,), ()), ((W.NEWER, W.BUSY), ()), ((W.NEWER,), (D.REOPEN,))),
    },
}


def step(now: TurnStatus | None, heard: Heard, facts: frozenset[When]) -> tuple[Do, ...]:
    """Return what is done to a turn in state ``now`` (None: unknown) when this is heard of it."""
    return next((done for needs, done in TURNS[now].get(heard, ()) if facts.issuperset(needs)), ())
