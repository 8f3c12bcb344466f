"""One prompt on its way into an agent's pane: paste, look, Enter, wait for the agent's own report, look again.

Each step is a row before it is done (PASTED, SENT), so a daemon that takes over knows where it stands. What becomes of the prompt is
never decided here: what was seen goes to the machine (``sessions/delivered.py``), and what the rows say then is done.

Threads: everything runs on the thread of the delivery; ``until`` is poked when the rows change, and set when it must not go on.
"""

import time
from collections.abc import Callable
from functools import partial

from anvilsrv.agents.evidence import Evidence, buffer_of, is_clear
from anvilsrv.agents.eye import Eye, Until
from anvilsrv.agents.input_line import drawable, is_free
from anvilsrv.agents.obstacles import NOT_READ, in_the_way
from anvilsrv.backends.backend import Backend
from anvilsrv.backends.registry import Backends
from anvilsrv.desk import outcomes
from anvilsrv.desk.post import Post
from anvilsrv.errors import AnvilError
from anvilsrv.sessions import conversation, prompts, session_rows, undone
from anvilsrv.sessions.gate import By
from anvilsrv.sessions.happened import Look, Outcomes, Seen
from anvilsrv.sessions.machine import Status
from anvilsrv.sessions.prompt import Prompt
from anvilsrv.sessions.registry import Registry
from anvilsrv.sessions.state import View
from anvilsrv.sessions.turns import Turns
from anvilsrv.store.store import Full, Need, Store, Tx
from anvilsrv.tmux.tmux import Tmux

PATIENCE = 2.0  # s for an input to become free before it counts as an obstacle, or for a text to be drawn
LATE = 20.0  # s for a text to show after it was pasted, and for a report after Enter was heeded
WORKS = (
    75.0  # s for that report of an agent whose title says that it works: it waits for its hooks, for ours up to 60 s
)
SLOW = 50_000  # characters for which an agent gets a second more
LONGEST = 60.0  # s of one wait for rows to change
CLEARS = 8  # times that what we left is cleared: one key may take no more than a line
DRAWN = 0.3  # s for an agent to draw what a key has changed
MOVED = 5  # times that the input may change between a look and its Enter, before that is taken for the agent's own way to draw it
LOOK = 5.0  # s between looks where nothing is printed
HUNG = 5.0  # s for an agent to read what was typed before that counts as an obstacle


