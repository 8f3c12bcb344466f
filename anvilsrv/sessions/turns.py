"""Prompts and turns: the durable queue of each session, what is being typed, what runs, what came of it.

A prompt's status goes ``queued`` -> ``typing`` (chosen, on its way into the pane) -> ``running`` (the agent reported that it
was submitted) -> ``done`` or ``failed``; or ``withdrawn``. At most one prompt of a session is ``typing`` or ``running``.
The reports of the agent's hooks alone move it past ``typing``: see ``reports.py`` for who calls what here.

Threads: everything runs on the store's thread, in a job.
"""

import re
import time
import unicodedata
from collections.abc import Callable
from typing import Any, Protocol

from anvilsrv.backends import reset_time
from anvilsrv.errors import Conflict, Invalid
from anvilsrv.sessions import state as s
from anvilsrv.sessions.registry import Sessions
from anvilsrv.store.store import Tx

HANDOVERS = 4  # turns in a row that may be begun through the stop hook; then it is typed
ACTIVE = "('typing', 'running')"


class Typing(Protocol):
    """What brings a prompt into the pane (``typist.py``); it answers with ``confirm``, ``undelivered``."""

    def deliver(self, session: str, prompt: int, pasted: bool = False) -> None: ...
    def typed(self, session: str) -> bool: ...
    def submitted(self, session: str) -> bool: ...
    def settled(self, session: str) -> None: ...


Finished = Callable[[Tx, Any, str | None, str | None], None]


