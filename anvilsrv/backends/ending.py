"""How a turn ended whose end was reported without its words: that stands in the transcript.

Only what follows the last prompt counts: the words before it are the answer to another one. Pure, but for the reading of the lines.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from anvilsrv.backends.backend import Backend
from anvilsrv.backends.rules import Report

NO_WORDS = "the turn is over, but its answer is neither in the report nor in the transcript"


def ended(backend: Backend, stop: Report, lines: Iterable[Mapping[str, Any]]) -> Report:
    """Return ``stop``, which has no text, with the answer that the transcript has; that the turn was broken off or
    failed, if it says so.

    A backend that promises words nowhere ends its turns without any. Raises what reading the lines raises.
    """
    if not any(rule.report == "note" and "text" in rule.texts for rule in backend.transcript):
        return replace(stop, fields={**stop.fields, "text": ""})
    said: str | None = None
    broken = False
    for line in lines:
        for one in backend.transcript_reports(line):
            if one.kind == "taken":
                said, broken = None, False
            elif one.kind == "interrupt":
                broken = True
            elif one.kind == "note":
                said, broken = one.fields.get("text", said), False
    if broken:
        return replace(stop, kind="interrupt")
    if said is None:
        return replace(stop, kind="fail", fields={**stop.fields, "reason": NO_WORDS, "until": None})
    return replace(stop, fields={**stop.fields, "text": said})
