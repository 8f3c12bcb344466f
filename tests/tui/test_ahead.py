"""anvillm: a window that needs something of the daemon is there before the answer, and takes what is typed until then."""

from typing import Any

import pytest
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Input

from anvilsrv.front.requests import Queued
from tests.conftest import Home
from tests.tui.test_pilot import drive, rows, show, words
from tui.anvillm import Anvillm
from tui.changes import ChangesScreen
from tui.host import nothing
from tui.queue import QueueScreen


class Later:
    """In place of an application's requests: what was asked, answered when a test says so."""

    def __init__(self, app: Anvillm) -> None:
        self.asked: list[Any] = []
        app.request = lambda ask, then=nothing, failed=nothing: self.asked.append((ask, then, failed))  # type: ignore[method-assign,assignment]


BACKENDS = [{"name": "claude", "title": "C", "status": "no"}, {"name": "shell", "title": "S", "status": "ok"}]


def test_the_form_of_a_new_session_takes_what_is_typed_before_its_choices_are_known(home: Home) -> None:
    async def play(app: Anvillm, pilot: Pilot[None]) -> None:
        await show(app, pilot, rows(2))
        later = Later(app)
        await pilot.press("s", "tab", "tab", *"jK", "enter")  # in the list j would go down, and K kill
        [(_, offer, _)] = later.asked
        assert words(app, "#wrong") == "asking which backends there are …"
        offer((BACKENDS, {"role": ["default"], "tasks": ["git"]}))
        await pilot.pause()
        assert later.asked[1][0].keywords["found"] | {"directory": "/p"} == {
            "backend": "shell", "directory": "/p", "alias": "jK", "role": "", "tasks": "",
        }  # fmt: skip
        assert words(app, "#offered") == "shell · S\nclaude · C: no\ntasks, commas between: git"
        await pilot.press("escape", "s", *"mine")
        later.asked[-1][1]((BACKENDS, {}))
        assert app.screen.query_one("#backend", Input).value == "mine"
        await pilot.press("escape", "s")
        later.asked[-1][2]("the daemon is away")
        assert words(app, "#wrong") == "the daemon is away"

    drive(home, play)


def test_the_text_of_a_waiting_prompt_comes_before_what_is_typed_until_it_is_there(home: Home) -> None:
    async def play(app: Anvillm, pilot: Pilot[None]) -> None:
        await show(app, pilot, rows(1))
        later = Later(app)
        await pilot.press("Q")
        await pilot.pause()
        queue: Screen[Any] = app.screen
        assert isinstance(queue, QueueScreen)
        later.asked[0][1]([Queued(3, "user", "2025-01-01T10:00:00", "echo")])
        await pilot.pause()
        later.asked.clear()
        await pilot.press("e", *"df", "enter")  # in the queue d would drop it, and f put it first
        assert len(app.screen_stack) == 3
        [(_, begin, _)] = later.asked
        begin("echo ")
        await pilot.pause()
        assert app.screen == queue
        assert [ask.keywords for ask, *_ in later.asked[1:]] == [{"session": "00000000", "n": 3, "text": "echo df"}]
        app.drafts.clear()
        await pilot.press("e")
        later.asked[-1][2]("prompt 3 does not wait")
        await pilot.pause()
        assert (app.screen, app.said[0].endswith("prompt 3 does not wait")) == (queue, True)

    drive(home, play)


def test_taking_back_asks_at_once_and_takes_the_last_turn_if_none_is_known_yet(home: Home) -> None:
    async def play(app: Anvillm, pilot: Pilot[None]) -> None:
        await show(app, pilot, rows(1))
        later = Later(app)
        await pilot.press("D", "u", "y")
        assert isinstance(app.screen, ChangesScreen)
        undo = later.asked[-1][0]
        client = FakeClient({"00000000/turns/list": b"4\tdone\t\t\t\t1\t0\t\n"})
        assert undo(client) == "done"
        assert client.written == [("00000000/turns/4/ctl", b"undo\n")]
        assert undo(FakeClient({"00000000/turns/list": b""})) == "no turn has changed anything"

    drive(home, play)


class FakeClient:
    """Files that are read, and what is written."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.written: list[tuple[str, bytes]] = []

    def read(self, path: str) -> bytes:
        return self.files[path]

    def write_read(self, path: str, data: bytes) -> bytes:
        self.written.append((path, data))
        return b"done"


@pytest.mark.parametrize("key", ["p", "c"])
def test_what_is_sent_to_a_session_that_is_gone_is_kept_and_that_is_the_last_word(home: Home, key: str) -> None:
    async def play(app: Anvillm, pilot: Pilot[None]) -> None:
        two = rows(2)
        await show(app, pilot, two)
        later = Later(app)
        await pilot.press(key)
        await pilot.pause()
        await pilot.press(*"half")
        await show(app, pilot, two[1:])
        await pilot.press("enter")
        await pilot.pause()
        assert app.drafts == {"": "half"}
        assert "00000000 is gone; what was typed for it is offered" in app.said[0]
        assert later.asked == []

    drive(home, play)
