"""Imports point down only (the layers are those of the architecture section of the README)."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Each row may import from itself and the rows above it. What is not named in anvilsrv/ is layer 1.
LAYER_0 = {"anvilsrv", "anvilsrv.errors", "anvilsrv.paths", "anvilsrv.words"}
LAYER_2 = {
    "anvilsrv.fs",
    "anvilsrv.files",
    "anvilsrv.drafts",
    "anvilsrv.streams",
    "anvilsrv.hookfile",
    "anvilsrv.beadsdir",
    "anvilsrv.app",
}
LAYER_3 = {
    "anvilsrv.daemon", "anvilsrv.cli", "anvilsrv.mcpserver", "anvilsrv.mcptools", "anvilsrv.hook", "anvilsrv.anvil9p",
    "anvilsrv.shellagent", "anvilsrv.skills", "anvilsrv.doctor", "anvilsrv.export", "anvilsrv.inbox", "anvilsrv.notify",
}  # fmt: skip
# These speak 9P only: of anvilsrv they may use layer 0.
FRONT_ENDS = ("acme", "tui", "web")
SPEAK_9P_ONLY = {
    "anvilsrv.hook", "anvilsrv.mcpserver", "anvilsrv.mcptools", "anvilsrv.anvil9p", "anvilsrv.inbox", "anvilsrv.notify",
}  # fmt: skip
THIRD_PARTY = {"libtmux": {"anvilsrv.tmux"}}


def modules() -> Iterator[tuple[str, Path]]:
    for top in ("anvilsrv", "sandbox", *FRONT_ENDS):
        for path in sorted((ROOT / top).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            yield name.removesuffix(".__init__"), path


def layer(name: str) -> int:
    if name in LAYER_0 or name.startswith(("anvilsrv.p9", "anvilsrv.front")):
        return 0
    if name in LAYER_2:
        return 2
    return 3 if name in LAYER_3 or name.split(".")[0] in FRONT_ENDS else 1


def imports(path: Path, name: str) -> set[str]:
    found: set[str] = set()
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                up = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*up, base] if base else up)
            found |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    return found


ALL = dict(modules())


@pytest.mark.parametrize("name", ALL)
def test_a_module_imports_only_what_lies_below_it(name: str) -> None:
    ours = {one for one in imports(ALL[name], name) if one in ALL}
    for one in ours - {name}:
        if name.startswith("sandbox"):
            assert one.startswith("sandbox"), f"sandbox knows nothing of the daemon, but imports {one}"
        elif layer(name) == 0:
            assert layer(one) == 0, f"{name} is at the bottom, but imports {one}"
        elif name.split(".")[0] in FRONT_ENDS or name in SPEAK_9P_ONLY:
            assert layer(one) in (0, 3), f"{name} speaks 9P only, but imports {one}"
            top = one.split(".")[0]
            assert top not in FRONT_ENDS or name.startswith(top), f"{name} is one front-end and imports another, {one}"
        else:
            assert layer(one) <= layer(name), f"{name} imports {one}, which lies above it"


def test_the_9p_library_needs_the_standard_library_alone() -> None:
    import sys

    for name, path in ALL.items():
        if name.startswith("anvilsrv.p9"):
            for one in imports(path, name):
                top = one.split(".")[0]
                assert top in sys.stdlib_module_names or one in ALL or one.startswith("anvilsrv"), (
                    f"{name} imports {one}"
                )


@pytest.mark.parametrize("library", THIRD_PARTY)
def test_one_module_alone_uses_the_library_that_it_stands_for(library: str) -> None:
    users = {name for name, path in ALL.items() if library in {one.split(".")[0] for one in imports(path, name)}}
    assert users <= THIRD_PARTY[library]
