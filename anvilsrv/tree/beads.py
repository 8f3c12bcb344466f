"""The kinds of file in ``beads/``: texts made by a query of the task graph.

Threads: lookups, and stats of beads, run on the 9P thread (cheap queries only), everything else on its workers.
"""

from collections.abc import Callable
from dataclasses import dataclass

from anvilsrv.p9.tree import Handle, Request
from anvilsrv.tree.files import Content
from anvilsrv.tree.nodes import FileKind, Place, RowFile


@dataclass(frozen=True)
class GraphText(FileKind):
    """A text; its version is that of the bead in whose directory it is, or of the whole graph."""

    content: Callable[[Place], bytes]

    slow = True

    def length(self, file: RowFile) -> int:
        return len(self.content(file.at))

    def version(self, file: RowFile) -> int:
        return file.at.domain.beads.version(file.at.member or None)

    def open(self, file: RowFile, mode: int, req: Request) -> Handle:
        return Content(self.content(file.at), file.at)


@dataclass(frozen=True)
class GraphList(GraphText):
    """A text about all beads, which may be long: its length is not found by making it."""

    size: Callable[[Place], int]

    slow_stat = True

    def length(self, file: RowFile) -> int:
        return self.size(file.at)


def field(name: str) -> GraphText:
    """Return the file of one field of a bead."""
    return GraphText(lambda at: at.domain.beads.file(at.member, name))


def command(at: Place, words: list[str]) -> str | None:
    """Run a command of ``beads/ctl`` as the caller; only the user may ``import`` and ``export``."""
    return at.domain.beads.command(words, at.who.name, at.who.session is None)


def find(at: Place, name: str) -> str | None:
    """Return the id of a bead, if there is one."""
    return name if at.domain.beads.has(name) else None
