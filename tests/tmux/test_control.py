"""The control client by itself, and against panes that speak its protocol."""

import threading
import time

import pytest

from anvilsrv.errors import Unavailable
from anvilsrv.tmux.control import MAX_COMMAND
from anvilsrv.tmux.protocol import Hung, quote, split
from anvilsrv.tmux.tmux import Tmux
from tests.panes import server_pid, shows, stopped, wait_screen


def test_what_a_pane_shows_cannot_forge_an_answer_of_tmux(tmux: Tmux) -> None:
    forged = "%end 1 1 1\n%error 1 1 1\n%begin 1 1 1\n%output %1 x\n%exit\n%subscription-changed titles $0 @0 0 %9 : forged\n"
    titles: list[tuple[str, str]] = []
    tmux.on_title(lambda pane, title: titles.append((pane, title)))
    pane = tmux.new_window("00000001", ["sh", "-c", f"printf '%s' '{forged}'; sleep 1000"], cwd="/", env={}).id
    wait_screen(tmux, pane, shows("forged"))
    for _ in range(5):
        assert tmux.capture(pane) == forged
        assert tmux.title(pane) != "forged"
    assert not [one for one in titles if one[0] == "%9"]


def test_a_reply_is_split_into_one_block_for_each_command_and_the_lines_beside_them() -> None:
    lines = b"%x|%begin 1 5 1|a|%end 1 5 1|%y|%begin 1 6 1|%end 1 6 1|%begin 1 7 1|no|%error 1 7 1".split(b"|")
    assert split(lines) == ([(True, [b"a"]), (True, []), (False, [b"no"])], [b"%x", b"%y"])


def test_content_that_looks_like_the_end_of_a_reply_stays_content() -> None:
    lines = [b"%begin 1 5 1", b"%end 1 5 1", b"%begin 1 6 1", b"%error 1 5 1", b"%end 1 5 1"]
    assert split(lines) == ([(True, lines[1:4])], [])


def test_half_a_reply_is_an_error() -> None:
    assert split([b"%begin 1 5 1", b"a"]) == ([(False, [b"incomplete reply"])], [])


def test_each_command_of_a_line_answers_and_the_first_error_is_told_in_the_words_of_tmux(tmux: Tmux) -> None:
    assert tmux.line("display-message -p a ; display-message -p b") == [["a"], ["b"]]
    [said] = tmux.command("display-message", "-p", "a;#{l:b} $HOME '~\"\\")
    assert said.replace("\\$", "$") == "a;b $HOME '~\"\\"  # tmux 3.4 prints a backslash before $
    with pytest.raises(Unavailable, match="tmux: parse error: unknown command: nonsense"):
        tmux.command("nonsense")
    with pytest.raises(Unavailable, match="too long"):
        tmux.command("display-message", "-p", "x" * MAX_COMMAND)
    assert tmux.command("display-message", "-p", "still there") == ["still there"]


def test_quoting_leaves_nothing_for_tmux_to_interpret() -> None:
    assert quote('a"b\\$c\nd\x01~;') == '"a\\"b\\\\\\$c\\nd\\001~;"'


def test_a_server_that_hangs_is_given_up_within_the_bound_and_by_all_at_once(tmux: Tmux) -> None:
    hurried = Tmux(tmux.socket, pytest.fail, timeout=2.0)
    errors: list[Unavailable] = []

    def ask() -> None:
        try:
            hurried.panes()
        except Unavailable as error:
            errors.append(error)

    try:
        hurried.ensure()
        threads = [threading.Thread(target=ask) for _ in range(8)]
        with stopped(server_pid(tmux), 60.0):
            began = time.monotonic()
            for one in threads:
                one.start()
            for one in threads:
                one.join(20)
            assert time.monotonic() - began < 12  # not 8 times 2
            assert len(errors) == 8
            assert "the tmux server does not answer (waited 2 s)" in {str(one) for one in errors}
            with pytest.raises(Hung):
                hurried.ensure()
        hurried.ensure()
        assert hurried.panes() == []
    finally:
        hurried.close()
