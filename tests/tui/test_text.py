"""Text of agents made fit for a terminal."""

import re

from hypothesis import given
from hypothesis import strategies as st

from tui.text import clip, one_line, printable, short_path


@given(st.text(max_size=100))
def test_nothing_printable_acts_on_a_terminal(text: str) -> None:
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", printable(text))
    assert "\n" not in one_line(text)
    assert len(clip(text, 10)) <= 10


def test_paths_are_cut_where_it_matters_least() -> None:
    assert short_path("/a/very/long/path/to/the/project", 12) == "…the/project"
    assert len(short_path("/x" * 100, 20)) == 20
