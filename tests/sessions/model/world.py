"""The whole of it: see the package. A method is one step, and does it whatever comes of it."""

from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from anvilsrv.desk import outcomes
from anvilsrv.mail import box
from anvilsrv.sessions import prompts
from anvilsrv.sessions.machine import Event, Status
from anvilsrv.sessions.prompts import Prompt
from anvilsrv.sessions.state import State, View, Wanted
from anvilsrv.sessions.turns import Happened, Outcomes
from anvilsrv.store.effects import Effect, Interrupt
from anvilsrv.store.store import Tx
from tests.sessions.model.pane import FULL, Kind, Pane
from tests.sessions.model.rows import Cut, Daemon, Ledger
from tests.sessions.model.typist import Typist

T = TypeVar("T")


REPORTS_FIRST, REPORTS_LAST = "reports first", "reports last"


class World:
    """``session`` has an idle agent of ``kind``. ``late`` as in ``Typist.due``; ``untold``: it may die with a report to come."""

    def __init__(self, kind: Kind = FULL, late: bool = False, untold: bool = False) -> None:
        self._late = late
        self._untold = untold
        self._count = 0
        self.ledger = Ledger(self._settled)
        self.pane = Pane(kind)
        self.pastes: Counter[int] = Counter()
        self.daemon, self.typist, self.tidying = Daemon(self.ledger), self._typist(), 0
        self.session = self.job(
            lambda tx: self.daemon.life.create(
                tx, gaps=[], backend="model", cwd="/", role="", tasks=[], alias="", parent=None, tier="", policy=""
            )
        )
        self.launch()
        self.report()

    def _typist(self) -> Typist:
        return Typist(self.pane, self.pastes, self._row, self._undelivered)

    def close(self) -> None:
        self.ledger.close()

    # -- looking -------------------------------------------------------------------------------------------------------

    @property
    def gone(self) -> bool:
        """Whether the session was killed for good."""
        return self.session not in self.daemon.registry.views

    @property
    def view(self) -> View:
        return self.daemon.registry.views[self.session]

    def prompts(self, *statuses: Status) -> list[Prompt]:
        rows = self.ledger.look(lambda tx: tx.all(f"SELECT {prompts.COLUMNS} FROM prompts ORDER BY id"))
        return [one for one in map(prompts.prompt_of, rows) if one.status in statuses or not statuses]

    def prompt(self, number: int) -> Prompt:
        return next(one for one in self.prompts() if one.id == number)

    def status(self, number: int) -> Status:
        return self.prompt(number).status

    def open_turns(self) -> int:
        return self.ledger.look(lambda tx: len(tx.all("SELECT 1 FROM turns WHERE status = 'open'")))

    def inbox(self) -> list[str]:
        return self.ledger.look(lambda tx: [one.id for one in box.waiting(tx, self.session)])

    # -- the daemon ----------------------------------------------------------------------------------------------------

    def job(self, job: Callable[[Tx], T]) -> T:
        return self.ledger.call(job)

    def _settled(self, tx: Tx, touched: set[str], effects: list[Effect]) -> None:
        for _, after in self.daemon.registry.refresh(tx, {name for name in touched if " " not in name}):
            self.typist.follow(after)
        for effect in effects:
            if isinstance(effect, Interrupt):
                self.pane.escapes(back=True)
                self.tidying += effect.recalled

    def happens(self, what: Callable[[Tx], Outcomes]) -> Prompt | None:
        """Let something happen to the turn; the prompt that is to be handed over."""
        return self.job(lambda tx: outcomes.settle(tx, self.session, self.daemon.post, what(tx)))

    def kill(self, spooled: bool = True) -> None:
        """The daemon is killed, and another comes. ``spooled``: what was reported meanwhile is read before agents are adopted."""
        self.ledger.cut = False
        self.pane.gives_up()
        self.daemon, self.typist, self.tidying = Daemon(self.ledger), self._typist(), 0
        self.job(lambda tx: self.daemon.registry.load(tx))
        if self.gone:
            return
        while spooled and self.pane.reports:
            self.report()
        self.typist.follow(self.view)
        if self.pane.alive and self.view.live and self.view.pid:
            self.job(lambda tx: self.daemon.life.adopted(tx, self.session))

    def step(self, step: Callable[[], T]) -> T | None:
        """Do a step; where the daemon is killed in it, another comes."""
        try:
            return step()
        except Cut:
            return self.kill()

    # -- the user ------------------------------------------------------------------------------------------------------

    def write(self, text: str = "") -> int:
        """``in`` is written; the prompt's number."""
        self._count += 1
        text = text or f"prompt {self._count};"
        return self.job(lambda tx: self.daemon.send.accept(tx, self.session, text, "user"))

    def mail(self, sender: str = "user") -> int:
        """A request is mailed; the number of the prompt that delivers it."""
        self._count += 1
        fields = {"to": self.session, "type": "QUERY_REQUEST", "subject": "s", "body": f"mail {self._count};"}
        self.job(lambda tx: self.daemon.post.send(tx, sender, fields))
        return self.prompts()[-1].id

    def complete(self) -> None:
        """The oldest message that waits is archived."""
        message = self.inbox()[0]
        self.job(lambda tx: self.daemon.life.complete(tx, self.session, message))

    def interrupt(self) -> None:
        self.job(lambda tx: self.daemon.life.interrupt(tx, self.session))

    def stop(self) -> None:
        self.job(lambda tx: self.daemon.life.stop(tx, self.session))

    def restart(self) -> None:
        self.job(lambda tx: self.daemon.life.restart(tx, self.session))

    def end(self) -> None:
        """``kill`` of the session."""
        self.job(lambda tx: self.daemon.life.kill(tx, self.session))

    def release(self) -> None:
        """The limit is over."""
        self.job(lambda tx: self.daemon.life.release(tx, self.session))

    # -- the person ----------------------------------------------------------------------------------------------------

    def types(self, text: str = "", enter: bool = False) -> None:
        self._count += 1
        self.pane.types(text or f"by hand {self._count};")
        if enter:
            self.pane.enters()

    # -- what the daemon hears and does --------------------------------------------------------------------------------

    def report(self, which: int = 0) -> None:
        """A report comes in, the oldest unless told otherwise."""
        told = self.pane.reports[which]
        del self.pane.reports[which]
        if self.gone:
            return
        turns, session = self.daemon.turns, self.session
        match told.kind:
            case "ready":
                self.happens(lambda tx: turns.ready(tx, session))
            case "submit":
                self.happens(lambda tx: turns.submitted(tx, session, told.text if self.pane.kind.text else None))
            case "stop":
                stop = Happened(Event.STOP, response=told.text, handover=told.waits)
                handed = self.happens(lambda tx: turns.apply(tx, session, stop))
                if handed is not None:
                    self.pane.handed(handed.id, handed.text)
            case "fail":
                self.happens(lambda tx: turns.failed(tx, session, told.text, None))
                assert self.view.held or not self.prompts(Status.QUEUED), "a failure lets the queue go on"
            case "told":
                self.happens(lambda tx: turns.apply(tx, session, Happened(Event.TOLD)))

    def titled(self) -> None:
        """Its title has been idle for long in this turn."""
        turn = self.view.in_turn
        self.happens(lambda tx: self.daemon.turns.over(tx, self.session, turn))

    def tidy(self) -> None:
        """What an interrupt left in the input is cleared, where nothing of ours is on its way there."""
        self.tidying -= 1
        if self.view.state == State.IDLE or self.view.held:
            self.pane.clears()

    def _row(self, name: str, prompt: int) -> str | None:
        step = {"paste": self.daemon.turns.paste, "send": self.daemon.turns.send}[name]
        text = self.job(lambda tx: step(tx, self.session, prompt))
        assert name != "paste" or text is None or not self.view.held, "a prompt is pasted though the queue is held"
        return text

    def _undelivered(self, prompt: int) -> None:
        self.happens(lambda tx: self.daemon.turns.undelivered(tx, self.session, prompt, "the agent did not take it"))

    # -- processes -----------------------------------------------------------------------------------------------------

    @property
    def to_launch(self) -> bool:
        view = self.view
        return view.state == State.STARTING and not view.pid and view.wanted == Wanted.RUN and not self.pane.alive

    @property
    def to_end(self) -> bool:
        view = self.view
        return self.pane.alive and view.pid == self.pane.pid and (view.wanted != Wanted.RUN or not view.live)

    @property
    def can_die(self) -> bool:
        return self.pane.alive and (self._untold or not self.pane.coming)

    @property
    def to_bury(self) -> bool:
        """Whether its process ended and the row does not know yet."""
        return not self.pane.alive and self.view.pid == self.pane.pid

    def launch(self) -> None:
        self.pane.starts()
        pid = self.pane.pid
        self.job(lambda tx: self.daemon.life.launched(tx, self.session, "%1", pid, None, None))

    def died(self) -> None:
        pid, status = self.pane.pid, self.pane.status
        self.job(lambda tx: self.daemon.life.died(tx, self.session, pid, status, ""))

    # -- how it goes on by itself --------------------------------------------------------------------------------------

    def goes_on(self, order: str = REPORTS_FIRST) -> bool:
        """What is due happens, but for the end of a turn; whether there was something."""
        if self.gone:
            return False
        report, typist = (bool(self.pane.reports), self.report), (self.typist.due(self._late), self.typist.step)
        others = (
            (self.pane.can_begin, self.pane.begins),
            (self.to_end and self.can_die, lambda: self.pane.dies(143)),
            (self.to_bury, self.died),
            (self.to_launch, self.launch),
            (bool(self.tidying), self.tidy),
        )
        return first(report, *others, typist) if order == REPORTS_FIRST else first(typist, *others, report)

    def calms_down(self) -> bool:
        """The same, and turns end, persons clear the input, and users let go on what waits; whether there was something."""
        if self.gone or self.goes_on():
            return not self.gone
        queued = bool(self.prompts(Status.QUEUED))
        return first(
            (self.pane.can_end, self.pane.ends),
            (bool(self.typist.at and self.pane.box), self.pane.clears),
            (not self.pane.kind.line and bool(self.view.in_turn), self.titled),
            (not self.view.live and queued, self.restart),
            (bool(self.view.held) and queued, self.release),
        )


def first(*steps: tuple[bool, Callable[[], object]]) -> bool:
    """Do the first step that is due; whether there was one."""
    following = next((step for due, step in steps if due), None)
    if following is not None:
        following()
    return following is not None
