"""The typist: brings a prompt into an agent's pane, submits it, and makes sure that it was.

It follows the rows: a prompt that is on its way has a delivery, any other has none. One delivery: wait until nobody's half-typed line
stands there, paste, submit, wait for the agent's own report; submit once more; give up loudly. Each step is a row before it is done
(PASTED, SENT), so a daemon that takes over knows where it stands. Whether it worked is never read off the screen: only the report
settles a delivery.

Threads: one short-lived thread per delivery, at most one per session; the lock guards which. ``close`` ends and joins them all; what
was under way is resumed by the next daemon.
"""

import threading
import time
from collections.abc import Callable
from functools import partial

from anvilsrv.agents.eye import Eye
from anvilsrv.backends.backend import Backend
from anvilsrv.backends.registry import Backends
from anvilsrv.desk import outcomes
from anvilsrv.desk.life import Life, sentence
from anvilsrv.desk.post import Post
from anvilsrv.display import plain
from anvilsrv.errors import AnvilError, Unavailable
from anvilsrv.sessions.machine import Status
from anvilsrv.sessions.registry import Registry
from anvilsrv.sessions.state import View
from anvilsrv.sessions.turns import Turns
from anvilsrv.store.store import Need, Store, Tx
from anvilsrv.tmux.screen import Screen
from anvilsrv.tmux.tmux import Tmux

DRAFT_LOOK = 5.0  # s between looks at a half-typed line when nothing moves in the pane
PATIENCE = (2.0, 60.0)  # s after which waiting for a person is shown, and that it may be no person
SHOWN = 60  # characters of a line


class Delivery:
    """One prompt on its way. ``done`` is set when it is settled or must not go on, ``over`` (in a job) when it was given up."""

    def __init__(self, session: str, prompt: int, status: Status | None) -> None:
        self.session = session
        self.prompt = prompt
        self.resumed = status != Status.CHOSEN  # a daemon before us may have pasted it
        self.done = threading.Event()
        self.over = False
        self.thread: threading.Thread | None = None


