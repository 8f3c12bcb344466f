"""anvillm in a real terminal: a tmux of its own, 80 columns and 24 lines."""

import shlex
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.conftest import PATIENCE, ROOT, Daemon, Home, wait_until
from tests.session import Session


class Terminal:
    """A terminal in which programs of a home run."""

    def __init__(self, home: Home, *, term: str = "screen-256color", **env: str) -> None:
        self.home = home
        self.socket = str(home.top / "term")
        self._env = home.env | {"PYTHONPATH": str(ROOT), **env}
        self._tmux("-f", "/dev/null", "new-session", "-d", "-s", "t", "-x", "80", "-y", "24", "cat")
        self._tmux("set", "-g", "remain-on-exit", "on")
        self._tmux("set", "-g", "default-terminal", term)

    def _tmux(self, *argv: str) -> str:
        done = subprocess.run(
            ["tmux", "-S", self.socket, *argv], capture_output=True, text=True, check=True, env=self._env
        )
        return done.stdout

    def run(self, *argv: str) -> None:
        """Run a program in it instead of what runs now."""
        words = ["env", "-i", *(f"{k}={v}" for k, v in self._env.items() if k not in ("TERM", "COLORTERM"))]
        self._tmux(
            "respawn-pane",
            "-k",
            "-t",
            "t",
            "-c",
            str(self.home.work),
            f"TERM=$TERM; exec {shlex.join(words)} TERM=$TERM {shlex.join(argv)}",
        )

    def anvillm(self) -> None:
        self.run(sys.executable, "-m", "tui")

    def keys(self, *keys: str) -> None:
        """Press keys by their tmux names; anything else is typed."""
        for key in keys:
            self._tmux("send-keys", "-t", "t", key)

    def type(self, text: str) -> None:
        self._tmux("send-keys", "-t", "t", "-l", text)

    def resize(self, columns: int, lines: int) -> None:
        """Give it another size."""
        self._tmux("resize-window", "-t", "t", "-x", str(columns), "-y", str(lines))

    def screen(self, *options: str) -> str:
        """Return the lines as they are shown."""
        return self._tmux("capture-pane", "-p", "-t", "t", *options)

    def shows(self, *texts: str) -> str:
        """Wait until all of ``texts`` are on the screen; the screen."""
        try:
            wait_until(lambda: all(text in self.screen() for text in texts), f"{texts}")
        except AssertionError:
            raise AssertionError(f"waited {PATIENCE:g} s for {texts} in\n{self.screen()}") from None
        return self.screen()

    def hides(self, *texts: str) -> str:
        """Wait until none of ``texts`` is."""
        wait_until(lambda: not any(text in self.screen() for text in texts), f"gone: {texts}")
        return self.screen()

    @property
    def ended(self) -> int | None:
        """The exit status of the program, None while it runs."""
        dead, status = (
            self._tmux("display", "-p", "-t", "t", "#{pane_dead} #{pane_dead_status}").rstrip("\n").split(" ")
        )
        return int(status or 0) if dead == "1" else None

    def close(self) -> None:
        subprocess.run(["tmux", "-S", self.socket, "kill-server"], capture_output=True, check=False)


@pytest.fixture
def terminal(home: Home) -> Iterator[Terminal]:
    made = Terminal(home)
    try:
        yield made
    finally:
        made.close()


def new(daemon: Daemon, *options: str, backend: str = "shell") -> str:
    """Start a session and wait until it is idle. Returns its id."""
    return Session.new(daemon, backend, *options).id
