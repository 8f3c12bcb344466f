"""`./quickstart` on systems that lack something: with stand-ins for their package managers, up to where the environment is made."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT

TOOLS = ("sh", "dirname", "mktemp", "rm", "cat", "grep")
NEW, OLD = "3.12.1", "3.9.2"
UBUNTU = ("python3.11", "python3.11-venv")  # beside an older python3


class System:
    """A PATH with nothing but a few tools and what the test puts there; what was asked of the package manager."""

    def __init__(self, top: Path, manager: str, uid: int) -> None:
        self.bin, self.asked = top / "bin", top / "asked"
        self.bin.mkdir()
        for tool in TOOLS:
            (self.bin / tool).symlink_to(shutil.which(tool) or tool)
        self.program("id", f"echo {uid}")
        if manager:
            self.program(manager, f"echo {manager} $* >>{self.asked}; for one; do case $one in")
            with (self.bin / manager).open("a") as file:
                file.write(f"tmux) echo >{self.bin}/tmux; {self.chmod} +x {self.bin}/tmux ;;\n")
                for name in ("python", "python3", "python3.11"):
                    where = self.bin / ("python3" if name == "python" else name)
                    file.write(f"{name}) cp {top}/python {where} ;;\n")
                file.write("esac; done\n")
            (self.bin / "cp").symlink_to(shutil.which("cp") or "cp")
        if manager == "apt-get":
            self.program("apt-cache", f"case $2 in {'|'.join(UBUNTU)}) exit 0; esac; exit 100")
        self.python(top / "python", NEW)

    @property
    def chmod(self) -> str:
        return shutil.which("chmod") or "chmod"

    def program(self, name: str, text: str) -> None:
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def python(self, path: Path, version: str, venv: bool = True) -> None:
        """One that knows its version and whether it has what makes environments; making one ends the script with status 7."""
        new = 0 if version == NEW else 1
        path.write_text(
            f"#!/bin/sh\ncase $* in *version_info*) exit {new} ;; *ensurepip*) exit {0 if venv else 1} ;;\n"
            f"--version) echo Python {version} ;; *'-m venv'*) exit 7 ;; esac\n"
        )
        path.chmod(0o755)

    def quickstart(self, tmp_path: Path) -> "subprocess.CompletedProcess[str]":
        """Run a copy of it that has no environment yet."""
        tree = tmp_path / "tree"
        tree.mkdir(exist_ok=True)
        shutil.copy(ROOT / "quickstart", tree)
        env = {"PATH": str(self.bin), "HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
        return subprocess.run([tree / "quickstart"], env=env, capture_output=True, text=True, timeout=60)

    def installed(self) -> list[str]:
        return self.asked.read_text().splitlines() if self.asked.exists() else []


@pytest.mark.parametrize(
    ("manager", "asked"),
    [
        ("apt-get", ["apt-get update", "apt-get install -y python3 python3-venv tmux"]),
        ("dnf", ["dnf install -y python3 tmux"]),
        ("pacman", ["pacman -S --needed --noconfirm python tmux"]),
    ],
)
def test_root_gets_everything_that_is_missing_in_one_command(tmp_path: Path, manager: str, asked: list[str]) -> None:
    system = System(tmp_path, manager, 0)
    done = system.quickstart(tmp_path)
    assert (done.returncode, system.installed()) == (7, asked), done.stderr
    assert "making a private environment" in done.stderr
    assert list(tmp_path.glob("tmp.*")) == []


@pytest.mark.parametrize(
    ("manager", "command"),
    [
        ("apt-get", "apt-get update && apt-get install -y python3 python3-venv tmux"),
        ("dnf", "dnf install -y python3 tmux"),
        ("pacman", "pacman -S --needed --noconfirm python tmux"),
    ],
)
def test_a_user_is_told_the_one_command_to_type(tmp_path: Path, manager: str, command: str) -> None:
    system = System(tmp_path, manager, 1000)
    done = system.quickstart(tmp_path)
    assert (done.returncode, system.installed()) == (1, [])
    assert done.stderr == f"quickstart: type as root:  {command}\n"


def test_sudo_is_used_if_it_asks_for_nothing_and_named_if_it_asks(tmp_path: Path) -> None:
    system = System(tmp_path, "dnf", 1000)
    system.program("sudo", "exit 1")
    done = system.quickstart(tmp_path)
    assert (done.returncode, done.stderr) == (1, "quickstart: type:  sudo sh -c 'dnf install -y python3 tmux'\n")
    assert system.installed() == []
    shutil.rmtree(tmp_path / "tree")
    system.program("sudo", 'case $1 in -n) exit 0; esac; exec "$@"')
    done = system.quickstart(tmp_path)
    assert (done.returncode, system.installed()) == (7, ["dnf install -y python3 tmux"]), done.stderr


def test_a_python_without_venv_is_completed_on_debian(tmp_path: Path) -> None:
    system = System(tmp_path, "apt-get", 1000)
    system.python(system.bin / "python3", NEW, venv=False)
    system.program("tmux", "")
    done = system.quickstart(tmp_path)
    assert done.stderr == "quickstart: type as root:  apt-get update && apt-get install -y python3-venv\n"


@pytest.mark.parametrize(
    ("manager", "missing"), [("apt-get", "python3.11 python3.11-venv tmux"), ("dnf", "python3.11 tmux")]
)
def test_beside_an_old_python_a_newer_one_is_installed(tmp_path: Path, manager: str, missing: str) -> None:
    system = System(tmp_path, manager, 0)
    system.python(system.bin / "python3", OLD)
    done = system.quickstart(tmp_path)
    assert (done.returncode, system.installed()[-1]) == (7, f"{manager} install -y {missing}"), done.stderr


def test_an_unknown_system_is_told_what_is_missing(tmp_path: Path) -> None:
    done = System(tmp_path, "", 0).quickstart(tmp_path)
    assert (done.returncode, done.stderr) == (1, "quickstart: missing, install it first: python3 tmux\n")


def test_a_manager_that_fails_is_quoted(tmp_path: Path) -> None:
    system = System(tmp_path, "dnf", 0)
    system.program("dnf", "echo no such mirror >&2; exit 1")
    done = system.quickstart(tmp_path)
    assert done.returncode == 1
    assert "no such mirror\n" in done.stderr
    assert "that failed; run it yourself" in done.stderr


def test_without_a_pseudo_terminal_it_ends_with_what_doctor_says_to_do(tmp_path: Path) -> None:
    system = System(tmp_path, "", 1000)
    system.python(system.bin / "python3", NEW)
    system.program("tmux", "exit 0")
    programs = tmp_path / "tree/.venv/bin"
    programs.mkdir(parents=True)
    for name, text in {
        "python": "case $* in *openpty*) exit 1 ;; esac",
        "anvil-sandbox": "exit 0",
        "anvilsrv": "case $1 in doctor) printf 'ok\\ttmux\\ndo\\tterminals\\tmount devpts\\n' ;; *) echo started; esac",
    }.items():
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    (tmp_path / "tree/pyproject.toml").touch()
    os.utime(tmp_path / "tree/pyproject.toml", (0, 0))
    (tmp_path / "tree/.venv/installed").touch()
    done = system.quickstart(tmp_path)
    assert done.returncode == 1
    assert "do\tterminals\tmount devpts\n" in done.stderr
    assert "no pseudo-terminal" in done.stderr and "anvilsrv doctor" in done.stderr
    assert "started" not in done.stdout and "tmux\n" not in done.stderr
