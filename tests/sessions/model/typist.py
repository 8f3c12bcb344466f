"""The steps of ``agents/typist.py``, one at a time: it follows the views, and does to the pane what the rows say.

What is a wait there ends here when nothing that is waited for can come any more, unless a run lets reports come late.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from anvilsrv.sessions.machine import Status
from anvilsrv.sessions.state import View
from tests.sessions.model.pane import Pane

FOLLOWING = {  # step -> the next
    "look": "confirm 0", "send 0": "key 0", "key 0": "confirm 0", "confirm 0": "free",
    "free": "row", "row": "paste", "paste": "settle", "settle": "send 1",
    "send 1": "key 1", "key 1": "confirm 1", "confirm 1": "send 2",
    "send 2": "key 2", "key 2": "confirm 2", "confirm 2": "give up",
}  # fmt: skip
BEFORE = ("look", "free")  # steps up to which nothing of ours is put between a person's keys


@dataclass
class Delivery:
    """One prompt on its way, and the step that comes next ("": none). ``done``: it is settled, or must not go on."""

    prompt: int
    step: str
    text: str = ""
    done: bool = False


class Typist:
    """``row(name, prompt)`` writes the row PASTED or SENT and gives the text; ``gave_up(prompt)`` tells that it did not work."""

    def __init__(
        self, pane: Pane, pastes: Counter[int], row: Callable[[str, int], str | None], gave_up: Callable[[int], None]
    ) -> None:
        self._pane = pane
        self._pastes = pastes
        self._row = row
        self._gave_up = gave_up
        self._deliveries: list[Delivery] = []  # the last is wanted; those before it come to their end first

    def follow(self, view: View | None) -> None:
        """As the real one: a prompt that is on its way has a delivery, any other has none."""
        wanted = view.prompt if view is not None and view.on_its_way and view.pane and view.pid else 0
        current = next((one for one in self._deliveries if not one.done), None)
        if (current.prompt if current else 0) == wanted:
            return
        if current is not None:
            current.done = True
        if wanted and view is not None:
            self._deliveries.append(Delivery(wanted, "free" if view.status == Status.CHOSEN else "look"))

    @property
    def at(self) -> str:
        """The step that comes next; "": nothing is to be typed."""
        return self._deliveries[0].step if self._deliveries else ""

    def due(self, late: bool) -> bool:
        """Whether it comes now. It waits for a free input, and longer than a report takes that is on its way, unless it is ``late``."""
        if not self._deliveries or self._deliveries[0].done:
            return bool(self._deliveries)
        if self.at == "free":
            return not self._pane.box
        return late or not self.at.startswith(("settle", "confirm")) or not self._pane.coming

    def step(self, swallowed: bool = False) -> None:
        """Do it; ``swallowed``: the agent does not heed the key."""
        delivery = self._deliveries[0]
        step, delivery.step = delivery.step, FOLLOWING.get(delivery.step, "")
        if delivery.done and not step.startswith("key"):
            if step == "settle":
                self._pane.clears()  # something else came first: our own text is taken away again
            delivery.step = ""
        elif step == "look" and self._pane.box:
            delivery.step = "send 0"
        elif step == "row":
            delivery.text = self._row("paste", delivery.prompt) or ""
            delivery.step = "paste" if delivery.text else ""
        elif step == "paste":
            self._pastes[delivery.prompt] += 1
            self._pane.types(delivery.text, delivery.prompt)
        elif step.startswith("send") and self._row("send", delivery.prompt) is None:
            delivery.step = ""
        elif step.startswith("key") and not swallowed:
            self._pane.enters()
        elif step == "give up":
            self._pane.clears()
            self._gave_up(delivery.prompt)
        if not delivery.step:
            self._deliveries = [one for one in self._deliveries if one is not delivery]
