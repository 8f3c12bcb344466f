"""Which prompt the agent gets next: what a person typed in the pane, else what the daemon has, after it was asked whether that one may
be given.

Threads: that of the front.
"""

import uuid
from collections.abc import Callable, Mapping

from anvilsrv.inside.acp_daemon import Daemon, Go, Offered
from anvilsrv.inside.acp_turn import Turn

MOST = 100  # prompts typed ahead


class Prompts:
    """``free``: the agent can be given one; ``give`` does it, with a context; ``chosen``: the options that are known here."""

    def __init__(
        self, daemon: Daemon, free: Callable[[], bool], give: Callable[[Turn, str], None], chosen: Mapping[str, str],
        report: Callable[..., None],
    ) -> None:  # fmt: skip
        self._daemon = daemon
        self._free = free
        self._give = give
        self._chosen = chosen
        self._report = report
        self._typed: list[str] = []
        self._going: Offered | None = None  # the daemon was asked whether it may be given
        self._cancel_soon = False

    def next(self) -> None:
        """Find something to do, if there is nothing."""
        if self._going is not None or not self._free():
            return
        if self._typed:
            self._daemon.leave()
            text = self._typed.pop(0)
            turn = Turn(str(uuid.uuid4()), text)
            self._report("Submit", text=text, turn=turn.ident)
            self._give(turn, "")
        else:
            self._daemon.fetch(self._chosen)

    def type(self, text: str) -> bool:
        """Take one that a person has typed. Returns whether there is room for it."""
        if len(self._typed) >= MOST:
            return False
        self._typed.append(text)
        return True

    @property
    def waits(self) -> bool:
        """Whether one that is typed now comes later."""
        return self._going is not None or not self._free()

    def offered(self, offered: Offered) -> None:
        """Note that the daemon has one."""
        if self._free() and not self._typed:
            self._going = offered
            self._daemon.take()
        else:
            self._daemon.leave()

    def go(self, event: Go) -> None:
        """Take the answer whether it may be given."""
        self._daemon.leave()
        self._going, cancelled, self._cancel_soon = None, self._cancel_soon, False
        if event.go and cancelled:
            self._report("Interrupt", turn=event.offered.link)
        elif event.go:
            self._give(Turn(event.offered.link, event.offered.text), event.offered.context)
        self.next()

    def cancel(self) -> None:
        """Cancel the one that is about to be given."""
        self._cancel_soon = self._going is not None
