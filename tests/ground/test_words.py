"""Quoting of ctl commands: what a person, rc and sh write, and that quoting and splitting are inverse."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anvilsrv import words
from anvilsrv.errors import Invalid

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", []),
        (" \t\n", []),
        ("claim bd-a1b2\n", ["claim", "bd-a1b2"]),
        ('new "Implement login" "Add JWT auth"', ["new", "Implement login", "Add JWT auth"]),
        ("new 'it''s done'", ["new", "it's done"]),
        ("new '' x", ["new", "", "x"]),
        ('new "say \\"hi\\"" "a""b"', ["new", 'say "hi"', 'a"b']),
        ('new "C:\\dir\\\\"', ["new", "C:\\dir\\"]),
        ("update bd-1 title='two words' x", ["update", "bd-1", "title=two words", "x"]),
        ("new 'two\nlines'", ["new", "two\nlines"]),
        ("alias=\"a\"'b'c", ["alias=abc"]),
        ("a\u00a0b", ["a\u00a0b"]),
    ],
)
def test_a_line_splits_into_the_words_meant(line: str, expected: list[str]) -> None:
    assert words.split(line) == expected


@pytest.mark.parametrize("line", ["new 'open", 'new "open', "it's", 'x "a\\"', "'''", 'new """', "a\0b"])
def test_an_unbalanced_quote_is_refused(line: str) -> None:
    with pytest.raises(Invalid):
        words.split(line)


def test_the_error_shows_where_the_quote_began() -> None:
    with pytest.raises(Invalid, match=r"^unterminated quote: 'open here$"):
        words.split("new 'a' 'open here\nrest")


@given(st.lists(TEXT))
def test_joined_words_split_into_themselves(original: list[str]) -> None:
    assert words.split(words.join(original)) == original


@given(st.lists(st.lists(TEXT, min_size=1), max_size=5), TEXT)
def test_a_buffer_is_cut_into_its_commands_and_the_unfinished_rest(commands: list[list[str]], tail: str) -> None:
    whole = "".join(words.join(c) + "\n" for c in commands)
    done, rest = words.lines(whole + "new '" + tail.replace("'", ""))
    assert [words.split(d) for d in done] == commands
    assert rest == "new '" + tail.replace("'", "")


def test_a_quoted_line_end_does_not_end_the_command() -> None:
    assert words.lines("new 'a\nb'\n\n  claim x\nhalf") == (["new 'a\nb'", "claim x"], "half")


def test_a_megabyte_in_quotes_is_quick() -> None:
    text = "it's \\ \"" * 120_000
    assert words.split("new " + words.quote(text)) == ["new", text]
