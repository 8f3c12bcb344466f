"""The machine of prompt and turn, as data: what is done when something happens to a prompt that is in a certain status.

Pure: no row, clock, thread or terminal. ``turns.py`` looks up what is to be done and does it to the rows, and says what came of it.

A prompt goes QUEUED -> CHOSEN -> PASTED -> SENT -> TAKEN -> DONE or FAILED; or QUEUED -> WITHDRAWN. A status says what is known:
CHOSEN nothing of it has left us; PASTED it may stand in the agent's input; SENT it may have been taken; TAKEN the agent said so.
At most one prompt of a session is between CHOSEN and TAKEN. A turn is OPEN from the submit to its end, then CLOSED.
"""

from enum import Enum, StrEnum, auto


class Status(StrEnum):
    """Of a prompt."""

    QUEUED = "queued"
    CHOSEN = "chosen"
    PASTED = "pasted"
    SENT = "sent"
    TAKEN = "taken"
    DONE = "done"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"


ON_ITS_WAY = (Status.CHOSEN, Status.PASTED, Status.SENT)
ACTIVE = (*ON_ITS_WAY, Status.TAKEN)
WAITING = (Status.QUEUED, *ACTIVE)  # an answer may still come


class TurnStatus(StrEnum):
    """Of a turn."""

    OPEN = "open"
    CLOSED = "closed"


class Event(Enum):
    """What can happen to the prompt of a session that is on its way or runs."""

    SAME = auto()  # the agent reports a submit, of this text or without telling which
    OTHER = auto()  # the agent reports a submit of another text
    STOP = auto()  # the agent reports the end of its turn
    FAIL = auto()  # the agent reports that its turn ended with an error
    TOLD = auto()  # the transcript tells of an interrupt, or the title says that the turn is over
    INTERRUPT = auto()  # the user wrote `interrupt` to ctl
    DIED = auto()  # the process is gone
    GAVE_UP = auto()  # the prompt could not be delivered
    STARTED = auto()  # a starting agent is ready
    READY = auto()  # a running agent says that it is ready, while a command of its own (`/clear`) was on its way


class Act(Enum):
    """What is done about it, in order."""

    BEGIN = auto()  # the prompt is TAKEN, its turn OPEN
    PERSON = (
        auto()
    )  # the head of the queue begins if it was sent before and has the text reported; else a prompt that a person typed
    REQUEUE = auto()  # back into the queue; that it was SENT is remembered
    DONE = auto()  # answered: its turn is CLOSED
    FAILED = auto()  # not answered: its turn, if it had one, is CLOSED
    HOLD = auto()  # what is queued waits
    NEXT = auto()  # the next mail is handed over through the stop hook, else the session is idle
    IDLE = auto()  # the session is idle, if a turn ran, and the next prompt is chosen
    START = auto()  # the session is idle for the first time, and the next prompt is chosen
    KEYS = auto()  # the keys that interrupt are pressed
    TIDY = auto()  # what the agent then puts back into its input is cleared


Acts = tuple[Act, ...]

TABLE: dict[Status | None, dict[Event, Acts]] = {
    None: {
        Event.SAME: (Act.PERSON,),
        Event.OTHER: (Act.PERSON,),
        Event.STOP: (Act.NEXT,),
        Event.FAIL: (Act.HOLD, Act.IDLE),
        Event.STARTED: (Act.START,),
    },
    Status.CHOSEN: {
        Event.SAME: (Act.BEGIN,),
        Event.OTHER: (Act.REQUEUE, Act.PERSON),
        Event.FAIL: (Act.HOLD,),
        Event.INTERRUPT: (Act.FAILED, Act.IDLE),
        Event.DIED: (Act.REQUEUE,),
        Event.GAVE_UP: (Act.REQUEUE, Act.HOLD, Act.IDLE),
    },
    Status.PASTED: {
        Event.SAME: (Act.BEGIN,),
        Event.OTHER: (Act.REQUEUE, Act.PERSON),
        Event.FAIL: (Act.HOLD,),
        Event.INTERRUPT: (Act.FAILED, Act.IDLE, Act.KEYS, Act.TIDY),
        Event.DIED: (Act.REQUEUE,),
        Event.GAVE_UP: (Act.REQUEUE, Act.HOLD, Act.IDLE),
    },
    Status.SENT: {
        Event.SAME: (Act.BEGIN,),
        Event.OTHER: (Act.REQUEUE, Act.PERSON),
        Event.STOP: (Act.BEGIN, Act.DONE, Act.NEXT),
        Event.FAIL: (Act.BEGIN, Act.FAILED, Act.HOLD, Act.IDLE),
        Event.INTERRUPT: (Act.FAILED, Act.IDLE, Act.KEYS, Act.TIDY),
        Event.DIED: (Act.REQUEUE,),
        Event.GAVE_UP: (Act.REQUEUE, Act.HOLD, Act.IDLE),
        Event.READY: (Act.BEGIN, Act.DONE, Act.NEXT),
    },
    Status.TAKEN: {
        Event.OTHER: (Act.FAILED, Act.PERSON),
        Event.STOP: (Act.DONE, Act.NEXT),
        Event.FAIL: (Act.FAILED, Act.HOLD, Act.IDLE),
        Event.TOLD: (Act.FAILED, Act.IDLE),
        Event.INTERRUPT: (Act.KEYS,),
        Event.DIED: (Act.FAILED,),
    },
}


def step(now: Status | None, event: Event) -> Acts:
    """What is done when ``event`` happens to a prompt that is ``now`` so (None: no prompt is on its way or runs); often nothing."""
    return TABLE[now].get(event, ())