class Delivery:
    """One prompt, chosen for the ``tries``-th time."""

    def __init__(
        self, session: str, prompt: int, tries: int, pane: str, until: Until, store: Store, registry: Registry, turns: Turns,
        post: Post, tmux: Tmux, backends: Backends, evidence: Evidence, on_error: Callable[[BaseException], None],
        first: Callable[[str], None] = lambda session: None,
    ) -> None:  # fmt: skip
        self._first = first  # what is done before a prompt is given to the agent
        self._session = session
        self._prompt = prompt
        self._tries = tries
        self._pane = pane
        self._until = until
        self._store = store
        self._registry = registry
        self._turns = turns
        self._post = post
        self._tmux = tmux
        self._backends = backends
        self._evidence = evidence
        self._on_error = on_error

    def run(self) -> None:
        """Run until it is settled, or must not go on."""
        try:
            view = self._view()
            if view is None:
                return
            if view.status != Status.CHOSEN:
                self._resume()
            elif not self._paste(view):
                return
            self._see_through()
            if self._until.is_set() and self._pasted_by_us:
                self._take_back()
        except Full:
            return  # what happened waits for space on the disk, and so does this
        except Exception as error:
            if not isinstance(error, AnvilError):
                self._on_error(error)
            self._failed(str(error) or type(error).__name__)

    _pasted_by_us = False
    _late = LATE
    _since = 0.0  # when the step was done for whose effect it waits now
    _deaf_since: float | None = None  # since when the agent has not read what was typed
    _words = ""  # what is typed, once it is known
    _stood: float | None = None  # when it was last seen in the input, with whatever else
    _moved = 0  # how often the input changed between a look and its Enter

    # -- rows -----------------------------------------------------------------------------------------------------------

    def _view(self) -> View | None:
        """Return the session while this prompt is on its way."""
        view = self._registry.find(self._session)
        return view if view is not None and (view.prompt, view.tries) == (self._prompt, self._tries) else None

    def _job(self, what: Callable[[Tx], Outcomes], durable: bool = True) -> Prompt | None:
        """Let that happen; the prompt as it is then, while it is on its way."""

        def job(tx: Tx) -> Prompt | None:
            if session_rows.there(tx, self._session):
                outcomes.settle(tx, self._session, self._post, what(tx))
            now = prompts.on_its_way(tx, self._session)
            return now if now is not None and (now.id, now.tries) == (self._prompt, self._tries) else None

        return self._store.call(job, need=Need.OWN, durable=durable)

    def _not_taken(self, seen: Seen, why: str = "") -> bool:
        """Act on what was seen when the time was over: Enter is pressed if the rows say so. Returns False if the input
        has changed since that look.
        """
        presses = -1

        def what(tx: Tx) -> Outcomes:
            nonlocal presses
            presses = prompts.there(tx, self._prompt).presses
            return self._turns.delivered.not_taken(tx, self._session, self._prompt, seen, why)

        # Enter follows the look as soon as can be, and as of a paste the row need only outlast the daemon
        now = self._job(what, durable=seen.look not in (Look.OURS, Look.UNKNOWN))
        if now is None or not now.presses > presses >= 0 or self._until.is_set():
            return True
        shown = seen.shown if self._moved < MOVED else ""
        if self._tmux.press(self._pane, self._backend().input.submit, shown):
            return True
        self._moved += 1
        self._job(partial(self._turns.delivered.moved, session=self._session, number=self._prompt), durable=False)
        return False

    def _get(self) -> Prompt:
        return self._store.call(lambda tx: prompts.there(tx, self._prompt), need=Need.OWN)

    def _backend(self) -> Backend:
        return self._backends.get(self._registry.get(self._session).backend)

    def _failed(self, why: str) -> None:
        """Handle a failure after which it cannot go on here. The death of an agent, which is often the reason, is
        reported by others: it comes first.
        """
        view = self._view()
        if view is None or self._until.last(PATIENCE if view.status != Status.CHOSEN else 0.0):
            return
        seen = Seen(unpasted=self._evidence.unpasted(self._prompt))

        def lost(tx: Tx) -> Outcomes:
            if view.status == Status.CHOSEN:
                return self._turns.delivered.obstacle(tx, self._session, self._prompt, why)
            if seen.unpasted:
                return self._turns.delivered.kept_back(tx, self._session, seen, why)
            return self._turns.delivered.not_taken(tx, self._session, self._prompt, seen, why)

        try:
            self._job(lost)
        except AnvilError as error:
            self._on_error(error)

    # -- before the paste -------------------------------------------------------------------------------------------------

    def _paste(self, view: View) -> bool:
        """Bring it into the input; False when it was settled meanwhile, or waits for something."""
        prompt = self._get()
        self._first(self._session)
        if self._until.is_set() or not self._wait_for_input() or self._until.is_set():
            return False
        if prompt.pasted_at is not None:
            self._not_taken(self._evidence.seen(self._session))  # it may have been taken before
            if self._until.is_set() or self._view() is None:
                return False
        typed = self._backend().prompt_text(prompt.text, self._context(view))
        self._words = typed
        mark, buffer = self._evidence.mark(self._session), buffer_of(self._prompt)
        self._tmux.load(buffer, typed.encode("utf-8", "replace"))
        # a power cut takes the agent and its input too: the row need only outlast the daemon
        paste = partial(
            self._turns.delivered.paste,
            session=self._session,
            number=self._prompt,
            tries=self._tries,
            typed=typed,
            mark=mark,
        )
        now = self._job(paste, durable=False)
        if now is None or now.status != Status.PASTED or self._until.is_set():
            self._tmux.unload(buffer)
            return False
        self._tmux.insert(self._pane, buffer)
        self._pasted_by_us = True
        return True

    def _context(self, view: View) -> str:
        """Return what is put before it: the session's context, what was taken back, and the log that a new conversation
        is to have.
        """
        given = view.context.decode("utf-8", "replace")
        context = self._store.call(lambda tx: undone.context(tx, view.id, given), need=Need.OWN)
        if not view.carried or view.carried != view.turns:
            return context
        log = self._store.call(lambda tx: conversation.carried(tx, view.id, view.carried), need=Need.OWN)
        return f"{log}\n\n{context}".rstrip("\n")

    def _wait_for_input(self) -> bool:
        """Wait for the input to be free, but not for long: then it is an obstacle. What we left there ourselves is cleared."""
        backend = self._backend()
        if backend.input.empty is None or self._tmux_free(backend):
            return True
        since, cleared = time.monotonic(), 0
        eye = Eye(self._tmux, self._pane, backend.asks("prompt"))
        with self._tmux.watch(self._pane) as output:
            self._until.wake(output)
            while not self._until.is_set():
                backend = self._backend()  # its file may be corrected meanwhile
                stood = time.monotonic() - since
                look = self._evidence.look(self._session)
                if look in (Look.FREE, Look.UNKNOWN):
                    # A person may have submitted it, which is told soon; what stood there for a moment only was the agent, which
                    # had not yet drawn its empty line.
                    if self._until.last(0.0 if cleared else min(stood, backend.input.confirm)):
                        return False
                    if cleared or self._tmux_free(backend):
                        return True
                    continue  # she types again
                if cleared < CLEARS and backend.input.clear and is_clear(look) and self._evidence.left(self._session):
                    self._tmux.keys(self._pane, *backend.input.clear)
                    cleared += 1
                    output.wait(DRAWN)
                    continue
                screen = self._tmux.screen(self._pane, styled=backend.input.styled)
                eye.answer("\n".join(screen.lines))
                if stood > PATIENCE:
                    why = in_the_way(backend, screen, long=False)
                    self._job(
                        partial(self._turns.delivered.obstacle, session=self._session, number=self._prompt, why=why)
                    )
                    return False
                output.wait(PATIENCE / 4)
        return False

    def _tmux_free(self, backend: Backend) -> bool:
        screen = self._tmux.screen(self._pane, styled=backend.input.styled)
        return not screen.unread and is_free(backend, screen)

    def _resume(self) -> None:
        """Resume a delivery that a previous daemon may have pasted: tmux knows."""
        if self._evidence.unpasted(self._prompt):
            self._job(lambda tx: self._turns.delivered.adopted(tx, self._session, Seen(unpasted=True)))

    # -- after it -----------------------------------------------------------------------------------------------------------

    def _see_through(self) -> None:
        self._since, resumed = time.monotonic(), not self._pasted_by_us
        self._words = self._words or self._get().words
        self._late = LATE + len(self._words) / SLOW
        if self._pasted_by_us and self._until.last(self._backend().input.settle):
            return
        dialogs = self._backend().asks("command") if self._words.startswith("/") else []
        eye = Eye(self._tmux, self._pane, dialogs)
        while not self._until.is_set() and (view := self._view()) is not None:
            confirm = self._backend().input.confirm
            if view.in_turn or not view.gate.without(By.OBSTACLE).open:
                self._until.wait(LONGEST)
                self._since = time.monotonic()
            elif view.status == Status.PASTED:
                self._press()
            elif not self._until.last(self._left(confirm) if resumed else confirm):
                resumed = False
                asked = dialogs and eye.answer("\n".join(self._tmux.screen(self._pane).lines))
                if not asked:  # else its report comes now
                    self._ask()
            if view.status == Status.PASTED and (now := self._view()) is not None and now.status == Status.SENT:
                self._since = time.monotonic()

    def _left(self, confirm: float) -> float:
        """Return how much is left, in s, of the time that its Enter has to be confirmed, whichever daemon pressed it."""
        sent = self._get().sent_at
        return confirm if sent is None else min(max(0.0, sent + confirm - time.monotonic()), confirm)

    def _unread(self, look: Look | None) -> float | None:
        """Return for how long the agent has not read what was typed; None: it has. Nothing is late before it has read
        it.
        """
        if look != Look.UNREAD:
            self._deaf_since = None
            return None
        self._since = time.monotonic()
        self._deaf_since = self._deaf_since or self._since
        deaf = self._since - self._deaf_since
        if deaf >= HUNG:
            self._not_taken(Seen(look), NOT_READ)
        return deaf

    def _press(self) -> None:
        """Press Enter if the prompt is in the input, as far as is known. What is not drawn yet gets some time."""
        with self._tmux.watch(self._pane) as output:
            self._until.wake(output)
            look, shown = self._evidence.sight(self._session)
            deaf = self._unread(look)
            if deaf is not None:
                if not self._until.is_set():
                    output.wait(min(LOOK, DRAWN + deaf / 4))
                return
            waited = time.monotonic() - self._since
            backend = self._backend()
            # a program that reads lines need not show what is typed, and some texts cannot be seen
            unseen = look == Look.FREE and (backend.input.find is None or not drawable(self._words)) and not self._stood
            if unseen and waited >= DRAWN:
                look = Look.UNKNOWN
            ready = look in (Look.OURS, Look.UNKNOWN)
            # an agent that is slow, or frozen, has not drawn it yet; or a person has cleared it away
            hidden, gone = look in (Look.FREE, None), look == Look.FREE and self._stood is not None
            if is_clear(look) or look == Look.AMONG:
                self._stood = time.monotonic()
            waited = min(waited, time.monotonic() - (self._stood or 0.0)) if gone else waited
            patience = DRAWN if unseen else self._late if hidden and not gone else PATIENCE
            if not ready and waited < patience:
                output.wait(min(LOOK, patience - waited))
                return
            if ready:
                if not self._not_taken(Seen(look, shown=shown)):
                    output.wait(DRAWN)
                return
            screen = self._tmux.screen(self._pane, styled=backend.input.styled)
            why = "it is gone from the input" if gone else "it does not show in the input"
            seen = self._evidence.seen(self._session)
            if (seen.look in (Look.FREE, None)) != hidden:
                return  # it has just changed
            self._not_taken(seen, why if hidden else in_the_way(backend, screen, waited > LONGEST))
            if not self._until.is_set():
                output.wait(LOOK)

    def _ask(self) -> None:
        """Look what became of it, since no report came in time. A late report costs nothing while the input is free."""
        seen, confirm = self._evidence.seen(self._session), self._backend().input.confirm
        if seen.proof is None and self._unread(seen.look) is not None:
            return
        waited = time.monotonic() - self._since
        patience = 2 * confirm if seen.trusted and seen.silent and seen.look == Look.FREE else self._late
        known = seen.proof is not None or seen.look in (Look.OURS, Look.UNKNOWN)
        if not known and not seen.trusted and patience <= waited < WORKS and self._works():
            return
        if known or waited >= patience:
            self._not_taken(seen, f"the agent did not take it within {waited:.0f} s")

    def _works(self) -> bool:
        """Return whether its title says that it works."""
        busy = self._backend().titles.busy
        return busy is not None and busy.search(self._tmux.title(self._pane)) is not None

    def _take_back(self) -> None:
        """Remove our own text again, since something else came first, if nothing else is there."""
        view = self._registry.find(self._session)
        if view is None or view.in_turn or not view.pid or view.pane != self._pane:
            return
        prompt = self._store.call(lambda tx: prompts.get(tx, self._prompt), need=Need.OWN)
        if prompt is None or prompt.turn is not None:
            return  # it was taken, and what stands there now is someone else's
        clear = self._backend().input.clear
        if clear and self._evidence.left(self._session):
            self._tmux.keys(self._pane, *clear)
