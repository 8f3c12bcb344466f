"""The directory ``beads/``: the rows of the file table that stand for the task graph (DESIGN sections 2 and 6).

Threads: lookups and stats run on the 9P thread (cheap queries only), opens and reads on its workers.
"""

from collections.abc import Callable, Sequence
from typing import Any

from anvilsrv.beads.beads import FILES, Beads
from anvilsrv.p9.tree import Dir, File, Handle, Node, Request, SnapshotHandle, TextFile, stable_path
from anvilsrv.tree.files import CommandFile


class BeadsText(TextFile):
    """A file whose content is made by a query of its own; its version is that of the graph, or of its bead."""

    slow = True

    def __init__(self, name: str, path: int, beads: Beads, content: Callable[[], bytes], bead: str | None) -> None:
        super().__init__(name, lambda who: content(), path, 0o444)
        self._beads = beads
        self._bead = bead

    def version(self, who: Any) -> int:
        return self._beads.version(self._bead)

    def open(self, who: Any, mode: int, req: Request) -> Handle:
        return SnapshotHandle(self.content(who))


class BeadDir(Dir):
    """``beads/<bead-id>/``."""

    def __init__(self, beads: Beads, bead: str) -> None:
        super().__init__(bead, stable_path("beads", bead))
        self._beads = beads

    def lookup(self, who: Any, name: str) -> Node | None:
        return self._file(name) if name in FILES else None

    def children(self, who: Any) -> Sequence[Node]:
        return [self._file(name) for name in FILES]

    def _file(self, name: str) -> File:
        return BeadsText(
            name,
            stable_path("beads", self.name, name),
            self._beads,
            lambda: self._beads.file(self.name, name),
            self.name,
        )


class BeadsDir(Dir):
    """``beads/``. ``ctl`` runs its commands as who writes them; ``import`` and ``export`` are the user's."""

    def __init__(self, beads: Beads, report: Callable[[str], None]) -> None:
        super().__init__("beads", stable_path("beads"))
        self._beads = beads

        def run(who: Any, words: list[str]) -> str | None:
            return beads.command(words, who.name, who.session is None)

        self._nodes: dict[str, File] = {
            "ctl": CommandFile("ctl", stable_path("beads", "ctl"), 0o600, run, report),
            "list": BeadsText("list", stable_path("beads", "list"), beads, beads.list_json, None),
            "ready": BeadsText("ready", stable_path("beads", "ready"), beads, beads.ready_json, None),
        }

    def lookup(self, who: Any, name: str) -> Node | None:
        if name in self._nodes:
            return self._nodes[name]
        return BeadDir(self._beads, name) if self._beads.has(name) else None

    def children(self, who: Any) -> Sequence[Node]:
        return [*self._nodes.values(), *(BeadDir(self._beads, bead) for bead in self._beads.ids())]
