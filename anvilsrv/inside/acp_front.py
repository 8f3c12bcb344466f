"""The front of an agent that speaks the Agent Client Protocol: it has the agent and the session, shows a conversation, and reports it.

A prompt comes from the daemon by message, or from a person in the pane; the agent never has two. Before it gets one from the daemon the
daemon was asked whether it may. What comes before the first prompt of a process is history.

Threads: ``run`` is the only one that reads and writes what is here. All else that happens comes in through ``events``, one thing after
another: from the agent's reader, the daemon's threads and the pane.
"""

import os
import queue
import time
import uuid
from collections.abc import Mapping
from typing import Any

from anvilsrv.inside import acp_attached, acp_ending, acp_said, acp_shown
from anvilsrv.inside.acp_client import Client, Wanted
from anvilsrv.inside.acp_daemon import Answered, Chosen, Daemon, Go, Offered
from anvilsrv.inside.acp_options import Option
from anvilsrv.inside.acp_pane import Cancel, Choice, Done, Leave, Lined, Plain, Typed
from anvilsrv.inside.acp_process import Gone, Process
from anvilsrv.inside.acp_questions import Questions
from anvilsrv.inside.acp_screen import Screen
from anvilsrv.inside.acp_settings import Settings
from anvilsrv.inside.acp_told import Told
from anvilsrv.inside.acp_turn import Turn
from anvilsrv.inside.acp_wire import Answer, Fault, Message, Notice, Request

CANCEL = 5.0  # s for an agent to answer after a cancel; then its processes are ended
QUIET = 0.3  # s without news after which the history of a conversation counts as told
HISTORY = 10.0  # s for it at most
REFUSED = 126  # the status that says that another start would not help
MOST = 100  # prompts typed ahead
FAULTS = 20  # faults of the agent that are told one by one

FromAgent = tuple[Process, Message | Gone]


