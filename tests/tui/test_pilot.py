"""anvillm driven by Textual's own pilot: what its screens do with sessions that no daemon here can be made to show."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import DataTable, Input, Static
from textual.widgets.data_table import ColumnKey

from anvilsrv.front import requests
from tests.conftest import PATIENCE, Home, run_async
from tui.anvillm import Anvillm
from tui.daemon import DaemonScreen
from tui.dialogs import Answer, Field, Filter, Help, Line
from tui.host import nothing
from tui.prompt import Prompt, PromptArea
from tui.saying import Saying
from tui.start import Start
from tui.talk import Talk

ROW: dict[str, Any] = {
    "id": "a3f2b9d1", "alias": "dev", "backend": "claude", "cwd": "/p", "state": "idle", "pid": 7, "role": "", "tasks": [],
    "parent": None, "tmux": "", "ask": None, "unread": 0, "queued": 0, "background": 0, "held": "", "usage": {}, "error": "",
    "model": "", "mode": "", "context_left": None,
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


async def settled(pilot: Pilot[None], reached: Callable[[], bool]) -> None:
    """Wait for what takes a layout or two."""
    async with asyncio.timeout(PATIENCE):
        while not reached():
            await pilot.pause(0.01)


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


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"state": "running", "doing": "Bash: make check"}, "Bash: make …"),
        ({"state": "running", "doing": "Bash: make check", "notes": ["queued"], "queued": 1}, "1 queued"),
        ({"state": "running", "doing": "running"}, ""),
    ],
)
def test_the_list_says_what_an_agent_does(home: Home, changes: dict[str, Any], said: str) -> None:
    async def play(app: Anvillm, pilot: Pilot[None]) -> None:
        await show(app, pilot, rows(1, since=time.time() - 125, **changes))
        assert str(app.screen.query_one(DataTable).get_cell("00000000", "notes")) == said
        assert "running for 2m" in words(app, "#detail")

    drive(home, play)


def test_model_mode_and_what_is_left_of_the_context_are_told(home: Home) -> None:
    async def play(app: Anvillm, pilot: Pilot[None]) -> None:
        told = {"model": "opus", "mode": "plan", "context_left": 0}
        await show(app, pilot, rows(1, **told, changed=time.time() - 125))
        assert words(app, "#detail").endswith(" for 2m · opus plan · 0% context left")
        await pilot.press("enter")
        await settled(pilot, lambda: words(app, "#head").endswith(" · opus plan · 0% context left"))
        await show(app, pilot, rows(1, mode="default"))
        assert "default" not in words(app, "#head")
        assert "context" not in words(app, "#head")

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

        def offer() -> None:
            form.offer([{"name": "x", "title": "X" * 90, "status": "no" * 90}] * 3, {"tasks": ["t" * 20] * 9})

        form = Start("/p", nothing, offer)
        for screen in (
            Help(),
            form,
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

        def submit(found: dict[str, str], made: Callable[[str], None], refused: Callable[[str], bool]) -> None:
            taken.append(found)
            if found["alias"]:
                made("a3f2b9d1")
            else:
                assert refused("no alias [b]given[/b]")

        form = Start("", submit, lambda: form.offer([], {}))
        app.push_screen(form, taken.append)
        await pilot.pause()
        await pilot.press("enter")
        assert app.focused is app.screen.query_one("#backend", Input)
        await pilot.press(*"shell", "enter")
        assert app.focused is app.screen.query_one("#directory", Field)
        await pilot.press(*"/p", "enter")
        await pilot.pause()
        assert taken == [{"backend": "shell", "directory": "/p", "alias": "", "role": "", "tasks": ""}]
        assert words(app, "#wrong") == "no alias [b]given[/b]"
        assert app.screen.query_one("#directory", Input).value == "/p"
        app.screen.query_one("#alias", Input).value = "dev"
        await pilot.press("enter")
        await pilot.pause()
        assert taken[1:] == [taken[0] | {"alias": "dev"}, "a3f2b9d1"]

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


def test_a_context_can_be_emptied_and_a_prompt_cannot_be_empty(home: Home) -> None:
    async def play(app: Anvillm, pilot: Pilot[None]) -> None:
        await show(app, pilot, rows(1, context="# short\n"))
        asked: list[Any] = []
        app.request = lambda act, *more: asked.append(act)  # type: ignore[method-assign,assignment]
        await pilot.press("c")
        await pilot.pause()
        app.screen.query_one(PromptArea).text = ""
        await pilot.press("enter")
        await pilot.pause()
        [act] = asked
        assert (act.func, act.keywords) == (requests.set_context, {"session": "00000000", "context": ""})
        await pilot.press("p")
        await pilot.pause()
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(app.screen, Prompt)
        assert len(asked) == 1

    drive(home, play)


def test_what_is_said_is_one_line_below_merged_and_over_no_dialog(home: Home) -> None:
    async def play(app: Anvillm, pilot: Pilot[None]) -> None:
        await show(app, pilot, rows(2))
        app.push_screen(Help())
        await pilot.pause()
        for _ in range(3):
            app.say("no such [b]session[/b]\nat all", error=True)
        app.say("mail from dev")
        await pilot.pause()
        assert isinstance(app.screen, Help)
        assert not app.screen.query("Toast")
        app.pop_screen()
        await pilot.pause()
        assert words(app, "#keys") == "(3 times, 1 more) no such [b]session[/b] at all"
        assert app.screen.query_one("#keys").size.height == 1

    drive(home, play)


def test_what_was_said_goes_after_a_while() -> None:
    said = Saying()
    said.add("one", False, 0.0)
    said.add("two", False, 5.0)
    assert said.line == ("(1 more) two", False)
    said.forget(9.0)
    assert said.line == ("two", False)
    said.forget(20.0)
    assert said.line == ("", False)


def test_what_was_typed_for_a_session_that_is_gone_is_offered_at_the_next_prompt(home: Home) -> None:
    async def play(app: Anvillm, pilot: Pilot[None]) -> None:
        two = rows(2)
        await show(app, pilot, two)
        await pilot.press("p")
        await pilot.pause()
        await pilot.press(*"half")
        await show(app, pilot, two[1:])
        await pilot.press("escape")
        await pilot.pause()
        assert "00000000 is gone" in words(app, "#keys")
        await pilot.press("p")
        await pilot.pause()
        assert app.screen.query_one(PromptArea).text == "half"
        await pilot.press("escape")
        await pilot.pause()
        assert app.drafts == {"00000001": "half"}

    drive(home, play)


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
def test_columns_grow_with_the_screen_and_the_footer_fits_it(home: Home, width: int) -> None:
    async def play(app: Anvillm, pilot: Pilot[None]) -> None:
        await show(app, pilot, rows(1, usage={"input": 1_500_000, "output": 2000}, changed=time.time() - 7300))
        table = app.screen.query_one(DataTable)
        named = [str(key.value) for key in table.columns]
        assert ("age" in named, "tokens" in named, "backend" in named) == (width >= 100, width >= 100, width >= 70)
        if width >= 60:
            assert sum(column.get_render_width(table) for column in table.columns.values()) <= width
        if width >= 100:
            assert [str(table.get_cell("00000000", name)) for name in ("age", "tokens")] == ["2h", "1.5M"]
        if width == 200:
            assert table.columns[ColumnKey("notes")].width > 40
        assert "1.5M tokens" in words(app, "#detail") or width < 80
        keys = words(app, "#keys")
        assert len(keys) <= width - 2
        assert keys.endswith("? keys  q")

    drive(home, play, (width, 24))


def test_a_filter_leaves_what_has_its_words_and_the_rest_comes_back_in_its_place(home: Home) -> None:
    async def play(app: Anvillm, pilot: Pilot[None]) -> None:
        await show(app, pilot, rows(12))
        table = app.screen.query_one(DataTable)
        await pilot.press("slash", *"s1 CLAUDE")
        await pilot.pause()
        assert isinstance(app.screen, Filter)
        assert [key.value[-1] for key in table.rows] == ["1", "a", "b"]  # type: ignore[index]
        await pilot.press("enter")
        await pilot.pause()
        assert "/s1 CLAUDE: 3" in words(app, "#head")
        await pilot.press("j")
        assert app.screen.selected()["alias"] == "s10"  # type: ignore[attr-defined]
        await pilot.press("slash", "escape")
        await pilot.pause()
        assert app.screen.selected()["alias"] == "s10"  # type: ignore[attr-defined]
        assert [key.value for key in table.rows] == [f"{n:08x}" for n in range(12)]
        await pilot.press("slash", *"nothing")
        await pilot.pause()
        await pilot.press("enter")
        await pilot.pause()
        assert "No session has 'nothing'" in words(app, "#empty")

    drive(home, play)


def test_what_needs_the_user_is_first_and_the_cursor_stays_on_its_session(home: Home) -> None:
    async def play(app: Anvillm, pilot: Pilot[None]) -> None:
        many = rows(5)
        await show(app, pilot, many)
        await pilot.press("j")
        table = app.screen.query_one(DataTable)
        for n, needs in ((3, "done"), (4, "error")):
            many[n] = many[n] | {"needs": needs}
        await show(app, pilot, many)
        assert [key.value[-1] for key in table.rows] == ["3", "4", "0", "1", "2"]  # type: ignore[index]
        assert app.screen.selected()["alias"] == "s1"  # type: ignore[attr-defined]
        for there in ("s3", "s4", "s3"):
            await pilot.press("n")
            assert app.screen.selected()["alias"] == there  # type: ignore[attr-defined]
        many[3] = many[3] | {"needs": ""}
        await show(app, pilot, many)
        assert [key.value[-1] for key in table.rows] == ["4", "0", "1", "2", "3"]  # type: ignore[index]
        assert app.screen.selected()["alias"] == "s3"  # type: ignore[attr-defined]

    drive(home, play)


def test_what_one_is_asked_to_allow_is_brighter_than_all_else(home: Home) -> None:
    async def play(app: Anvillm, pilot: Pilot[None]) -> None:
        ask = {"id": "1", "text": "Bash: rm -rf build", "choices": ["allow", "deny"], "detail": "{}", "free": False}
        await show(app, pilot, rows(1, ask=ask, notes=["ask"]))
        await pilot.press("w")
        await pilot.pause()
        asked, detail = app.screen.query(".text Static")
        assert {"bold", "reverse"} <= set(str(asked.styles.text_style).split())
        assert "dim" in str(detail.styles.text_style)

    drive(home, play)


def test_the_end_of_a_long_command_that_one_is_asked_to_allow_is_always_in_sight(home: Home) -> None:
    async def play(app: Anvillm, pilot: Pilot[None]) -> None:
        ask = {
            "id": "1",
            "text": f"Bash: echo {'word ' * 400}; rm -rf /precious",
            "choices": ["allow", "deny"],
            "free": False,
        }
        await show(app, pilot, rows(1, ask=ask, notes=["ask"]))
        await pilot.press("w")
        await pilot.pause()
        assert "rm -rf /precious" in words(app, ".ends")
        await pilot.press("pagedown", "pagedown", "pagedown", "pagedown", "pagedown")
        await pilot.pause()
        assert not app.screen.query_one(".ends").display
        await pilot.press("pageup")
        await pilot.pause()
        assert app.screen.query_one(".ends").display

    drive(home, play)


def test_the_last_answer_is_copied_by_a_key(home: Home) -> None:
    async def play(app: Anvillm, pilot: Pilot[None]) -> None:
        await show(app, pilot, rows(1, answered=3))
        taken: list[Any] = []

        def request(act: Any, then: Callable[[str], object], *more: object) -> None:
            taken.append(act)
            then("the answer\n")

        app.request = request  # type: ignore[method-assign,assignment]
        await pilot.press("y")
        await pilot.pause()
        assert (taken[0].func, taken[0].keywords) == (requests.answered, {"session": "00000000", "n": 3})
        assert app.clipboard == "the answer\n"
        assert "on the clipboard (11 characters)" in words(app, "#keys")

    drive(home, play)


def test_the_end_is_reached_by_keys_that_come_before_what_is_new_has_its_place(home: Home) -> None:
    async def play(app: Anvillm, pilot: Pilot[None]) -> None:
        talk = Talk()
        await app.screen.mount(talk)
        said = "\n".join(str(n) for n in range(100))
        talk.add([{"kind": "text", "seq": 1, "id": "m1", "text": said}])
        await settled(pilot, lambda: talk.scroll_y == talk.max_scroll_y > 0)
        talk.go("page_up")
        talk.add([{"kind": "text", "seq": 2, "id": "m2", "text": said}])
        end = talk.max_scroll_y
        talk.go("page_down")
        assert talk.scroll_y == talk.max_scroll_y == end
        await settled(pilot, lambda: talk.scroll_y == talk.max_scroll_y > end)

    drive(home, play)


def test_turns_that_were_asked_for_are_before_the_eyes(home: Home) -> None:
    async def play(app: Anvillm, pilot: Pilot[None]) -> None:
        talk = Talk()
        await app.screen.mount(talk)
        talk.add([{"kind": "text", "seq": 9, "id": "m9", "text": "last"}])
        await pilot.pause()
        assert not talk.go("page_up")
        talk.add([{"kind": "text", "seq": 1, "id": "m1", "text": "\n".join(["first"] * 100)}], first=True)
        await settled(pilot, lambda: talk.max_scroll_y > 0)
        await pilot.pause()
        assert talk.scroll_y == 0

    drive(home, play)
