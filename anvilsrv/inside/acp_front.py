"""The front of an agent that speaks the Agent Client Protocol: it has the agent and the session, shows a conversation, and reports it.

A prompt comes from the daemon by message, or from a person in the pane; the agent never has two. Before it gets one from the daemon the
daemon was asked whether it may. What comes before the first prompt of a process is history.

Threads: ``run`` is the only one that reads and writes what is here. All else that happens comes in through ``events``, one thing after
another: from the agent's reader, the daemon's threads and the pane.
"""

import os
import queue
import time
from collections.abc import Mapping
from typing import Any

from anvilsrv.inside import acp_attached, acp_ending, acp_said
from anvilsrv.inside.acp_agent import Agent
from anvilsrv.inside.acp_conversation import Conversation
from anvilsrv.inside.acp_daemon import Answered, Chosen, Daemon, Go, Offered
from anvilsrv.inside.acp_offers import Offers
from anvilsrv.inside.acp_pane import Cancel, Choice, Done, Leave, Lined, Plain, Typed
from anvilsrv.inside.acp_process import Gone, Process
from anvilsrv.inside.acp_prompts import Prompts
from anvilsrv.inside.acp_questions import Questions
from anvilsrv.inside.acp_screen import Screen
from anvilsrv.inside.acp_settings import Settings
from anvilsrv.inside.acp_silence import Silence
from anvilsrv.inside.acp_told import Told
from anvilsrv.inside.acp_turn import Turn
from anvilsrv.inside.acp_wire import Answer, Fault, Message, Notice, Request

CANCEL = 5.0  # s for an agent to answer after a cancel; then its processes are ended


