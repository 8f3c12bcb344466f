"""A session on a branch of its own: the words that merge, push and discard it, and what is lost with a session that is killed."""

from __future__ import annotations

from acme.lib.agent import Agent, Roster, Session
from acme.lib.host import Call
from anvilsrv.errors import Unavailable
from anvilsrv.p9.client import P9Error

COMMANDS = ("Merge", "Push", "Discard")
OPTIONS = {"Merge": ("squash", "rebase", "anyway")}


def subject(call: Call, roster: Roster) -> str:
    """Return the session that the words begin with; empty if they are about that of dot, as in ``Merge squash`` and
    ``Push origin``.
    """
    first = call.words[0] if call.words else ""
    remote = call.word == "Push" and len(call.words) == 1 and roster.find(first) is None
    return "" if not first or remote or first in OPTIONS.get(call.word, ()) else roster.get(first).id


def command(agent: Agent, session: Session, call: Call) -> str:
    """Do it; what the daemon says of it. Its refusal, with the paths, is raised."""
    words = call.words[call.words[:1] in ([session.id], [session.alias], [f"anvil:{session.label}"]) :]
    return agent.ask(f"{session.id}/git/ctl", " ".join([call.word.lower(), *words]))


def would_be_lost(agent: Agent, session: Session) -> str:
    """Return why a session is not to be killed by a single click; empty if it may."""
    if session.state == "running":
        return "a turn is running"
    if not session.branch:
        return ""  # what it has done is where the user works
    try:
        if agent.read(f"{session.id}/git/status").strip():
            return f"not all is committed on its branch {session.branch}"
        if not agent.read(f"{session.id}/git/diff").strip():
            return ""
    except Unavailable:
        raise
    except P9Error as error:
        return f"its branch {session.branch} cannot be read ({error})"
    return f"its branch {session.branch} has changes, which Merge or Push brings elsewhere"
