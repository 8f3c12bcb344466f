"""The typist: brings a prompt into an agent's pane, submits it, and makes sure that it was.

One delivery: wait until nobody's half-typed line stands there, paste, submit, wait for the agent's own report; submit once more;
give up loudly. Whether it worked is never read off the screen: only the report (``Turns.submitted``) settles a delivery.

Threads: one short-lived thread per delivery, at most one per session; ``settled`` and ``submitted`` may be called from any
thread. ``close`` ends and joins them all; what was under way is resumed by the next daemon.
"""

import re
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from anvilsrv.agents.eye import Eye
from anvilsrv.errors import AnvilError, Unavailable
from anvilsrv.sessions.registry import Sessions
from anvilsrv.store.store import Tx

DRAFT_LOOK = 5.0  # s between looks at a half-typed line when nothing moves in the pane
PATIENCE = (2.0, 60.0)  # s after which waiting for a person is shown, and that it may be no person
SHOWN = 60  # characters of a line
STYLE = re.compile(r"\x1b\[[\d;:]*m")


class Delivery:
    """One prompt on its way. ``done`` is set when it is settled or must not go on."""

    def __init__(self, session: str, prompt: int, pasted: bool) -> None:
        self.session = session
        self.prompt = prompt
        self.pasted = pasted  # or about to be
        self.done = threading.Event()
        self.pressed = False
        self.thread: threading.Thread | None = None


