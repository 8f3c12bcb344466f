"""What a report does to prompts and turns: one of the backend's kinds becomes an event of the machine.

Threads: everything runs on the store's thread, in a job.
"""

from dataclasses import replace

from anvilsrv.backends.backend import Report
from anvilsrv.desk.answer import plain
from anvilsrv.sessions import tasks
from anvilsrv.sessions.happened import Happened, Outcomes, Seen
from anvilsrv.sessions.machine import Event
from anvilsrv.sessions.turns import Turns
from anvilsrv.store.store import Tx

OVER = ("stop", "fail", "interrupt", "end")  # kinds with which a turn ends
LOOKED_AT = {"joined": Event.JOINED, "refused": Event.REFUSED}


def asks(turns: Turns, tx: Tx, session: str, meaning: Report, at: float) -> bool:
    """Return whether what is done depends on something that must be looked at first."""
    happened = as_happened(meaning, at)
    if meaning.kind == "submit":
        event = turns.reported.submit_event(tx, session, happened, bool(meaning.fields.get("wake")))
        return turns.stepper.asks(tx, session, event, happened)
    return meaning.kind in LOOKED_AT and turns.stepper.asks(tx, session, LOOKED_AT[meaning.kind], happened)


def as_happened(meaning: Report, at: float, link: str = "") -> Happened:
    """Return the fields of a report that was made ``at``; ``link``: the reply in which the next mail may be given."""
    fields = meaning.fields
    text = fields.get("text")
    return Happened(
        at, ident=str(fields.get("turn") or ""), text=None if text is None else plain(text),
        response=text or "", reason=fields.get("reason") or "", until=fields.get("until"),
        pending=None if fields.get("pending") is None else tasks.told(fields["pending"]), task=str(fields.get("task") or ""),
        handover=link,
    )  # fmt: skip


def happen(turns: Turns, tx: Tx, session: str, meaning: Report, at: float, seen: Seen, link: str) -> Outcomes:
    """Do it; what came of it, as it happens."""
    happened = as_happened(meaning, at, link)
    match meaning.kind:
        case "ready":
            return turns.reported.ready(tx, session, happened)
        case "submit":
            return turns.reported.submitted(tx, session, happened, bool(meaning.fields.get("wake")), seen)
        case "stop":
            return turns.reported.stopped(tx, session, replace(happened, reason=""))
        case "fail":
            return turns.reported.failed(tx, session, replace(happened, reason=happened.reason or "the agent failed"))
        case "interrupt":
            return turns.reported.told(tx, session, happened)
        case "active":
            return turns.stepper.apply(tx, session, Event.ACTIVE, replace(happened, text=None))
        case "joined":
            return turns.reported.joined(tx, session, happened, seen)
        case "done":
            return turns.stepper.apply(tx, session, Event.READY, happened)
        case "noticed":
            return turns.reported.noticed(tx, session, happened)
        case "refused":
            return turns.reported.refused(tx, session, happened, seen)
    return iter(())
