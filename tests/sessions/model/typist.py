"""The steps of ``agents/delivery.py``, one at a time: it follows the views, and does to the pane what the rows say.

What is a wait there ends here when nothing that is waited for can come any more, unless a run lets reports come late.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from anvilsrv.sessions.gate import By
from anvilsrv.sessions.happened import Look, Seen
from anvilsrv.sessions.machine import Status
from anvilsrv.sessions.state import View
from tests.sessions.model.pane import Pane

BEFORE = ("free", "check", "load", "row")  # steps before anything of ours is put between a person's keys


class Rows(Protocol):
    """The daemon, as a delivery sees it."""

    def seen(self, alive: bool = True) -> Seen: ...
    def text_of(self, prompt: int) -> str: ...
    def was_pasted(self, prompt: int) -> bool: ...
    def obstacle(self, prompt: int) -> None: ...
    def pasted(self, prompt: int, tries: int) -> bool: ...
    def unpasted(self, prompt: int) -> None: ...
    def not_taken(self, prompt: int, seen: Seen) -> bool: ...
    def moved(self, prompt: int) -> bool: ...


@dataclass
class Delivery:
    """One prompt on its way, and the step that comes next ("": none). ``done``: it is settled, or must not go on."""

    prompt: int
    tries: int
    step: str
    done: bool = False
    ours: bool = False  # this one has pasted it
    looked: str = ""  # what the input showed when it was looked at before Enter


class Typist:
    """Deliveries of one session."""

    def __init__(self, pane: Pane, pastes: Counter[int], rows: Rows, view: Callable[[], View | None]) -> None:
        self._pane = pane
        self._pastes = pastes
        self._rows = rows
        self._view = view
        self._deliveries: list[Delivery] = []  # the last is wanted; those before it come to their end first

    def follow(self, view: View | None) -> None:
        """As the real one: a prompt that is on its way has a delivery, any other has none."""
        typed = view is not None and view.on_its_way and not view.handed_over and view.pane and view.pid
        wanted = (view.prompt, view.tries) if view is not None and typed else None
        current = next((one for one in self._deliveries if not one.done), None)
        if ((current.prompt, current.tries) if current else None) == wanted:
            return
        if current is not None:
            current.done = True
        if wanted is not None and view is not None:
            at = {Status.CHOSEN: "free", Status.PASTED: "resume", Status.SENT: "confirm"}
            assert view.status is not None
            self._deliveries.append(Delivery(*wanted, step=at[view.status]))

    @property
    def at(self) -> str:
        """The step that comes next; "": nothing is to be typed."""
        return self._deliveries[0].step if self._deliveries else ""

    def due(self, late: bool) -> bool:
        """Return whether it comes now. It waits longer than a report takes that is on its way, unless it is ``late``;
        while a turn is open or the queue is held it waits for that.
        """
        if not self._deliveries or self._deliveries[0].done:
            return bool(self._deliveries)
        view = self._view()
        if self.at in ("look", "confirm"):
            waits = view is None or bool(view.in_turn) or not view.gate.without(By.OBSTACLE).open
            held = By.OBSTACLE in (view.gate.holders if view else ())
            look = self._rows.seen().look if held else None
            stuck = look == Look.UNREAD or (self.at == "look" and look in (Look.MIXED, Look.AMONG))
            return not waits and not stuck and (late or not self._pane.coming)
        return True

    def step(self, swallowed: bool = False) -> None:
        """Do it; ``swallowed``: the agent does not heed the key, or tmux does not press it, as the input has changed."""
        delivery = self._deliveries[0]
        if delivery.done and delivery.step != "key":
            if delivery.ours and self._rows.seen().look in (Look.OURS, Look.ONLY_OURS):
                self._pane.clears()  # something else came first: our own text is taken away again
            if self._pane.buffers.pop(delivery.prompt, None) is not None:
                pass
            delivery.step = ""
        else:
            getattr(self, f"_{delivery.step}")(delivery, swallowed)
        if not delivery.step:
            self._deliveries = [one for one in self._deliveries if one is not delivery]

    def _free(self, delivery: Delivery, swallowed: bool) -> None:
        look = self._rows.seen().look
        if look in (Look.OURS, Look.ONLY_OURS):
            self._pane.clears()
            look = self._rows.seen().look
        delivery.step = "check"
        if look != Look.FREE:
            delivery.step = ""
            self._rows.obstacle(delivery.prompt)

    def _check(self, delivery: Delivery, swallowed: bool) -> None:
        delivery.step = "load"
        if self._rows.was_pasted(delivery.prompt):
            self._rows.not_taken(delivery.prompt, self._rows.seen())

    def _load(self, delivery: Delivery, swallowed: bool) -> None:
        self._pane.buffers[delivery.prompt] = self._rows.text_of(delivery.prompt)
        delivery.step = "row"

    def _row(self, delivery: Delivery, swallowed: bool) -> None:
        delivery.step = "insert" if self._rows.pasted(delivery.prompt, delivery.tries) else ""
        if not delivery.step:
            self._pane.buffers.pop(delivery.prompt, None)

    def _insert(self, delivery: Delivery, swallowed: bool) -> None:
        text = self._pane.buffers.pop(delivery.prompt)
        delivery.step, delivery.ours = "look", True
        if self._pane.alive:
            self._pastes[delivery.prompt] += 1
            self._pane.types(text, delivery.prompt)

    def _resume(self, delivery: Delivery, swallowed: bool) -> None:
        delivery.step = "look"
        if delivery.prompt in self._pane.buffers:
            self._rows.unpasted(delivery.prompt)

    def _look(self, delivery: Delivery, swallowed: bool) -> None:
        delivery.looked = self._pane.text
        if self._rows.not_taken(delivery.prompt, self._rows.seen()):
            delivery.step = "key"

    def _key(self, delivery: Delivery, swallowed: bool) -> None:
        delivery.step = "confirm"
        if not swallowed:
            self._pane.enters()
        elif self._pane.alive and self._pane.frozen is None and self._pane.text != delivery.looked:
            delivery.step = "look" if self._rows.moved(delivery.prompt) else "confirm"

    def _confirm(self, delivery: Delivery, swallowed: bool) -> None:
        delivery.looked = self._pane.text
        if self._rows.not_taken(delivery.prompt, self._rows.seen()):
            delivery.step = "key"
