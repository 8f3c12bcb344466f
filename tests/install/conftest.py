"""Two wheels of the tree, this version and a next one, built once for all workers; a home to install into."""

import fcntl
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tests.conftest import ROOT, Home

NEXT = "99.1"
NOT_SOURCE = (".*", "__pycache__", "*.egg-info", "build", "dist", "node_modules", "tests")


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """This version, and one that says it is newer, has a changed role, and has lost a task."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "wheels"
    shared.mkdir(exist_ok=True)
    with open(shared / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / "done").exists():
            build(shared)
            (shared / "done").touch()
    return next((shared / "now").glob("*.whl")), next((shared / "next").glob("*.whl"))


def build(shared: Path) -> None:
    source = shared / "source"
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(*NOT_SOURCE), symlinks=True)
    argv = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
    done = subprocess.run([*argv, "-w", str(shared / "now"), str(source)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    shutil.rmtree(source)
    (shared / "next").mkdir()
    now = next((shared / "now").glob("*.whl"))
    with zipfile.ZipFile(now) as old, zipfile.ZipFile(shared / "next" / now.name, "w") as new:
        for one in old.infolist():
            if not one.filename.endswith("cfg/tasks/maven.yaml"):
                new.writestr(one, changed(one.filename, old.read(one)))


def changed(name: str, content: bytes) -> bytes:
    """Return a file of the next version."""
    if name == "anvilsrv/__init__.py":
        return content.replace(b'__version__ = "', f'__version__ = "{NEXT}.'.encode())
    if name.endswith(("cfg/roles/default.yaml", "cfg/roles/reader.yaml")):
        return content + b"# of the next version\n"
    return content


def borrow(env: Path) -> None:
    """Make an environment that finds the dependencies in the one that runs the tests: what pip has nothing to fetch
    for.
    """
    done = subprocess.run([base_python(), "-m", "venv", str(env)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr + done.stdout
    site = env / f"lib/python{sysconfig.get_python_version()}/site-packages"
    packages = Path(click.__file__).parent.parent
    for package in ("click", "yaml"):  # an agent sees this environment, not the other
        shutil.copytree(packages / package, site / package)
    (site / "borrowed.pth").write_text(f"{packages}\n")


def base_python() -> str:
    return str(Path(sys.base_prefix) / f"bin/python{sysconfig.get_python_version()}")


def listing(top: Path) -> dict[str, str]:
    """Return every name below ``top``, with what it is: a directory, a link's target, a file's content."""
    found = {}
    for path in sorted(top.rglob("*")):
        name = str(path.relative_to(top))
        found[name] = os.readlink(path) if path.is_symlink() else "/" if path.is_dir() else path.read_bytes().hex()
    return found


@pytest.fixture
def lived_in(home: Home) -> Iterator[Home]:
    """A home with things of its own in it, and ~/bin on the PATH; its state and beads are kept elsewhere."""
    for name, text in {
        ".config/other/settings": "mine\n",
        ".config/anvillm/roles/mine.yaml": "filesystem: {rw: ['{CWD}']}\n",
        ".local/share/man/man1/mine.1": ".Dd today\n",
        "bin/mine": "#!/bin/sh\n",
        ".claude.json": '{"numStartups":7,  "mcpServers": {}}',
        ".kiro/settings/cli.json": "{}",
        "lib/plumbing": "include basic\n",
    }.items():
        path = home.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    tools = home.top / "tools"
    tools.mkdir()
    (tools / "python3").symlink_to(base_python())
    home.env |= {
        "PATH": f"{home.home}/bin:{tools}:{os.environ['PATH']}",
        "XDG_STATE_HOME": str(home.top / "state"),
        "ANVILLM_BEADS_PATH": str(home.top / "beads"),
        "RUSTUP_HOME": str(home.top / "rustup"),  # pip asks rustc for its version, and rustup's makes files
    }
    home.env.pop("PYTHONPATH", None)
    yield home
    home.anvilsrv("stop")