class Turns:
    """The queues of all sessions. ``finished(tx, prompt, response, error)`` is called in the job that ends a prompt."""

    def __init__(self, sessions: Sessions, typing: Typing, finished: Finished) -> None:
        self._sessions = sessions
        self._typing = typing
        self._finished = finished
        self.began: Callable[[str], None] = lambda session: None  # a turn of this session began
        self.hold: Callable[[Tx, str, float], None] = lambda tx, session, until: None  # its queue is to go on then

    # -- queue ---------------------------------------------------------------------------------------------------

    def accept(self, tx: Tx, session: str, text: str, origin: str) -> int:
        """Queue a prompt that somebody wrote. Raises Conflict when no agent is there to take it. Returns its number."""
        row = self._sessions.row(tx, session)
        if row["state"] not in s.LIVE:
            raise Conflict(f"session '{session}' is {row['state']}")
        return self.queue(tx, session, text, origin, None)

    def queue(self, tx: Tx, session: str, text: str, origin: str, message: str | None) -> int:
        """Queue a prompt whatever the state; ``message`` is the mail it delivers."""
        if not text.strip():
            raise Invalid("empty prompt")
        made = tx.run(
            "INSERT INTO prompts(session, origin, message, text, status, created) VALUES(?,?,?,?,'queued',?)",
            session, origin, message, text, time.time(),
        ).lastrowid or 0  # fmt: skip
        if self._sessions.row(tx, session)["held_until"] is None:  # a limit with a known end is not tried before
            self.release(tx, session)
        tx.touch(session)
        return made

    def release(self, tx: Tx, session: str) -> None:
        """Let a held queue go on."""
        if tx.one("SELECT 1 FROM sessions WHERE id = ?", session) is None:
            return
        self._sessions.set(tx, session, held="", held_until=None)
        self.pump(tx, session)

    def pump(self, tx: Tx, session: str) -> None:
        """Start the next prompt if the session is idle and nothing holds its queue."""
        row = self._sessions.row(tx, session)
        if row["state"] != s.IDLE or row["held"] or row["wanted"] != "run" or not row["pid"]:
            return
        following = self._next(tx, session)
        if following is None:
            return
        number = following["id"]
        tx.run("UPDATE prompts SET status = 'typing' WHERE id = ?", number)
        self._sessions.set(tx, session, handed=0)
        self._sessions.change(tx, session, s.RUNNING)
        pasted = bool(following["pasted"])
        tx.after(lambda: self._typing.deliver(session, number, pasted))

    def ready(self, tx: Tx, session: str) -> None:
        """The agent says that it can take prompts."""
        current = self.active(tx, session)
        row = self._sessions.row(tx, session)
        if row["state"] == s.STARTING:
            if (row["held_until"] or 0) <= time.time():  # a limit outlasts a crash and a reboot
                self._sessions.set(tx, session, held="", held_until=None)
            self._idle(tx, session)
        elif current is not None and current["status"] == "typing" and current["text"].startswith("/"):
            self.stopped(tx, session, "", handover=False)  # a command like /clear: ready again is all that comes of it

    def resume(self, tx: Tx, session: str) -> None:
        """Go on where a daemon before us was, with an agent that outlived it."""
        current = self.active(tx, session)
        if current is not None and current["status"] == "typing":
            tx.after(lambda: self._typing.deliver(session, current["id"], pasted=True))
        else:
            self.pump(tx, session)

    def _next(self, tx: Tx, session: str) -> Any:
        return tx.one("SELECT * FROM prompts WHERE session = ? AND status = 'queued' ORDER BY id LIMIT 1", session)

    def active(self, tx: Tx, session: str) -> Any:
        """The prompt that is being typed or runs, or None."""
        return tx.one(f"SELECT * FROM prompts WHERE session = ? AND status IN {ACTIVE}", session)

    def withdraw(self, tx: Tx, session: str, message: str) -> None:
        """Take a mail out of the queue, if it is still there."""
        for row in tx.all(
            "SELECT id FROM prompts WHERE session = ? AND message = ? AND status = 'queued'", session, message
        ):
            tx.run("UPDATE prompts SET status = 'withdrawn', ended = ? WHERE id = ?", time.time(), row["id"])
            self._sessions.notify(tx, f"out {row['id']}")
        tx.touch(session)

    # -- a turn begins -------------------------------------------------------------------------------------------

    def submitted(self, tx: Tx, session: str, text: str | None) -> None:
        """The agent says that a prompt was submitted: ours, or one that a person typed."""
        current = self.active(tx, session)
        state = self._sessions.row(tx, session)["state"]
        if state not in s.LIVE:
            return
        if current is not None and current["status"] == "typing":
            if text is None or same_text(text, current["text"]):
                self._begin(tx, session, current["id"])
                return
            self._requeue(tx, session, current["id"])
        elif current is not None:
            if text is None or same_text(text, current["text"]):
                return  # reported twice
            self._end(tx, current, None, "interrupted: another prompt was submitted")
        following = self._next(tx, session)
        if text and following is not None and following["pasted"] and same_text(text, following["text"]):
            self._restart_turn(tx, session)
            self._begin(tx, session, following["id"])
            return
        typed = tx.run(
            "INSERT INTO prompts(session, origin, text, status, created) VALUES(?,'typed',?,'typing',?)",
            session,
            text or "",
            time.time(),
        ).lastrowid
        self._restart_turn(tx, session)
        self._begin(tx, session, typed or 0)

    def _restart_turn(self, tx: Tx, session: str) -> None:
        """Show that one turn is over and another began, even where no report told of the end."""
        self._sessions.change(tx, session, s.IDLE)
        self._sessions.change(tx, session, s.RUNNING)

    def _begin(self, tx: Tx, session: str, prompt: int) -> None:
        last = tx.one("SELECT coalesce(max(turn), 0) AS turn FROM prompts WHERE session = ?", session)
        row = tx.one("SELECT message FROM prompts WHERE id = ?", prompt)
        tx.run(
            "UPDATE prompts SET status = 'running', turn = ?, started = ? WHERE id = ?",
            (last["turn"] if last else 0) + 1,
            time.time(),
            prompt,
        )
        if row is not None and row["message"]:
            moved = tx.run("UPDATE messages SET box = 'archive' WHERE id = ? AND box = 'inbox'", row["message"])
            if moved.rowcount:
                self._sessions.archived(tx, session, row["message"])
        self._sessions.set(tx, session, error="")
        self._sessions.notify(tx, f"log {session}")
        tx.after(lambda: self._typing.settled(session))
        tx.after(lambda: self.began(session))

    def undelivered(self, tx: Tx, session: str, prompt: int, why: str) -> None:
        """The typist gave up: the prompt stays queued, the queue is held, and an event says so."""
        current = self.active(tx, session)
        if current is None or current["id"] != prompt or current["status"] != "typing":
            return
        self._requeue(tx, session, prompt)
        self._sessions.set(tx, session, held=why)
        self._sessions.change(tx, session, s.IDLE)
        self._sessions.error(tx, session, f"prompt not delivered: {why}")

    def _requeue(self, tx: Tx, session: str, prompt: int) -> None:
        """Back into the queue. What was submitted already may still be taken up by the agent: ``pasted`` remembers it."""
        pasted = int(self._typing.submitted(session))
        tx.run("UPDATE prompts SET status = 'queued', pasted = ? WHERE id = ? AND status = 'typing'", pasted, prompt)
        tx.after(lambda: self._typing.settled(session))

    # -- a turn ends ---------------------------------------------------------------------------------------------

    def stopped(self, tx: Tx, session: str, response: str, handover: bool) -> str | None:
        """The agent says that its turn ended with ``response``.

        With ``handover`` the next mail in the queue may be given in the reply: its text is returned and its turn has begun.
        """
        current = self._running(tx, session)
        if current is not None:
            self._end(tx, current, response, None)
            if self._sessions.row(tx, session)["held_until"]:  # a person got an answer: the limit is over
                self._sessions.set(tx, session, held="", held_until=None)
        row = self._sessions.row(tx, session)
        if row["state"] != s.RUNNING or self.active(tx, session) is not None:
            return None
        following = self._next(tx, session)
        if (
            handover
            and following is not None
            and following["message"]
            and row["handed"] < HANDOVERS
            and not row["held"]
            and row["wanted"] == "run"
        ):
            self._sessions.set(tx, session, handed=row["handed"] + 1)
            self._begin(tx, session, following["id"])
            return str(following["text"])
        self._idle(tx, session)
        return None

    def _running(self, tx: Tx, session: str) -> Any:
        """The prompt whose turn ends now; one whose submit report never came counts if it was submitted."""
        current = self.active(tx, session)
        if current is not None and current["status"] == "typing":
            if not self._typing.submitted(session):
                return None
            self._begin(tx, session, current["id"])
        return self.active(tx, session)

    def failed(self, tx: Tx, session: str, reason: str, until: float | None) -> None:
        """The agent says that its turn ended with an error. The queue waits: until ``until`` (epoch s) if that is known."""
        current = self._running(tx, session)
        if current is not None:
            self._end(tx, current, None, reason)
        if tx.one("SELECT 1 FROM prompts WHERE session = ? AND status = 'queued'", session) or until:
            held = f"{reason}; goes on at {reset_time.words(until)}" if until else reason
            self._sessions.set(tx, session, held=held, held_until=until)
        if until:
            self.hold(tx, session, until)
        if self._sessions.row(tx, session)["state"] == s.RUNNING and self.active(tx, session) is None:
            self._idle(tx, session)
        self._sessions.error(tx, session, reason)

    def interrupted(self, tx: Tx, session: str) -> None:
        """The turn was broken off by a person (Escape); no answer comes."""
        current = self.active(tx, session)
        if current is not None and current["status"] == "running":
            self._end(tx, current, None, "interrupted")
            self._idle(tx, session)

    def waits(self, tx: Tx, session: str) -> bool:
        """Whether a prompt waits for the agent's input to be free, and nothing of it is typed yet."""
        current = self.active(tx, session)
        return current is not None and current["status"] == "typing" and not self._typing.typed(session)

    def recalled(self, tx: Tx, session: str) -> bool:
        """``interrupt`` came: whether the prompt was still being typed, and now is not submitted any more."""
        current = self.active(tx, session)
        if current is None or current["status"] != "typing":
            return False
        self._end(tx, current, None, "interrupted")
        self._idle(tx, session)
        return True

    def died(self, tx: Tx, session: str, why: str) -> None:
        """The process is gone: the running prompt can no longer be answered; one being typed is queued again."""
        current = self.active(tx, session)
        if current is not None and current["status"] == "typing":
            self._requeue(tx, session, current["id"])
        elif current is not None:
            self._end(tx, current, None, why)

    def drop(self, tx: Tx, session: str) -> None:
        """The session is going for good: nothing in its queue can be answered any more. Whose mail still waits is told by the post."""
        why = f"session '{session}' was killed"
        for row in tx.all(
            "SELECT * FROM prompts WHERE session = ? AND status IN ('queued', 'typing', 'running')", session
        ):
            if row["status"] == "queued" and row["message"]:
                tx.run("UPDATE prompts SET status = 'failed', error = ? WHERE id = ?", why, row["id"])
            else:
                self._end(tx, row, None, why)

    def _idle(self, tx: Tx, session: str) -> None:
        self._sessions.change(tx, session, s.IDLE)
        self.pump(tx, session)

    def _end(self, tx: Tx, prompt: Any, response: str | None, error: str | None) -> None:
        session = prompt["session"]
        data = None if response is None else exact(response)
        tx.run(
            "UPDATE prompts SET status = ?, response = ?, error = ?, ended = ? WHERE id = ?",
            "failed" if error else "done", data, error, time.time(), prompt["id"],
        )  # fmt: skip
        tx.after(lambda: self._typing.settled(session))
        self._sessions.notify(tx, f"out {prompt['id']}")
        self._sessions.notify(tx, f"log {session}")
        extra = {"error": error} if error else {}
        parent = self._sessions.row(tx, session)["parent"]
        self._sessions.stream.emit(tx, "response", session, concerns=(parent or "",), prompt_id=prompt["id"], **extra)
        tx.touch(session)
        self._finished(tx, prompt, response, error)

    # -- by hand -------------------------------------------------------------------------------------------------

    def write_state(self, tx: Tx, session: str, word: str, reported: bool) -> None:
        """``state`` was written. Where hooks report (``reported``), they alone know; else idle and running may be said."""
        before = self._sessions.row(tx, session)["state"]
        s.check_change(before, word)
        if word == before:
            return
        if reported:
            raise Conflict(f"the agent's hooks say {before}")
        if word not in (s.IDLE, s.RUNNING):
            raise Conflict(f"cannot make it {word} here: write stop, restart or kill to ctl")
        if word == s.RUNNING:
            self.submitted(tx, session, None)
        elif before == s.STARTING:
            self._idle(tx, session)
        else:
            self.stopped(tx, session, "", handover=False)


def exact(text: str) -> bytes:
    """The bytes of a response; what an agent could not say in UTF-8 came as surrogate escapes."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


_LOOSE = re.compile(r"\s+")  # agents change tabs, line ends and blanks, and compose characters (NFC)


def same_text(reported: str, ours: str) -> bool:
    """Whether the agent's report is of our prompt: agents change blanks, and may cut or frame it."""
    a, b = (unicodedata.normalize("NFC", _LOOSE.sub("", text)) for text in (reported, ours))
    return a == b or (len(b) > 0 and b in a) or (len(a) > 200 and a in b)
