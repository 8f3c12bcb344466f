"""The typist: brings a prompt into an agent's pane, submits it, and makes sure that it was.

One delivery: wait until nobody's half-typed line stands there, paste, submit, wait for the agent's own report; submit once more;
give up loudly. Whether it worked is never read off the screen: only the report (``Turns.submitted``) settles a delivery.

Threads: one short-lived thread per delivery, at most one per session; ``settled`` and ``submitted`` may be called from any
thread. ``close`` ends and joins them all; what was under way is resumed by the next daemon.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

from anvilsrv.errors import AnvilError, Unavailable
from anvilsrv.screen import Eye
from anvilsrv.sessions import Sessions
from anvilsrv.store import Tx

DRAFT_LOOK = 5.0  # s between looks at a half-typed line when nothing moves in the pane
WORDS_PATIENCE = 2.0  # s after which waiting for a person is shown


class Delivery:
    """One prompt on its way. ``done`` is set when it is settled or must not go on."""

    def __init__(self, session: str, prompt: int) -> None:
        self.session = session
        self.prompt = prompt
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
        delivery = Delivery(session, prompt)
        delivery.thread = threading.Thread(target=self._run, args=(delivery, pasted), name=f"typist {session}")
        with self._lock:
            if self._closed:
                return
            before = self._under_way.get(session)
            self._under_way[session] = delivery
        if before is not None:
            before.done.set()
        delivery.thread.start()

    def submitted(self, session: str) -> bool:
        """Whether the submit key was pressed for what is being typed."""
        with self._lock:
            delivery = self._under_way.get(session)
        return delivery is not None and delivery.pressed

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
        if not self._wait_for_person(delivery, view.pane, backend):
            return ""
        text = self._sessions.store.call(lambda tx: self._text(tx, delivery))
        if text is None or delivery.done.is_set():
            return ""
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

    def _wait_for_person(self, delivery: Delivery, pane: str, backend: Any) -> bool:
        """Wait until the input line is empty; False when the delivery was settled meanwhile."""
        if self._free(pane, backend):
            return True
        since, shown = time.monotonic(), False
        eye = Eye(self._tmux, pane, backend.asks("prompt"))
        with self._tmux.watch(pane) as output:
            while not delivery.done.is_set():
                screen = self._tmux.screen(pane, styled=backend.input.styled)
                if backend.free(screen):
                    break
                eye.answer("\n".join(screen.lines))
                if not shown and time.monotonic() - since > WORDS_PATIENCE:
                    shown = True
                    self._sessions.store.post(lambda tx: self._hold(tx, delivery.session))
                output.wait(DRAFT_LOOK if shown else WORDS_PATIENCE)
        if shown:  # the queue may have come to a stop meanwhile, because of it
            self._sessions.store.post(lambda tx: self.release(tx, delivery.session))
        return not delivery.done.is_set()

    def _hold(self, tx: Tx, session: str) -> None:
        """Show in ``sessions`` what the queue waits for."""
        if tx.one("SELECT 1 FROM sessions WHERE id = ?", session):
            self._sessions.set(tx, session, held="somebody is typing in the pane")
            self._sessions.tell(tx, session)

    @staticmethod
    def _text(tx: Tx, delivery: Delivery) -> str | None:
        row = tx.one("SELECT text FROM prompts WHERE id = ? AND status = 'typing'", delivery.prompt)
        return None if row is None else str(row["text"])
