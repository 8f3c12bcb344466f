"""Checkpoints of a session's work trees, when its turns begin and end, and what changed between them.

A prompt that we bring waits for the checkpoint before it (``before``); an answer waits for nothing. Where a turn began otherwise,
the last checkpoint is its beginning.

Threads: what is done for one session is done on its thread, one thing after another; ``follow`` is called on the store's, the rest on
any other, where it waits for that. The lock guards which threads there are. ``close`` joins them.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as Late
from typing import Any, NamedTuple, TypeVar

from anvilsrv.agents.directories import Directories
from anvilsrv.agents.landing import Landing
from anvilsrv.agents.worktree import Refusal, Trees, Worker, trees
from anvilsrv.display import one_line
from anvilsrv.errors import AnvilError, NotFound, NotPermitted, Unavailable
from anvilsrv.sessions import changes, prompts, session_rows, turn_rows, worktrees
from anvilsrv.sessions.changes import Change, Commits, Segments
from anvilsrv.sessions.registry import Registry
from anvilsrv.sessions.state import State, View
from anvilsrv.store.store import Need, Store, Tx
from sandbox.errors import SandboxError, SandboxRefused

LARGE = 20 << 20  # bytes of a file that no checkpoint has
DIFF = 8 << 20  # bytes of a diff
LEFT = 20  # of what is left out, that is named
PATIENCE = 20.0  # s for which a prompt waits for its checkpoint
GRACE = 10.0  # s for what is at work when the daemon ends
LONG = 200.0  # s for who asked for something
_NOT_TEXT = re.compile("[\ud800-\udfff]")  # a byte of a name that is not UTF-8

T = TypeVar("T")


class Hand(NamedTuple):
    """What works for one session."""

    thread: ThreadPoolExecutor
    worker: Worker


class Changed(NamedTuple):
    """A diff of checkpoints, and what stands before it."""

    text: bytes
    plus: int
    minus: int
    files: list[tuple[str, int, int]]
    note: str


class Checkpoints:
    """Those of all sessions. A follower."""

    def __init__(
        self, store: Store, registry: Registry, directories: Directories, landing: Landing,
        on_error: Callable[[BaseException], None],
    ) -> None:  # fmt: skip
        self._store = store
        self._registry = registry
        self._directories = directories
        self._landing = landing
        self._on_error = on_error
        self._lock = threading.Lock()
        self._hands: dict[str, Hand] = {}
        self._over: list[ThreadPoolExecutor] = []
        self._closed = False

    # -- what follows the rows -----------------------------------------------------------------------------------------

    def follow(self, before: View | None, after: View | None) -> None:
        """See :class:`Follower`."""
        if after is None:
            self._end(before.id if before is not None else "")
        elif (now := _moment(after)) is not None and now[0] and after.pid and _moment(before) != now:
            self._begin(after.id, lambda hand: self.settle(after.id, hand))
        elif not after.live and (before is None or before.live) and after.id in self._hands:
            self._begin(after.id, lambda hand: self._last(after.id, hand))

    def close(self) -> None:
        """End every process and join every thread."""
        with self._lock:
            self._closed = True
            hands, over = list(self._hands.values()), list(self._over)
        ends = [hand.thread.submit(hand.worker.close) for hand in hands]
        for hand, end in zip(hands, ends, strict=True):
            try:
                end.result(GRACE)
            except Late:  # the next daemon does what is not done
                hand.worker.kill()
        for thread in (*(hand.thread for hand in hands), *over):
            thread.shutdown(wait=True)

    def _end(self, session: str) -> None:
        with self._lock:
            hand = self._hands.pop(session, None)
            if hand is not None:
                self._over = [*self._over, hand.thread][-100:]
        if hand is not None:
            hand.thread.submit(hand.worker.close)
            hand.thread.shutdown(wait=False)

    def _begin(self, session: str, what: Callable[[Hand], T]) -> Future[T] | None:
        """Have that done on the session's thread."""
        with self._lock:
            if self._closed or session not in self._registry.views:
                return None
            hand = self._hands.get(session)
            if hand is None:
                thread = ThreadPoolExecutor(1, thread_name_prefix=f"git {session}")
                hand = self._hands[session] = Hand(thread, Worker(session, self._directories.of(session)))
            found = hand
            return found.thread.submit(lambda: self._guarded(what, found))

    def _guarded(self, what: Callable[[Hand], T], hand: Hand) -> T:
        try:
            return what(hand)
        except (AnvilError, SandboxError):
            raise
        except Exception as error:
            self._on_error(error)
            raise

    def do(self, session: str, what: Callable[[Hand], T], patience: float = LONG) -> T:
        """Do it as above, and wait for it. Raises AnvilError."""
        begun = self._begin(self._registry.get(session).id, what)
        if begun is None:
            raise Unavailable("the daemon ends")
        try:
            return begun.result(patience)
        except Late:
            raise Unavailable(f"git of session '{session}' has not ended within {patience:.0f} s") from None
        except Refusal as refused:
            raise NotPermitted(_listed(refused)) from None
        except SandboxRefused as refused:
            raise NotPermitted(one_line(str(refused))) from None
        except SandboxError as error:
            raise Unavailable(one_line(str(error))) from None

    # -- checkpoints -----------------------------------------------------------------------------------------------------

    def before(self, session: str) -> None:
        """Keep what there is before a prompt is given to the agent. Waits, not for long; never fails."""
        view = self._registry.find(session)
        if view is None or view.in_turn or not self._has(view):
            return
        begun = self._begin(view.id, lambda hand: self._before(view.id, hand))
        if begun is not None:
            try:
                begun.result(PATIENCE)
            except (Late, AnvilError, SandboxError):
                return  # that there is no checkpoint is said in the turn's diff

    def _has(self, view: View) -> bool:
        """Return whether there are work trees of its own."""
        try:
            return not view.beside and trees(self._landing.git(view.id), view.cwd) is not None
        except SandboxError:
            return False

    def trees(self, session: str) -> Trees:
        """Return the work trees of the session. Raises AnvilError if there are none."""
        view = self._registry.get(session)
        if view.beside:
            raise NotPermitted(f"session '{session}' shares the work tree of '{view.beside}': use that session's files")
        try:
            found = trees(self._landing.git(view.id), view.cwd)
        except SandboxError as error:
            raise NotPermitted(f"no checkpoints of session '{session}': {error}") from None
        if found is None:
            raise NotFound(
                f"no such work tree: session '{session}' works in no git repository of yours: {one_line(view.cwd)}"
            )
        return found

    def _last(self, session: str, hand: Hand) -> None:
        try:
            self.settle(session, hand)
        finally:
            hand.worker.close()

    def _before(self, session: str, hand: Hand) -> None:
        if not self.settle(session, hand) and not self._registry.get(session).in_turn:
            self.make(session, hand)

    def make(self, session: str, hand: Hand) -> tuple[Commits, list[str]]:
        """Make a checkpoint of now, from which the next turn begins. Returns it, and what was left out."""
        found = self.trees(session)
        now, left = self.look(found, hand)
        base = found.main.base if found.main is not None else ""
        self._store.call(lambda tx: self._stands(tx, session, now, base), need=Need.OWN)
        return now, left

    def _stands(self, tx: Tx, session: str, now: Commits, base: str) -> None:
        if session_rows.there(tx, session):
            changes.set_stand(tx, session, now, base)

    def look(self, found: Trees, hand: Hand) -> tuple[Commits, list[str]]:
        """Make a checkpoint of now from which nothing begins. Returns it, and what was left out."""
        head, _ = hand.worker.ask(found, "checkpoint", limit=LARGE)
        return _commits(head.get("commits")), [one_line(str(line))[:1000] for line in head.get("left", [])]

    def settle(self, session: str, hand: Hand) -> bool:
        """Keep what the turn that ended last has changed, unless that is known; whether a checkpoint was made."""
        view = self._registry.find(session)
        if view is None or view.in_turn or not self._has(view):
            return False
        known = self._store.call(partial_known(session), need=Need.OWN)
        if known.turn is None:
            if known.stand is None:
                self.make(session, hand)
            return known.stand is None
        if known.change is not None and known.change.ended == known.turn.ended_at:
            return False
        segments: Segments = []
        try:
            now, left = self.make(session, hand)
            if known.stand is not None:
                segments = extended(known.change, known.stand.last, now)
            found = self.diff(self.trees(session), hand, segments, left)
        except (AnvilError, SandboxError) as error:
            found = Changed(b"", 0, 0, [], f"# no diff: {one_line(str(error))[:500]}\n")
        turn = known.turn
        change = Change(
            turn.number, turn.ended_at, segments, found.plus, found.minus, found.files, found.note, changes.packed(found.text)
        )  # fmt: skip
        self._store.call(lambda tx: self._keep(tx, session, change), need=Need.OWN)
        return True

    def _keep(self, tx: Tx, session: str, change: Change) -> None:
        if session_rows.there(tx, session):
            changes.add(tx, session, change)
            self._registry.stream.emit(
                tx, "session_update", session, turn=prompts.first_number(tx, session, change.turn), plus=change.plus,
                minus=change.minus,
            )  # fmt: skip

    def diff(self, found: Trees, hand: Hand, segments: Segments, left: list[str], merged: str = "") -> Changed:
        """Return what changed in these, one after another; what a commit does not have that was merged."""
        text, plus, minus, cut = b"", 0, 0, False
        files: list[tuple[str, int, int]] = []
        for old, new in segments:
            head, body = hand.worker.ask(found, "diff", old=old, new=new, most=DIFF - len(text), merged=merged)
            text, cut = text + body, cut or bool(head.get("cut"))
            plus, minus = plus + _number(head.get("plus")), minus + _number(head.get("minus"))
            files += [(str(path)[:4096], _number(more), _number(less)) for path, more, less in head.get("files", [])]
        lines = [f"left out: {line}" for line in left[:LEFT]]
        lines += [f"left out: {len(left) - LEFT} more"] if len(left) > LEFT else []
        lines += [f"more than {DIFF >> 20} MiB: only the first of {len(files)} files are shown"] if cut else []
        return Changed(text, plus, minus, files, "".join(f"# {line}\n" for line in lines))

    # -- what is shown ----------------------------------------------------------------------------------------------------

    def turn_diff(self, session: str, n: int) -> bytes:
        """Return what the turn of that prompt changed: so far, while it runs. Raises AnvilError."""
        view = self._registry.get(session)
        prompt = self._store.call(lambda tx: prompts.numbered(tx, view.id, n), need=Need.OWN)
        if prompt is None or prompt.turn is None:
            return b""
        turn: int = prompt.turn
        self.trees(view.id)
        if turn == view.in_turn:
            return self.do(view.id, lambda hand: self._since(view.id, hand, base=False))
        self.do(view.id, lambda hand: self.settle(view.id, hand))
        found = self._store.call(lambda tx: changes.of(tx, view.id, turn), need=Need.OWN)
        return b"" if found is None else found.text

    def diff_since(self, session: str) -> bytes:
        """Return what changed since the session began, or since it was merged. Raises AnvilError."""
        view = self._registry.get(session)
        self.trees(view.id)
        return self.do(view.id, lambda hand: self._since(view.id, hand, base=True))

    def _since(self, session: str, hand: Hand, base: bool) -> bytes:
        found = self.trees(session)
        stand = self._store.call(lambda tx: changes.stand(tx, session), need=Need.OWN)
        if stand is None:
            self.make(session, hand)
            return b""
        now, left = self.look(found, hand)
        own = self._store.call(lambda tx: worktrees.of(tx, session), need=Need.OWN) if base else None
        segments = [[stand.began if base else stand.last, now]]
        shown = self.diff(found, hand, segments, left, "" if own is None else own.merged)
        return shown.note.encode() + shown.text

    def base(self, session: str) -> str:
        """Return the commit that was checked out when the session began; empty if there was none. Raises AnvilError."""
        found = self.trees(session)
        stand = self._store.call(lambda tx: changes.stand(tx, self._registry.get(session).id), need=Need.OWN)
        return stand.base if stand is not None else found.main.base if found.main is not None else ""

    def branch(self, session: str) -> str:
        """Return the branch that the session is on; empty for none. Raises AnvilError."""
        found = self.trees(session).main
        return "" if found is None else self._landing.branch(found)

    def status(self, session: str) -> bytes:
        """Return what its own git says of the work tree, in the short form. Raises AnvilError."""
        found = self.trees(session)
        if found.main is None:
            raise NotFound(f"the directory of session '{session}' is not a work tree")
        return self.do(
            session, lambda hand: self._landing.inside(session, ["git", "status", "--short"], found.top, DIFF)
        )


