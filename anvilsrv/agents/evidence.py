"""What can be found out about a prompt on its way, outside of the rows: what the input shows, what the transcript says, what tmux has.

Threads: methods run on any thread but the store's; nothing is kept.
"""

import json
import time
from collections.abc import Iterator
from typing import Any, Protocol

from anvilsrv.agents.eye import CALM
from anvilsrv.agents.input_line import compare, standing
from anvilsrv.backends.backend import Backend
from anvilsrv.backends.registry import Backends
from anvilsrv.errors import AnvilError
from anvilsrv.sessions import prompts
from anvilsrv.sessions.facts import same_text
from anvilsrv.sessions.happened import Look, Proof, Seen
from anvilsrv.sessions.prompt import Prompt
from anvilsrv.sessions.registry import Registry
from anvilsrv.sessions.state import View
from anvilsrv.store.store import Need, Store
from anvilsrv.tmux.tmux import Tmux
from anvilsrv.tmux.unchanged import unchanged

PROMPTS = ("taken", "joined", "queued")  # what lines of a transcript say of prompts
AT_ONCE = "transcript"  # the kind of agent whose transcript can be trusted: a line stands there before its input is free again


class Transcript(Protocol):
    """What is needed of the files of a session (agents/spool.py)."""

    def size(self, session: str, transcript: str) -> int: ...
    def since(self, session: str, transcript: str, offset: int) -> Iterator[dict[str, Any]]: ...


def is_clear(look: Look | None) -> bool:
    """Return whether nothing is there but what we typed."""
    return look in (Look.OURS, Look.ONLY_OURS)


def buffer_of(prompt: int) -> str:
    """Return the name of the tmux buffer from which a prompt is pasted: pasting deletes it."""
    return f"p{prompt}"


class Evidence:
    """Looks for what decides about a prompt."""

    def __init__(self, store: Store, registry: Registry, tmux: Tmux, backends: Backends, kept: Transcript) -> None:
        self._store = store
        self._registry = registry
        self._tmux = tmux
        self._backends = backends
        self._kept = kept

    def seen(self, session: str, alive: bool = True) -> Seen:
        """Return everything about the prompt on its way; of a process that is gone (not ``alive``) nothing can be seen
        in its pane.
        """
        prompt = self._store.call(lambda tx: prompts.on_its_way(tx, session), need=Need.OWN)
        return self.of(session, prompt, alive) if prompt is not None else Seen()

    def of(self, session: str, prompt: Prompt, alive: bool = True) -> Seen:
        """Return the same about a prompt that is on its way or queued."""
        view = self._registry.find(session)
        if view is None:
            return Seen()
        backend = self._backends.last(view.backend)
        if backend is None:
            return Seen(unpasted=self.unpasted(prompt.id))
        look, shown = self.sight(session) if alive and view.pid else (None, "")
        return Seen(
            look, self._proof(view, backend, prompt), backend.evidence == AT_ONCE, self._silent(view, prompt),
            self.unpasted(prompt.id), shown,
        )  # fmt: skip

    def look(self, session: str) -> Look | None:
        """Return what the input shows; None if the pane cannot be seen."""
        return self.sight(session)[0]

    def sight(self, session: str) -> tuple[Look | None, str]:
        """Return what the input shows and, if that is our text alone, a format that tmux finds true as long as it is
        (``tmux/unchanged.py``).
        """
        view = self._registry.find(session)
        if view is None or view.pane is None:
            return None, ""
        texts = self._store.call(lambda tx: self._texts(tx, session), need=Need.OWN)
        try:
            backend = self._backends.get(view.backend)
            screen = self._tmux.screen(view.pane, styled=backend.input.styled)
        except AnvilError:
            return None, ""
        if screen.unread or backend.busy(screen):
            return Look.UNREAD, ""
        words = texts[0] if texts else ""
        look = compare(backend, screen, words, texts)
        return look, unchanged(screen, standing(backend, screen, words)) if look == Look.OURS else ""

    def left(self, session: str) -> bool:
        """Return whether nothing is in the input but what we typed, now and ``CALM`` s later.

        An agent that redraws its screen shows for a moment what was said, and not yet the input below it: the last prompt looks
        like one that stands there, while what a person types is not to be seen.
        """
        if not is_clear(self.look(session)):
            return False
        time.sleep(CALM)
        return is_clear(self.look(session))

    @staticmethod
    def _texts(tx: Any, session: str) -> list[str]:
        current = prompts.on_its_way(tx, session)
        return [*([current.words] if current is not None and current.pastes else []), *prompts.texts(tx, session)]

    def unpasted(self, prompt: int) -> bool:
        """Return whether tmux still has the text: no daemon has pasted it."""
        try:
            return self._tmux.buffered(buffer_of(prompt))
        except AnvilError:
            return False

    def written(self, session: str) -> bool:
        """Return whether the agent's file has a prompt of its conversation. A file that cannot be read may have."""
        view = self._registry.find(session)
        backend = self._backends.last(view.backend) if view is not None else None
        if view is None or backend is None:
            return True
        if not view.transcript:
            return False
        try:
            lines = self._kept.since(session, view.transcript, 0)
            return any(one.kind in PROMPTS for line in lines for one in backend.transcript_reports(line))
        except AnvilError:
            return True

    def shortened(self, view: View) -> bool:
        """Return whether the agent's file is shorter than it was when something was pasted: part of its conversation is
        lost.
        """
        file = view.transcript
        if not file:
            return False
        was = self._store.call(lambda tx: prompts.longest(tx, view.id, file), need=Need.OWN)
        try:
            return 0 < self._kept.size(view.id, file) < was
        except AnvilError:
            return False

    # -- the transcript -------------------------------------------------------------------------------------------------

    def mark(self, session: str) -> str | None:
        """Return where a transcript ends now, for the row of a prompt that is about to be pasted."""
        view = self._registry.find(session)
        if view is None or not view.transcript:
            return None
        try:
            return json.dumps([view.transcript, self._kept.size(session, view.transcript)])
        except AnvilError:
            return None

    def _silent(self, view: View, prompt: Prompt) -> bool:
        return prompt.mark is not None and self.mark(view.id) == prompt.mark

    def _proof(self, view: View, backend: Backend, prompt: Prompt) -> Proof | None:
        """Return the first line since the paste that says that the prompt was taken."""
        if not view.transcript or prompt.pasted_at is None:
            return None
        path, offset = json.loads(prompt.mark) if prompt.mark else (None, 0)
        same = path == view.transcript
        try:
            for line in self._kept.since(view.id, view.transcript, offset if same else 0):
                for one in backend.transcript_reports(line):
                    at = one.fields.get("mono") or (time.monotonic() if same else 0.0)
                    ours = one.kind in ("taken", "joined") and same_text(one.fields.get("text") or "", prompt.words)
                    if ours and (same or at >= prompt.pasted_at):
                        return Proof(at, one.fields.get("turn") or "", one.kind == "joined")
        except AnvilError:
            return None
        return None
