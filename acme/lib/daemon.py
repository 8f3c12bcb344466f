"""The daemon's window, `/AnviLLM/+Daemon`: is it up, and Start, Stop, Restart, Log."""

from __future__ import annotations

from typing import ClassVar

from acme.lib import table
from acme.lib.agent import Session
from acme.lib.host import Call
from acme.lib.pane import Pane
from anvilsrv import paths
from anvilsrv.errors import NotFound, Unavailable
from anvilsrv.front.program import anvilsrv

_TAIL = 100  # lines of the daemon's log


class Daemon(Pane):
    """Commands wait for the program here, and hold up no other window."""

    commands: ClassVar = {"Get": "get", "Start": "run", "Stop": "run", "Restart": "run", "Log": "log"}
    tag = "Get Start Stop Restart Log"
    any_word = False

    def title(self) -> str:
        return "/AnviLLM/+Daemon"

    def reopen(self) -> str:
        return "daemon"

    def session(self) -> Session | None:
        return None

    def open(self) -> None:
        self.status()

    def refresh(self) -> None:
        """Say so when the daemon goes or comes back."""
        if self.app.online != self.online:
            self.status()

    def get(self, call: Call) -> None:
        self.status()

    def run(self, call: Call) -> None:
        self._draw(f"anvilsrv {call.word.lower()} ...\n")
        worked, said = anvilsrv(call.word.lower())
        if not worked:
            raise Unavailable(said)
        self.status(said)

    def log(self, call: Call) -> None:
        path = paths.state_dir() / "anvilsrv.log"
        try:
            text = path.read_text("utf-8", "replace")
        except OSError as error:
            raise NotFound(f"no log '{path}': {error.strerror}") from None
        self._draw(f"{path}:$\n\n" + "\n".join(text.splitlines()[-_TAIL:]) + "\n")

    def status(self, before: str = "") -> None:
        self.online = self.app.online
        answers = "answers" if self.online else "does not answer"
        parts = [before, self._lined_up(anvilsrv("status")[1]), f"{self.app.agent.path} {answers}", self._backends()]
        self._draw("\n".join(part for part in parts if part) + "\n")

    def _lined_up(self, said: str) -> str:
        """Return a text with its lines of sessions, whose cells have tabs between, in columns."""
        lines = said.split("\n")
        rows = [(at, line.split("\t")) for at, line in enumerate(lines) if "\t" in line]
        most = max((len(cells) for _, cells in rows), default=0)
        made = table.aligned([[*cells, *[""] * (most - len(cells))] for _, cells in rows], self.style())
        for (at, _), line in zip(rows, made, strict=True):
            lines[at] = line.rstrip()
        return "\n".join(lines)

    def _backends(self) -> str:
        rows = table.aligned([(each.word, each.trouble or "ok") for each in self.app.roster.backends], self.style())
        return "\n" + "\n".join(rows) if rows else ""

    def _draw(self, text: str) -> None:
        with self.window.bulk():
            self.window.replace(0, self.window.address("$")[1], text)
        self.window.select(0, 0)
        self.window.show()  # acme went to the end