class Known(NamedTuple):
    """The turn that ended last, what is known of it, and where the work trees stand."""

    turn: turn_rows.Turn | None
    change: Change | None
    stand: changes.Stand | None


def partial_known(session: str) -> Callable[[Tx], Known]:
    """Return the job that looks it up."""

    def job(tx: Tx) -> Known:
        turn = turn_rows.ended_last(tx, session)
        turn = turn if turn is not None and turn.ended_at else None
        return Known(turn, changes.of(tx, session, turn.number) if turn else None, changes.stand(tx, session))

    return job


def extended(change: Change | None, last: Commits, now: Commits) -> Segments:
    """Return the segments of a turn that ended, perhaps not for the first time."""
    before = change.segments if change is not None else []
    if before and before[-1][1] == last:
        return [*before[:-1], [before[-1][0], now]]
    return [*before, [last, now]]


def _moment(view: View | None) -> tuple[bool, int, int] | None:
    ready = view is not None and view.live and view.state != State.STARTING and not view.in_turn
    return None if view is None else (ready, view.turns, view.pid)


def _listed(refused: Refusal) -> str:
    more = len(refused.paths) - 50
    paths = [one_line(_NOT_TEXT.sub("\ufffd", path)) for path in refused.paths[:50]] + (
        [f"and {more} more"] if more > 0 else []
    )
    return f"{one_line(str(refused))}: {', '.join(paths)}" if paths else one_line(str(refused))


def _commits(found: Any) -> Commits:
    """Return the commits as a process inside reported them."""
    given = found if isinstance(found, dict) else {}
    return {str(name)[:20]: str(commit)[:64] for name, commit in given.items()}


def _number(found: Any) -> int:
    return found if isinstance(found, int) and -1 <= found < 1 << 40 else 0
