"""Work in the background: what agents tell of it, which turn began it, and which is meant when it wakes the agent.

An agent that names its work lists all of it at each end of a turn: what no other turn has begun is that turn's own. A list that does
not have some work any more says that it is over. Pure, but for what reads and writes the column ``tasks`` (``turn_rows.py``).
"""

import json
from collections.abc import Iterable
from typing import NamedTuple

MOST = 100  # of one turn; the first go


class Task(NamedTuple):
    """Some work. ``ident``: the agent's own name for it (empty: it has none); ``words``: with which the agent will prompt itself, if it
    says so; ``clipped``: they are only the beginning; ``on``: it goes on; ``forms``: or else the prompt has one of these lines."""

    ident: str = ""
    words: str = ""
    clipped: bool = False
    on: bool = True
    forms: tuple[str, ...] = ()

    def says(self, text: str) -> bool:
        """Return whether it is this work that prompts the agent with ``text``."""
        said, words = text.strip(), self.words.strip()
        same = said.startswith(words) if self.clipped else said == words
        return bool(words) and (same or any(one in said.splitlines() for one in self.forms))


Tasks = tuple[Task, ...]


def told(found: Iterable[object]) -> Tasks:
    """Return the work that a report names (``backends/rules.py``)."""
    return tuple(
        Task(
            str(one.get("id") or ""),
            str(one.get("words") or ""),
            bool(one.get("clipped")),
            forms=tuple(one.get("forms", ())),
        )
        for one in found
        if isinstance(one, dict)
    )


def read(column: str | None) -> Tasks:
    """Return what a row holds."""
    rows = json.loads(column) if column else ()
    return tuple(Task(*row[:4], *map(tuple, row[4:])) for row in rows)


def kept(tasks: Tasks) -> str | None:
    """Return the same for a row."""
    return json.dumps(tasks[-MOST:]) if tasks else None


def going(tasks: Tasks) -> bool:
    """Return whether something still runs."""
    return any(one.on for one in tasks)


def may_mean(tasks: Tasks, ident: str) -> bool:
    """Return whether the end of work of that name can be that of the only turn whose work goes on, which did not give
    the name.
    """
    return len(tasks) < 2 and not (ident and any(one.ident for one in tasks))


def of_turn(before: Tasks, now: Tasks, others: Iterable[str]) -> Tasks:
    """Return the work of a turn that had begun ``before`` when it reports what runs ``now``: what ``others`` began is
    not its own.
    """
    theirs = set(others)
    mine = tuple(one for one in now if not one.ident or one.ident not in theirs)
    known = {one.ident for one in mine}
    return tuple(one._replace(on=False) for one in before if one.ident and one.ident not in known) + mine


def left(before: Tasks, now: Tasks) -> Tasks:
    """Return the work of another turn when what runs ``now`` is reported: of what has no names, something is left while
    there is any.
    """
    names = {one.ident for one in now}
    return tuple(one._replace(on=one.on and (one.ident in names if one.ident else bool(now))) for one in before)


def over(tasks: Tasks, ident: str) -> Tasks:
    """Return the work without one that has woken the agent: that is over, unless it comes again on its own."""
    return tuple(one._replace(on=one.on and (one.ident != ident or bool(one.words))) for one in tasks)
