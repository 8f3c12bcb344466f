"""The machine of prompts, as data: what is done when something happens to a prompt that is in a certain status.

Pure: no row, clock, thread or terminal. ``stepper.py`` finds out which facts hold, looks up what is to be done, and does it to rows.
Turns have a machine of their own (``turn_machine.py``), for a prompt is not a turn: a turn may hold two prompts or none.

A prompt goes QUEUED -> CHOSEN -> PASTED -> SENT -> TAKEN -> DONE or FAILED; or QUEUED -> WITHDRAWN. A status says what is known:
CHOSEN nothing of it has left us; PASTED it may stand in the agent's input; SENT it may have been taken, and no report says so yet;
TAKEN the agent said so. At most one prompt of a session is on its way (CHOSEN, PASTED, SENT); a turn may be open beside it.
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


class Event(Enum):
    """What can happen to a prompt that is on its way or taken, or while there is none."""

    SAME = auto()  # the agent submitted exactly its text, or does not report the text
    OTHER = auto()  # the agent submitted a different text
    WAKE = auto()  # the agent began a turn itself, and says so
    JOINED = auto()  # its text was taken into the running turn
    ACTIVE = auto()  # a turn continues
    FAIL = auto()  # a turn failed
    REFUSED = auto()  # the agent refused it, with a reason
    INTERRUPT = auto()  # the user wrote `interrupt` to ctl
    DIED = auto()  # the process is gone
    OBSTACLE = auto()  # the input is not free, before anything is pasted
    NOT_TAKEN = auto()  # it timed out, and the input was looked at
    WITHDRAW = auto()  # the user withdraws it from the queue
    EDIT = auto()  # the user edits its text
    HOLD = auto()  # the gate has closed
    GONE = auto()  # the connection that carried it as a message has closed
    DAEMON = auto()  # another daemon has taken over
    MOVED = auto()  # its Enter was not pressed: the input had changed since the look
    READY = auto()  # a running agent says that it is ready or done, after a command of its own such as `/clear`


class Fact(Enum):
    """What decides between the alternatives of a cell."""

    EARLY = auto()  # the report is older than the paste
    LATER = auto()  # the report is not older than the Enter
    OURS = auto()  # the input shows exactly our text
    ONLY_OURS = auto()  # the input shows only texts that we typed
    MIXED = auto()  # the input shows something else, with or without our text
    FREE = auto()  # the input is free
    UNREAD = auto()  # the agent has not read the typed text yet
    CONTAINS = auto()  # the other text contains ours, or half of ours if it is long
    PROVED = auto()  # the transcript says that it was taken
    AGAIN = auto()  # it may be typed again (``may_again``)
    UNPASTED = auto()  # tmux still has the buffer, which pasting deletes
    QUIT = auto()  # the process ended with status 0
    MESSAGE = auto()  # it was given in a reply, not typed
    FEW = auto()  # Enter may be pressed for it once more
    TRIED = auto()  # it is queued, and was pasted before the report
    TURN = auto()  # a turn is open
    COMMAND = auto()  # it is one of the agent's own commands
    NEVER = auto()  # it was never pasted
    OWED = auto()  # the report has no text and may belong to an earlier prompt that failed in doubt, or our text is still in the input


class Act(Enum):
    """What is done about it, in order."""

    TURN = auto()  # only the turn machine acts
    TAKE = auto()  # the prompt is TAKEN, in the turn that the report is about
    REQUEUE = auto()  # back to its place in the queue, marked as pasted once
    UNPASTE = auto()  # back to its place in the queue, as never pasted
    FAIL = auto()  # FAILED, with the reason
    DOUBT = auto()  # FAILED: it may have been taken
    END = auto()  # its turn is closed; the prompt is FAILED, with the reason
    ANSWER = auto()  # DONE immediately, with an empty answer
    CLEAR = auto()  # clear the input, if it holds only texts that we typed
    SEND = auto()  # press Enter
    UNSEND = auto()  # PASTED again: Enter was not pressed
    OBSTRUCT = auto()  # the gate has an obstacle
    KEYS = auto()  # press the interrupt keys
    REFUSE = auto()  # an error for the caller
    WITHDRAW = auto()  # WITHDRAWN: it has not reached the agent
    ALLOW = auto()  # it may be edited: it has not reached the agent


PRESSES = 2  # of Enter, for one paste
PASTES = 2  # of one prompt

Case = tuple[tuple[Fact, ...], tuple[Act, ...]]
A, F = Act, Fact
AGAIN_OR_DOUBT: tuple[Case, ...] = (((F.AGAIN,), (A.REQUEUE,)), ((), (A.DOUBT,)))
ONLY_TURN: tuple[Case, ...] = (((), (A.TURN,)),)
STAYS: tuple[Case, ...] = ()  # nothing is done

# In a cell the first alternative counts whose facts all hold.
TABLE: dict[Status | None, dict[Event, tuple[Case, ...]]] = {
    None: {
        Event.SAME: (((F.TRIED,), (A.TAKE,)), ((), (A.TURN,))),
        Event.OTHER: ONLY_TURN,
        Event.WAKE: ONLY_TURN,
        Event.JOINED: (((F.TRIED,), (A.TAKE,)),),
        Event.ACTIVE: ONLY_TURN,
        Event.FAIL: ONLY_TURN,
        Event.REFUSED: (((F.TRIED,), (A.FAIL,)),),
        Event.INTERRUPT: (((F.TURN,), (A.KEYS,)), ((), (A.REFUSE,))),
        Event.WITHDRAW: (((F.NEVER,), (A.WITHDRAW,)), ((F.AGAIN,), (A.WITHDRAW,)), ((), (A.DOUBT,))),
        Event.EDIT: (((F.NEVER,), (A.ALLOW,)), ((), (A.REFUSE,))),
    },
    Status.CHOSEN: {
        Event.SAME: (((), (A.REQUEUE, A.TURN)),),
        Event.OTHER: (((), (A.REQUEUE, A.TURN)),),
        Event.WAKE: (((), (A.REQUEUE, A.TURN)),),
        Event.ACTIVE: (((), (A.REQUEUE, A.TURN)),),
        Event.FAIL: (((), (A.REQUEUE, A.TURN)),),
        Event.INTERRUPT: (((), (A.FAIL,)),),
        Event.DIED: (((), (A.REQUEUE,)),),
        Event.OBSTACLE: (((), (A.REQUEUE, A.OBSTRUCT)),),
        Event.WITHDRAW: (((F.NEVER,), (A.WITHDRAW,)), ((F.AGAIN,), (A.WITHDRAW,)), ((), (A.DOUBT,))),
        Event.EDIT: (((F.NEVER,), (A.ALLOW,)), ((), (A.REFUSE,))),
        Event.HOLD: (((), (A.REQUEUE,)),),
        Event.DAEMON: (((), (A.REQUEUE,)),),
        Event.NOT_TAKEN: (((F.AGAIN,), ()), ((F.UNREAD,), (A.REQUEUE, A.OBSTRUCT)), ((), (A.DOUBT,))),
    },
    Status.PASTED: {
        Event.SAME: (((F.EARLY,), (A.TURN,)), ((F.OWED,), (A.TURN,)), ((F.OURS,), (A.TURN,)), ((), (A.TAKE,))),
        Event.OTHER: (
            ((F.EARLY,), (A.TURN,)), ((F.OURS,), (A.TURN,)), ((F.CONTAINS,), (A.FAIL, A.TURN)), ((), (A.TURN,)),
        ),
        Event.WAKE: ONLY_TURN,
        Event.JOINED: (((F.EARLY,), ()), ((F.OURS,), ()), ((), (A.TAKE,))),
        Event.ACTIVE: ONLY_TURN,
        Event.FAIL: ONLY_TURN,
        Event.REFUSED: (((F.EARLY,), ()), ((F.OURS,), ()), ((), (A.FAIL,))),
        Event.INTERRUPT: (((F.TURN,), (A.KEYS, A.CLEAR, A.FAIL)), ((), (A.CLEAR, A.FAIL))),
        Event.DIED: (
            ((F.UNPASTED,), (A.UNPASTE,)), ((F.QUIT,), (A.FAIL,)), ((F.PROVED,), (A.FAIL,)), *AGAIN_OR_DOUBT,
        ),
        Event.NOT_TAKEN: (
            ((F.UNREAD,), (A.OBSTRUCT,)), ((F.OURS,), (A.SEND,)), ((F.ONLY_OURS,), (A.CLEAR, A.REQUEUE)),
            ((F.MIXED,), (A.OBSTRUCT,)), ((F.PROVED,), (A.TAKE,)), ((), (A.DOUBT,)),
        ),
        Event.WITHDRAW: (((), (A.REFUSE,)),),
        Event.EDIT: (((), (A.REFUSE,)),),
        Event.DAEMON: (((F.UNPASTED,), (A.UNPASTE,)),),
    },
    Status.SENT: {
        Event.SAME: (
            ((F.EARLY,), (A.TURN,)), ((F.OWED,), (A.TURN,)), ((F.MESSAGE,), (A.TURN,)), ((F.LATER,), (A.TAKE,)),
            ((F.OURS,), (A.TURN,)), ((), (A.TAKE,)),
        ),
        Event.OTHER: (
            ((F.EARLY,), (A.TURN,)), ((F.MESSAGE,), (A.TURN,)),
            ((F.OURS, F.CONTAINS, F.LATER), (A.DOUBT, A.TURN)),  # a key was added where the input does not show it
            ((F.OURS,), (A.TURN,)), ((F.PROVED,), (A.TAKE, A.TURN)), ((F.CONTAINS,), (A.DOUBT, A.TURN)), ((), (A.TURN,)),
        ),
        Event.WAKE: ONLY_TURN,
        Event.JOINED: (((F.EARLY,), ()), ((F.LATER,), (A.TAKE,)), ((F.OURS,), ()), ((), (A.TAKE,))),
        Event.ACTIVE: ONLY_TURN,
        Event.FAIL: ONLY_TURN,
        Event.REFUSED: (((F.EARLY,), ()), ((), (A.FAIL,))),
        Event.INTERRUPT: (((F.MESSAGE,), (A.FAIL,)), ((), (A.KEYS, A.CLEAR, A.FAIL))),
        Event.DIED: (
            ((F.MESSAGE,), (A.UNPASTE,)), ((F.QUIT,), (A.FAIL,)), ((F.PROVED,), (A.FAIL,)), *AGAIN_OR_DOUBT,
        ),
        Event.NOT_TAKEN: (
            ((F.PROVED,), (A.TAKE,)), ((F.UNREAD,), (A.OBSTRUCT,)), ((F.OURS, F.FEW), (A.SEND,)),
            ((F.OURS,), (A.CLEAR, A.FAIL)), ((F.FREE, F.AGAIN), (A.REQUEUE,)), ((), (A.DOUBT,)),
        ),
        Event.WITHDRAW: (((), (A.REFUSE,)),),
        Event.EDIT: (((), (A.REFUSE,)),),
        Event.GONE: (((F.MESSAGE,), (A.UNPASTE,)),),
        Event.DAEMON: (((F.MESSAGE,), (A.UNPASTE,)),),
        Event.MOVED: (((), (A.UNSEND,)),),
        Event.READY: (((F.COMMAND, F.LATER), (A.TAKE, A.ANSWER)),),
    },
    Status.TAKEN: {
        Event.SAME: ONLY_TURN,
        Event.OTHER: ONLY_TURN,
        Event.WAKE: ONLY_TURN,
        Event.JOINED: (((F.TRIED,), (A.TAKE,)),),
        Event.ACTIVE: ONLY_TURN,
        Event.FAIL: ONLY_TURN,
        Event.REFUSED: (((), (A.END,)),),
        Event.INTERRUPT: (((), (A.KEYS,)),),
        Event.DIED: STAYS,  # its turn is closed, and it has failed with it
        Event.WITHDRAW: (((), (A.REFUSE,)),),
        Event.EDIT: (((), (A.REFUSE,)),),
    },
}  # fmt: skip


def step(now: Status | None, event: Event, facts: frozenset[Fact]) -> tuple[Act, ...]:
    """Return what is done when ``event`` happens to a prompt in state ``now`` (None: there is none), with these
    ``facts``; often nothing.
    """
    return next((acts for needs, acts in TABLE[now].get(event, ()) if facts.issuperset(needs)), ())


def asks(now: Status | None, event: Event, known: frozenset[Fact], unknown: frozenset[Fact]) -> bool:
    """Return whether what is done depends on one of the facts that are ``unknown`` yet."""
    for needs, _ in TABLE[now].get(event, ()):
        if unknown.intersection(needs) and known.issuperset(set(needs) - unknown):
            return True
        if known.issuperset(needs):
            return False
    return False


def may_again(trusted: bool, free: bool, silent: bool, pastes: int) -> bool:
    """Return whether the prompt may be typed again, the one rule for it: the agent's transcript can be ``trusted``, its
    input is ``free``, nothing at all was written there since the paste, and it was not pasted too often.
    """
    return trusted and free and silent and pastes < PASTES
