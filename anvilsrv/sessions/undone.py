"""A turn in which nothing is asked of the agent: what another turn changed was taken back. And what the agent is told of it.

Threads: everything runs on the store's thread, in a job.
"""

from anvilsrv.display import one_line
from anvilsrv.sessions import prompts, session_rows, turn_rows
from anvilsrv.sessions.machine import Status
from anvilsrv.sessions.prompt import UNDO
from anvilsrv.sessions.registry import Registry
from anvilsrv.sessions.turn_machine import TurnStatus
from anvilsrv.store.store import Tx
from anvilsrv.store.topics import conversation_of

NAMED = 20  # paths that are told


def add(registry: Registry, tx: Tx, session: str, n: int, paths: list[str]) -> turn_rows.Turn:
    """Add the turn in which that of prompt ``n`` was taken back; it is over."""
    turn = turn_rows.add(tx, session, "", tx.now.monotonic)
    number = session_rows.number(tx, session)
    text = f"undo {n}"
    prompt = prompts.there(tx, prompts.add(tx, session, number, text, UNDO, None, Status.TAKEN))
    prompts.begin(tx, prompt, turn.number)
    registry.activity.record(tx, session, number, "prompt", id=str(number), text=text, origin=UNDO)
    told = f"Taken back: {named(paths)}\n"
    turn_rows.finish(tx, turn, TurnStatus.CLOSED, tx.now.monotonic)
    registry.activity.end(tx, session, number, told, how="answer", reason="", seconds=0.0, background=0)
    prompts.end(tx, prompts.there(tx, prompt.id), told, None)
    registry.topics.notify(tx, conversation_of(session))
    registry.tell(tx, session)
    found = turn_rows.last(tx, session)
    assert found is not None
    return found


def named(paths: list[str]) -> str:
    """Return paths in a sentence."""
    more = f" and {len(paths) - NAMED} more" if len(paths) > NAMED else ""
    return ", ".join(one_line(path) for path in paths[:NAMED]) + more


def told(tx: Tx, session: str) -> str:
    """Return what is put before the next prompt: that turns were taken back since the agent was asked last; empty where
    none was.
    """
    lines = list[str]()
    turn = turn_rows.last(tx, session)
    while turn is not None:
        found = prompts.of_turn(tx, session, turn.number)
        if not found or found[0].origin != UNDO:
            break
        back = (found[0].response or b"").decode("utf-8", "replace").removeprefix("Taken back: ").strip()
        lines.append(f"[The user took back what turn {found[0].text.removeprefix('undo ')} changed: {back}]")
        turn = turn_rows.before(tx, session, turn.number)
    return "\n".join(reversed(lines))


def context(tx: Tx, session: str, given: str) -> str:
    """Return a prompt's context with that text."""
    return "\n".join(part for part in (given.rstrip("\n"), told(tx, session)) if part) or given
