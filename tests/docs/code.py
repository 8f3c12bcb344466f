"""What a page says of the code, and the code itself: for the tests that compare the two.

A page names files and what is in them in code spans. A path is below ``anvilsrv/`` or the root of the repository. A name that follows
a path in the same paragraph, list item or table row is in that file; so is one that a path in brackets follows immediately.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from anvilsrv.sessions import machine, turn_machine
from anvilsrv.tree import table
from anvilsrv.tree.nodes import paths
from anvilsrv.words import MAIL_TYPES
from tests.conftest import ROOT

SPAN = re.compile(r"`([^`\n]+)`")
BEGINS = re.compile(r"\s*(\||- |\d+\. |#|$)")  # a new block: a row, an item, a heading, an empty line
PATH = re.compile(r"[\w.*-]+/[\w./*-]*|[\w-]+\.(py|md|yaml|toml)")
NAME = re.compile(r"_?[A-Z]\w*(\.\w+)*|\w+\(\)")  # functions have brackets, so that other words are not taken for one
ENUMS = (
    machine.Status, machine.Event, machine.Fact, machine.Act, turn_machine.TurnStatus, turn_machine.Heard, turn_machine.When,
    turn_machine.Do,
)  # fmt: skip
WORDS = {one.name for kind in ENUMS for one in kind} | set(MAIL_TYPES)  # in capitals, and no names of constants
FILES = set(paths(table.ROOT))
SOURCES = ("anvilsrv", "acme", "tui", "web", "sandbox")  # folders of Python


class Reference(NamedTuple):
    """``name`` is said to be in ``path``; both as the page has them."""

    path: str
    name: str


def prose(text: str) -> str:
    """Return a page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def blocks(text: str) -> Iterator[str]:
    """Yield its paragraphs, list items and table rows."""
    found: list[str] = []
    for line in prose(text).splitlines():
        if BEGINS.match(line) and found:
            yield " ".join(found)
            found = []
        found.append(line.strip())
    yield " ".join(found)


def is_path(span: str) -> bool:
    """Return whether a span names a file or folder of the repository, and not one of the tree."""
    return PATH.fullmatch(span) is not None and span not in FILES


def spans(text: str) -> list[str]:
    """Return all code spans."""
    return SPAN.findall(prose(text))


def references(text: str) -> Iterator[Reference]:
    """Yield the names of classes, methods, functions and constants, each with the module that it is said to be in ("":
    none is said).
    """
    for block in blocks(text):
        path = ""
        for match in SPAN.finditer(block):
            span, behind = match[1], re.match(r" \(`([\w/]+\.py)`\)", block[match.end() :])
            if is_path(span):
                path = span if span.endswith(".py") else path
            elif NAME.fullmatch(span) and span not in WORDS:
                yield Reference(behind[1] if behind else path, span.removesuffix("()"))


def file(path: str) -> Path | None:
    """Return the file or folder of that name, if there is one."""
    return next((one for one in (ROOT / "anvilsrv" / path, ROOT / path) if one.exists()), None)


@cache
def names(path: Path) -> frozenset[str]:
    """Return what a module defines: ``function``, ``Class``, ``Class.method``, ``Class.attribute``, ``CONSTANT``."""
    tree = ast.parse(path.read_text())
    found = set(_bound(tree.body))
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{name}" for name in (*_bound(node.body), *_attributes(node))}
    return frozenset(found)


def _bound(body: list[ast.stmt]) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        for target in targets:
            yield from (one.id for one in ast.walk(target) if isinstance(one, ast.Name))


def _attributes(made: ast.ClassDef) -> Iterator[str]:
    """Yield what its methods assign to ``self``."""
    for node in ast.walk(made):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self":
            yield node.attr


def rows(text: str, head: str) -> list[list[str]]:
    """Return the cells of the table whose first row begins with ``head``, without code marks."""
    found = re.search(rf"^\| {re.escape(head)} \|.*\n\|[-|]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert found, f"no table {head}"
    return [[cell.strip().replace("`", "") for cell in line.strip("|").split("|")] for line in found[1].splitlines()]


def modules(*tops: str) -> list[Path]:
    """Return the Python files below these folders of the repository."""
    return sorted(path for top in tops for path in (ROOT / top).rglob("*.py"))
