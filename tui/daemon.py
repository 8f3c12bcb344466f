"""The daemon from the terminal: is it there, why not, and start, stop, restart. It is run as its own program."""

import subprocess
import sys
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.content import Content
from textual.widgets import Label, Static

from tui.dialogs import Dialog
from tui.text import printable

if TYPE_CHECKING:
    from tui.anvillm import Anvillm

PATIENCE = 90.0  # s; above what anvilsrv takes at most


def anvilsrv(command: str) -> tuple[bool, str]:
    """Run ``anvilsrv <command>``: whether it succeeded, and what it said."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "anvilsrv.programs.cli", command],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=PATIENCE, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return False, f"anvilsrv {command}: {error}"
    return done.returncode == 0, (done.stdout + done.stderr).strip()


class DaemonScreen(Dialog):
    """Says how the daemon is; starts it after asking."""

    BINDINGS: ClassVar = [
        Binding("y", "start", show=False),
        Binding("s", "start", show=False),
        Binding("R", "run('restart')", show=False),
        Binding("t", "run('stop')", show=False),
        Binding("n,q", "dismiss(None)", show=False),
    ]
    app: "Anvillm"

    def __init__(self) -> None:
        super().__init__("The daemon")
        self._busy = False
        self._failed = ""

    def inside(self) -> ComposeResult:
        yield Static(id="said", classes="text")
        yield Label("", classes="hint", id="can")

    def on_mount(self) -> None:
        self.redraw()
        if not self.app.why:
            self.app.run_worker(self._status, thread=True)

    def redraw(self) -> None:
        """Follow what the application knows."""
        if not self.is_running or self._busy:
            return
        if self.app.why:
            said = (
                self._failed
                or f"anvilsrv is not running in namespace '{self.app.namespace}'\n({self.app.why})\n\nStart it?"
            )
            self._say(said, "y start   n leave it" if not self._failed else "s try again   Esc back")
        elif self._failed:
            self._say(self._failed, "s start   R restart   t stop   Esc back")
        else:
            self._say(
                f"anvilsrv serves {self.app.follower.socket}",
                "R restart (agents run on)   t stop (agents end)   Esc back",
            )

    def _say(self, text: str, can: str) -> None:
        self.query_one("#said", Static).update(Content(printable(text)))
        self.query_one("#can", Label).update(can)

    def _status(self) -> None:
        said = anvilsrv("status")[1]
        self.app.finish(lambda: self._told(said))

    def _told(self, said: str) -> None:
        if self.is_running and not self._busy:
            self._say(said, self._can())

    def _can(self) -> str:
        return "y start   Esc back" if self.app.why else "R restart (agents run on)   t stop (agents end)   Esc back"

    def action_start(self) -> None:
        if self.app.why:
            self.action_run("start")

    def action_run(self, command: str) -> None:
        if not self._busy:
            self._busy = True
            self._say(f"anvilsrv {command} …", "")
            self.app.run_worker(lambda: self._run(command), thread=True)

    def _run(self, command: str) -> None:
        worked, said = anvilsrv(command)
        self.app.follower.hurry()
        self.app.finish(lambda: self._ran(worked, said))

    def _ran(self, worked: bool, said: str) -> None:
        self._busy, self._failed = False, "" if worked else said or "it failed, and said nothing"
        if worked:
            self.app.say(said)
            if self.is_running:
                self.dismiss(None)
        elif self.is_running:
            self.redraw()
