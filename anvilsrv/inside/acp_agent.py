"""The agent of the front: its process and its session, begun, gone on with, and begun again where nothing else is left.

Threads: that of the front, but for what the process's reader puts into ``put``.
"""

import os
import time
from collections.abc import Callable
from typing import Any, Protocol

from anvilsrv.inside.acp_client import Client, Wanted
from anvilsrv.inside.acp_process import Gone, Process
from anvilsrv.inside.acp_settings import Settings

QUIET = 0.3  # s without news after which the history of a conversation counts as told
HISTORY = 10.0  # s for it at most
REFUSED = 126  # the status that says that another start would not help
NEVER = float("inf")


class Owner(Protocol):
    """Who is told what becomes of it."""

    def ready(self) -> None: ...
    def over(self, why: str, status: int) -> None: ...
    def alarm(self, why: str) -> None: ...


class Agent:
    """One at a time. ``prompted``: this process was given a prompt; what it told before is history."""

    def __init__(self, settings: Settings, put: Callable[[Any], None], owner: Owner) -> None:
        self.session = settings.session
        self.process: Process | None = None
        self.client: Client | None = None
        self.ready = False
        self.prompted = False
        self._settings = settings
        self._put = put
        self._owner = owner
        self._quiet = NEVER  # when its history counts as told
        self._latest = NEVER  # whatever comes then

    def start(self) -> None:
        """Start it; it goes on with the session, if there is one."""
        self.ready, self.prompted, self.client = False, False, None
        settings = self._settings
        try:
            self.process = Process(
                settings.command, {**os.environ, **settings.env}, settings.cwd,
                lambda process, message: self._put((process, message)),
            )  # fmt: skip
        except OSError as error:
            self._owner.over(f"cannot start {settings.command[0]}: {error.strerror}", REFUSED)
            return
        wanted = Wanted(
            settings.cwd,
            self.session,
            settings.servers(),
            settings.meta,
            settings.choices,
            settings.needed,
            settings.start,
            settings.login,
        )
        self.client = Client(self.process, wanted, self._opened, self._failed, self._owner.alarm)
        self.client.start()

    def again(self, session: str) -> None:
        """End it with all that it has started, and start it again, with that conversation."""
        self.close()
        self.session = session
        self.start()

    def prompt(self) -> None:
        """Give it a prompt: what it reports from now on is not history."""
        self.prompted = True

    def close(self) -> None:
        """End it with all that it has started."""
        if self.process is not None:
            self.process.end()

    def gone(self, gone: Gone, in_turn: bool) -> None:
        """Handle its end."""
        words = gone.words.splitlines()[-1].strip() if gone.words else ""
        why = f"the agent ended with status {gone.status}" + (f": {words[:300]}" if words else "")
        client = self.client
        if client is not None and not self.ready and client.wanted.session and client.capabilities:
            self._owner.alarm(f"{why} while resuming the conversation: a new one begins")
            self.again("")
        elif gone.status == 0 and self.ready and not in_turn:
            self._owner.over(why, 0)
        else:
            self._owner.over(why, gone.status or 1)

    @property
    def deadline(self) -> float:
        """When ``tick`` is due (monotonic, s)."""
        return min(self.client.deadline if self.client else NEVER, self._quiet)

    def tick(self, now: float) -> None:
        """Check the time: what is late has failed; a history after which nothing more comes is reported."""
        if self.client is not None:
            self.client.tick(now)
        if now >= self._quiet:
            self._quiet, self.ready = NEVER, True
            self._owner.ready()

    def told(self) -> None:
        """Take what it reports, which may be more of its history."""
        if self._quiet != NEVER and self.client is not None and self.client.wanted.session == self.session:
            self._quiet = min(time.monotonic() + QUIET, self._latest)

    def _opened(self, resumed: bool) -> None:
        """Handle a session that is there, as wanted."""
        assert self.client is not None
        self.session = self.client.session
        now = time.monotonic()
        self._latest = now + HISTORY
        self._quiet = now + QUIET if resumed else now

    def _failed(self, why: str, permanent: bool) -> None:
        """Handle that no session can be had."""
        if self.client is not None and self.client.hung:
            self.again("")
        else:
            self._owner.over(why, REFUSED if permanent else 1)
