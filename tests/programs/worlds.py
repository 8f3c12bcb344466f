"""Machines on which something is not as it should be, and what `anvilsrv doctor` must say of each.

A row breaks one thing in a home where all is well. In the line, ``{home}``, ``{ns}``, ``{config}``, ``{state}``, ``{bin}`` (its PATH)
and ``{top}`` stand for paths.
"""

import os
import resource
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from anvilsrv import paths
from tests.conftest import ROOT, Home

TOOLS = ("sh", "env", "true", "tmux", "cat", "id")


class World:
    """A home of its own whose variables are those of this process, and a PATH with little in it."""

    def __init__(self, home: Home, patch: pytest.MonkeyPatch) -> None:
        self.top, self.home, self.ns, self.patch = home.top, home.home, home.namespace, patch
        self.config, self.bin = home.config, home.top / "bin"
        self.bin.mkdir()
        for tool in TOOLS:
            if where := shutil.which(tool):
                (self.bin / tool).symlink_to(where)
        for name in [one for one in os.environ if one not in home.env]:
            patch.delenv(name)
        for name, value in (home.env | {"PATH": str(self.bin)}).items():
            patch.setenv(name, value)
        patch.delenv("PLAN9", raising=False)

    @property
    def state(self) -> Path:
        return paths.state_dir()

    def set(self, name: str, value: object) -> None:
        self.patch.setenv(name, str(value).format(**self.places()))

    def places(self) -> dict[str, object]:
        return {"home": self.home, "ns": self.ns, "config": self.config, "bin": self.bin, "top": self.top}

    def write(self, path: str, text: str, mode: int = 0o600) -> Path:
        """Make a file at a path with the names of ``places``; what a link leads to stays as it is."""
        made = Path(path.format(**self.places()))
        made.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        made.unlink(missing_ok=True)
        made.write_text(text)
        made.chmod(mode)
        return made

    def layer(self, name: str, text: str) -> Path:
        return self.write(f"{{config}}/{name}.yaml", text)

    def program(self, name: str, text: str) -> Path:
        return self.write(f"{{bin}}/{name}", text, 0o755)


Break = Callable[[World], object]


class Row(NamedTuple):
    """What is broken, how, and the line that must be said."""

    name: str
    arrange: Break
    verdict: str
    subject: str
    words: str


def variable(name: str, value: str) -> Break:
    return lambda world: world.set(name, value)


def unset(*names: str) -> Break:
    def arrange(world: World) -> None:
        for name in names:
            world.patch.delenv(name)

    return arrange


def file(path: str, text: str = "", mode: int = 0o600) -> Break:
    return lambda world: world.write(path, text, mode)


def layer(name: str, text: str) -> Break:
    return lambda world: world.layer(name, text)


def program(name: str, text: str) -> Break:
    return lambda world: world.program(name, text)


def no_namespace(then: Break) -> Break:
    def arrange(world: World) -> None:
        world.ns.rmdir()
        then(world)

    return arrange


def state_is(make: Callable[[Path], object]) -> Break:
    """The directory of the state does not exist when ``make`` gets it."""

    def arrange(world: World) -> None:
        world.state.parent.mkdir(mode=0o700, parents=True)
        make(world.state)

    return arrange


def store(text: bytes = b"", version: int = 0) -> Break:
    def arrange(world: World) -> None:
        world.state.mkdir(mode=0o700, parents=True)
        where = world.state / "store.db"
        if text:
            where.write_bytes(text)
            return
        with sqlite3.connect(where) as made:
            made.execute(f"PRAGMA user_version={version}")
            made.execute("CREATE TABLE one(x)")
        made.close()

    return arrange


def owner(path: str) -> Break:
    """Seen as another user's."""

    def arrange(world: World) -> None:
        made = Path(path.format(**world.places()))
        real = os.stat(made)

        def lstat(self: Path) -> os.stat_result:
            found = os.lstat(self)
            return os.stat_result((*found[:4], real.st_uid + 1, *found[5:])) if self == made else found

        world.patch.setattr(Path, "lstat", lstat)

    return arrange


