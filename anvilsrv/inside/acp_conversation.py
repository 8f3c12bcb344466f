"""The conversation, as it is shown in the pane and told to the daemon: the turn that is open, what the agent says and does in it, what
it has used.

Threads: that of the front.
"""

from collections.abc import Mapping
from math import isfinite

from anvilsrv.inside import acp_said, acp_shown
from anvilsrv.inside.acp_screen import Screen
from anvilsrv.inside.acp_told import Told
from anvilsrv.inside.acp_turn import Turn

FAULTS = 20  # faults of the agent that are told one by one


class Conversation:
    """``turn`` is the one that is open."""

    def __init__(self, screen: Screen, told: Told) -> None:
        self.turn: Turn | None = None
        self.figures: dict[str, float] = {}
        self._screen = screen
        self._told = told
        self._faults = 0

    def begin(self, turn: Turn) -> None:
        """Begin a turn: the agent gets a prompt."""
        self.turn = turn
        self._told.begin(turn.ident)
        self._screen.prompt(turn.text)

    def end(self) -> Turn | None:
        """End the turn; it is no longer open."""
        turn, self.turn = self.turn, None
        self._screen.end()
        self._told.end(self.figures)
        return turn

    def used(self, figures: Mapping[str, float], spent: Mapping[str, float]) -> None:
        """Record what is used so far, and what was spent since."""
        total = {name: self.figures.get(name, 0) + figure for name, figure in spent.items()}
        self.figures |= {name: figure for name, figure in {**figures, **total}.items() if isfinite(figure)}

    def work(self, news: acp_said.Text | acp_said.Tool | acp_said.Plan) -> None:
        """Take what the agent says or does. One that goes on after its end is shown."""
        turn = self.turn or Turn("", "")
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

    def said(self, kind: str, text: str) -> None:
        """Show something beside the turn that a person is to see."""
        self._screen.note(text)
        self._told.said(kind, text)

    def note(self, text: str) -> None:
        """Show the same, without attention."""
        self._told.said("note", text)

    def alarm(self, why: str) -> None:
        """Report that something went wrong."""
        self._screen.alarm(why)
        self._told.said("note", why)

    def fault(self, why: str) -> None:
        """Report what the agent must not do; of many the first are shown."""
        self._faults += 1
        if self._faults <= FAULTS:
            self.alarm(f"from the agent: {why}")
        self._told.said("note", why)
