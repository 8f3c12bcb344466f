"""Comments of a review on lines of files: the table ``comments``; how they are written, put into a prompt, and found again.

Threads: what takes a Tx runs on the store's thread, in a job; the rest is pure.
"""

import json
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import NamedTuple

from anvilsrv.display import one_line
from anvilsrv.errors import Invalid
from anvilsrv.store.store import Tx

MOST = 200  # comments of one review
KEPT = 2000  # of a session
FAR = 20_000  # places in a file where a comment is looked for
LINES = 40  # of a file that one comment quotes
WIDE = 400  # characters of such a line
_COMMENT = re.compile(r"(?P<path>\S.*?):(?P<first>\d{1,7})(?:-(?P<last>\d{1,7}))?:\s*(?P<words>.*)")
HEAD = "A review of your changes. Do what each comment asks for, or say why not."


class Comment(NamedTuple):
    """``first`` to ``last`` are lines of the file as it was then; ``quoted`` what stood there; ``n`` the prompt that brought it."""

    path: str
    first: int
    last: int
    words: str
    quoted: tuple[str, ...] = ()
    n: int = 0

    @property
    def place(self) -> str:
        """``path:line`` or ``path:line-line``."""
        return f"{self.path}:{self.first}" + (f"-{self.last}" if self.last != self.first else "")


def parse(text: str) -> list[Comment]:
    """Return the comments; a line that begins with a blank continues the one before. Raises Invalid."""
    found = list[Comment]()
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        if line[0] in " \t" and found:
            found[-1] = found[-1]._replace(words=f"{found[-1].words}\n{line.strip()}")
            continue
        match = _COMMENT.fullmatch(line)
        if match is None:
            raise Invalid(f"invalid review: line {number} is not 'path:line: words'")
        first, last = int(match["first"]), int(match["last"] or match["first"])
        if not 0 < first <= last:
            raise Invalid(f"invalid review: line {number} has no line numbers")
        if not match["words"].strip():
            raise Invalid(f"invalid review: line {number} has no comment")
        found.append(Comment(match["path"], first, last, match["words"].strip()))
    if not found:
        raise Invalid("invalid review: it has no comments")
    if len(found) > MOST:
        raise Invalid(f"invalid review: more than {MOST} comments")
    return found


def quoted(comment: Comment, lines: list[str]) -> Comment:
    """Return the same with the lines of the file that it is about. Raises Invalid if there are none."""
    there = lines[comment.first - 1 : comment.last][:LINES]
    if not there or (comment.first == len(lines) and not there[0]):
        raise Invalid(f"invalid review: there is no line {comment.first} in {one_line(comment.path)[:200]}")
    return comment._replace(quoted=tuple(there))


def prompt(comments: list[Comment], changed: Mapping[str, set[int]]) -> str:
    """Return the comments as one prompt. ``changed`` are the lines that are new, by path: these have a plus before
    them.
    """
    parts = [HEAD]
    for one in comments:
        new = changed.get(one.path, set())
        shown = [
            f"    {'+' if at in new else ' '}{line[:WIDE]}" for at, line in enumerate(one.quoted, one.first)
        ] + (["    ..."] if one.last - one.first >= LINES else [])  # fmt: skip
        parts.append("\n".join([f"{one.place}:", *shown, one.words]))
    return "\n\n".join(parts) + "\n"


def new_lines(diff: str) -> dict[str, set[int]]:
    """Return the numbers of the lines that a unified diff adds, by path."""
    found, path, at = dict[str, set[int]](), "", 0
    for line in diff.split("\n"):
        if line.startswith("diff --git "):
            path, at = "", 0
        elif not at and line.startswith("+++ "):
            path = line[4:].split("\t")[0].strip('"').removeprefix("b/")
        elif match := re.match(r"@@ -\S+ \+(\d+)", line):
            at = int(match[1])
        elif at and line[:1] in ("+", " "):
            if line[0] == "+":
                found.setdefault(path, set()).add(at)
            at += 1
    return found


def state(comment: Comment, lines: list[str]) -> tuple[str, int]:
    """Return whether what it quotes is ``there``, has ``moved``, or the comment is ``outdated``; and the line where it
    begins now.
    """
    wanted = list(comment.quoted)
    for at in islice(nearest(comment.first - 1, len(lines) - len(wanted) + 1), FAR):
        if lines[at] == wanted[0] and lines[at : at + len(wanted)] == wanted:
            return ("there" if at + 1 == comment.first else "moved"), at + 1
    return "outdated", comment.first


def nearest(start: int, end: int) -> Iterator[int]:
    """Yield the numbers below ``end``, the nearest to ``start`` first."""
    for away in range(max(start, end - start) + 1):
        if 0 <= start - away < end:
            yield start - away
        if away and start + away < end:
            yield start + away


def line(comment: Comment, lines: list[str]) -> str:
    """Return its line in ``git/review``: the prompt, its state, where it is now, the text."""
    found, at = state(comment, lines)
    now = comment._replace(first=at, last=at + comment.last - comment.first)
    return f"{comment.n}\t{found}\t{one_line(now.place)}\t{one_line(comment.words)}\n"


# -- rows ------------------------------------------------------------------------------------------------------------------


def add(tx: Tx, session: str, comments: list[Comment]) -> None:
    """Keep them."""
    for one in comments:
        tx.run(
            "INSERT INTO comments(session, n, path, first, last, words, quoted) VALUES(?, ?, ?, ?, ?, ?, ?)",
            session, one.n, one.path, one.first, one.last, one.words, json.dumps(one.quoted),
        )  # fmt: skip
    tx.run(
        "DELETE FROM comments WHERE session = ?1 AND seq <="
        " (SELECT seq FROM comments WHERE session = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2)",
        session, KEPT,
    )  # fmt: skip


def every(tx: Tx, session: str) -> list[Comment]:
    """Return all of a session, in their order."""
    rows = tx.all("SELECT * FROM comments WHERE session = ? ORDER BY seq", session)
    return [
        Comment(row["path"], row["first"], row["last"], row["words"], tuple(json.loads(row["quoted"])), row["n"])
        for row in rows
    ]


def forget(tx: Tx, session: str) -> None:
    """Remove all of a session."""
    tx.run("DELETE FROM comments WHERE session = ?", session)