class Front:
    """The program. ``events`` is what everything that happens is put into."""

    def __init__(self, settings: Settings, pane: Plain | Lined, events: "queue.SimpleQueue[Any]") -> None:
        self._settings = settings
        self._pane = pane
        self._screen = Screen(pane)
        self._events = events
        self._daemon = Daemon(events.put)
        self._told = Told(settings.told)
        self._questions = Questions(self._daemon, self._screen, pane, self._told, settings.allows)
        self._session = settings.session
        self._process: Process | None = None
        self._client: Client | None = None
        self._ready = False
        self._told_ready = False
        self._history = float("inf")  # until when news may be of earlier turns; 0: a prompt was given
        self._quiet = float("inf")  # when it counts as told
        self._turn: Turn | None = None
        self._going: Offered | None = None  # the daemon was asked whether it may be given
        self._cancel_soon = False
        self._late = float("inf")  # when a cancelled turn is ended by force
        self._typed: list[str] = []
        self._commands: Mapping[str, str] = {}
        self._chosen = dict(settings.chosen)  # by the user, as far as it is known here
        self._choosing = False
        self._offers: tuple[dict[str, Option], dict[str, str]] = ({}, {})  # what was told last of what can be chosen
        self._figures: dict[str, float] = {}
        self._faults = 0
        self._status: int | None = None

    def run(self) -> int:
        """Until the agent ends, or is to; the exit status."""
        try:
            self._start()
            while self._status is None:
                self._happened(self._wait())
        finally:
            if self._process is not None:
                self._process.end()
            self._told.close()
            self._daemon.close()
            self._pane.close()
        return self._status

    def _wait(self) -> Any:
        """What happens next; None when a time is over."""
        if self._events.empty():
            self._told.flush()
            self._offer()
        until = min(self._client.deadline if self._client else float("inf"), self._late, self._quiet)
        left = until - time.monotonic()
        if left <= 0:
            return None  # also while an agent floods
        try:
            return self._events.get(timeout=None if until == float("inf") else left)
        except queue.Empty:
            return None

    def _happened(self, event: Any) -> None:
        match event:
            case None:
                self._tick(time.monotonic())
            case (Process() as process, message):
                process.handled()
                if process is self._process:
                    self._from_agent(message)
            case Offered():
                self._offered(event)
            case Go():
                self._go(event)
            case Chosen(values):
                self._choose(values)
            case Answered():
                self._questions.answered(event)
            case Typed() | Cancel() | Choice() | Leave():
                self._by_hand(event)

    def _tick(self, now: float) -> None:
        if self._client is not None:
            self._client.tick(now)
        if now >= self._late:
            self._force()
        if now >= self._quiet:
            self._is_ready()

    # -- the agent's process ----------------------------------------------------------------------------------------------

    def _start(self) -> None:
        """Start the agent; it goes on with the session, if there is one."""
        self._ready, self._client, self._history = False, None, float("inf")
        try:
            self._process = Process(
                self._settings.command, {**os.environ, **self._settings.env}, self._settings.cwd,
                lambda process, message: self._events.put((process, message)),
            )  # fmt: skip
        except OSError as error:
            self._end(f"cannot start {self._settings.command[0]}: {error.strerror}", REFUSED)
            return
        wanted = Wanted(
            self._settings.cwd, self._session, self._settings.servers(), self._settings.meta, self._settings.choices,
            self._settings.needed,
        )  # fmt: skip
        self._client = Client(self._process, wanted, self._opened, self._failed, self._alarm)
        self._client.start()

    def _again(self, session: str) -> None:
        """End the agent with all that it has started, and start it again, with that conversation."""
        if self._process is not None:
            self._process.end()
        self._session = session
        self._start()

    def _failed(self, why: str, permanent: bool) -> None:
        """No session can be had."""
        if self._client is not None and self._client.hung:
            self._again("")
        else:
            self._end(why, REFUSED if permanent else 1)

    def _end(self, why: str, status: int) -> None:
        """The program ends; the sentence is the last that it prints."""
        if self._turn is not None:
            self._over("Fail", reason=why)
        self._alarm(why)
        self._status = status

    def _gone(self, gone: Gone) -> None:
        """The agent has ended by itself."""
        words = gone.words.splitlines()[-1].strip() if gone.words else ""
        why = f"the agent ended with status {gone.status}" + (f": {words[:300]}" if words else "")
        loading = (
            self._client is not None and not self._ready and self._client.wanted.session and self._told_initialized
        )
        if loading:
            self._alarm(f"{why} as it was to go on with the conversation: a new one begins")
            self._again("")
        elif gone.status == 0 and self._ready and self._turn is None:
            self._end(why, 0)
        else:
            self._end(why, gone.status or 1)

    @property
    def _told_initialized(self) -> bool:
        return self._client is not None and bool(self._client.capabilities)

    def _opened(self, resumed: bool) -> None:
        """There is a session, as it is wanted."""
        assert self._client is not None
        self._session = self._client.session
        now = time.monotonic()
        self._history = now + HISTORY
        self._quiet = now + QUIET if resumed else now

    def _is_ready(self) -> None:
        self._quiet, self._ready = float("inf"), True
        self._offer()
        if not self._told_ready:
            self._told_ready = True
            self._report("Ready", pid=os.getpid())
        self._next()

    # -- the next prompt --------------------------------------------------------------------------------------------------

    def _next(self) -> None:
        """Something to do, if there is nothing: what a person typed, else what the daemon has."""
        if not self._ready or self._turn is not None or self._going is not None or self._choosing:
            return
        if self._typed:
            self._daemon.leave()
            text = self._typed.pop(0)
            turn = Turn(str(uuid.uuid4()), text)
            self._report("Submit", text=text, turn=turn.ident)
            self._give(turn, "")
        else:
            self._daemon.fetch(self._chosen)

    def _offered(self, offered: Offered) -> None:
        if self._turn is None and self._ready and not self._typed and not self._choosing:
            self._going = offered
            self._daemon.take()
        else:
            self._daemon.leave()

    def _go(self, event: Go) -> None:
        self._daemon.leave()
        self._going, cancelled, self._cancel_soon = None, self._cancel_soon, False
        if event.go and cancelled:
            self._report("Interrupt", turn=event.offered.link)
        elif event.go:
            self._give(Turn(event.offered.link, event.offered.text), event.offered.context)
        self._next()

    def _give(self, turn: Turn, context: str) -> None:
        """The agent gets a prompt."""
        assert self._client is not None
        self._turn, self._history = turn, 0.0
        self._told.begin(turn.ident)
        self._screen.prompt(turn.text)
        text = self._settings.guarded(turn.text, context, self._commands)
        word, _, rest = text.strip().partition(" ")
        if self._settings.execute and word.startswith("/") and word[1:] in self._commands:
            command = {"command": word[1:], "args": {"value": rest} if rest else {}}
            self._client.call(self._settings.execute, {"sessionId": self._session, "command": command}, self._executed)
            return
        beside = acp_attached.blocks(turn.text, self._settings.attach, self._client.capabilities)
        content = [{"type": "text", "text": text}, *beside]
        self._client.call("session/prompt", {"sessionId": self._session, "prompt": content}, self._ended)

    def _executed(self, answer: Answer) -> None:
        """The agent has done what a command of its own says: what it has to say of that is the answer."""
        if self._turn is not None and answer.error is None:
            said = acp_said.Text(acp_said.word(answer.result.get("message")))
            self._work(said)
        self._ended(answer)

    def _ended(self, answer: Answer) -> None:
        """The agent has answered a prompt."""
        turn = self._turn
        if turn is None:
            return
        ending = acp_ending.ending(answer, turn)
        self._used({}, ending.usage)
        if turn.left_out:
            self._alarm(f"{turn.left_out:,} characters of the answer were left out")
        if ending.kind == "Fail":
            self._alarm(str(ending.fields["reason"]))
        elif ending.kind == "Interrupt":
            self._screen.note("interrupted")
        self._over(ending.kind, **ending.fields)
        self._next()

    def _over(self, kind: str, **fields: Any) -> None:
        """The turn is over: that is reported, and what was asked in it is asked no longer."""
        turn, self._turn, self._late = self._turn, None, float("inf")
        self._questions.drop()
        self._screen.end()
        self._told.end(self._figures)
        if turn is not None:
            self._report(kind, turn=turn.ident, usage=dict(self._figures), **fields)

    # -- what the agent says ----------------------------------------------------------------------------------------------

    def _from_agent(self, message: Message | Gone) -> None:
        assert self._client is not None
        if self._quiet != float("inf") and self._history:
            now = time.monotonic()
            self._quiet = (
                min(now + QUIET, self._history) if self._client.wanted.session == self._session else self._quiet
            )
        match message:
            case Gone():
                self._gone(message)
            case Fault(why, line):
                self._fault(f"{why}: {line}" if line else why)
            case Answer():
                if not self._client.answered(message):
                    self._fault("an answer to nothing")
            case Request():
                self._asked(message)
            case Notice("session/update", params):
                for news in acp_said.news(params.get("update")):
                    self._news(news)
            case Notice(method, params):
                for news in acp_said.vendors(method, params):
                    self._news(news)

    def _used(self, figures: Mapping[str, float], spent: Mapping[str, float]) -> None:
        """What is used is told with the end of a turn, or after it."""
        self._figures |= figures
        for name, figure in spent.items():
            self._figures[name] = self._figures.get(name, 0) + figure
        if self._turn is None and self._ready:
            self._report("Usage", usage=dict(self._figures))

    def _fault(self, why: str) -> None:
        self._faults += 1
        if self._faults <= FAULTS:
            self._alarm(f"from the agent: {why}")
        self._told.said("note", why)

    def _news(self, news: acp_said.News) -> None:
        """Something that the agent tells; words and tools of earlier turns count for nothing."""
        match news:
            case acp_said.Commands(names):
                self._commands = names
            case acp_said.Options(options) if self._client is not None:
                self._client.take({"configOptions": list(options)})
            case acp_said.Mode(mode) if self._client is not None:
                self._client.now("mode", mode)
            case acp_said.Usage(figures, spent):
                self._used(figures, spent)
            case acp_said.Other(name):
                self._told.said("note", name)
            case acp_said.Said(text, kind):
                self._screen.note(text)
                self._told.said(kind, text)
            case acp_said.Text() | acp_said.Tool() | acp_said.Plan():
                if not self._history:
                    self._work(news)

    def _work(self, news: acp_said.Text | acp_said.Tool | acp_said.Plan) -> None:
        turn = self._turn or Turn("", "")  # an agent that goes on after its end is shown
        match news:
            case acp_said.Text(text, _, "agent"):
                if turn.say(news):
                    self._told.message_over()
                self._screen.text(text)
                self._told.text(text)
            case acp_said.Text(text, _, "thought"):
                self._told.thought(text)
            case acp_said.Tool():
                known = turn.use(news)
                self._screen.tool(known, news)
                self._told.tool(known, news)
            case acp_said.Plan():
                self._screen.lines(acp_shown.plan(news))
                self._told.plan(news.items)

    # -- what can be chosen -----------------------------------------------------------------------------------------------

    def _offer(self) -> None:
        """Tell what can be chosen, if that is something else than before."""
        if self._client is None or not self._ready:
            return
        options, commands = dict(self._client.options), dict(self._commands)
        if (options, commands) != self._offers:
            before, self._offers = self._offers[0], (options, commands)
            for name, one in options.items():
                if name in before and before[name].value != one.value:
                    self._told.chose(name, one.value)
            self._report(
                "offers", options=[[one.name, one.value, list(one.choices)] for one in options.values()],
                commands=[list(one) for one in commands.items()],
            )  # fmt: skip

    def _choose(self, values: Mapping[str, str]) -> None:
        """Somebody chose these; what cannot be is said. The next prompt waits for it."""
        self._daemon.leave()
        self._chosen |= values
        if self._client is None or not self._ready:
            return
        self._choosing = True
        pinned = dict.fromkeys(self._settings.needed & values.keys(), "the role says in which mode it runs")
        for name in pinned:
            self._alarm(f"{name}: {pinned[name]}")
        self._client.set([one for one in values.items() if one[0] not in pinned], self._have_chosen)

    def _have_chosen(self) -> None:
        self._choosing = False
        self._next()

    # -- what the agent asks ----------------------------------------------------------------------------------------------

    def _asked(self, request: Request) -> None:
        assert self._client is not None
        if request.method == "session/request_permission":
            client = self._client
            self._questions.ask(request, lambda result: client.reply(request.id, result), self._turn, self._session)
        elif request.method == "elicitation/create":
            self._client.reply(request.id, {"action": "cancel"})
        else:
            self._told.said("note", f"the agent asked for {request.method}")
            self._client.reply(request.id, None)

    # -- what a person does -----------------------------------------------------------------------------------------------

    def _by_hand(self, event: Done) -> None:
        match event:
            case Typed(text):
                self._type(text)
            case Choice(word):
                if not self._questions.choose(word):
                    self._type(word)
            case Cancel():
                self._cancel()
            case Leave(number):
                self._status = 128 + number if number else 0

    def _type(self, text: str) -> None:
        if len(self._typed) >= MOST:
            self._alarm("too much is typed ahead")
            return
        self._typed.append(text)
        if self._turn is not None or self._going is not None or not self._ready:
            self._screen.note("this comes after what runs")
        self._next()

    def _cancel(self) -> None:
        """The turn is to end: the agent is told, and what it asked is answered so."""
        if self._going is not None:
            self._cancel_soon = True
        if self._turn is None or self._client is None or self._turn.cancelled:
            return
        self._turn.cancel()
        self._client.notify("session/cancel", {"sessionId": self._session})
        self._questions.drop()
        self._late = time.monotonic() + CANCEL

    def _force(self) -> None:
        """It did not heed the cancel."""
        self._alarm(f"the agent did not end its turn within {CANCEL:g} s: its processes are ended")
        self._over("Interrupt")
        self._again(self._session)

    def _alarm(self, why: str) -> None:
        self._screen.alarm(why)
        self._told.said("note", why)

    def _report(self, name: str, **payload: Any) -> None:
        self._daemon.report(name, session=self._session, **payload)
