"""Imports point down only: the layers are the folders, in the order of their list."""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from anvilsrv.agents import grants
from tests.conftest import some

ROOT = Path(__file__).resolve().parent.parent.parent

# Each row may import from the rows above it, and the folders of a row not from each other.
ORDER = (
    {"errors", "paths", "words", "display", "strict_json", "clock", "allowance", ""},
    {"linux", "p9"},
    {"store", "tmux", "beads"},
    {"activity"},
    {"backends"},
    {"sessions", "mail"},
    {"desk"},
    {"agents"},
    {"tree"},
    {"app"},
    {"programs"},
)
BESIDE = {"inside", "front"}  # of anvilsrv they may import the first row, and `inside` what else is granted to agents
CLIENTS = ("anvilsrv.p9", "anvilsrv.linux.inotify", "anvilsrv.front")
INSIDE = {"anvilsrv.p9" if name == "__init__" else f"anvilsrv.p9.{name}" for name in grants.CLIENT}
INSIDE |= {"anvilsrv.linux", "anvilsrv.linux.inotify"}
FRONT_ENDS = ("acme", "tui", "web")
FORWARDS = {"hook", "shellagent", "mcpserver", "cli"}
SCREENS = {
    "tui": {"SessionsScreen", "ConversationScreen", "MailScreen", "DaemonScreen"},
    "acme.lib": {"Main", "Prompt", "Log", "AskPane", "Inbox", "Daemon"},
}
THIRD_PARTY = {
    "mcp": {"anvilsrv.inside.mcpserver", "anvilsrv.inside.mcparguments", "anvilsrv.inside.mcplines"},
    "prompt_toolkit": {"anvilsrv.inside.acp_pane"},
    "uvicorn": {"web.server", "web.connections"},
    "jsonschema": {"web.schema"},
}


def modules() -> Iterator[tuple[str, Path]]:
    for top in ("anvilsrv", "sandbox", *FRONT_ENDS):
        for path in sorted((ROOT / top).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            yield name.removesuffix(".__init__"), path


def folder(name: str) -> str:
    """Return the folder: ``store`` for ``anvilsrv.store.events``, ``errors`` for ``anvilsrv.errors``."""
    return name.split(".")[1] if "." in name else ""


def row(name: str) -> int:
    return next(n for n, folders in enumerate(ORDER) if folder(name) in folders)


@cache
def imports(path: Path, name: str) -> set[str]:
    """Return the modules that a file imports: ``from a import b`` is ``a.b`` where that is a module, else ``a``."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name}: a relative import"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names & set(ALL) | ({node.module or ""} if names - set(ALL) else set())
    return found


ALL = dict(modules())


def below(name: str, one: str) -> bool:
    """Return whether ``name`` may import ``one``."""
    top, other = name.split(".")[0], one.split(".")[0]
    if one == "sandbox.outside":
        return folder(name) != "inside" and name not in INSIDE
    if (
        one in ("sandbox.configuration", "sandbox.layers", "sandbox.errors") and folder(name) == "backends"
    ):  # which knows the files that it is about
        return True
    if "sandbox" in (top, other):
        return top == other or (other == "sandbox" and folder(name) in ("agents", "app", "programs"))
    if other in FRONT_ENDS:
        return top == other
    if folder(one) in FORWARDS | {"programs"} and top != other:
        return False
    if folder(name) == "inside" or name in INSIDE:
        return folder(one) in ORDER[0] or one in INSIDE or folder(one) == folder(name) == "inside"
    if top in FRONT_ENDS or folder(name) in BESIDE:
        return folder(one) in ORDER[0] or one.startswith(CLIENTS) or folder(one) == folder(name)
    if folder(name) in FORWARDS:
        return folder(one) in ("inside", "programs")
    if folder(one) in BESIDE:
        return folder(name) == "programs"
    return folder(one) == folder(name) or row(one) < row(name) or (row(name) == 0 and row(one) == 0)


def test_what_is_granted_to_agents_is_ground_the_client_and_what_runs_inside() -> None:
    granted = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in grants.sources()
    }
    inside = {name for name in ALL if name.startswith("anvilsrv.") and folder(name) in ORDER[0] | {"inside"}}
    assert granted == inside | INSIDE | {"anvilsrv"} | {f"anvilsrv.{name}" for name in FORWARDS - {"cli"}}


@pytest.mark.parametrize("name", ALL)
def test_a_module_imports_only_what_lies_below_it(name: str) -> None:
    for one in imports(ALL[name], name) & set(ALL) - {name}:
        assert below(name, one), f"{name} imports {one}, which does not lie below it"


def test_no_module_imports_itself_through_others() -> None:
    """Not even for its types."""
    TopologicalSorter({name: imports(path, name) & set(ALL) - {name} for name, path in ALL.items()}).prepare()


@pytest.mark.parametrize(("package", "composes"), [("tui", "tui.anvillm"), ("acme.lib", "acme.lib.app")])
def test_one_module_alone_imports_what_stands_on_the_screen(package: str, composes: str) -> None:
    """A screen, or a window, knows the others by what its host opens."""
    defined = {name: {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef)}
               for name, path in ALL.items() if name.startswith(package)}  # fmt: skip
    shown = {name for name, classes in defined.items() if classes & SCREENS[package]}
    assert shown
    for name in defined:
        assert name == composes or not imports(ALL[name], name) & shown - {name}, name


def test_the_9p_library_needs_the_standard_library_alone() -> None:
    for name in some(name for name in ALL if name.startswith("anvilsrv.p9")):
        for one in imports(ALL[name], name):
            top = one.split(".")[0]
            assert top in sys.stdlib_module_names or top == "anvilsrv", f"{name} imports {one}"


@pytest.mark.parametrize("library", THIRD_PARTY)
def test_the_modules_alone_use_a_library_that_stand_for_it(library: str) -> None:
    users = {name for name, path in ALL.items() if library in {one.split(".")[0] for one in imports(path, name)}}
    assert users <= THIRD_PARTY[library]
