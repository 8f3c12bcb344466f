"""What a hook means: what its backend says, and the words that it leaves to the agent's files.

Threads: reads files, so not in a job.
"""

import logging
from collections.abc import Mapping
from typing import Any

from anvilsrv.backends import templates
from anvilsrv.backends.backend import Backend, Report
from anvilsrv.backends.ending import ended
from anvilsrv.desk.around import Kept
from anvilsrv.errors import AnvilError
from anvilsrv.sessions.state import Session

log = logging.getLogger("anvilsrv")

PLAN = 256 << 10  # bytes of a plan that are shown


def understood(kept: Kept, view: Session, backend: Backend, hook: str, payload: Mapping[str, Any]) -> Report | None:
    """Return what the hook means. If an end does not include the last message, it is taken from the transcript."""
    meaning = backend.report(hook, payload)
    if meaning is not None and meaning.kind == "ask" and "plan_in" in meaning.fields:
        return _with_plan(kept, view, meaning)
    if meaning is None or meaning.kind != "stop" or meaning.fields.get("text") is not None:
        return meaning
    transcript = meaning.fields.get("transcript") or view.transcript
    try:
        return ended(backend, meaning, kept.lines(view.id, transcript) if transcript else ())
    except AnvilError as error:
        return Report(
            "fail", {**meaning.fields, "reason": f"the answer cannot be read: {error}"}, payload, meaning.rule
        )


def _with_plan(kept: Kept, view: Session, meaning: Report) -> Report:
    """Return the question with its plan, which is in a file of the agent's, whose path its transcript named last. If
    that cannot be read the question is returned as it is.
    """
    fields = dict(meaning.fields)
    where, transcript = fields.pop("plan_in"), fields.get("transcript") or view.transcript
    try:
        paths = [templates.dig(line, where) for line in kept.lines(view.id, transcript)] if transcript else []
        path = next((one for one in reversed(paths) if isinstance(one, str)), None)
        plan = kept.text(view.id, path, PLAN) if path is not None else ""
    except AnvilError as error:
        log.info("session '%s': its plan cannot be read: %s", view.id, error)
        plan = ""
    if plan.strip():
        fields["question"] = f"{fields.get('question', '')}\n\n{plan}"
    return Report(meaning.kind, fields, meaning.payload, meaning.rule)
