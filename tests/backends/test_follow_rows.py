"""Which rows of ``follow:`` a line is given to."""

import re
from typing import Any

import pytest

from anvilsrv.backends.follow import Follow, Tell
from anvilsrv.backends.registry import Backends
from tests.conftest import ROOT

SHIPPED = Backends(ROOT / "cfg" / "backends")
FOLLOWED = [
    pytest.param(one, id=f"{name} {one.path or one.hooks}")
    for name in SHIPPED.names()
    for one in SHIPPED.get(name).follow
]


def line(path: str, value: str) -> dict[str, Any]:
    """Return a line that has that value there."""
    found: Any = value
    for part in reversed(path.split(".")):
        found = {part: found}
    return dict(found)


@pytest.mark.parametrize("follow", FOLLOWED)
def test_a_line_is_given_to_every_row_that_would_say_something_of_it(follow: Follow) -> None:
    asked = {(path, pattern.pattern) for row in follow.tell for path, pattern in (*row.when, *row.unless)}
    for path, pattern in asked:
        for word in re.findall(r"[A-Za-z_-]+", pattern):
            one = line(path, word) | {"id": "x", "text": "words", "part": "words"}
            left_out = [row for row in follow.tell if row not in follow.rows(one)]
            assert [said for row in left_out for said in row.read(one, {})] == []


def test_a_line_is_given_only_to_rows_for_its_type_and_to_those_that_ask_for_none() -> None:
    of = {
        name: Tell("note", when=(("type", re.compile(f"^{name}$")),) if name != "any" else (), fields={"text": "text"})
        for name in ("said", "done", "any")
    }
    follow = Follow("x", "json", (), tuple(of.values()))
    assert follow.rows({"type": "said"}) == (of["said"], of["any"])
    assert follow.rows({"type": "said", "text": "again"}) == (of["said"], of["any"])
    assert follow.rows({"type": "other"}) == (of["any"],)
    assert follow.rows({"type": ["said"]}) == follow.rows({}) == tuple(of.values())


def test_a_row_whose_patterns_make_fields_of_a_line_is_given_every_line() -> None:
    made = Tell("note", when=(("type", re.compile("^said$")),), match=(("line", re.compile("(?P<type>said)")),))
    assert Follow("x", "lines", (), (made,)).rows({"type": "other", "line": "said"}) == (made,)


def test_values_that_an_agent_invents_are_not_all_kept() -> None:
    follow = Follow("x", "json", (), (Tell("note", when=(("type", re.compile("^said$")),)),))
    assert [follow.rows({"type": str(n)}) for n in range(1000)] == [()] * 1000
    assert len(follow.known) < 1000