class Typist:
    """Deliveries of all sessions. ``backend(name)`` gives the backend, ``tmux`` is the only way to a pane."""

    def __init__(
        self, sessions: Sessions, tmux: Any, backend: Callable[[str], Any], on_error: Callable[[BaseException], None]
    ) -> None:
        self._sessions = sessions
        self._tmux = tmux
        self._backend = backend
        self._on_error = on_error
        self._lock = threading.Lock()
        self._under_way: dict[str, Delivery] = {}
        self._closed = False
        self.undelivered: Callable[[Tx, str, int, str], None]
        self.release: Callable[[Tx, str], None]

    def deliver(self, session: str, prompt: int, pasted: bool = False) -> None:
        """Start typing; with ``pasted`` a daemon before us did already, perhaps: begin with submitting."""
        delivery = Delivery(session, prompt, pasted)
        delivery.thread = threading.Thread(target=self._run, args=(delivery, pasted), name=f"typist {session}")
        with self._lock:
            if self._closed:
                return
            before = self._under_way.get(session)
            self._under_way[session] = delivery
        if before is not None:
            before.done.set()
        delivery.thread.start()

    def typed(self, session: str) -> bool:
        """Whether something of what is being delivered stands in the pane, or soon will."""
        delivery = self._of(session)
        return delivery is not None and delivery.pasted

    def submitted(self, session: str) -> bool:
        """Whether the submit key was pressed for what is being typed."""
        delivery = self._of(session)
        return delivery is not None and delivery.pressed

    def _of(self, session: str) -> Delivery | None:
        with self._lock:
            return self._under_way.get(session)

    def settled(self, session: str) -> None:
        """The prompt is submitted, or is not to be typed any more."""
        with self._lock:
            delivery = self._under_way.pop(session, None)
        if delivery is not None:
            delivery.done.set()

    def close(self) -> None:
        """End every delivery and join its thread."""
        with self._lock:
            self._closed = True
            under_way = list(self._under_way.values())
        for delivery in under_way:
            delivery.done.set()
        for delivery in under_way:
            if delivery.thread is not None:
                delivery.thread.join()

    def _run(self, delivery: Delivery, pasted: bool) -> None:
        try:
            why = self._type(delivery, pasted)
        except AnvilError as error:
            why = str(error)
        except Exception as error:
            self._on_error(error)
            why = "internal error"
        with self._lock:
            closed = self._closed
        if why and not delivery.done.is_set() and not closed:
            self._sessions.store.post(lambda tx: self.undelivered(tx, delivery.session, delivery.prompt, why))

    def _type(self, delivery: Delivery, pasted: bool) -> str:
        """Returns why it did not work; empty when it did or does not matter any more."""
        view = self._sessions.get(delivery.session)
        backend = self._backend(view.backend)
        if view.pane is None:
            raise Unavailable("the agent has no pane")
        if pasted and self._was_pasted(delivery, view.pane, backend):
            return ""
        if not self._wait_for_person(delivery, view.pane):
            return ""
        delivery.pasted = True  # before it is asked whether the prompt is still wanted
        text = self._sessions.store.call(lambda tx: self._text(tx, delivery))
        if text is None or delivery.done.is_set():
            return ""
        backend = self._backend(view.backend)
        self._tmux.paste(view.pane, backend.prompt_text(text, view.context.decode("utf-8", "replace")).encode())
        if delivery.done.wait(backend.input.settle):
            self._clear(view.pane, backend)  # something else came first: take our own text away again
            return ""
        for _ in range(2):
            if self._submit(delivery, view.pane, backend):
                return ""
        self._clear(view.pane, backend)
        return f"the agent did not take it within {2 * backend.input.confirm:g} s"

    def _clear(self, pane: str, backend: Any) -> None:
        if backend.input.clear:
            self._tmux.keys(pane, *backend.input.clear)

    def _was_pasted(self, delivery: Delivery, pane: str, backend: Any) -> bool:
        """A daemon before us may have pasted, and even submitted: submit what stands there, and give the report its time."""
        if backend.input.empty is None or not self._free(pane, backend):
            return self._submit(delivery, pane, backend)
        return delivery.done.wait(backend.input.confirm)

    def _free(self, pane: str, backend: Any) -> bool:
        return bool(backend.free(self._tmux.screen(pane, styled=backend.input.styled)))

    def _submit(self, delivery: Delivery, pane: str, backend: Any) -> bool:
        delivery.pressed = True
        self._tmux.keys(pane, *backend.input.submit)
        return delivery.done.wait(backend.input.confirm)

    def _wait_for_person(self, delivery: Delivery, pane: str) -> bool:
        """Wait until the input line is empty; False when the delivery was settled meanwhile."""
        name = self._sessions.get(delivery.session).backend
        if self._free(pane, self._backend(name)):
            return True
        free = False
        since, shown, eye = time.monotonic(), 0, Eye(self._tmux, pane, self._backend(name).asks("prompt"))
        with self._tmux.watch(pane) as output:
            while not delivery.done.is_set():
                backend = self._backend(name)  # its file may be corrected meanwhile
                screen = self._tmux.screen(pane, styled=backend.input.styled)
                if backend.free(screen):
                    # A person may have submitted it, which is told soon; but what stood there for a moment only was the agent,
                    # which had not yet drawn its empty line.
                    stood = time.monotonic() - since
                    if free or delivery.done.wait(min(stood, backend.input.confirm)):
                        break
                    free = True
                    continue
                free = False
                eye.answer("\n".join(screen.lines))
                if shown < len(PATIENCE) and time.monotonic() - since > PATIENCE[shown]:
                    shown += 1
                    words = in_the_way(backend, screen, shown == len(PATIENCE))
                    self._sessions.store.post(partial(self._hold, session=delivery.session, words=words))
                output.wait(DRAFT_LOOK if shown else PATIENCE[0])
        if shown:  # the queue may have come to a stop meanwhile, because of it
            self._sessions.store.post(lambda tx: self.release(tx, delivery.session))
        return not delivery.done.is_set()

    def _hold(self, tx: Tx, session: str, words: str) -> None:
        """Show in ``sessions`` what the queue waits for."""
        if tx.one("SELECT 1 FROM sessions WHERE id = ?", session):
            self._sessions.set(tx, session, held=words)
            self._sessions.tell(tx, session)

    @staticmethod
    def _text(tx: Tx, delivery: Delivery) -> str | None:
        row = tx.one("SELECT text FROM prompts WHERE id = ? AND status = 'typing'", delivery.prompt)
        return None if row is None else str(row["text"])


def in_the_way(backend: Any, screen: Any, long: bool) -> str:
    """What keeps a prompt from being typed, as the screen shows it; after a ``long`` time with what else it may be."""
    line = backend.input_line(screen)
    if line is None:
        shown = next((one for one in reversed(screen.lines) if one.strip()), "")
        words = f"the pane shows no input line of {backend.name}, but {quoted(shown)}"
    else:
        words = f"somebody is typing in the pane: {quoted(line)}"
    return f"{words}; if nobody is, 'input' in {backend.path} does not fit what the agent shows" if long else words


def quoted(line: str) -> str:
    """A line of a screen in short, without colours."""
    text = " ".join(STYLE.sub("", line).split())
    return repr(text[:SHOWN] + ("…" if len(text) > SHOWN else ""))
