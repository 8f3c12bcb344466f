"""anvillm driven by Textual's own pilot: what its screens do with sessions that no daemon here can be made to show."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import DataTable, Input, Static

from anvilsrv.front import requests
from tests.conftest import Home, run_async
from tui.anvillm import Anvillm
from tui.daemon import DaemonScreen
from tui.dialogs import Answer, Field, Help, Line, Start

ROW: dict[str, Any] = {
    "id": "a3f2b9d1", "alias": "dev", "backend": "claude", "cwd": "/p", "state": "idle", "pid": 7, "role": "", "tasks": [],
    "parent": None, "tmux": "", "ask": None, "unread": 0, "queued": 0, "background": 0, "held": "", "usage": {}, "error": "",
    "sandbox_tier": "full", "sandbox_gaps": [], "context": "", "created": 1.0, "changed": 1.0, "notes": [],
}  # fmt: skip


def rows(count: int, **changes: Any) -> list[dict[str, Any]]:
    return [ROW | {"id": f"{n:08x}", "alias": f"s{n}"} | changes for n in range(count)]


def drive(
    home: Home, play: Callable[[Anvillm, Pilot[None]], Awaitable[None]], size: tuple[int, int] = (80, 24)
) -> None:
    async def run() -> None:
        app = Anvillm(str(home.socket))
        async with app.run_test(size=size) as pilot:
            app.follower.stop()
            await pilot.pause()
            while isinstance(app.screen, DaemonScreen):
                app.pop_screen()
                await pilot.pause()
            await play(app, pilot)

    run_async(run())


async def show(app: Anvillm, pilot: Pilot[None], found: list[dict[str, Any]]) -> None:
    app.post_message(Anvillm.Sessions(found))
    await pilot.pause()


def words(app: Anvillm, place: str) -> str:
    return str(app.screen.query_one(place, Static).content)


def test_the_cursor_stays_on_its_session_while_others_come_and_go(home: Home) -> None:
    async def play(app: Anvillm, pilot: Pilot[None]) -> None:
        many = rows(5)
        await show(app, pilot, many)
        await pilot.press("j", "j")
        table = app.screen.query_one(DataTable)
        assert app.screen.selected()["alias"] == "s2"  # type: ignore[attr-defined]
        await show(app, pilot, many[1:])
        assert app.screen.selected()["alias"] == "s2"  # type: ignore[attr-defined]
        await show(app, pilot, many[1:] + rows(9)[7:])
        assert app.screen.selected()["alias"] == "s2"  # type: ignore[attr-defined]
        assert table.row_count == 6
        await show(app, pilot, [])
        assert app.screen.selected() is None  # type: ignore[attr-defined]
        assert "No sessions" in words(app, "#empty")

    drive(home, play)


@pytest.mark.parametrize(
    ("tier", "note", "said"), [("none", "nosandbox", "NO SANDBOX"), ("weak", "weak", "weak sandb")]
)
def test_a_session_with_less_than_the_sandbox_is_marked_in_the_list(
    home: Home, tier: str, note: str, said: str
) -> None:
    async def play(app: Anvillm, pilot: Pilot[None]) -> None:
        await show(app, pilot, rows(1, sandbox_tier=tier, notes=[note]))
        cell = app.screen.query_one(DataTable).get_cell("00000000", "notes")
        assert said in str(cell)
        assert f"sandbox {tier}" in words(app, "#detail")

    drive(home, play)


def test_markup_and_control_characters_of_agents_are_text(home: Home) -> None:
    async def play(app: Anvillm, pilot: Pilot[None]) -> None:
        bad = "[red]x[/red] [@click=app.quit]y[/] \x1b[2J"
        ask = {"id": "1", "text": bad, "choices": [bad], "detail": bad, "free": False}
        await show(app, pilot, rows(1, error=bad, cwd=f"/{bad}", ask=ask, notes=["ask", "error"]))
        assert "[red]x[/red] [@click=app.quit]y[/] ␛[2J" in words(app, "#detail")
        await pilot.press("w")
        await pilot.pause()
        assert isinstance(app.screen, Answer)
        assert "[@click=app.quit]y[/] ␛[2J" in str(app.screen.query(Static).first().content) + words(
            app, ".text Static"
        )
        app.post_message(Anvillm.Events([{"seq": 1, "type": "error", "session_id": None, "error": bad}]))
        await pilot.pause()

    drive(home, play)


def test_five_hundred_sessions_are_no_trouble(home: Home) -> None:
    async def play(app: Anvillm, pilot: Pilot[None]) -> None:
        many = rows(500)
        await show(app, pilot, many)
        assert app.screen.query_one(DataTable).row_count == 500
        await pilot.press("G")
        assert app.screen.selected()["alias"] == "s499"  # type: ignore[attr-defined]
        await show(app, pilot, [row | {"state": "running"} for row in many])
        assert str(app.screen.query_one(DataTable).get_cell("000001f3", "state")) == "running"

    drive(home, play)


@pytest.mark.parametrize("size", [(80, 24), (60, 15), (200, 50)])
def test_every_dialog_fits_the_screen(home: Home, size: tuple[int, int]) -> None:
    async def play(app: Anvillm, pilot: Pilot[None]) -> None:
        await show(app, pilot, rows(3))
        app.why = "gone"  # else the daemon's screen runs anvilsrv
        for screen in (
            Help(),
            Start([{"name": "x", "title": "X" * 90, "status": "no" * 90}] * 3, [], "/p"),
            DaemonScreen(app),
        ):
            app.push_screen(screen)
            await pilot.pause()
            box = app.screen.query_one(".box").region
            assert box.right <= size[0]
            assert box.bottom <= size[1]
            app.pop_screen()
            await pilot.pause()

    drive(home, play, size)


def test_keys_that_need_a_session_say_so_when_there_is_none(home: Home) -> None:
    async def play(app: Anvillm, pilot: Pilot[None]) -> None:
        await show(app, pilot, [])
        for key in ("p", "t", "R", "K", "a", "c", "A", "x", "enter", "w"):
            await pilot.press(key)
        await pilot.pause()
        assert len(app.screen_stack) == 1
        assert app.is_running

    drive(home, play)


def test_a_new_session_needs_a_backend_and_a_directory(home: Home) -> None:
    async def play(app: Anvillm, pilot: Pilot[None]) -> None:
        taken: list[Any] = []
        app.push_screen(Start([], [], ""), taken.append)
        await pilot.pause()
        await pilot.press("enter")
        assert app.focused is app.screen.query_one("#backend", Input)
        await pilot.press(*"shell", "enter")
        assert app.focused is app.screen.query_one("#directory", Field)
        await pilot.press(*"/p", "enter")
        await pilot.pause()
        assert taken == [{"backend": "shell", "directory": "/p", "alias": "", "role": "", "tasks": ""}]

    drive(home, play)


def test_keys_for_a_pane_are_asked_for_by_their_names_and_pressed(home: Home) -> None:
    async def play(app: Anvillm, pilot: Pilot[None]) -> None:
        await show(app, pilot, rows(1))
        await pilot.press("T")
        await pilot.pause()
        assert isinstance(app.screen, Line)
        app.screen.query_one(Input).value = "Down Enter"
        asked: list[Any] = []
        app.request = lambda act, *more: asked.append(act)  # type: ignore[method-assign,assignment]
        await pilot.press("enter")
        await pilot.pause()
        [act] = asked
        assert (act.func, act.keywords) == (requests.press, {"session": "00000000", "keys": "Down Enter"})

    drive(home, play)
