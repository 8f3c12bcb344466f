"""The shape of the code: what lies where, who sets whose attributes, how long a function may be."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT, some
from tests.ground.test_layers import FORWARDS, ORDER

SOURCES = ("anvilsrv", "acme", "tui", "web")
LONGEST = {"bench": 50}  # lines of a function, as they were when the folders were made; shorter is better
ELSEWHERE = 46
FOREIGN = {"self._db", "self.table"}  # SQLite's connection, Textual's widget: not parts of ours
TARGETS = (ast.Assign, ast.AugAssign, ast.AnnAssign)


def modules(*tops: str) -> list[Path]:
    return some(path for top in tops for path in sorted((ROOT / top).rglob("*.py")))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def assigned(tree: ast.AST) -> Iterator[tuple[ast.Attribute, ast.expr | None]]:
    """Yield attributes that are assigned to, and what they are given."""
    for node in ast.walk(tree):
        if isinstance(node, TARGETS):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                for one in target.elts if isinstance(target, ast.Tuple) else [target]:
                    if isinstance(one, ast.Attribute):
                        yield one, node.value


def test_flat_in_the_package_lie_ground_the_composition_and_what_forwards() -> None:
    allowed = {one or "__init__" for one in ORDER[0]} | FORWARDS | {"app"}
    assert {path.stem for path in (ROOT / "anvilsrv").glob("*.py")} <= allowed


def test_no_part_has_an_attribute_that_another_one_sets() -> None:
    """A part gets what it needs when it is made: what is assigned later may be forgotten, and then nothing happens, silently."""
    for path in modules(*SOURCES):
        for target, _ in assigned(ast.parse(path.read_text())):
            whose = ast.unparse(target.value)
            if re.fullmatch(r"self(\.\w+)+", whose) and whose not in FOREIGN:
                pytest.fail(f"{name(path)}:{target.lineno}: {ast.unparse(target)} is set from outside")


def test_no_callback_is_assigned_after_its_owner_was_made() -> None:
    for path in modules(*SOURCES):
        tree = ast.parse(path.read_text())
        functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        methods = {f"self.{node.name}" for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        for target, value in assigned(tree):
            whose, given = ast.unparse(target.value), ast.unparse(value) if value else ""
            if (isinstance(value, ast.Lambda) or given in functions | methods) and whose != "self":
                pytest.fail(
                    f"{name(path)}:{target.lineno}: {ast.unparse(target)} is given {given} when it is made already"
                )


def test_no_callback_is_left_empty_for_later() -> None:
    """``self.on_end: Callable[…] | None = None`` waits for somebody to fill it in."""
    for path in modules(*SOURCES):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Attribute):
                empty = isinstance(node.value, ast.Constant) and "Callable" in ast.unparse(node.annotation)
                assert not empty, f"{name(path)}:{node.lineno}: {ast.unparse(node)}"


def test_no_function_is_longer_than_the_longest_that_there_was() -> None:
    scripts = [ROOT / "install", *(ROOT / "acme" / one for one in ("Assist", "Claude", "Kiro"))]
    for path in (*modules(*SOURCES, "sandbox", "installer", "cfg", "bench", "kiro-cli"), *scripts):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                assert lines <= LONGEST.get(path.parent.name, ELSEWHERE), f"{name(path)}: {node.name} has {lines} lines"
