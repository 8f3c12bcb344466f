"""Tests use what a part offers to everybody: whatever they need besides becomes a public name, not a look at its insides."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

NAMED_TUPLE = {"_asdict", "_fields", "_make", "_replace"}
OURS = {"self", "cls"}
BY_NAME = {"getattr", "setattr", "delattr", "patch"}
LATER = {"tests/p9", "tests/sandbox"}


def private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in NAMED_TUPLE


def looks_inside(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and text of each use of a private name that the file does not define itself."""
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    own |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
            and isinstance(node.value, ast.Name) and node.value.id in OURS}  # fmt: skip
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id="self" | "cls")) | ast.Attribute(value=ast.Name(id="os")):
                continue
            case ast.Attribute(attr=name) if private(name) and name not in own:
                yield node.lineno, ast.unparse(node)
            case ast.ImportFrom(names=names):
                yield from ((node.lineno, f"import {one.name}") for one in names if private(one.name))
            case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name), args=args) if name in BY_NAME:
                texts = [one.value for one in args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
                yield from ((node.lineno, text) for text in texts if any(map(private, text.split("."))))


FILES = sorted((ROOT / "tests").rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(ROOT)) for path in FILES])
def test_a_test_looks_at_no_private_name_of_a_part(path: Path) -> None:
    assert list(looks_inside(ast.parse(path.read_text()))) == []


@pytest.mark.parametrize(
    "text",
    [
        "part._inner",
        "f()._x()",
        "from a import _b",
        "monkeypatch.setattr(part, '_spool', 1)",
        "mock.patch('a.b._c')",
        "getattr(a, '_b')",
    ],
)
def test_each_way_of_looking_inside_is_found(text: str) -> None:
    assert len(list(looks_inside(ast.parse(text)))) == 1
