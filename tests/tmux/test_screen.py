"""What panes show, and that they print."""

import os
import re
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from anvilsrv.errors import Unavailable
from anvilsrv.tmux.tmux import Tmux
from tests.conftest import wait_until
from tests.panes import control_clients, detach_all, server_pid, shows, wait_screen


def test_screen_gives_lines_cursor_and_colours(tmux: Tmux) -> None:
    script = "printf 'one\\n\\033[31mtwo\\033[0m\\n$ dr'; sleep 1000"
    pane = tmux.new_window("00000001", ["sh", "-c", script], cwd="/", env={}).id
    screen = wait_screen(tmux, pane, lambda screen: screen.x == 4)
    assert screen.lines[:3] == ["one", "two", "$ dr"]
    assert (screen.line, screen.y) == ("$ dr", 2)
    assert tmux.cursor_line(pane) == "$ dr"
    assert "\x1b[31m" in tmux.screen(pane, styled=True).lines[1]
    assert tmux.capture(pane) == "one\ntwo\n$ dr\n"


def test_it_is_seen_that_a_program_has_not_read_what_was_typed(tmux: Tmux, top: Path) -> None:
    script = (
        f"stty raw -echo; echo ready; while [ ! -e {top}/go ]; do sleep 0.01; done; head -c 5; echo done; sleep 1000"
    )
    pane = tmux.new_window("00000001", ["sh", "-c", script], cwd="/", env={}).id
    assert not wait_screen(tmux, pane, shows("ready")).unread
    tmux.paste(pane, b"hello")
    assert wait_screen(tmux, pane, lambda screen: screen.unread).unread
    (top / "go").touch()
    assert not wait_screen(tmux, pane, shows("done")).unread


def test_tabs_are_seen_as_spaces_also_behind_wide_characters_and_colours(tmux: Tmux) -> None:
    script = "printf 'a\\tb\\n\\346\\227\\245\\tb\\n\\033[31mred\\tb\\033[0m\\n\\tlast'; sleep 1000"
    pane = tmux.new_window("00000001", ["sh", "-c", script], cwd="/", env={}).id
    screen = wait_screen(tmux, pane, shows("last"))
    assert screen.lines[:4] == ["a       b", "日      b", "red     b", "        last"]
    assert re.sub(r"\x1b\[\d*m", "", tmux.screen(pane, styled=True).lines[2]) == "red     b"


def test_a_watch_misses_nothing_between_looking_and_waiting(tmux: Tmux, top: Path) -> None:
    script = f"while [ ! -e {top}/go ]; do sleep 0.01; done; echo printed; touch {top}/done; sleep 1000"
    pane = tmux.new_window("00000001", ["sh", "-c", script], cwd="/", env={}).id
    with tmux.watch(pane) as watch:
        assert not watch.wait(0.05)
        (top / "go").touch()
        wait_until((top / "done").exists, "it did not print")
        assert watch.wait(10)
        assert not watch.wait(0.05)


def test_watches_share_one_client_and_hear_their_own_pane_only(tmux: Tmux, top: Path) -> None:
    script = f"while [ ! -e {top}/$0 ]; do sleep 0.01; done; echo printed; sleep 1000"
    first, second = (
        tmux.new_window(f"0000000{n}", ["sh", "-c", script, f"go{n}"], cwd="/", env={}).id for n in range(2)
    )
    before = len(control_clients(tmux))
    with tmux.watch(first) as one, tmux.watch(second) as other, tmux.watch(second) as same:
        assert len(control_clients(tmux)) == before + 1
        (top / "go1").touch()
        assert other.wait(20)
        assert same.wait(20)
        assert not one.wait(0)
        (top / "go0").touch()
        assert one.wait(20)
    with tmux.watch(first):
        assert len(control_clients(tmux)) == before + 1


def test_a_watch_is_woken_from_another_thread(tmux: Tmux) -> None:
    pane = tmux.new_window("00000001", ["sleep", "1000"], cwd="/", env={}).id
    with tmux.watch(pane) as watch:
        waker = threading.Timer(0.05, watch.wake)
        waker.start()
        assert watch.wait(20)
        waker.join()
        assert not watch.wait(0)


def test_a_watch_goes_on_after_a_person_detached_its_client(tmux: Tmux, top: Path) -> None:
    script = f"while [ ! -e {top}/go ]; do sleep 0.01; done; echo printed; sleep 1000"
    pane = tmux.new_window("00000001", ["sh", "-c", script], cwd="/", env={}).id
    with tmux.watch(pane) as watch:
        detach_all(tmux)
        assert watch.wait(20)  # something may have been missed
        (top / "go").touch()
        assert watch.wait(20)
        wait_screen(tmux, pane, shows("printed"))


def test_a_watch_tells_that_the_server_is_gone(tmux: Tmux) -> None:
    pane = tmux.new_window("00000001", ["sleep", "1000"], cwd="/", env={}).id
    with tmux.watch(pane) as watch:
        os.kill(server_pid(tmux), signal.SIGKILL)
        for _ in range(2):  # and goes on telling it, rather than that something was printed
            with pytest.raises(Unavailable, match="tmux"):
                watch.wait(20)


def test_watches_that_come_and_go_all_the_time_do_not_crash_the_server(tmux: Tmux) -> None:
    """With a client for each watch, tmux 3.3a had crashed after 30 to 70 of them, and every agent with it."""
    pane = tmux.new_window("00000001", ["sleep", "1000"], cwd="/", env={}).id

    def come_and_go() -> None:
        for _ in range(50):
            assert not tmux.wait_output(pane, 0.001)

    with ThreadPoolExecutor(8) as pool:
        for job in [pool.submit(come_and_go) for _ in range(8)]:
            job.result(60)
    assert [one.dead for one in tmux.panes()] == [False]
