"""The names of keys that a person may write."""

import pytest

from anvilsrv.errors import Invalid
from anvilsrv.tmux.key_names import MOST, NAMES, named
from anvilsrv.tmux.tmux import Tmux
from tests.conftest import some
from tests.panes import shows, wait_screen

SENT = {
    "Enter": "^M", "Escape": "^[", "Tab": "^I", "BTab": "^[[Z", "Space": " ", "BSpace": "^?", "Up": "^[[A", "Down": "^[[B",
    "Left": "^[[D", "Right": "^[[C", "PageUp": "^[[5~", "PageDown": "^[[6~", "Insert": "^[[2~", "Delete": "^[[3~",
    "F1": "^[OP", "C-c": "^C", "M-x": "^[x", "1": "1", ";": ";", "-": "-", "#": "#",
}  # fmt: skip


def test_each_key_reaches_the_program_as_what_it_is(tmux: Tmux) -> None:
    pane = tmux.new_window("00000001", ["sh", "-c", "stty raw -echo; echo ready; exec cat -vT"], cwd="/", env={}).id
    wait_screen(tmux, pane, shows("ready"))
    for name, bytes_seen in SENT.items():
        tmux.keys(pane, *named([name]), "_")
        wait_screen(tmux, pane, shows(f"{bytes_seen}_"))


def test_every_name_of_the_table_is_one_that_tmux_knows(tmux: Tmux) -> None:
    pane = tmux.new_window("00000001", ["sh", "-c", "stty raw -echo; echo ready; exec cat -vT"], cwd="/", env={}).id
    wait_screen(tmux, pane, shows("ready"))
    for name in some(NAMES):
        tmux.keys(pane, *named([name]))
    tmux.keys(pane, "z")
    wait_screen(tmux, pane, shows("z"))
    typed = tmux.capture(pane)
    assert [
        name for name in NAMES if len(name) > 3 and name in typed
    ] == []  # one that it does not know is typed as text


@pytest.mark.parametrize(
    "words", [[], ["x"] * (MOST + 1), ["enter"], ["-l"], ["Down\n"], ["C-?"], ["é"], ["Down Up"], [""]]
)
def test_what_is_not_the_name_of_a_key_is_refused(words: list[str]) -> None:
    with pytest.raises(Invalid, match="invalid key"):
        named(words)
