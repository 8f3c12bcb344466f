"""Uses of tools that are begun and not ended, and what is told of one without its id.

An agent may have the output of a command in a file that it names as it likes: that is the output of the one tool of its name that runs
and has no file yet. While there are several such, or none, since the hook that tells of it is late, what is in the file waits. A hook
may tell of the use of a tool before the agent has an id for it: the id that it gets here is the one by which it stays known. What the
hook tells may be read after the agent's own file all the same: then it is the use of which that has told.

Threads: everything runs on the store's thread.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from anvilsrv.activity.rows import Begun
from anvilsrv.activity.schema import PART

NAMELESS = "?"  # the id of what has none
OWN = "use "  # how ids that were given here begin
OPEN = 100  # uses and files that are remembered; the oldest are forgotten
WAITS = PART // 4  # characters of a file that wait


@dataclass
class Use:
    """The use of a tool: what it is, in two ways, and whether a file has its output."""

    name: str
    words: str
    parent: str
    background: bool = False
    told: bool = False  # by the agent's own id too
    ended: bool = False  # it is remembered for its own id
    file: bool = False


@dataclass
class File:
    """One with the output of a tool: which, or what waits until that is known. ``doubtful``: a tool without a file has ended since the
    last that came, so the file may have been its."""

    ident: str = ""
    waits: str = ""
    begun: Begun | None = None
    doubtful: bool = False


class Running:
    """Of one session."""

    def __init__(self) -> None:
        self._uses: dict[str, Use] = {}
        self._ended: dict[str, None] = {}
        self._early: dict[str, str] = {}  # uses that were told by the agent's own id, and by no hook: their words
        self._files: dict[tuple[str, str], File] = {}

    def hear(self, made: Mapping[str, Any]) -> None:
        """Take an object of activity that was reported."""
        kind, ident = made["kind"], str(made.get("id", ""))
        if kind == "prompt":
            self._uses = {name: one for name, one in self._uses.items() if self.behind(name)}
            self._early.clear()
            self._files = {name: one for name, one in self._files.items() if one.ident in self._uses}
        elif kind == "tool" and ident in self._uses:
            self._uses[ident].background = bool(made.get("background"))
        elif kind == "tool" and ident not in self._ended:
            parent, background = str(made.get("parent", "")), bool(made.get("background"))
            self._uses[ident] = Use(str(made.get("name")), words(made), parent, background)
            _bounded(self._uses)
            if not ident.startswith(OWN):
                self._early[ident] = words(made)
                _bounded(self._early)
        elif kind == "output" and "end" in made:
            self._ended[ident] = None
            _bounded(self._ended)
            use = self._uses.get(ident) if ident.startswith(OWN) else self._uses.pop(ident, None)
            if use is not None:
                use.ended = True
            for (tool, _), one in self._files.items():
                one.doubtful |= use is None or (use.name == tool and not use.file)

    def named(self, made: Mapping[str, Any]) -> str:
        """Return by which id the use of a tool is known that the agent reports by its own; empty: by that."""
        alike = [one for one in self._uses.items() if one[0].startswith(OWN) and not one[1].told]
        exact = [one for one in alike if one[1].words == words(made)]
        for ident, use in exact or [one for one in alike if one[1].name == made.get("name")]:
            use.told = True
            return ident
        return ""

    def early(self, made: Mapping[str, Any]) -> str:
        """Return by which id the use of a tool is known that is reported without one; empty: it is a new one."""
        ident = next((ident for ident, said in self._early.items() if said == words(made)), "")
        self._early.pop(ident, None)
        return ident

    def meant(self, tool: str) -> str:
        """Return the use that such words mean, the oldest that runs; empty: none."""
        return next((ident for ident, one in self._running() if tool in (one.name, one.words)), "")

    def left(self) -> list[str]:
        """Return the uses that an interrupt of the turn ends."""
        return [ident for ident, one in self._running() if not one.background and not one.parent]

    def behind(self, ident: str) -> bool:
        """Return whether a use goes on in the background, after its turn too."""
        found = self._uses.get(ident)
        return found is not None and found.background and not found.ended

    def lost(self) -> list[str]:
        """Return the uses in the background, which end with their agent."""
        return [ident for ident in self._uses if self.behind(ident)]

    def _running(self) -> list[tuple[str, Use]]:
        return [(ident, one) for ident, one in self._uses.items() if not one.ended]

    def write(self, tool: str, name: str, part: str, begun: Begun | None) -> None:
        """Note that there is more in the file of that name, which has the output of a tool of that name; ``begun`` is
        where.
        """
        file = self._files.setdefault((tool, name), File())
        _bounded(self._files)
        file.begun = file.begun or begun
        file.waits = (file.waits + part)[-WAITS:]
        file.doubtful = False

    def read(self) -> Iterator[tuple[str, str, Begun | None]]:
        """Yield what is in files of which it is known by now whose they are: its id, what came, and where the file
        begins.
        """
        for (tool, _), file in self._files.items():
            if not file.waits:
                continue
            if not file.ident and not file.doubtful:
                file.ident = self._claimed(tool)
            if file.ident:
                yield file.ident, file.waits, file.begun
                file.waits = ""

    def _claimed(self, tool: str) -> str:
        free = [(ident, use) for ident, use in self._running() if use.name == tool and not use.file]
        waiting = [one for (of, _), one in self._files.items() if of == tool and not one.ident and not one.doubtful]
        if len(free) != 1 or len(waiting) != 1:
            return ""
        free[0][1].file = True
        return free[0][0]


def words(made: Mapping[str, Any]) -> str:
    """Return the use of a tool as a text: its name and its input."""
    given = made.get("input")
    return f"{made.get('name')} {given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)}"


def _bounded(found: dict[Any, Any]) -> None:
    while len(found) > OPEN:
        del found[next(iter(found))]
