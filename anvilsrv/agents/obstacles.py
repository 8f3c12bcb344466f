"""What is in the way of a prompt: a person's half-typed line, a dialog, a screen that shows no input. It is waited for, and then the
queue goes on by itself.

It follows the rows: a session whose gate has an obstacle is watched, one whose prompt stands in the input already is watched by its
delivery.

Threads: one for each watch (``following.py``). ``close`` ends and joins them; the next daemon watches again.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from anvilsrv.agents.evidence import Evidence, is_clear
from anvilsrv.agents.eye import Eye, Until
from anvilsrv.agents.following import Following
from anvilsrv.agents.input_line import MARK
from anvilsrv.backends.backend import Backend
from anvilsrv.backends.registry import Backends
from anvilsrv.desk.life import Life
from anvilsrv.display import plain
from anvilsrv.sessions.gate import By
from anvilsrv.sessions.happened import Look
from anvilsrv.sessions.registry import Registry
from anvilsrv.sessions.state import View
from anvilsrv.tmux.screen import Screen, Watch
from anvilsrv.tmux.tmux import Tmux

LOOK = 5.0  # s between looks when nothing moves in the pane
LONG = 60.0  # s after which it is said that it may be no person
SHOWN = 60  # characters of a line
NOT_READ = "the agent does not read what is typed: it is stopped, or busy"


@dataclass(frozen=True)
class Wanted:
    """A pane that is to be watched."""

    pane: str
    pid: int


class Obstacles:
    """Watches the panes of sessions whose queue an obstacle holds."""

    def __init__(
        self, registry: Registry, life: Life, tmux: Tmux, backends: Backends, evidence: Evidence,
        on_error: Callable[[BaseException], None],
    ) -> None:  # fmt: skip
        self._registry = registry
        self._life = life
        self._tmux = tmux
        self._backends = backends
        self._evidence = evidence
        self._on_error = on_error
        self._following = Following[Wanted]("obstacles", self._run)

    def follow(self, before: View | None, after: View | None) -> None:
        """See :class:`Follower`."""
        session = after.id if after is not None else before.id if before is not None else ""
        wanted = None
        if (
            after is not None
            and after.pane
            and after.pid
            and By.OBSTACLE in after.gate.holders
            and not after.on_its_way
        ):
            wanted = Wanted(after.pane, after.pid)
        self._following.want(session, wanted)

    def close(self) -> None:
        """End every watch and join its thread."""
        self._following.close()

    def _run(self, session: str, wanted: Wanted, until: Until) -> None:
        since, free = time.monotonic(), False
        while not until.is_set() and not free:
            try:
                free = self._watch(session, wanted.pane, until, since)
            except Exception as error:  # tmux is away, or the backend's file is wrong now: it is tried again
                self._on_error(error)
                until.last(LOOK)
        if free and not until.is_set():
            self._life.about(session, lambda tx: self._life.free(tx, session))

    def _watch(self, session: str, pane: str, until: Until, since: float) -> bool:
        """Wait until the input is free; False if the wait was cancelled."""
        with self._tmux.watch(pane) as output:
            until.wake(output)
            eye = Eye(self._tmux, pane, self._backends.get(self._registry.get(session).backend).asks("prompt"))
            first, told = True, False
            while not until.is_set():
                look = self._evidence.look(session)
                if look in (Look.FREE, Look.UNKNOWN) or is_clear(look):
                    stood = time.monotonic() - since
                    backend = self._backends.get(self._registry.get(session).backend)
                    # what is free at once was held up by something else: not too soon again. A person may have sent a line.
                    return not until.last(LOOK if first else min(stood, backend.input.confirm))
                told = self._look(session, pane, eye, told, time.monotonic() - since > LONG)
                first = False
                self._rest(output)
        return False

    def _look(self, session: str, pane: str, eye: Eye, told: bool, long: bool) -> bool:
        """Answer a dialog, and say once what else it may be; whether that was said."""
        backend = self._backends.get(self._registry.get(session).backend)
        screen = self._tmux.screen(pane, styled=backend.input.styled)
        eye.answer("\n".join(screen.lines))
        if long and not told:
            words = in_the_way(backend, screen, long=True)
            self._life.about(session, lambda tx: self._life.in_the_way(tx, session, words))
        return told or long

    @staticmethod
    def _rest(output: Watch) -> None:
        output.wait(LOOK)


def in_the_way(backend: Backend, screen: Screen, long: bool) -> str:
    """Return what keeps a prompt from being typed, as the screen shows it; after a ``long`` time with what else it may
    be.
    """
    line = backend.input_line(screen)
    if screen.unread:
        return NOT_READ
    if line is None or (backend.input.find is None and not MARK.match(plain(line))):
        shown = next((one for one in reversed(screen.lines) if one.strip()), "")
        words = f"the pane shows no input line of {backend.name}, but {quoted(shown)}"
    else:
        words = f"someone is typing in the pane: {quoted(line)}"
    return f"{words}; if no one is, 'input' in {backend.path} does not fit what the agent shows" if long else words


def quoted(line: str) -> str:
    """Return a line of a screen, shortened and without colours."""
    text = " ".join(plain(line).split())
    return repr(text[:SHOWN] + ("…" if len(text) > SHOWN else ""))
