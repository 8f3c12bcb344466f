"""Which terminal is opened on an agent."""

import pytest

from anvilsrv.errors import Unavailable
from anvilsrv.front import terminal


def test_terminals_are_tried_in_order() -> None:
    def programs(**environ: str) -> list[str]:
        return [line[0] for line in terminal.candidates("true", ["plain"], environ)]

    assert programs() == ["win"]
    assert programs(ANVILLM_TERMINAL="kitty -1", WAYLAND_DISPLAY="w")[:2] == ["kitty", "foot"]
    assert "foot" not in programs(DISPLAY=":0")
    assert programs(DISPLAY=":0")[-1] == "win"
    assert next(terminal.candidates("true", [], {"ANVILLM_TERMINAL": "foot"})) == ["foot", "sh", "-c", "true"]
    assert next(terminal.candidates("true", [], {"ANVILLM_TERMINAL": "xterm -e"})) == [
        "xterm",
        "-e",
        "sh",
        "-c",
        "true",
    ]


def test_no_terminal_at_all_says_what_to_run() -> None:
    with pytest.raises(Unavailable, match=r"no terminal to open: set \$ANVILLM_TERMINAL, or run: tmux attach"):
        terminal.open_terminal("tmux attach", [], "/", print, {"PATH": "/nowhere"})
    with pytest.raises(Unavailable, match=r"no terminal to open"):
        terminal.show("tmux attach", {"PATH": "/nowhere"})
