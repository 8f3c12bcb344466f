"""The windows in which agents run, and how what ran in them ended."""

import os
import re
import shlex
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from anvilsrv.display import one_line
from anvilsrv.errors import Unavailable
from anvilsrv.tmux.events import number
from anvilsrv.tmux.options import ANSWER, ASK, FILE, HEIGHT, LABEL, PID, SESSION, WIDTH
from anvilsrv.tmux.protocol import quote
from anvilsrv.tmux.server import Server

ID = re.compile(r"[0-9a-f]{8}")
LOOKS = 2  # after a signal: the first may be answered in the round in which it came, before it is acted on
COLUMNS = (
    "#{pane_id}", PID, "#{pane_dead}", "#{pane_dead_status}", "#{pane_dead_signal}", "#{window_panes}", "#{@session}", "#{window_name}",
)  # fmt: skip
WORDS = re.compile(
    r"Pane is dead \(signal (\d+),"
)  # what tmux 3.2, which has no pane_dead_signal, writes into the pane

ASKS = (ASK, ANSWER, FILE)


class Pane(NamedTuple):
    """A new window: its pane's id (``%3``), stable for its life, and the pid of the program in it."""

    id: str
    pid: int


@dataclass(frozen=True)
class PaneInfo:
    """One agent's pane. ``window`` is the name given to ``new_window``; ``status`` or ``signal`` once it is ``dead``, if tmux knows."""

    id: str
    window: str
    pid: int
    dead: bool
    status: int | None
    signal: int | None

    @property
    def told(self) -> bool:
        """Whether it is known how the program ended."""
        return self.dead and (self.status is not None or self.signal is not None)


class Windows(Server):
    """The part of ``Tmux`` that makes, lists and closes windows."""

    def new_window(self, name: str, argv: Sequence[str], *, cwd: str, env: Mapping[str, str]) -> Pane:
        """Start ``argv`` (no shell between) in a window of its own called ``name``. ``env`` is added to the server's."""
        window = f"new-window -d -P -F '#{{pane_id}} #{{pane_pid}}' -t ={SESSION}: -n {literal(name)} "
        [[made]] = self.line(window + program(argv, cwd, env))
        pane, pid = made.split()
        mark = f"set-option -p -t {pane} @pid {pid} ; set-option -p -t {pane} @session {quote(name)}"
        self.line(f"{mark} ; resize-window -t {pane} -x {WIDTH} -y {HEIGHT}")
        return Pane(pane, int(pid))

    def respawn(self, pane: str, argv: Sequence[str], *, cwd: str, env: Mapping[str, str]) -> int:
        """Start ``argv`` in an existing pane, ending what still runs there. Returns the new pid."""
        again = f"respawn-pane -k -t {target(pane)} {program(argv, cwd, env)}"
        mark = f"set-option -p -F -t {pane} @pid '#{{pane_pid}}' ; display-message -p -t {pane} '#{{@pid}}'"
        return int(self.line(f"{again} ; {mark}")[-1][0])

    def panes(self) -> list[PaneInfo]:
        """Return the panes that ``new_window`` made, in the order of their making; not those that people opened beside
        them.
        """
        found = self._panes()
        if any(one.dead and not one.told for one in found):
            self._reap()
            for _ in range(LOOKS):
                found = self._panes()
        return found

    def kill(self, pane: str) -> None:
        """End the pane and what runs in it."""
        self.command("kill-pane", "-t", target(pane))

    def label(self, pane: str, name: str, label: str) -> None:
        """Call the window made with that name ``label`` where a person sees it. No-op where the pane is another's now."""
        self._mark(pane, name, f"set-option -p -t {target(pane)} {LABEL} {quote(harmless(label))}")

    def ask(self, pane: str, name: str, *shown: str) -> None:
        """Show who looks at the window made with that name what its agent asks, how that is answered, and the file for it; nothing: it
        asks nothing. No-op where the pane is another's now.
        """
        where = target(pane)
        if shown:
            found = zip(ASKS, shown, strict=True)
            line = " ; ".join(f"set-option -p -t {where} {name} {quote(harmless(text))}" for name, text in found)
        else:
            line = " ; ".join(f"set-option -p -u -t {where} {name}" for name in ASKS)
        self._mark(pane, name, line)

    def _mark(self, pane: str, name: str, line: str) -> None:
        self.line(f"if-shell -F -t {target(pane)} {quote(f'#{{==:#{{@session}},{name}}}')} {{ {line} }}")

    def attach_command(self, window: str) -> str:
        """Return a command line for a shell that shows the agent's window, in a view of its own, which is gone when the
        person detaches.

        ``window`` is the name given to ``new_window``, or the pane's id.
        """
        if window.startswith("%"):
            window = next((one.window for one in self.panes() if one.id == window), window)
        words = (
            "env", "-u", "TMUX", "tmux", "-u", "-S", str(self.socket), "new-session", "-t", f"={SESSION}", ";",
            "set-option", "destroy-unattached", "on", ";", "select-window", "-t", f":={window}",
        )  # fmt: skip
        # zsh expands =word, and to rc a = is an assignment
        return " ".join(f"'{word}'" if "=" in word else shlex.quote(word) for word in words)

    def _panes(self) -> list[PaneInfo]:
        found = []
        for line in self.command("list-panes", "-s", "-t", f"={SESSION}", "-F", "|".join(COLUMNS)):
            pane, pid, ended, status, killed, beside, session, window = line.split("|", 7)
            if not session and beside == "1" and ID.fullmatch(window):
                session = window  # a daemon died between making the window and marking it
            if ended == "1" and not status and not killed:
                killed = self._written(pane)
            if session:
                found.append(PaneInfo(pane, session, int(pid or 0), ended == "1", number(status), number(killed)))
        return sorted(found, key=lambda one: int(one.id[1:]))

    def _written(self, pane: str) -> str:
        """Return the number of the signal that ended a program, from what tmux wrote into its pane; empty if that is
        not there.
        """
        written = WORDS.match(
            next((one for one in reversed(self.command("capture-pane", "-p", "-t", pane)) if one), "")
        )
        return written[1] if written else ""

    def _reap(self) -> None:
        """Have tmux look for children that have ended (it misses a SIGCHLD now and then: see ``events``)."""
        server = int(self.command("display-message", "-p", "#{pid}")[0])
        with suppress(ProcessLookupError):  # the next call tells
            os.kill(server, signal.SIGCHLD)


def literal(word: str) -> str:
    """Return it quoted, and safe where tmux expands formats."""
    return quote(word.replace("#", "##"))


def harmless(text: str) -> str:
    """Return a text from elsewhere as the value of an option that a format shows: one line, in which ``#`` begins no
    style.
    """
    return one_line(text).replace("#", "##")


def program(argv: Sequence[str], cwd: str, env: Mapping[str, str]) -> str:
    if not os.path.isdir(cwd):
        raise Unavailable(f"no directory '{cwd}'")
    words = [f"-e {quote(f'{name}={value}')}" for name, value in env.items()]
    given = list(argv) if len(argv) > 1 else ["env", *argv]  # a lone word would be given to a shell
    if "#" in cwd:  # a format for tmux, and "#[" cannot be quoted
        given, cwd = ["sh", "-c", 'cd "$0" && exec "$@"', cwd, *given], "/"
    return " ".join([f"-c {quote(cwd)}", *words, "--", *map(quote, given)])


def target(pane: str) -> str:
    """Return a pane's id. Raises Unavailable for anything else."""
    if not re.fullmatch(r"%[0-9]+", pane):
        raise Unavailable(f"no pane '{pane}'")
    return pane
