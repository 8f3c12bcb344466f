"""The lines of the main window: what needs the user, the backends, a row for each session and one for each of its questions.

A row of a session (`acme.lib.listing`) is alias, state, backend, directory, notes, id; tabs between.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from acme.lib import table
from acme.lib.agent import Ask, Roster, Session
from anvilsrv.errors import Invalid
from anvilsrv.strict_json import dumps, loads

if TYPE_CHECKING:
    from acme.lib.host import Host

NEEDS = ("ask", "error", "held", "mail", "done")  # of `sessions`, the most urgent first
_ID = re.compile(r"\t([0-9a-f]{8})(?=\s|$)")
_HEAD = re.compile(rf"\d+ (?:{'|'.join(NEEDS)})\b")
_OURS = re.compile(
    r"\[.*\]$|not here: |daemon is away|trouble: |alias *\tstate *\t|\tq\w+ \["
)  # lines that are not a session's
_QUESTION = re.compile(r"\t\S+ \[")
EXCERPT = 120  # characters of a note, and of a question
_DOING = 24  # characters of what an agent does


@lru_cache(8192)
def key(line: str) -> str:
    """Return by what a line is known: a session's by its id, a question's by its own, others by their first word."""
    found = _ID.findall(line, 1)  # a row whose alias was cut away begins with a tab, and is that row all the same
    if found:
        return str(found[-1])
    if line.startswith("\t"):
        return f"\t{table.key(line)}"
    return "needs" if _HEAD.match(line) else table.key(line)


def stands(body: str, id: str) -> bool:
    """Return whether the row of that session is in a text in any form, such as joined with the next one."""
    return re.search(rf"[^\n]\t{id}", body) is not None


def ours(line: str) -> bool:
    """Return whether a line looks like one that Assist wrote."""
    return bool(_OURS.match(line) or _HEAD.match(line) or _ID.search(line))


def alias(line: str) -> str:
    """Return the first cell."""
    return line.split("\t", 1)[0].strip()


def needing(roster: Roster, mail: int) -> str:
    """Return how many sessions need the user for what, ``2 ask · 3 mail``; of mail it is the messages."""
    counts = Counter(one.needs for one in roster.sessions)
    counts["mail"] = mail
    return " · ".join(f"{counts[need]} {need}" for need in NEEDS if counts[need])


def sorted_by_need(sessions: Sequence[Session]) -> list[Session]:
    """Return those that need the user first, the most urgent at the top; else oldest first."""
    return sorted(sessions, key=lambda one: NEEDS.index(one.needs) if one.needs in NEEDS else len(NEEDS))


def asked(ask: Ask, label: str) -> str:
    """Return a question's line, with choices to middle-click; one without choices is answered in a window of its own."""
    choices = " ".join(f"[{table.one_line(choice)}]" for choice in ask.choices) or "[answer]"
    about = table.one_line(": ".join([ask.text, *_more(ask)]))
    about = about if len(about) <= EXCERPT else f"{about[:EXCERPT].rstrip()}\u2026"
    return f"\t{ask.id or label} {choices} {about}"


def _more(ask: Ask) -> list[str]:
    """Return what the text of a question does not say: of the input of a tool, which is JSON, its values; else the
    whole detail.
    """
    try:
        given = loads(ask.detail)
    except Invalid:
        given = ask.detail
    values = given.values() if isinstance(given, dict) else [given]
    values = [value for value in values if value is not False and value is not None]  # what it does not do
    said = [table.one_line(value if isinstance(value, str) else dumps(value)) for value in values]
    return [one for one in said if one and one not in table.one_line(ask.text)]


def is_question(line: str) -> bool:
    """Return whether a line looks like one that `asked` made."""
    return bool(_QUESTION.match(line))


def take(app: Host, session: Session, ask: Ask, line: str, at: int) -> None:
    """Give the choice that a click there in a question's line takes; show the question where it has none there."""
    choice = meant(ask, line, at)
    if choice:
        app.agent.write(f"{session.id}/answer", f"{ask.id} {choice}\n".lstrip())
    else:
        app.open("ask", session.id)


def bracketed(line: str, at: int) -> str | None:
    """Return what is in the brackets around that place of a line."""
    found = next((one for one in re.finditer(r"\[([^\[\]]*)\]", line) if one.start() <= at <= one.end()), None)
    return found[1] if found else None


def meant(ask: Ask, line: str, at: int) -> str | None:
    """Return the choice that a click there in a question's line takes; empty if it is to be answered in its window;
    None beside them.
    """
    choice = bracketed(line, at)
    if choice is None:
        return None
    return next((one for one in ask.choices if table.one_line(one) == choice), "")


def used(usage: Mapping[str, float]) -> str:
    """Return tokens and cost of a session, as far as it reports them: ``120k in · 4.1k out · $0.42``."""
    said = [f"{_short(usage[name])} {word}" for name, word in (("input", "in"), ("output", "out")) if usage.get(name)]
    return " · ".join([*said, *([f"${usage['cost']:.2f}"] if usage.get("cost") else [])])


def _short(count: float) -> str:
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return f"{count:.0f}"


def state(session: Session, now: float) -> tuple[str, str]:
    """Return ``asks``, ``idle``, ``running 2:14 make check``; and the same without what it does."""
    if session.asks:
        return "asks", "asks"
    if session.state != "running" or not session.since:
        return session.state, session.state
    short = f"running {elapsed(now - session.since)}"
    return f"{short} {done_now(session)[:_DOING]}".rstrip(), short


def done_now(session: Session) -> str:
    """Return what the agent does; of one that reports nothing of it, nothing."""
    doing = table.one_line(session.doing)
    return "" if doing == session.state else doing


def elapsed(seconds: float) -> str:
    """Return a time such as ``2:14``, ``1:02:14``."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
