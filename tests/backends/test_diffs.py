"""Diffs that are made of two texts: right where they are small, bounded where an agent wants them to take long."""

import time

import pytest

from anvilsrv.activity.diffs import LARGEST, between, counted


@pytest.mark.parametrize(
    ("old", "new", "diff"),
    [
        ("a\nb\nc\n", "a\nB\nc\n", "@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n"),
        ("", "x\ny\n", "@@ -0,0 +1,2 @@\n+x\n+y\n"),
        ("1\n2\n3\n4\n5\n6\n", "1\n2\n3\n4\n5\n", "@@ -3,4 +3,3 @@\n 3\n 4\n 5\n-6\n"),
        ("same\n", "same\n", ""),
    ],
)
def test_what_differs_stands_between_lines_that_are_the_same(old: str, new: str, diff: str) -> None:
    assert between(old, new) == diff


@pytest.mark.parametrize(
    ("diff", "line"),
    [
        ("@@ -3,4 +3,5 @@\n 3\n\n 5\n-6\n+7\n+8\n", 6),
        ("--- a\n+++ b\n@@ -1 +1 @@\n-a\n+b\n@@ -9 +9 @@\n-c\n", 1),
        ("@@ -1,2 +0,0 @@\n-a\n-b\n", 1),
        ("@@ -7,2 +7,1 @@\n 7\n-8\n\\ No newline at end of file\n", 8),
    ],
)
def test_the_line_of_an_edit_is_the_first_that_is_another(diff: str, line: int) -> None:
    assert counted(diff)["line"] == line


def test_texts_that_would_take_long_to_compare_are_shown_one_after_the_other() -> None:
    old, new = ("\n".join(one * 50_000) for one in (["a", "b"], ["b", "c"]))
    began = time.monotonic()
    assert counted(between(old, new))["added"] == 100_000
    assert time.monotonic() - began < 5
    assert between("x" * (LARGEST + 1), "y") == ""