def full(world: World) -> None:
    usage = shutil.disk_usage(world.top)
    world.patch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=3 << 20))


def few_files(world: World) -> None:
    world.patch.setattr(resource, "getrlimit", lambda what: (64, 64))


def no_pty(number: int, missing: str = "") -> Break:
    def arrange(world: World) -> None:
        def refused() -> tuple[int, int]:
            raise OSError(number, os.strerror(number))

        exists = os.path.exists
        world.patch.setattr(os, "openpty", refused)
        world.patch.setattr(os.path, "exists", lambda path: path != missing and exists(path))

    return arrange


def cannot_write(path: str) -> Break:
    def arrange(world: World) -> None:
        access = os.access
        closed = path.format(**world.places())
        world.patch.setattr(
            os, "access", lambda one, mode: not (str(one) == closed and mode & os.W_OK) and access(one, mode)
        )

    return arrange


def both(*breaks: Break) -> Break:
    def arrange(world: World) -> None:
        for one in breaks:
            one(world)

    return arrange


def agent(text: str, needs: str = "requires: {program: bird, version: [--version]}", more: str = "") -> Break:
    """Return a kind of agent of the user's with this program."""
    layers = more or "filesystem: {rwx: ['{CWD}']}"
    return both(
        program("bird", text),
        layer(
            "backends/bird",
            f"backend:\n  command: ['{{PROGRAM}}']\n  {needs}\n  hooks: {{Ready: {{report: ready}}}}\n{layers}\n",
        ),
    )


