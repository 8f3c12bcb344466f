"""What a person who looks at an agent sees in the status line below its pane: what each window's session is called, and open questions,
with how they are answered.

While a hook of ours waits for an answer some agents show nothing but that a hook runs, and what is typed to them answers nothing.

Threads: ``follow`` is called on the store's thread; tmux is told on the reactor of the agents.
"""

from collections.abc import Callable
from typing import NamedTuple

from anvilsrv.errors import AnvilError
from anvilsrv.linux.reactor import Reactor
from anvilsrv.sessions.registry import Registry
from anvilsrv.sessions.state import View
from anvilsrv.tmux.tmux import Tmux

MOST = 500  # characters of a question: more is on no line
FIRST = 24  # characters of choices that stand before it; more stand behind


class Banner(NamedTuple):
    """What is shown: a question, the command line that answers it, and the file which that writes."""

    question: str
    command: str
    file: str


class Banners:
    """Shows the names and the questions of all sessions."""

    def __init__(
        self, reactor: Reactor, registry: Registry, tmux: Tmux, on_error: Callable[[BaseException], None]
    ) -> None:
        self._reactor = reactor
        self._registry = registry
        self._tmux = tmux
        self._on_error = on_error

    def follow(self, before: View | None, after: View | None) -> None:
        """See :class:`Follower`. What the daemon before showed is made true."""
        if after is not None and after.pane and (before is None or _shown(before) != _shown(after)):
            self._reactor.do(lambda: self._show(after.id))

    def close(self) -> None:
        """Do nothing: what is shown is in tmux, and the next daemon goes on."""

    def _show(self, session: str) -> None:
        view = self._registry.views.get(session)
        if view is None or not view.pane:
            return
        try:
            self._tmux.label(view.pane, session, view.label)
            self._tmux.ask(view.pane, session, *(banner(view) or ()))
        except AnvilError as error:
            if view.pid:  # else its pane may be gone, which others tell
                self._on_error(error)


def _shown(view: View) -> tuple[str | None, int, str, Banner | None]:
    return view.pane, view.pid, view.label, banner(view)


def banner(view: View) -> Banner | None:
    """Return what is shown of its questions: the oldest, and how many there are."""
    if not view.ask:
        return None
    first, several = view.ask[0], len(view.ask) > 1
    words = " ".join(str(first.get("text", "")).split())
    words = words if len(words) <= MOST else f"{words[:MOST]}..."
    choices = ", ".join(first.get("choices") or ())
    head = f"{first['id']} of {len(view.ask)}: " if several else ""
    if choices and len(choices) <= FIRST:
        question = f"{head}{choices}? {words}"
    else:
        question = f"{head or 'asks: '}{words}" + (f" ({choices})" if choices else "")
    file = f"agent/{view.id}/answer"
    given = f"'{first['id']} CHOICE'" if several else "CHOICE"
    return Banner(question, f"echo {given} | anvil9p write {file}", f"to {file}")
