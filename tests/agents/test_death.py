"""What an agent said last, of the screen that it left."""

import pytest

from anvilsrv.agents.death import last_words

DEAD = "Pane is dead (signal 9, Sun Nov 29 23:54:44 2026)"


@pytest.mark.parametrize(
    ("screen", "words"),
    [
        (f"it is so\n\n{DEAD}\n", "it is so"),
        (f"above\n  out   of memory{' ' * 80}{DEAD}\n", "out of memory"),
        ("no such key\n╭────╮\nTo resume this session, run x\n", "no such key"),
        (DEAD, ""),
    ],
)
def test_the_last_words_are_a_line_of_the_agents_without_those_of_tmux(screen: str, words: str) -> None:
    assert last_words(screen) == words
