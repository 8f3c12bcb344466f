"""The daemon from the terminal: is it there, why not, and start, stop, restart. It is run as its own program."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.content import Content
from textual.widgets import Label, Static

from anvilsrv.front.program import anvilsrv
from tui.dialogs import Confirm, Dialog
from tui.host import Host, Shown
from tui.text import printable


class DaemonScreen(Shown, Dialog):
    """Says how the daemon is; starts it after asking."""

    BINDINGS: ClassVar = [
        Binding("y", "start", show=False),
        Binding("s", "start", show=False),
        Binding("R", "run('restart')", show=False),
        Binding("t", "stop", show=False),
        Binding("n,q", "dismiss(None)", show=False),
    ]

    def __init__(self, host: Host) -> None:
        super().__init__("The daemon")
        self.host = host
        self._busy = False
        self._failed = ""

    def inside(self) -> ComposeResult:
        yield Static(id="said", classes="text")
        yield Label("", classes="hint", id="can")

    def on_mount(self) -> None:
        self.redraw()
        if not self.host.why:
            self.host.work(lambda: anvilsrv("status")[1], self._told)

    def redraw(self) -> None:
        """Follow what the application knows."""
        if not self.is_running or self._busy:
            return
        if self.host.why:
            said = (
                self._failed
                or f"anvilsrv is not running in namespace '{self.host.namespace}'\n({self.host.why})\n\nStart it?"
            )
            self._say(said, "y start   n leave it" if not self._failed else "s try again   Esc back")
        elif self._failed:
            self._say(self._failed, "s start   R restart   t stop   Esc back")
        else:
            self._say(
                f"anvilsrv serves {self.host.service}",
                "R restart (agents run on)   t stop (agents end)   Esc back",
            )

    def _say(self, text: str, can: str) -> None:
        self.query_one("#said", Static).update(Content(printable(text)))
        self.query_one("#can", Label).update(can)

    def _told(self, said: str) -> None:
        if self.is_running and not self._busy:
            self._say(said, self._can())

    def _can(self) -> str:
        return "y start   Esc back" if self.host.why else "R restart (agents run on)   t stop (agents end)   Esc back"

    def action_start(self) -> None:
        if self.host.why:
            self.action_run("start")

    def action_stop(self) -> None:
        """Stop it, after asking: its agents end."""

        def stop(sure: bool | None) -> None:
            if sure:
                self.action_run("stop")

        if not self.host.why and not self._busy:
            live = sum(row["state"] in ("starting", "idle", "running") for row in self.host.rows)
            why = f"{live} agent{'' if live == 1 else 's'} will end; the sessions stay, and can be restarted."
            self.app.push_screen(Confirm("Stop the daemon?", why), stop)

    def action_run(self, command: str) -> None:
        if not self._busy:
            self._busy = True
            self._say(f"anvilsrv {command} …", "")
            self.host.work(lambda: anvilsrv(command), self._ran)

    def _ran(self, done: tuple[bool, str]) -> None:
        worked, said = done
        self.host.hurry()
        self._busy, self._failed = False, "" if worked else said
        if worked:
            self.host.say(said)
            if self.is_running:
                self.dismiss(None)
        elif self.is_running:
            self.redraw()
