"""Lines of agents' transcripts, which tell what no hook does: an interrupt, a prompt that joined a turn, figures.

Threads: ``come`` and ``beside`` are called from any thread but the store's; what they bring is taken on the threads of ``inorder.py``,
after the reports that came before. Methods with a Tx run in a job.
"""

from collections.abc import Sequence
from typing import NamedTuple

from anvilsrv.backends.backend import Report
from anvilsrv.backends.registry import Backends
from anvilsrv.desk import besides, heard, outcomes
from anvilsrv.desk.answer import Questions
from anvilsrv.desk.around import Eyes, Line, Listener
from anvilsrv.desk.heard import OVER
from anvilsrv.desk.inorder import InOrder
from anvilsrv.desk.life import Life
from anvilsrv.desk.post import Post
from anvilsrv.sessions import session_rows
from anvilsrv.sessions.happened import NOTHING, Seen
from anvilsrv.sessions.registry import Registry
from anvilsrv.sessions.turns import Turns
from anvilsrv.store.store import Tx

#: Kinds of lines that say more than figures.
COUNTS = ("interrupt", "fail", "joined", "noticed", "refused", "active", "done")
AGAIN = ("noticed",)  # those that do nothing where they are read a second time


class Known(NamedTuple):
    """What a line of a transcript means; ``counts``: not only for its figures."""

    report: Report
    counts: bool


class Lines:
    """The lines of all sessions."""

    def __init__(
        self, registry: Registry, turns: Turns, post: Post, questions: Questions, life: Life, backends: Backends, eyes: Eyes,
        listener: Listener, order: InOrder,
    ) -> None:  # fmt: skip
        self._registry = registry
        self._turns = turns
        self._post = post
        self._questions = questions
        self._life = life
        self._backends = backends
        self._eyes = eyes
        self._listener = listener
        self._order = order

    def come(self, session: str, lines: list[Line], old: bool) -> None:
        """Take new lines of the agent's transcript. Of ``old`` ones (there when watching began) only the last can still
        end a turn.
        """
        view = self._registry.find(session)
        if view is None:
            return
        with self._life.guard(session):
            backend = self._backends.get(view.backend)
            found = [
                Known(report, not old or at == len(lines) or report.kind in AGAIN)
                for at, line in enumerate(lines, 1)
                for report in backend.transcript_reports(line)
            ]
            if found:
                source = view.transcript or ""
                self._order.do(session, lambda: self._know(session, found, source))

    def beside(self, session: str, lines: list[Line]) -> None:
        """Take new lines of the files beside the transcript, which belong to subagents: only their figures count."""
        view = self._registry.find(session)
        if view is None:
            return
        with self._life.guard(session):
            backend = self._backends.get(view.backend)
            found = [one for line in lines for one in backend.transcript_reports(line) if one.kind == "usage"]
            if found:
                self._order.do(session, lambda: self._know(session, [Known(one, False) for one in found], ""))

    def _know(self, session: str, found: Sequence[Known], source: str) -> None:
        """Take lines in order with what hooks report; what must be seen for that is looked at first."""
        if any(one.counts and one.report.kind in OVER for one in found):
            self._listener.catch_up(session)
        looks = any(one.report.kind in ("joined", "refused") for one in found) and self._is_on_its_way(session)
        seen = self._eyes.seen(session) if looks else NOTHING
        family = self._registry.family(session)
        self._life.about(session, lambda tx: self._read(tx, session, found, seen, source), by=family)

    def _is_on_its_way(self, session: str) -> bool:
        view = self._registry.find(session)
        return view is not None and view.on_its_way

    def _read(self, tx: Tx, session: str, found: Sequence[Known], seen: Seen, source: str) -> None:
        row = session_rows.maybe(tx, session)
        if row is None:
            return
        besides.count(self._registry, tx, row, [one.report for one in found], source)
        for report, counts in found:
            besides.learn(tx, row, report)
            if (
                not counts
                or report.kind not in COUNTS
                or (report.kind == "fail" and not self._turns.queue.busy(tx, session))
            ):
                continue
            if report.kind == "interrupt":
                self._questions.over(tx, session, "")
            told = report.fields.get("mono")
            at = min(told, tx.now.monotonic) if isinstance(told, float) else tx.now.monotonic
            outcomes.settle(tx, session, self._post, heard.happen(self._turns, tx, session, report, at, seen, ""))
