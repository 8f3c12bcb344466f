"""The permissions that an agent asks for: shown in the pane and asked of the daemon at once; the first answer counts.

Threads: called on the thread of the front.
"""

from collections.abc import Callable, Mapping
from typing import Any

from anvilsrv.inside import acp_permission, acp_said, acp_shown
from anvilsrv.inside.acp_daemon import Answered, Daemon
from anvilsrv.inside.acp_pane import Lined, Plain
from anvilsrv.inside.acp_permission import Option
from anvilsrv.inside.acp_screen import Screen
from anvilsrv.inside.acp_told import Told
from anvilsrv.inside.acp_turn import Turn
from anvilsrv.inside.acp_wire import Request

MOST = 32  # open questions: each is a thread and a connection to the daemon
Reply = Callable[[Mapping[str, Any]], None]


class Question:
    """One: what answers it, what may be answered, its number at the daemon, and the use of a tool that it is about."""

    def __init__(self, reply: Reply, options: tuple[Option, ...], number: int, tool: str) -> None:
        self.reply = reply
        self.options = options
        self.number = number
        self.tool = tool


class Questions:
    """Those that are open, the oldest first. ``allows``: the agent is not to ask, so what it asks all the same is allowed."""

    def __init__(self, daemon: Daemon, screen: Screen, pane: Plain | Lined, told: Told, allows: bool) -> None:
        self._daemon = daemon
        self._screen = screen
        self._pane = pane
        self._told = told
        self._allows = allows
        self._open: list[Question] = []

    @property
    def waiting(self) -> bool:
        """Whether one is open."""
        return bool(self._open)

    def ask(self, request: Request, reply: Reply, turn: Turn | None, session: str) -> None:
        """Ask for a permission. In no turn, in one that was cancelled, and beside too many, the answer is that it was
        cancelled.
        """
        options = acp_permission.options(request.params.get("options"))
        call = request.params.get("toolCall")
        if turn is None or turn.cancelled or not options:
            reply(acp_permission.selected(None))
            return
        allowed = next((one for one in options if one.word in ("allow", "always")), None) if self._allows else None
        if allowed is not None:
            reply(acp_permission.selected(allowed))
            return
        if len(self._open) >= MOST:
            reply(acp_permission.selected(None))
            return
        tool = turn.known(acp_said.tool(call if isinstance(call, dict) else {}, False))
        self._told.tool(tool, tool)
        question, diff, detail = acp_permission.question(tool), acp_shown.edits(tool), acp_shown.detail(tool, options)
        plan = tool.kind == "switch_mode"
        also = [one.id for one in options if one.id != one.word and acp_permission.plain(one.id)]
        number = self._daemon.ask({
            "session": session, "turn": turn.ident, "tool": tool.id, "diff": diff,
            "what": "plan" if plan else "permission", "question": f"{question}\n\n{detail}" if diff or plan else question,
            "choices": [one.word for one in options], "ids": also,
            "detail": "" if diff or plan else detail,
        })  # fmt: skip
        self._open.append(Question(reply, options, number, tool.id))
        for one in tool.diffs or ():
            self._screen.lines(acp_shown.diff(one, acp_shown.ASKED))
        self._screen.lines(acp_shown.asked(question, options))
        self._pane.asking(True)

    def answered(self, event: Answered) -> None:
        """Take the answer to the question; without words it was withdrawn."""
        found = next((one for one in self._open if one.number == event.number), None)
        if found is not None:
            self._settle(found, acp_permission.chosen(found.options, event.words))

    def choose(self, word: str) -> bool:
        """Answer the oldest for a person, with the number of an option or its word. Returns False if none is open."""
        if not self._open:
            return False
        question = self._open[0]
        listed = question.options
        by_number = listed[int(word) - 1] if word.isdecimal() and 0 < int(word) <= len(listed) else None
        option = by_number or acp_permission.chosen(listed, word)
        if option is None:
            self._screen.note(f"'{word[:40]}' is none of {', '.join(one.word for one in listed)}")
        else:
            self._settle(question, option)
        return True

    def say(self, line: str) -> bool:
        """Take a line that a person typed. Returns whether it is an answer to the oldest, as it stands."""
        word = line.strip()
        fits = bool(self._open) and any(word in (one.id, one.word) for one in self._open[0].options)
        return fits and self.choose(word)

    def drop(self) -> None:
        """Withdraw all questions: the agent is told that they were cancelled."""
        for one in list(self._open):
            self._settle(one, None)

    def _settle(self, question: Question, option: Option | None) -> None:
        """Give the agent its answer; None: cancelled."""
        self._open.remove(question)
        self._pane.asking(bool(self._open))
        if option is not None and option.refuses:
            self._told.denied(question.tool)
        question.reply(acp_permission.selected(option))
        self._daemon.unask(question.number)
        self._screen.note(f"answered: {option.word}" if option is not None else "not answered")