GLOBAL = (ROOT / "cfg/global.yaml").read_text()
SHELL = (ROOT / "cfg/backends/shell.yaml").read_text()
LONG = "/tmp/" + "x" * 100
WORLDS = (
    Row("nothing", lambda world: None, "ok", "backend shell", "Shell"),
    # home
    Row("a home that does not exist", variable("HOME", "/no/home"), "do", "home", "HOME=/no/home does not exist"),
    Row("an empty HOME", variable("HOME", ""), "do", "home", "HOME is empty"),
    Row("a relative HOME", variable("HOME", "some/where"), "do", "home", "HOME=some/where is not an absolute path"),
    Row("a HOME that is a file", both(file("{top}/file"), variable("HOME", "{top}/file")), "do", "home", "is not a directory"),
    Row("a HOME that is a link", both(lambda w: (w.top / "link").symlink_to(w.home), variable("HOME", "{top}/link")),
        "ok", "configuration", "roles and tasks"),
    Row("a relative XDG_STATE_HOME", variable("XDG_STATE_HOME", "s"), "note", "home", "XDG_STATE_HOME=s is not an absolute path"),
    Row("a relative XDG_CONFIG_HOME", variable("XDG_CONFIG_HOME", "c"), "note", "home", "XDG_CONFIG_HOME=c is not"),
    Row("a relative XDG_DATA_HOME", variable("XDG_DATA_HOME", "./d"), "note", "home", "XDG_DATA_HOME=./d is not"),
    Row("few descriptors", few_files, "do", "limits", "may open only 64 files"),
    # namespace
    Row("a relative NAMESPACE", variable("NAMESPACE", "ns"), "do", "namespace", "NAMESPACE must be an absolute path, not 'ns'"),
    Row("a long NAMESPACE", variable("NAMESPACE", LONG), "do", "namespace", "NAMESPACE is too long"),
    Row("a namespace that is a file", no_namespace(file("{ns}")), "do", "namespace", "{ns} is not a directory: remove it"),
    Row("a namespace that is a link", no_namespace(lambda w: w.ns.symlink_to(w.home)),
        "do", "namespace", "{ns} is not a directory, but a link: remove it"),
    Row("a namespace that is a link to nothing", no_namespace(lambda w: w.ns.symlink_to("/no")),
        "do", "namespace", "but a link: remove it"),
    Row("a namespace open to others", lambda w: w.ns.chmod(0o755), "do", "namespace", "its mode is 0755, not 0700: chmod 700 {ns}"),
    Row("a namespace of another user", owner("{ns}"), "do", "namespace", "{ns} belongs to another user"),
    Row("a namespace below a file", both(file("{top}/file"), variable("NAMESPACE", "{top}/file/ns")),
        "do", "namespace", "{top}/file/ns: Not a directory"),
    Row("a namespace that cannot be made", both(variable("NAMESPACE", "{top}/new"), cannot_write("{top}")), "do", "namespace",
        "cannot make {top}/new: {top} cannot be written"),
    Row("a namespace that is yet to be made", lambda w: w.ns.rmdir(), "ok", "namespace", "(anvilsrv makes it)"),
    Row("a socket that was left over", file("{ns}/agent"), "note", "daemon", "does no harm"),
    # state
    Row("a state that is a file", state_is(Path.touch), "do", "state", "{state} is not a directory"),
    Row("a state that is a link", state_is(lambda path: path.symlink_to("/tmp")),
        "do", "state", "{state} is not a directory, but a link"),
    Row("a state open to others", state_is(lambda path: (path.mkdir(), path.chmod(0o750))), "do", "state", "chmod 700 {state}"),
    Row("a state that cannot be made", cannot_write("{home}"), "do", "state", "{home} cannot be written"),
    Row("XDG_STATE_HOME below a file", both(file("{top}/f"), variable("XDG_STATE_HOME", "{top}/f/x")),
        "do", "state", "set XDG_STATE_HOME"),
    Row("a full disk", full, "do", "state", "3 MB free below"),
    Row("a store that is no database", store(b"garbage" * 100), "do", "state", "{state}/store.db is not a database"),
    Row("a store of a newer version", store(version=9999), "do", "state", "was written by a newer anvilsrv"),
    # beads
    Row("a relative ANVILLM_BEADS_PATH", variable("ANVILLM_BEADS_PATH", "beads"),
        "do", "beads", "ANVILLM_BEADS_PATH=beads is not an absolute path"),
    Row("beads that are a file", file("{home}/.beads"), "do", "beads", "{home}/.beads is not a directory"),
    Row("beads that are a link to nothing", lambda w: (w.home / ".beads").symlink_to("/no/where"), "do", "beads", "a link to nothing"),
    Row("beads that are no database", file("{home}/.beads/anvillm.db", "conflict" * 20), "do", "beads", "anvillm.db is not a database"),
    # configuration
    Row("a configuration that is a file", file("{home}/.config/anvillm"), "do", "configuration", "{config} is not a directory"),
    Row("a global.yaml that is no YAML", layer("global", "a: [\n"), "do", "configuration", "{config}/global.yaml:2: not YAML"),
    Row("a key that global.yaml does not have", layer("global", GLOBAL + "\nfilesytem: {}\n"),
        "do", "configuration", "filesytem: no such key"),
    Row("a global.yaml of another encoding", lambda w: w.layer("global", "").write_bytes(b"\xff\xfe\x00"),
        "do", "configuration", "{config}/global.yaml: cannot be read"),
    Row("a global.yaml with nothing in it", layer("global", ""), "ok", "backend shell", "Shell"),
    Row("a path in global.yaml that is relative", layer("global", "filesystem: {rw: [some/where]}\n"),
        "do", "configuration", "is not absolute"),
    Row("a role that is no YAML", layer("roles/odd", "filesystem: [\n"), "do", "configuration", "{config}/roles/odd.yaml:2: not YAML"),
    Row("a role with a key too many", layer("roles/odd", "filesystem: {rr: [/x]}\n"),
        "do", "configuration", "{config}/roles/odd.yaml:1: filesystem.rr: no such key"),
    Row("a default role that is wrong", layer("roles/default", "network: sometimes\n"),
        "do", "configuration", "{config}/roles/default.yaml:1: network"),
    Row("a task that says a key twice", layer("tasks/odd", "env: [A]\nenv: [B]\n"),
        "do", "configuration", "{config}/tasks/odd.yaml:2: env: duplicate key"),
    Row("a layer that lets itself in", layer("tasks/odd", "general: {best_effort: true}\n"),
        "do", "configuration", "only global.yaml may weaken the sandbox"),
    Row("a new version that waits", file("{config}/roles/lead.yaml.new"),
        "note", "configuration", "compare {config}/roles/lead.yaml.new with yours"),
    # kinds of agent
    Row("a backend that is no YAML", layer("backends/odd", "backend: [\n"), "do", "backend odd", "{config}/backends/odd.yaml:2"),
    Row("a backend with a key too many", layer("backends/odd", SHELL.replace("backend:", "backend:\n  comand: [x]", 1)),
        "do", "backend odd", "comand"),
    Row("a backend whose layer is wrong", layer("backends/odd", SHELL + "\nfilesystem: {ro: 5}\n"), "do", "backend odd", "odd.yaml"),
    Row("a shell whose layer is wrong", layer("backends/shell", SHELL.split("filesystem:")[0] + "\nunix: [nosuch]\n"),
        "do", "backend shell", "shell.yaml"),
    Row("a backend whose Python is wrong", both(layer("backends/odd", SHELL.replace("backend:", "backend:\n  python: odd.py:Odd", 1)),
        file("{config}/backends/odd.py", "import os\nimport nosuch\n")), "do", "backend odd", "No module named 'nosuch'"),
    Row("an agent that is not here", agent("", "requires: {program: nosuch, install: get it}"),
        "note", "backend bird", "no program 'nosuch': get it"),
    Row("an agent whose turns never end", agent("#!/bin/sh\necho bird 1\n"), "note", "backend bird",
        "{config}/backends/bird.yaml: backend.hooks: nothing reports stop"),
    Row("an agent that fails", agent("#!/bin/sh\necho no cheese >&2; exit 3\n"),
        "note", "backend bird", "fails inside the sandbox, with status 3: no cheese"),
    Row("an agent that is no program", agent("\0\1\2"), "note", "backend bird", "fails inside the sandbox"),
    # tmux, terminals
    Row("no tmux", lambda w: (w.bin / "tmux").unlink(), "do", "tmux", "missing: install it"),
    Row("an old tmux", program("tmux", "#!/bin/sh\necho tmux 2.9a\n"), "do", "tmux", "tmux 2.9a is too old: 3.2 or newer"),
    Row("a new tmux", program("tmux", "#!/bin/sh\necho tmux 4.1\n"), "note", "tmux", "newer than those that were tried"),
    Row("a tmux that is no program", program("tmux", "\0\1\2"), "do", "tmux", "{bin}/tmux cannot be run: Exec format error"),
    Row("a tmux that lacks a library", program("tmux", "#!/bin/sh\necho libevent.so: cannot open >&2; exit 127\n"), "do", "tmux",
        "{bin}/tmux ends with status 127: libevent.so: cannot open"),
    Row("a tmux without an interpreter", program("tmux", "#!/no/sh\n"), "do", "tmux", "{bin}/tmux cannot be run: No such file"),
    Row("a tmux where others can write", both(lambda w: (w.bin / "tmux").unlink(), file("{top}/open/tmux", "#!/bin/sh\n", 0o755),
        lambda w: (w.top / "open").chmod(0o777), variable("PATH", "{bin}:{top}/open")),
        "do", "tmux", "{top}/open/tmux is not run: others can write there"),
    Row("no /dev/ptmx", no_pty(2, "/dev/ptmx"), "do", "pty", "there is no /dev/ptmx: mount -t devpts devpts /dev/pts"),
    Row("a /dev/ptmx that is closed", no_pty(13), "do", "pty", "Permission denied (/dev/ptmx has mode"),
    Row("no pseudo-terminal left", no_pty(28), "do", "pty", "all are in use: see /proc/sys/kernel/pty/max"),
    Row("a terminal that is not here", variable("ANVILLM_TERMINAL", "nosuch -e"),
        "do", "terminal", "ANVILLM_TERMINAL: no program 'nosuch'"),
    Row("no terminal", lambda w: None, "note", "terminal", "set ANVILLM_TERMINAL"),
    Row("another anvilsrv", program("anvilsrv", "#!/bin/sh\n"), "note", "PATH", "finds another one first: {bin}/anvilsrv"),
    Row("no anvilsrv in PATH", lambda w: None, "note", "PATH", "no anvilsrv in it: add "),
)  # fmt: skip
