"""Tab in bash, zsh and fish: commands, options, and what a live daemon has."""

import re
import shutil
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import click
import pexpect
import pytest

from anvilsrv.inside.skills import commands as skills
from anvilsrv.programs.cli import main as anvilsrv
from sandbox.cli import commands as anvil_sandbox
from tests.conftest import ROOT, Daemon, Home, some

PROGRAMS = Path(sys.prefix) / "bin"
HERE = ROOT / "completions"

# What is typed before Tab, and what is offered.
OFFERED = {
    "anvilsrv st": {"start", "stop", "status"},
    "anvilsrv fgstart -": {"-D"},
    "anvilsrv ask hel": {"hello"},
    "anvilsrv attach hel": {"hello"},
    "anvilsrv run she": {"shell"},
    "anvilsrv login she": {"shell"},
    "anvilsrv run --role pack": {"packager"},
    "anvilsrv status --": {"--short"},
    "anvil9p read": {"read", "readfd"},
    "anvil9p read agent/hel": {"agent/hello/"},
    "anvil9p read agent/hello/s": {"agent/hello/sandbox", "agent/hello/state"},
    "anvil9p read agent/beads/": {"agent/beads/ctl", "agent/beads/list", "agent/beads/ready"},
    "anvil-sandbox s": {"show", "setup"},
    "anvil-sandbox show --role pack": {"packager"},
    "anvil-sandbox why --ro": {"--ro", "--rox", "--role"},
    "anvillm-skills load bea": {"beads"},
    "9p-read-inbox hel": {"hello"},
    "Alog hel": {"hello"},
    "Assist inb": {"inbox"},
    "anvilweb --un": {"--unsafe-listen"},
}


@pytest.fixture
def live(daemon: Daemon) -> Home:
    """A home with a daemon, a session `hello` and a role of its own."""
    daemon.client().write("ctl", f"new shell {daemon.home.work} alias=hello\n".encode())
    roles = daemon.home.home / ".config/anvillm/roles"
    roles.mkdir(parents=True, exist_ok=True)
    (roles / "packager.yaml").write_text("network: {enabled: false}\n")
    daemon.home.env["PATH"] = f"{PROGRAMS}:{ROOT / 'bin'}:{ROOT / 'acme'}:{daemon.home.env['PATH']}"
    daemon.home.env.pop("XDG_CONFIG_HOME", None)
    return daemon.home


def bash(home: Home, typed: str) -> set[str]:
    """Return what the function that bash calls offers."""
    script = """
    . "$1"/anvillm.bash
    compopt() { :; }
    read -ra COMP_WORDS <<<"$2"; [[ $2 != *' ' ]] || COMP_WORDS+=('')
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    "$(complete -p "${COMP_WORDS[0]}" | sed 's/.*-F \\([^ ]*\\).*/\\1/')" "${COMP_WORDS[0]}"
    printf '%s\\n' "${COMPREPLY[@]}"
    """
    done = home.run("bash", "--norc", "-c", script, "bash", str(HERE), typed)
    assert not done.stderr
    return set(done.stdout.split())


def fish(home: Home, typed: str) -> set[str]:
    done = home.run("fish", "--no-config", "-c", f"source {HERE}/anvillm.fish; complete -C {typed!r}")
    assert not done.stderr
    return {line.partition("\t")[0] for line in done.stdout.splitlines()}


def zsh(home: Home, typed: str) -> set[str]:
    """Return the words on the screen after Tab was pressed twice: zsh can be asked in no other way."""
    env = {**home.env, "TERM": "dumb"}
    shell = pexpect.spawn("zsh", ["-f", "-i"], env=env, cwd=str(home.work), encoding="utf-8", timeout=20)
    try:
        shell.setwinsize(200, 300)
        shell.sendline(
            f"fpath=({HERE} $fpath); autoload -Uz compinit; compinit -D -u; unsetopt auto_menu; unset zle_bracketed_paste"
        )
        shell.sendline("PS1='rea''dy> '; LISTMAX=1000")
        shell.expect("\rready> ")
        shell.send(f"{typed}\t\t")
        shell.send("\x15echo do''ne\n")  # ^U: what was completed is not run
        shell.expect("done\r")
        return set(re.findall(r"[\w./-]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shell.before or "")))
    finally:
        shell.close(force=True)


SHELLS: dict[str, Callable[[Home, str], set[str]]] = {"bash": bash, "fish": fish, "zsh": zsh}


@pytest.mark.parametrize("name", ["bash", "fish", pytest.param("zsh", marks=pytest.mark.slow(20))])
def test_tab_offers_commands_options_and_what_the_daemon_has(name: str, live: Home) -> None:
    if not shutil.which(name):
        pytest.skip(f"no {name}")
    for typed, expected in OFFERED.items():
        assert expected <= SHELLS[name](live, typed), typed


def test_every_program_is_completed_in_every_shell() -> None:
    scripts = {path.name for path in (ROOT / "acme").iterdir() if path.is_file() and "." not in path.name}
    scripts |= {path.name for path in (ROOT / "bin").iterdir()}
    programs = (scripts | set(_console_scripts())) - {"anvillm-hook"}  # which nobody types
    for file in some(HERE.iterdir()):
        words = set(re.findall(r"[\w-]+", file.read_text()))
        assert programs <= words, (file.name, programs - words)


def _console_scripts() -> list[str]:
    return list(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"])


def test_without_a_daemon_nothing_is_offered_and_nothing_is_said(home: Home) -> None:
    home.env["PATH"] = f"{PROGRAMS}:{home.env['PATH']}"
    assert bash(home, "anvil9p read agent/x") == set()


def options(command: click.Command) -> set[str]:
    """Return the long options of a program and of its commands."""
    own = {name for one in command.params for name in one.opts if name.startswith("--")}
    return own.union(*(options(one) for one in getattr(command, "commands", {}).values() if not one.hidden))


def test_every_option_is_completed_in_each_shell() -> None:
    programs = {"anvilsrv": anvilsrv, "anvil-sandbox": anvil_sandbox, "anvillm-skills": skills}
    for shell, path in {"bash": "anvillm.bash", "zsh": "_anvillm", "fish": "anvillm.fish"}.items():
        text = (HERE / path).read_text()
        for program, command in programs.items():
            missing = {one for one in options(command) if not re.search(rf"\b{one[2:]}\b", text)}
            assert not missing, f"{program} in {shell}: {missing}"
