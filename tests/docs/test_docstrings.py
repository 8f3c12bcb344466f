"""Docstrings name other code only as long as it is there under that name."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import ROOT, some
from tests.docs.code import SOURCES, file, modules

DOTTED = re.compile(r"`(_?[A-Z]\w*)\.(\w+)")
FILE = re.compile(r"(?<![\w/])(?:/path/)?((?:\w+/)*\w+\.py)\b")
ELSEWHERE = {"file.py"}  # in examples


def docstrings(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield ast.get_docstring(node) or ""


def classes() -> dict[str, set[str]]:
    """Return the classes of all modules, by name, and what is in them or in those that they are made from."""
    inside, above = defaultdict(set), defaultdict(set)
    for path in modules(*SOURCES):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                names = {one.name for one in ast.walk(node) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)}
                names |= {
                    one.id for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)
                }
                inside[node.name] |= names | {one.attr for one in ast.walk(node) if isinstance(one, ast.Attribute)}
                above[node.name] |= {ast.unparse(base).partition("[")[0] for base in node.bases}
    return {name: inside[name].union(*(inside[base] for base in all_above(name, above))) for name in list(inside)}


def all_above(name: str, above: dict[str, set[str]]) -> set[str]:
    """Return the classes that one is made from, those above them included."""
    direct = above.get(name, set())
    return direct.union(*(all_above(base, above) for base in direct))


def test_a_method_or_attribute_that_a_docstring_names_is_in_that_class() -> None:
    known = classes()
    found = [
        (path, whose, name)
        for path in modules(*SOURCES)
        for text in docstrings(path)
        for whose, name in DOTTED.findall(text)
        if whose in known
    ]
    for path, whose, name in some(found):
        assert name in known[whose], f"{path.relative_to(ROOT)}: {whose}.{name}"


def test_a_module_that_a_docstring_names_exists() -> None:
    found = [(path, name) for path in modules(*SOURCES) for text in docstrings(path) for name in FILE.findall(text)]
    missing = [
        f"{path.relative_to(ROOT)}: {name}"
        for path, name in some(found)
        if name not in ELSEWHERE and not file(name) and not any((top / name).exists() for top in path.parents)
    ]
    assert not missing
