"""Windows that an earlier Assist left: by its name, what each is about."""

from __future__ import annotations

import re
from collections.abc import Iterator

from acme.lib.agent import Agent, Roster
from anvilsrv.errors import AnvilError
from anvilsrv.words import USER

_KINDS = re.compile(r".*/\+(Prompt|Log|Ask|Context|Queue|Inbox|Archive|Daemon|Diff|Tasks|New)(?:\.([\w-]+))?")
_TASK = re.compile(r"/AnviLLM/\+Task\.([\w.-]+)")
_QUEUED = re.compile(r".*/\+Queued\.([\w-]+)\.(\d+)")
_TO = re.compile(r"/AnviLLM/\+Mail(?:\.to\.([\w-]+))?")
_MESSAGE = re.compile(r".*/\+(Mail|Reply)\.([0-9a-f]{8})")
_PLAIN = ("daemon", "tasks", "new")


def about(name: str, roster: Roster, agent: Agent, nobody: str) -> Iterator[tuple[str, str]]:
    """Yield the kind and the subject of the window of that name, or several that it may be. A new message is to `nobody`."""
    if found := _KINDS.fullmatch(name):
        kind = found[1].lower()
        session = roster.find(found[2] or "")
        if session is not None or found[2] is None:
            yield kind, session.id if session is not None else "" if kind in _PLAIN else USER
    elif found := _TASK.fullmatch(name):
        yield "task", found[1]
    elif found := _QUEUED.fullmatch(name):
        session = roster.find(found[1])
        if session is not None:
            yield "queued", f"{session.id}/{found[2]}"
    elif found := _TO.fullmatch(name):
        session = roster.find(found[1] or "")
        if session is not None or found[1] in (None, USER):
            yield "compose", session.id if session is not None else found[1] or nobody
    elif found := _MESSAGE.fullmatch(name):
        kind = "message" if found[1] == "Mail" else "compose"
        yield from ((kind, subject) for subject in _messages(found[2], roster, agent))


def _messages(begin: str, roster: Roster, agent: Agent) -> Iterator[str]:
    """Yield the messages whose ids begin so, wherever they are: ``owner/box/id``."""
    for owner in (USER, *(one.id for one in roster.sessions)):
        for box in ("inbox", "archive"):
            try:
                found = agent.box(owner, box)
            except AnvilError:
                continue
            yield from (f"{owner}/{box}/{one['id']}" for one in found if one["id"].startswith(begin))
