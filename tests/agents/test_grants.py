"""Of our own code an agent sees what runs inside and nothing else, and that works: with mounts and without."""

import ast
import json
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from anvilsrv.agents import grants
from sandbox import kernel, landlock, seccomp, tiers
from tests.conftest import ROOT, Daemon, Home
from tests.session import Session

TOPS = ("anvilsrv", *grants.PACKAGES)
READ = """
import json, sys
found = []
for path in json.load(sys.stdin):
    try:
        with open(path, "rb") as file:
            file.read(1)
        found.append(path)
    except OSError:
        pass
print(json.dumps(found))
"""
HELLO = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
    "protocolVersion": "2025-03-26", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}}  # fmt: skip


def no_namespaces() -> None:
    """As on a kernel that gives no user namespaces."""
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    seccomp.install(seccomp.assemble([seccomp.Rule("unshare", seccomp.EPERM)]))


@pytest.fixture(params=["mounts", "no mounts"])
def shell(request: pytest.FixtureRequest, home: Home) -> Iterator[Session]:
    """A shell session of a daemon on a kernel that gives the full tier, or only one without mounts."""
    home.env["PATH"] = f"{Path(sys.executable).parent}:{home.env['PATH']}"
    home.config.mkdir(parents=True)
    (home.config / "global.yaml").write_text("general: {best_effort: true}\n")
    if landlock.abi() < 1 or (request.param == "mounts" and tiers.probe().tier != "full"):
        pytest.skip("this kernel does not give the tier")
    daemon = Daemon(home, no_namespaces if request.param == "no mounts" else None)
    try:
        made = Session.new(daemon.start())
        assert made.read("sandbox").startswith("tier\tfull\t") == (request.param == "mounts")
        yield made
    finally:
        daemon.close()


def ours() -> list[Path]:
    """Return every module of ours, and what it was compiled to."""
    return [path for top in TOPS for path in (ROOT / top).rglob("*.py*")]


def test_an_agent_reads_the_modules_that_run_inside_and_no_other(shell: Session) -> None:
    paths = [str(path) for path in ours()]
    (shell.daemon.home.work / "read.py").write_text(READ)
    (shell.daemon.home.work / "paths").write_text(json.dumps(paths))
    readable = json.loads(shell.ask(f"{shlex.quote(sys.executable)} -I -S read.py <paths"))
    assert {path for path in readable if path.endswith(".py")} == {str(path) for path in grants.sources()}
    compiled = {Path(path).name.partition(".")[0] for path in readable if path.endswith(".pyc")}
    assert compiled <= {path.stem for path in grants.sources()}
    for other in ("anvilsrv/store/store.py", "anvilsrv/tree/table.py", "anvilsrv/app.py", "anvilsrv/p9/server.py",
                  "sandbox/policy.py", "tui/app.py", "web/server.py", "acme/lib/host.py"):  # fmt: skip
        assert str(ROOT / other) in paths, "was moved: what proves something now?"


def test_what_an_agent_types_works_with_that(shell: Session) -> None:
    assert shell.id in shell.ask("anvil9p read agent/list")
    assert shell.ask("9p-read-inbox").startswith("no messages\n")
    assert "anvillm-communication\t" in shell.ask("anvillm-skills list")
    assert shell.ask("echo '{}' | anvillm-hook Note") == ""
    assert json.loads(shell.ask(f"echo {shlex.quote(json.dumps(HELLO))} | anvilmcp"))["result"]["serverInfo"]


def test_skills_of_the_user_are_there_too(home: Home) -> None:
    skill = home.config / "skills/mine/SKILL.md"
    skill.parent.mkdir(parents=True)
    skill.write_text("---\nname: mine\ndescription: My own.\n---\nmy text\n")
    home.env["PATH"] = f"{Path(sys.executable).parent}:{home.env['PATH']}"
    daemon = Daemon(home)
    try:
        assert Session.new(daemon.start()).ask("anvillm-skills load mine") == "my text\n"
    finally:
        daemon.close()


def test_an_agent_that_is_to_work_in_the_source_tree_sees_all_of_it(daemon: Daemon) -> None:
    reader = Session.new(daemon, "shell", "role=reader", cwd=ROOT)
    assert reader.ask("cat anvilsrv/store/store.py") == (ROOT / "anvilsrv/store/store.py").read_text()


def test_the_copy_is_whole(tmp_path: Path) -> None:
    """Each module is imported from it, in an interpreter that finds no other."""
    grants.copy(tmp_path / "code")
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in grants.sources()]
    names = [name.removesuffix(".__init__") for name in names]
    program = (
        f"import sys, importlib; sys.meta_path[:] = [f for f in sys.meta_path if 'ditable' not in repr(f)];"
        f"sys.path.insert(0, {str(tmp_path / 'code')!r})\n"
        f"for name in {names!r}: assert importlib.import_module(name).__file__.startswith({str(tmp_path)!r}), name"
    )
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_what_is_compiled_stays_compiled_in_the_copy(tmp_path: Path) -> None:
    """An agent cannot write there: its hooks would be compiled each time."""
    subprocess.run([sys.executable, "-m", "compileall", "-q", *map(str, grants.sources())], check=True, timeout=60)
    grants.copy(tmp_path / "code")
    argv = [sys.executable, "-v", "-I", "-S", str(tmp_path / "code/anvilsrv/inside/hook.py"), "--help"]
    said = subprocess.run(argv, capture_output=True, text=True, timeout=60).stderr
    assert "code object from '" + str(tmp_path / "code/anvilsrv/__pycache__/errors.") in said


def test_each_of_our_packages_is_known() -> None:
    tops = {
        name.partition(".")[0]
        for name in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    }
    assert tops == set(TOPS)
    for name in grants.CLIENT:
        assert ast.parse((ROOT / f"anvilsrv/p9/{name}.py").read_text())
