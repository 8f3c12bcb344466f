"""The whole of it: see the package. A method is one step, and does it whatever comes of it."""

from collections import Counter, deque
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from anvilsrv.desk import outcomes
from anvilsrv.errors import Conflict
from anvilsrv.mail import box
from anvilsrv.sessions import prompts
from anvilsrv.sessions.facts import same_text
from anvilsrv.sessions.gate import By
from anvilsrv.sessions.happened import Happened, Look, Outcomes, Proof, Seen
from anvilsrv.sessions.machine import Event, Status
from anvilsrv.sessions.prompt import Prompt
from anvilsrv.sessions.state import State, View, Wanted
from anvilsrv.store.effects import Clear, Effect, Interrupt
from anvilsrv.store.store import Tx
from tests.sessions.model.pane import AT_ONCE, Kind, Line, Pane, Told
from tests.sessions.model.rows import Cut, Daemon, Ledger
from tests.sessions.model.typist import Typist

T = TypeVar("T")


REPORTS_FIRST, REPORTS_LAST = "reports first", "reports last"


class Reply(NamedTuple):
    """What a hook program got for a stop, and has not asked for yet."""

    prompt: int
    text: str
    link: str


class World:
    """``session`` has an idle agent of ``kind``. ``late``: a report may come later than the typist waits for it."""

    def __init__(self, kind: Kind = AT_ONCE, late: bool = False) -> None:
        self._late = late
        self._count = 0
        self.ledger = Ledger(self._settled)
        self.pane = Pane(kind, self.ledger.tick)
        self.pastes: Counter[int] = Counter()
        self.replies: deque[Reply] = deque()
        self.daemon, self.typist, self.tidying = Daemon(self.ledger), self._typist(), 0
        self.session = self.job(
            lambda tx: self.daemon.life.create(
                tx, gaps=[], backend="model", cwd="/", role="", tasks=[], alias="", parent=None, tier="", policy=""
            )
        )
        self.launch()
        self.report()

    def _typist(self) -> Typist:
        return Typist(self.pane, self.pastes, self, lambda: None if self.gone else self.view)

    def close(self) -> None:
        self.ledger.close()

    # -- looking -------------------------------------------------------------------------------------------------------

    @property
    def gone(self) -> bool:
        """Whether the session was killed for good."""
        return self.session not in self.daemon.registry.views

    @property
    def busy(self) -> bool:
        """Whether there is something to interrupt."""
        return self.view.on_its_way or bool(self.view.in_turn)

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
            self.tidying += isinstance(effect, Interrupt | Clear)

    def happens(self, what: Callable[[Tx], Outcomes]) -> Prompt | None:
        """Let something happen to the turn; the prompt that is to be handed over."""
        return self.job(lambda tx: outcomes.settle(tx, self.session, self.daemon.post, what(tx)))

    def kill(self, spooled: bool = True) -> None:
        """Kill the daemon and start another. ``spooled``: what was reported meanwhile is read before agents are
        adopted.
        """
        self.ledger.cut = False
        self.pane.gives_up()
        self.replies.clear()
        self.daemon, self.typist, self.tidying = Daemon(self.ledger), self._typist(), 0
        self.job(lambda tx: self.daemon.registry.load(tx))
        if self.gone:
            return
        while spooled and self.pane.reports:
            self.report()
        self.typist.follow(self.view)
        if self.pane.alive and self.view.live and self.view.pid:
            self.job(lambda tx: self.daemon.life.adopted(tx, self.session))
            met = self.ledger.tick()
            self.job(lambda tx: self.daemon.life.unsaid(tx, self.session, met))  # by then no hook of before is left

    def step(self, step: Callable[[], T]) -> T | None:
        """Do a step; where the daemon is killed in it, another comes."""
        try:
            return step()
        except Cut:
            return self.kill()

    # -- the user ------------------------------------------------------------------------------------------------------

    def write(self, text: str = "") -> int:
        """Write ``in``. Returns the prompt's number."""
        self._count += 1
        text = text or f"prompt {self._count};"
        return self.job(lambda tx: self.daemon.send.accept(tx, self.session, text, "user"))

    def mail(self, sender: str = "user") -> int:
        """Mail a request. Returns the number of the prompt that delivers it."""
        self._count += 1
        fields = {"to": self.session, "type": "QUERY_REQUEST", "subject": "s", "body": f"mail {self._count};"}
        self.job(lambda tx: self.daemon.post.send(tx, sender, fields))
        return self.prompts()[-1].id

    def drop(self, number: int) -> None:
        """Drop a prompt; refused for what is being typed or was taken."""
        n = self.prompt(number).n
        try:
            tried = self.job(lambda tx: self.daemon.send.tried(tx, self.session, n))
            seen = self.seen_of(tried, self.pane.alive) if tried is not None else Seen()
            self.job(lambda tx: self.daemon.send.drop(tx, self.session, n, tried, seen))
        except Conflict:
            return

    def edit(self, number: int) -> None:
        """Replace its text; refused for what may have been taken."""
        n = self.prompt(number).n
        self._count += 1
        try:
            self.job(lambda tx: self.daemon.send.edit(tx, self.session, n, f"edited {self._count};"))
        except Conflict:
            return

    def hold(self) -> None:
        self.job(lambda tx: self.daemon.life.hold(tx, self.session))

    def go(self) -> None:
        self.job(lambda tx: self.daemon.life.go(tx, self.session))

    def complete(self) -> None:
        """Archive the oldest message that waits."""
        message = self.inbox()[0]
        self.job(lambda tx: self.daemon.life.complete(tx, self.session, message))

    def interrupt(self) -> None:
        self.job(lambda tx: self.daemon.life.interrupt(tx, self.session))

    def stop(self) -> None:
        self.job(lambda tx: self.daemon.life.stop(tx, self.session))

    def restart(self) -> None:
        self.job(lambda tx: self.daemon.life.restart(tx, self.session))

    def end(self) -> None:
        """Kill the session."""
        self.job(lambda tx: self.daemon.life.kill(tx, self.session))

    def release(self) -> None:
        """Release the queue after the limit."""
        until = self.view.gate.until
        assert until is not None
        self.job(lambda tx: self.daemon.life.release(tx, self.session, until))

    # -- the person ----------------------------------------------------------------------------------------------------

    def types(self, text: str = "", enter: bool = False) -> None:
        self._count += 1
        self.pane.types(text or f"by hand {self._count};")
        if enter:
            self.pane.enters()

    # -- what the daemon hears and does --------------------------------------------------------------------------------

    def report(self, which: int = 0) -> None:
        """Let a report come in, the oldest unless told otherwise."""
        told = self.pane.reports[which]
        del self.pane.reports[which]
        if self.gone:
            return
        turns, session = self.daemon.turns, self.session
        happened = Happened(told.at, told.ident, told.text if self.pane.kind.text else None, task=told.task)
        match told.kind:
            case "ready":
                self.happens(lambda tx: turns.reported.ready(tx, session, happened))
            case "submit":
                self._submit(told, happened)
            case "stop":
                self._stop(told)
            case "fail":
                fails = Happened(told.at, told.ident, reason=told.text)
                self.happens(lambda tx: turns.reported.failed(tx, session, fails))
            case "told":
                self.happens(lambda tx: turns.reported.told(tx, session, Happened(told.at, told.ident)))
            case "active":
                self.happens(lambda tx: turns.stepper.apply(tx, session, Event.ACTIVE, Happened(told.at, told.ident)))
            case "refused":
                refused, seen = Happened(told.at, told.ident, told.text, reason="refused"), self.seen()
                self.happens(lambda tx: turns.reported.refused(tx, session, refused, seen))

    def _submit(self, told: Told, happened: Happened) -> None:
        """What must be seen is looked at when it is needed, as ``desk/report.py`` does it."""
        turns, session = self.daemon.turns, self.session

        def asks(tx: Tx) -> bool:
            return turns.stepper.asks(
                tx, session, turns.reported.submit_event(tx, session, happened, told.wake), happened
            )

        seen = self.seen() if self.ledger.look(asks) else Seen()
        self.happens(lambda tx: turns.reported.submitted(tx, session, happened, told.wake, seen))

    def _stop(self, told: Told) -> None:
        self._count += 1
        link = f"r{self._count}" if told.waits and self.pane.alive and self.pane.turn is None else ""
        stop = Happened(told.at, told.ident, response=told.text, pending=told.pending, handover=link)
        handed = self.happens(lambda tx: self.daemon.turns.reported.stopped(tx, self.session, stop))
        if handed is not None:
            self.replies.append(Reply(handed.id, handed.text, link))
            self.pane.asking += 1

    def takes(self) -> None:
        """The hook program asks whether it may give on what it got."""
        reply = self.replies.popleft()
        self.pane.asking = len(self.replies)

        def job(tx: Tx) -> bool:
            at = tx.now.monotonic
            given = self.daemon.turns.delivered.given(tx, self.session, reply.prompt, reply.link, at)
            outcomes.settle(tx, self.session, self.daemon.post, given)
            now = prompts.get(tx, reply.prompt)
            return now is not None and (now.link, now.status) == (reply.link, Status.TAKEN)

        try:
            go = self.job(job)
        except Cut:  # the answer is lost with the daemon: it asks the next one
            self.kill()
            go = self.job(job)
        if go and self.pane.alive:
            self.pane.handed(reply.prompt, reply.text)

    def loses_reply(self) -> None:
        """The hook program ends before it has asked."""
        link = self.replies.popleft().link
        self.pane.asking = len(self.replies)
        self.happens(lambda tx: self.daemon.turns.delivered.gone(tx, self.session, link))

    def keeps_reply(self, alone: bool) -> None:
        """The hook program ends after it was told that it may give on what it got, and before it has; ``alone``, or with the daemon."""
        reply = self.replies.popleft()
        self.pane.asking = len(self.replies)
        self.happens(
            lambda tx: self.daemon.turns.delivered.given(
                tx, self.session, reply.prompt, reply.link, tx.now.monotonic, tells=True
            )
        )
        if alone:
            self.happens(lambda tx: self.daemon.turns.delivered.kept(tx, self.session, reply.link))
        else:
            self.kill()

    def line(self) -> None:
        """A line that says that a text was taken into the turn that runs is read."""
        line = self.joined_lines()[0]
        self.heard_lines = self.pane.lines.index(line) + 1
        joined, seen = Happened(line.at, line.ident, line.text), self.seen()
        self.happens(lambda tx: self.daemon.turns.reported.joined(tx, self.session, joined, seen))

    heard_lines = 0

    def joined_lines(self) -> list[Line]:
        return [one for one in self.pane.lines[self.heard_lines :] if one.kind == "joined"]

    def titled(self) -> None:
        """Its title has been idle for long in this turn."""
        turn = self.view.in_turn
        self.happens(lambda tx: self.daemon.turns.reported.over(tx, self.session, turn))

    def tidy(self) -> None:
        """Clear what is left of ours in the input, where nothing of ours is on its way there."""
        self.tidying -= 1
        if self.view.status in (None, Status.CHOSEN) and self.seen().look in (Look.OURS, Look.ONLY_OURS):
            self.pane.clears()

    def frees(self) -> None:
        """The obstacle is seen to have gone."""
        self.job(lambda tx: self.daemon.life.free(tx, self.session))

    @property
    def is_free(self) -> bool:
        """Whether a watched obstacle has gone."""
        watched = By.OBSTACLE in self.view.gate.holders and not self.view.on_its_way and self.pane.alive
        return watched and self.seen().look not in (Look.MIXED, Look.AMONG, Look.UNREAD)

    # -- what a delivery asks and says (see ``typist.Rows``) ---------------------------------------------------------------

    def seen(self, alive: bool = True) -> Seen:
        return self.seen_of(self.ledger.look(lambda tx: prompts.on_its_way(tx, self.session)), alive)

    def seen_of(self, current: Prompt | None, alive: bool) -> Seen:
        texts = self.ledger.look(lambda tx: prompts.texts(tx, self.session))
        words = current.words if current is not None and current.pastes else ""
        look = (Look.UNREAD if self.pane.frozen else look_at(self.pane.text, words, texts)) if alive else None
        if current is None:
            return Seen(look)
        mark = int(current.mark or 0)
        proof = next(
            (
                Proof(one.at, one.ident, one.kind == "joined")
                for one in self.pane.lines[mark:]
                if one.kind in ("taken", "joined") and same_text(one.text, current.words)
            ),
            None,
        )
        trusted, silent = self.pane.kind.transcript == "at once", len(self.pane.lines) == mark
        proof = proof if current.pasted_at is not None else None
        return Seen(look, proof, trusted, current.mark is not None and silent, current.id in self.pane.buffers)

    def text_of(self, prompt: int) -> str:
        return self.prompt(prompt).text

    def was_pasted(self, prompt: int) -> bool:
        return self.prompt(prompt).pasted_at is not None

    def obstacle(self, prompt: int) -> None:
        self.happens(lambda tx: self.daemon.turns.delivered.obstacle(tx, self.session, prompt, "somebody types"))

    def pasted(self, prompt: int, tries: int) -> bool:
        before, text, mark = self.pastes[prompt], self.text_of(prompt), str(len(self.pane.lines))
        del before
        self.happens(lambda tx: self.daemon.turns.delivered.paste(tx, self.session, prompt, tries, text, mark))
        now = self.prompt(prompt)
        pasted = now.status == Status.PASTED and now.tries == tries
        assert not pasted or self.view.gate.open, "a prompt is pasted though the queue is held"
        return pasted

    def unpasted(self, prompt: int) -> None:
        self.happens(lambda tx: self.daemon.turns.delivered.adopted(tx, self.session, Seen(unpasted=True)))

    def not_taken(self, prompt: int, seen: Seen) -> bool:
        presses = self.prompt(prompt).presses
        self.happens(lambda tx: self.daemon.turns.delivered.not_taken(tx, self.session, prompt, seen))
        pressed = self.prompt(prompt).presses > presses and self.status(prompt) == Status.SENT
        assert not pressed or self.view.gate.open, "Enter is pressed though the queue is held"
        unread = seen.look == Look.UNREAD and self.pane.frozen
        assert not unread or self.status(prompt) != Status.FAILED, "what the agent has not read yet has failed"
        return pressed

    def moved(self, prompt: int) -> bool:
        """Enter was not pressed; whether the prompt is again as it was before its first."""
        before = self.prompt(prompt)
        self.happens(lambda tx: self.daemon.turns.delivered.moved(tx, self.session, prompt))
        if before.status == Status.SENT and before.presses:
            assert self.prompt(prompt).presses == before.presses - 1, "an Enter counts that was not pressed"
        return self.status(prompt) == Status.PASTED

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
        return self.pane.alive

    @property
    def to_bury(self) -> bool:
        """Whether its process ended and the row does not know yet."""
        return not self.pane.alive and self.view.pid == self.pane.pid

    def launch(self) -> None:
        began = self.ledger.tick()
        self.pane.starts()
        pid = self.pane.pid
        self.job(lambda tx: self.daemon.life.launched(tx, self.session, "%1", pid, "full", "", began))

    def died(self) -> None:
        pid, status, seen = self.pane.pid, self.pane.status, self.seen(alive=False)
        self.replies.clear()
        self.job(lambda tx: self.daemon.life.died(tx, self.session, pid, status, "", seen))

    # -- how it goes on by itself --------------------------------------------------------------------------------------

    def goes_on(self, order: str = REPORTS_FIRST) -> bool:
        """Let what is due happen, but for the end of a turn. Returns whether there was something."""
        if self.gone:
            return False
        report, typist = (bool(self.pane.reports), self.report), (self.typist.due(self._late), self.typist.step)
        others = (
            (bool(self.pane.unwritten), self.pane.flushes),
            (bool(self.replies), self.takes),
            (bool(self.joined_lines()), self.line),
            (self.pane.can_begin, self.pane.begins),
            (self.to_end and self.can_die, lambda: self.pane.dies(143)),
            (self.to_bury, self.died),
            (self.to_launch, self.launch),
            (bool(self.tidying), self.tidy),
            (self.is_free, self.frees),
        )
        return first(report, *others, typist) if order == REPORTS_FIRST else first(typist, *others, report)

    def calms_down(self) -> bool:
        """Do the same, and let turns end, persons clear the input, and users let go on what waits. Returns whether
        there was something.
        """
        if not self.gone and self.pane.frozen is not None:
            self.pane.thaws()
            return True
        if self.gone or self.goes_on():
            return not self.gone
        queued = bool(self.prompts(Status.QUEUED))
        waits = queued or self.view.on_its_way
        return first(
            (self.pane.can_end, self.pane.ends),
            (bool(self.pane.works) and self.pane.turn is None, self.pane.wakes),
            (bool(self.pane.box) and waits and self.seen().look in (Look.MIXED, Look.AMONG), self.pane.clears),
            (not self.pane.kind.line and bool(self.view.in_turn), self.titled),
            (not self.view.live and queued, self.restart),
            (self.view.gate.until is not None and waits, self.release),
            (bool({By.USER, By.FAILED} & set(self.view.gate.holders)) and waits, self.go),
        )


def first(*steps: tuple[bool, Callable[[], object]]) -> bool:
    """Do the first step that is due; whether there was one."""
    following = next((step for due, step in steps if due), None)
    if following is not None:
        following()
    return following is not None


def look_at(shown: str, words: str, texts: list[str]) -> Look:
    """Return what an input shows: see ``agents/input_line.py``."""
    if not shown:
        return Look.FREE
    if words and shown == words:
        return Look.OURS
    rest = shown
    while rest and (one := next((one for one in texts if rest.startswith(one)), "")):
        rest = rest[len(one) :]
    if not rest:
        return Look.ONLY_OURS
    return Look.AMONG if words and words in shown else Look.MIXED