class Typist:
    """Deliveries of all sessions."""

    def __init__(
        self, store: Store, registry: Registry, turns: Turns, post: Post, life: Life, tmux: Tmux, backends: Backends,
        on_error: Callable[[BaseException], None],
    ) -> None:  # fmt: skip
        self._store = store
        self._registry = registry
        self._turns = turns
        self._post = post
        self._life = life
        self._tmux = tmux
        self._backends = backends
        self._on_error = on_error
        self._lock = threading.Lock()
        self._under_way: dict[str, Delivery] = {}
        self._ending: list[Delivery] = []
        self._closed = False

    def follow(self, before: View | None, after: View | None) -> None:
        """See :class:`Follower`."""
        session = after.id if after is not None else before.id if before is not None else ""
        wanted = after.prompt if after is not None and after.on_its_way and after.pane and after.pid else 0
        with self._lock:
            current = self._under_way.get(session)
            if (current.prompt if current is not None and not current.over else 0) == wanted or self._closed:
                return  # over: it may have been chosen again in the same commit
            if current is not None:
                del self._under_way[session]
                current.done.set()
                self._ending = [
                    one for one in (*self._ending, current) if one.thread is not None and one.thread.is_alive()
                ]
            if not wanted or after is None:
                return
            delivery = self._under_way[session] = Delivery(session, wanted, after.status)
            delivery.thread = threading.Thread(target=self._run, args=(delivery, current), name=f"typist {session}")
            delivery.thread.start()

    def close(self) -> None:
        """End every delivery and join its thread."""
        with self._lock:
            self._closed = True
            deliveries = [*self._under_way.values(), *self._ending]
        for delivery in deliveries:
            delivery.done.set()
        for delivery in deliveries:
            if delivery.thread is not None:
                delivery.thread.join()

    def _run(self, delivery: Delivery, before: Delivery | None) -> None:
        if before is not None and before.thread is not None:
            before.thread.join()  # it takes its own text away again first; all its waits are bounded
        try:
            why = self._type(delivery)
        except Exception as error:
            if not isinstance(error, AnvilError):
                self._on_error(error)
            why = sentence(error)
        if why and not delivery.done.is_set():
            self._life.about(delivery.session, lambda tx: self._undelivered(tx, delivery, why))

    def _undelivered(self, tx: Tx, delivery: Delivery, why: str) -> None:
        session, delivery.over = delivery.session, True
        if self._registry.there(tx, session):
            outcomes.settle(tx, session, self._post, self._turns.undelivered(tx, session, delivery.prompt, why))

    def _type(self, delivery: Delivery) -> str:
        """Returns why it did not work; empty when it did or does not matter any more."""
        view = self._registry.get(delivery.session)
        backend = self._backends.get(view.backend)
        if view.pane is None:
            raise Unavailable("the agent has no pane")
        if delivery.resumed and self._was_pasted(delivery, view.pane, backend):
            return ""
        if not self._wait_for_person(delivery, view.pane):
            return ""
        text = self._store.call(lambda tx: self._turns.paste(tx, delivery.session, delivery.prompt), need=Need.OWN)
        if text is None or delivery.done.is_set():
            return ""
        backend = self._backends.get(view.backend)
        self._tmux.paste(view.pane, backend.prompt_text(text, view.context.decode("utf-8", "replace")).encode())
        if delivery.done.wait(backend.input.settle):
            self._clear(view.pane, backend)  # something else came first: take our own text away again
            return ""
        for _ in range(2):
            if self._submit(delivery, view.pane, backend):
                return ""
        self._clear(view.pane, backend)
        return f"the agent did not take it within {2 * backend.input.confirm:g} s"

    def _clear(self, pane: str, backend: Backend) -> None:
        if backend.input.clear:
            self._tmux.keys(pane, *backend.input.clear)

    def _was_pasted(self, delivery: Delivery, pane: str, backend: Backend) -> bool:
        """Resume an interrupted delivery: press submit if the input is not empty, then wait for the report."""
        if backend.input.empty is None or not self._free(pane, backend):
            return self._submit(delivery, pane, backend)
        return delivery.done.wait(backend.input.confirm)

    def _free(self, pane: str, backend: Backend) -> bool:
        return backend.free(self._tmux.screen(pane, styled=backend.input.styled))

    def _submit(self, delivery: Delivery, pane: str, backend: Backend) -> bool:
        if self._store.call(lambda tx: self._turns.send(tx, delivery.session, delivery.prompt), need=Need.OWN) is None:
            return True  # it is settled
        self._tmux.keys(pane, *backend.input.submit)
        return delivery.done.wait(backend.input.confirm)

    def _wait_for_person(self, delivery: Delivery, pane: str) -> bool:
        """Wait until the input line is empty; False when the delivery was settled meanwhile."""
        name = self._registry.get(delivery.session).backend
        if self._free(pane, self._backends.get(name)):
            return True
        free = False
        since, shown, eye = time.monotonic(), 0, Eye(self._tmux, pane, self._backends.get(name).asks("prompt"))
        with self._tmux.watch(pane) as output:
            while not delivery.done.is_set():
                backend = self._backends.get(name)  # its file may be corrected meanwhile
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
                    self._life.about(delivery.session, partial(self._life.held, session=delivery.session, words=words))
                output.wait(DRAFT_LOOK if shown else PATIENCE[0])
        if shown:  # the queue may have come to a stop meanwhile, because of it
            self._life.about(delivery.session, lambda tx: self._life.release(tx, delivery.session))
        return not delivery.done.is_set()


def in_the_way(backend: Backend, screen: Screen, long: bool) -> str:
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
    text = " ".join(plain(line).split())
    return repr(text[:SHOWN] + ("…" if len(text) > SHOWN else ""))
