"""What a user does with an agent's work: take a turn back, review, take a change back or bring one in.

Threads: called on 9P workers; what touches a work tree is done on the session's thread (``checkpoints.py``).
"""

from collections.abc import Callable

from anvilsrv.agents.checkpoints import Checkpoints, Hand, extended
from anvilsrv.errors import Conflict, Invalid, NotFound, NotPermitted
from anvilsrv.sessions import changes, comments, prompts, session_rows, turn_rows, undone
from anvilsrv.sessions.changes import Change
from anvilsrv.sessions.comments import Comment
from anvilsrv.sessions.registry import Registry
from anvilsrv.store.store import Need, Store, Tx

Send = Callable[[Tx, str, str], int]  # session and text of a prompt; its number


class Work:
    """The work of all sessions."""

    def __init__(self, store: Store, registry: Registry, checkpoints: Checkpoints) -> None:
        self._store = store
        self._registry = registry
        self._checkpoints = checkpoints

    # -- undo ----------------------------------------------------------------------------------------------------------

    def undo(self, session: str, n: int) -> str:
        """Take back what the turn of that prompt changed; what was done, in words. Raises AnvilError with the files in the way."""
        view = self._registry.get(session)
        self._checkpoints.trees(view.id)
        return self._checkpoints.do(view.id, lambda hand: self._undo(view.id, n, hand))

    def _undo(self, session: str, n: int, hand: Hand) -> str:
        self._idle(session)
        self._checkpoints.settle(session, hand)
        change = self._store.call(lambda tx: self._change(tx, session, n), need=Need.OWN)
        before, left = self._checkpoints.make(session, hand)
        found = self._checkpoints.trees(session)
        self._idle(session)
        head, _ = hand.worker.ask(found, "undo", segments=change.segments, now=before)
        paths = [str(path)[:4096] for path in head.get("paths", [])]
        if not paths:
            raise NotPermitted(f"nothing of turn {n} is left to undo")
        after, left = self._checkpoints.make(session, hand)
        diff = self._checkpoints.diff(found, hand, extended(None, before, after), left)

        def job(tx: Tx) -> None:
            if session_rows.there(tx, session):
                turn = undone.add(self._registry, tx, session, n, paths)
                segments = extended(None, before, after)
                packed = changes.packed(diff.text)
                changes.add(
                    tx,
                    session,
                    Change(turn.number, turn.ended_at, segments, diff.plus, diff.minus, diff.files, diff.note, packed),
                )

        self._store.call(job, need=Need.OWN)
        return f"taken back: {undone.named(paths)}"

    def _idle(self, session: str) -> None:
        view = self._registry.get(session)
        if view.in_turn or view.on_its_way:
            raise Conflict(f"busy: session '{session}' is in a turn; try again when it is over")

    @staticmethod
    def _change(tx: Tx, session: str, n: int) -> Change:
        prompt = prompts.numbered(tx, session, n)
        if prompt is None:
            raise NotFound(f"no such prompt {n} in session '{session}'")
        turn = prompt.turn
        found = changes.of(tx, session, turn) if turn else None
        if turn is None or turn == turn_rows.number_open(tx, session) or found is None:
            raise NotPermitted(f"what turn {n} changed is not known")
        if not any(old != new for old, new in found.segments):
            raise NotPermitted(f"turn {n} changed nothing")
        return found

    # -- changes ---------------------------------------------------------------------------------------------------------

    def apply(self, session: str, patch: str) -> None:
        """Apply a unified diff to its files. Raises AnvilError with the files where it cannot be done."""
        if not patch.strip():
            raise Invalid("invalid diff: it is empty")
        view = self._registry.get(session)
        found = self._checkpoints.trees(view.id)
        self._checkpoints.do(view.id, lambda hand: hand.worker.ask(found, "apply", patch=patch))

    # -- review ----------------------------------------------------------------------------------------------------------

    def review(self, session: str, text: str, send: Send) -> str:
        """Queue these comments as one prompt; its number. Raises AnvilError, and nothing is queued."""
        view = self._registry.get(session)
        given = comments.parse(text)
        lines = self._lines(view.id, given)
        made = [comments.quoted(one, lines.get(one.path, [])) for one in given]
        new = comments.new_lines(self._checkpoints.diff_since(view.id).decode("utf-8", "replace"))
        words = comments.prompt(made, new)

        def job(tx: Tx) -> int:
            number = send(tx, view.id, words)
            comments.add(tx, view.id, [one._replace(n=number) for one in made])
            return number

        return str(self._store.call(job, need=Need.OWN))

    def comments(self, session: str) -> bytes:
        """Return the comments of every review, and where their lines are now. Raises AnvilError."""
        view = self._registry.get(session)
        self._checkpoints.trees(view.id)
        there = self._store.call(lambda tx: comments.every(tx, view.id), need=Need.OWN)
        lines = self._lines(view.id, there) if there else {}
        return "".join(comments.line(one, lines.get(one.path, [])) for one in there).encode("utf-8", "replace")

    def _lines(self, session: str, given: list[Comment]) -> dict[str, list[str]]:
        found = self._checkpoints.trees(session)
        paths = list(dict.fromkeys(one.path for one in given))

        def asked(hand: Hand) -> dict[str, list[str]]:
            told = dict[str, list[str]]()
            for start in range(0, len(paths), 50):
                head, _ = hand.worker.ask(found, "lines", paths=paths[start : start + 50])
                for path, lines in head.get("files", {}).items():
                    told[str(path)] = [str(line) for line in lines]
            return told

        return self._checkpoints.do(session, asked)