class Front:
    """The program. ``events`` is what everything that happens is put into."""

    def __init__(self, settings: Settings, pane: Plain | Lined, events: "queue.SimpleQueue[Any]") -> None:
        self._settings = settings
        self._pane = pane
        self._screen = Screen(pane)
        self._events = events
        self._daemon = Daemon(events.put)
        self._told = Told(settings.told, settings.cwd)
        self._questions = Questions(self._daemon, self._screen, pane, self._told, settings.allows)
        self._conversation = Conversation(self._screen, self._told)
        self._offers = Offers(settings, self._told, self._report, self.alarm)
        self._agent = Agent(settings, events.put, self)
        self._prompts = Prompts(self._daemon, self._free, self._give, self._offers.chosen, self._report)
        self._silence = Silence(lambda seconds: self._report("silent", seconds=seconds))
        self._told_ready = False
        self._spent = False  # figures came that are not reported
        self._late = float("inf")  # when a cancelled turn is ended by force
        self._status: int | None = None

    def run(self) -> int:
        """Run until the agent ends, or is to. Returns the exit status."""
        try:
            self._agent.start()
            while self._status is None:
                self._happened(self._wait())
        finally:
            self._agent.close()
            self._told.close()
            self._daemon.close()
            self._pane.close()
        return self._status

    def _wait(self) -> Any:
        """Return what happens next; None when a time is over."""
        if self._events.empty():
            self._told.flush()
            self._offer()
            self._tell_used()
        now = time.monotonic()
        self._silence.asks(self._questions.waiting, now)
        until = min(self._agent.deadline, self._late, self._silence.deadline)
        left = until - now
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
                if process is self._agent.process:
                    self._from_agent(message)
            case Offered():
                self._prompts.offered(event)
            case Go():
                self._prompts.go(event)
            case Chosen(values):
                self._daemon.leave()
                self._offers.choose(values, self._agent.client if self._agent.ready else None, self._prompts.next)
            case Answered():
                self._questions.answered(event)
            case Typed() | Cancel() | Choice() | Leave():
                self._by_hand(event)

    def _tick(self, now: float) -> None:
        if now >= self._late:
            self._force()
        self._silence.tick(now)
        self._agent.tick(now)

    # -- what becomes of the agent (its Owner) ----------------------------------------------------------------------------

    def ready(self) -> None:
        """Note that it has its session, and its history is reported."""
        self._offer()
        if not self._told_ready:
            self._told_ready = True
            self._report("Ready", pid=os.getpid())
        self._prompts.next()

    def over(self, why: str, status: int) -> None:
        """End the program; the sentence is the last that it prints."""
        if self._conversation.turn is not None:
            self._over("Fail", reason=why)
        self.alarm(why)
        self._status = status

    def alarm(self, why: str) -> None:
        """Show something that a person is to know."""
        self._conversation.alarm(why)

    def _offer(self) -> None:
        if self._agent.client is not None and self._agent.ready:
            self._offers.tell(self._agent.client)

    # -- a turn -----------------------------------------------------------------------------------------------------------

    def _free(self) -> bool:
        """Return whether the agent can be given a prompt."""
        return self._agent.ready and self._conversation.turn is None and not self._offers.choosing

    def _give(self, turn: Turn, context: str) -> None:
        """Give the agent a prompt."""
        client, session = self._agent.client, self._agent.session
        assert client is not None
        self._agent.prompt()
        self._conversation.begin(turn)
        self._silence.begin(time.monotonic())
        text = self._settings.guarded(turn.text, context, self._offers.commands)
        word, _, rest = text.strip().partition(" ")
        if self._settings.execute and word.startswith("/") and word[1:] in self._offers.commands:
            command = {"command": word[1:], "args": {"value": rest} if rest else {}}
            client.call(self._settings.execute, {"sessionId": session, "command": command}, self._executed)
            return
        beside = acp_attached.blocks(turn.text, self._settings.attach, client.capabilities, self._settings.alone)
        content = [{"type": "text", "text": text}, *beside]
        client.call("session/prompt", {"sessionId": session, "prompt": content}, self._ended)

    def _executed(self, answer: Answer) -> None:
        """Take what a command of the agent's own has to say: that is the answer."""
        if self._conversation.turn is not None and answer.error is None:
            self._conversation.work(acp_said.Text(acp_said.word(answer.result.get("message"))))
        self._ended(answer)

    def _ended(self, answer: Answer) -> None:
        """Handle the agent's answer to a prompt."""
        turn = self._conversation.turn
        if turn is None:
            return
        ending = acp_ending.ending(answer, turn)
        self._used({}, ending.usage)
        if ending.note:
            self._conversation.note(ending.note)
        if turn.left_out:
            self.alarm(f"{turn.left_out:,} characters of the answer were left out")
        fields = dict(ending.fields)
        if ending.kind == "Fail":
            if answer.error is not None and self._agent.client is not None:
                fields["reason"] = f"{fields['reason']}{self._agent.client.login(answer.error)}"
            self.alarm(str(fields["reason"]))
        elif ending.kind == "Interrupt":
            self._screen.note("interrupted")
        self._over(ending.kind, **fields)
        self._prompts.next()

    def _over(self, kind: str, **fields: Any) -> None:
        """Report the end of the turn, and withdraw what was asked in it."""
        self._late = float("inf")
        self._silence.end()
        self._questions.drop()
        turn = self._conversation.end()
        if turn is not None:
            self._spent = False
            self._report(kind, turn=turn.ident, usage=dict(self._conversation.figures), **fields)

    # -- what the agent says ----------------------------------------------------------------------------------------------

    def _from_agent(self, message: Message | Gone) -> None:
        client = self._agent.client
        assert client is not None
        self._agent.told()
        self._silence.heard(time.monotonic())
        match message:
            case Gone():
                self._agent.gone(message, self._conversation.turn is not None)
            case Fault(why, line):
                self._conversation.fault(f"{why}: {line}" if line else why)
            case Answer():
                if not client.answered(message):
                    self._conversation.fault("an answer to nothing")
            case Request():
                self._asked(message)
            case Notice("session/update", params):
                for news in acp_said.news(params.get("update")):
                    self._news(news)
            case Notice(method, params):
                for news in acp_said.vendors(method, params):
                    self._news(news)

    def _news(self, news: acp_said.News) -> None:
        """Take something that the agent reports; text and tools of earlier turns count for nothing."""
        client = self._agent.client
        match news:
            case acp_said.Commands(names):
                self._offers.learn(names)
            case acp_said.Options(options) if client is not None:
                client.take({"configOptions": list(options)})
            case acp_said.Mode(mode) if client is not None:
                client.now("mode", mode)
            case acp_said.Usage(figures, spent):
                self._used(figures, spent)
            case acp_said.Other(name):
                self._conversation.note(name)
            case acp_said.Said(text, kind):
                self._conversation.said(kind, text)
            case acp_said.Text() | acp_said.Tool() | acp_said.Plan():
                if self._agent.prompted:
                    self._conversation.work(news)

    def _used(self, figures: Mapping[str, float], spent: Mapping[str, float]) -> None:
        """Report what is used, with the end of a turn or after it."""
        self._conversation.used(figures, spent)
        self._spent = True

    def _tell_used(self) -> None:
        if self._spent and self._conversation.turn is None and self._agent.ready:
            self._spent = False
            self._report("Usage", usage=dict(self._conversation.figures))

    def _asked(self, request: Request) -> None:
        client = self._agent.client
        assert client is not None
        if request.method == "session/request_permission":
            self._questions.ask(
                request, lambda result: client.reply(request.id, result), self._conversation.turn, self._agent.session
            )
        elif request.method == "elicitation/create":
            client.reply(request.id, {"action": "cancel"})
        else:
            self._conversation.note(f"the agent asked for {request.method}")
            client.reply(request.id, None)

    # -- what a person does -----------------------------------------------------------------------------------------------

    def _by_hand(self, event: Done) -> None:
        match event:
            case Typed(text):
                if not self._questions.say(text):
                    self._type(text)
            case Choice(word):
                if not self._questions.choose(word):
                    self._type(word)
            case Cancel():
                self._cancel()
            case Leave(number):
                self._status = 128 + number if number else 0

    def _type(self, text: str) -> None:
        if not self._prompts.type(text):
            self.alarm("too much is typed ahead")
            return
        if self._prompts.waits:
            self._screen.note("this comes after what runs")
        self._prompts.next()

    def _cancel(self) -> None:
        """Tell the agent that the turn is to end, and answer so what it asked."""
        self._prompts.cancel()
        turn, client = self._conversation.turn, self._agent.client
        if turn is None or client is None or turn.cancelled:
            return
        turn.cancel()
        client.notify("session/cancel", {"sessionId": self._agent.session})
        self._questions.drop()
        self._late = time.monotonic() + CANCEL

    def _force(self) -> None:
        """Force the end: it did not heed the cancel."""
        self.alarm(f"the agent did not end its turn within {CANCEL:g} s: its processes are ended")
        self._over("Interrupt")
        self._agent.again(self._agent.session)

    def _report(self, name: str, **payload: Any) -> None:
        self._daemon.report(name, session=self._agent.session, **payload)
