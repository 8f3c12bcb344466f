"""One prompt: the value of its row, and its text and answer as they come in and go out. Pure."""

from dataclasses import dataclass

from anvilsrv.display import sanitize, standing
from anvilsrv.errors import NoResponse
from anvilsrv.sessions.machine import Status
from anvilsrv.sessions.state import Session

TYPED = "typed"  # the origin of what a person typed into the pane
AGENT = "agent"  # of what the agent began by itself
UNDO = "undo"  # of a turn in which another was taken back


@dataclass(frozen=True)
class Prompt:
    """A row. ``message`` is the mail that it delivers. Times ending in ``_at`` are monotonic (s)."""

    id: int
    session: str
    origin: str
    message: str | None
    text: str
    status: Status
    turn: int | None
    response: bytes | None
    error: str | None
    created: float
    started: float | None
    ended: float | None
    n: int  # its number in the session
    took: float | None  # s from its beginning to its end
    pasted_at: float | None  # when it was pasted last; None: never, or that is undone for certain
    sent_at: float | None  # when its Enter was pressed first, for that paste
    pastes: int
    presses: int  # of Enter, for the last paste
    tries: int  # how often it was chosen
    typed: str | None  # what was pasted, where that is not its text
    mark: str | None  # how much was in the agent's transcript before it was pasted
    link: str | None  # the reply that carries it, where it is not typed

    @property
    def words(self) -> str:
        """What the agent got, or will get."""
        return self.text if self.typed is None else self.typed

    @property
    def whence(self) -> str:
        """Where it comes from, as files say it."""
        return self.origin if self.origin in (TYPED, AGENT, UNDO) else "mail" if self.message else "queue"

    @property
    def is_command(self) -> bool:
        """Whether it is a command of the agent's own, such as ``/clear``."""
        return self.text.startswith("/")


def response(prompt: Prompt | None, session: Session | None) -> bytes | None:
    """Return the answer to ``prompt`` of ``session``; None while it may still come. Raises NoResponse if it cannot."""
    if prompt is None or session is None:
        raise NoResponse("no response: the session was killed")
    if prompt.status in (Status.FAILED, Status.WITHDRAWN):
        raise NoResponse(f"no response: {prompt.error or 'withdrawn'}")
    if prompt.status == Status.QUEUED and not session.live:
        why = f": {session.error}" if session.error else ""
        raise NoResponse(f"no response now: the session {standing(session.state)}{why}")
    return bytes(prompt.response or b"") if prompt.status == Status.DONE else None


def clean(text: str) -> str:
    """Return a prompt as it may be typed: line ends made LF, control bytes removed, no newlines at the end."""
    return sanitize(text).rstrip("\n")


def exact(text: str) -> bytes:
    """Return the bytes of a response; what an agent could not say in UTF-8 came as surrogate escapes."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")
