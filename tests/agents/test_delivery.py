"""A delivery, step by step, on real rows: its terminal is played by the test, which decides what stands on the screen at each look."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest

from anvilsrv.agents import delivery, evidence
from anvilsrv.agents.delivery import Delivery
from anvilsrv.agents.evidence import Evidence
from anvilsrv.agents.eye import Until
from anvilsrv.sessions.machine import Status
from anvilsrv.tmux.screen import Screen
from anvilsrv.tmux.tmux import Tmux
from tests.desk.parts import Parts


class Terminal:
    """What a delivery needs of tmux. Each look shows the next line of ``lines``, the last one for good."""

    def __init__(self) -> None:
        self.lines = [">"]
        self.pressed: list[tuple[str, ...]] = []
        self.on_enter: Callable[[], None] = lambda: None

    def screen(self, pane: str, styled: bool = False) -> Screen:
        line = self.lines.pop(0) if len(self.lines) > 1 else self.lines[0]
        return Screen([line], len(line), 0, 80, 24)

    def watch(self, pane: str) -> "Terminal":
        return self

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        return

    def wait(self, timeout: float) -> bool:
        return False

    def wake(self) -> None:
        return

    def load(self, buffer: str, data: bytes) -> None:
        self.loaded = data.decode()

    def unload(self, buffer: str) -> None:
        return

    def buffered(self, buffer: str) -> bool:
        return False

    def insert(self, pane: str, buffer: str, lose: bool = False) -> None:
        self.lines = [f"> {self.loaded}"]

    def keys(self, pane: str, *names: str) -> None:
        self.pressed.append(names)
        if names == ("Enter",):
            self.on_enter()


@pytest.fixture
def parts(top: Path) -> Iterator[Parts]:
    made = Parts(top).start()
    yield made
    made.close()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    for module, name in ((delivery, "PATIENCE"), (delivery, "DRAWN"), (evidence, "CALM")):
        monkeypatch.setattr(module, name, 0.0)  # what the screen shows is up to the test
    return Terminal()


def deliver(parts: Parts, terminal: Terminal, session: str, prompt: int, until: Until) -> None:
    """Run the delivery of that prompt to its end."""
    tmux, view = cast(Tmux, terminal), parts.registry.get(session)
    looks = Evidence(parts.store, parts.registry, tmux, parts.backends, parts.kept)
    Delivery(
        session, prompt, view.tries, view.pane or "", until, parts.store, parts.registry, parts.turns, parts.post, tmux,
        parts.backends, looks, parts.errors.append,
    ).run()  # fmt: skip
    assert not parts.errors


def answered(parts: Parts, session: str, text: str) -> None:
    """A prompt that is over."""
    parts.taken(session, text)
    parts.report(session, "Stop", response="done")


def test_a_draft_is_not_cleared_where_the_last_prompt_shows_for_a_moment_in_its_place(
    parts: Parts, terminal: Terminal
) -> None:
    session = parts.idle()
    answered(parts, session, "first")
    second = parts.prompt(session, "second")
    assert parts.status(second) == Status.CHOSEN
    # whether it is free; what stands there instead; whether that is only ours, twice
    terminal.lines = ["> first", "> first", "> first", "> a draft"]
    deliver(parts, terminal, session, second, Until())
    assert terminal.pressed == []
    assert parts.status(second) == Status.QUEUED
    assert parts.registry.get(session).gate.why == "somebody is typing in the pane: '> a draft'"


def test_what_we_left_ourselves_is_cleared(parts: Parts, terminal: Terminal) -> None:
    session = parts.idle()
    answered(parts, session, "first")
    second = parts.prompt(session, "second")
    terminal.lines = ["> first", "> first", "> first", "> first", ">"]
    until = Until()

    def submitted() -> None:
        terminal.lines = [">"]
        until.set()

    terminal.on_enter = submitted
    deliver(parts, terminal, session, second, until)
    assert terminal.pressed == [("C-u",), ("Enter",)]


def test_nothing_is_cleared_after_a_prompt_that_was_taken(parts: Parts, terminal: Terminal) -> None:
    session, until = parts.idle(), Until()
    first = parts.prompt(session, "first")

    def whole_turn() -> None:  # before the delivery looks again
        parts.report(session, "Submit", prompt="first")
        parts.report(session, "Stop", response="done")
        until.set()

    terminal.on_enter = whole_turn
    deliver(parts, terminal, session, first, until)
    assert (parts.status(first), terminal.pressed) == (Status.DONE, [("Enter",)])
