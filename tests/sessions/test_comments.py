"""Where the lines of a comment are by now, in a file that an agent may have made anything of."""

import itertools

import pytest

from anvilsrv.sessions import comments
from anvilsrv.sessions.comments import Comment, state


def everywhere(comment: Comment, lines: list[str]) -> tuple[str, int]:
    """Return the same, by looking at every place."""
    wanted = list(comment.quoted)
    places = [at + 1 for at in range(len(lines) - len(wanted) + 1) if lines[at : at + len(wanted)] == wanted]
    at = min(places, key=lambda at: abs(at - comment.first), default=0)
    return ("there" if at == comment.first else "moved", at) if at else ("outdated", comment.first)


def test_the_nearest_place_with_the_same_lines_is_meant() -> None:
    for size in range(6):
        for lines in itertools.product("ab", repeat=size):
            for first, quoted in itertools.product(range(1, 8), (("a",), ("a", "b"), ("b", "b", "a"))):
                one = Comment("p", first, first, "w", quoted)
                assert state(one, list(lines)) == everywhere(one, list(lines))


def test_of_a_long_file_no_more_than_so_many_places_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comments, "FAR", 100)
    looked: list[int] = []

    class Lines(list[str]):
        def __getitem__(self, at):  # type: ignore[no-untyped-def]
            looked.append(1)
            return super().__getitem__(at)

    lines = Lines(["a"] * 100_000 + ["b"])
    assert state(Comment("p", 1, 2, "w", ("a", "b")), lines) == ("outdated", 1)
    assert len(looked) <= 200
