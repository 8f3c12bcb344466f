"""`anvilsrv doctor` tells each fault once, with what to do, and nothing else as a thing to do."""

import os
import subprocess
import sys

import pytest

from anvilsrv.programs import doctor
from tests.conftest import Home
from tests.programs.worlds import WORLDS, Row, World

pytestmark = pytest.mark.slow(1)  # alone; but together they take almost a minute
MACHINE = os.uname().machine
# Each is a filter of system calls around the program, as a container or an old kernel has it.
FILTER = """
import ctypes, os, struct, sys
ANSWERS = {answers}
def op(code, yes, no, k): return struct.pack("HBBI", code, yes, no, k)
lines = [op(0x20, 0, 0, 0)]
for number, errno, flag in ANSWERS:
    if flag:
        lines += [op(0x15, 0, 3, number), op(0x20, 0, 0, 16), op(0x45, 0, 1, flag), op(0x06, 0, 0, 0x50000 | errno), op(0x20, 0, 0, 0)]
    else:
        lines += [op(0x15, 0, 1, number), op(0x06, 0, 0, 0x50000 | errno)]
code = b"".join(lines) + op(0x06, 0, 0, 0x7fff0000)
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_char_p)]
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.byref(Program(len(code) // 8, code)), 0, 0) == 0, ctypes.get_errno()
os.execv(sys.executable, [sys.executable, "-m", "anvilsrv.programs.cli", "doctor"])
"""
LANDLOCK = 444
UNSHARE = {"x86_64": 272, "aarch64": 97}.get(MACHINE, 0)
CLONE_NEWUSER = 0x10000000


def wrong(lines: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    return [line for line in lines if line[0] == "do"]


def test_there_are_enough_worlds_and_none_twice() -> None:
    assert len({row.name for row in WORLDS}) == len(WORLDS) > 40


@pytest.mark.parametrize("row", WORLDS, ids=lambda row: row.name)
def test_each_fault_is_told_once_with_what_to_do(row: Row, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(home, monkeypatch)
    row.arrange(world)
    said: list[str] = []
    status = doctor.examine(said.append)
    lines = [tuple(line.split("\t")) for line in said]
    words = row.words.format(**world.places(), state=world.state)
    found = [line for line in lines if line[:2] == (row.verdict, row.subject) and words in line[2]]
    assert len(found) == 1, "\n".join(said)
    assert wrong(lines) == (found if row.verdict == "do" else [])
    assert status == (row.verdict == "do")


def said(done: "subprocess.CompletedProcess[str]") -> list[tuple[str, ...]]:
    assert done.stderr == ""
    return [tuple(line.split("\t")) for line in done.stdout.splitlines()]


def filtered(home: Home, *answers: tuple[int, int, int]) -> list[tuple[str, ...]]:
    """Return what is said where these system calls (only with a flag among their arguments, if one is given) end with
    an errno.
    """
    home.env["PATH"] = "/usr/bin:/bin"
    return said(home.run(sys.executable, "-c", FILTER.replace("{answers}", repr(answers))))


@pytest.mark.skipif(not UNSHARE, reason="system calls of this machine")
@pytest.mark.parametrize(("answers", "words"), [
    ([(LANDLOCK, 38, 0)], "Landlock"),
    ([(LANDLOCK, 95, 0)], "Landlock is switched off: boot with lsm=landlock,"),
    ([(UNSHARE, 1, CLONE_NEWUSER)], "user namespaces away"),
])  # fmt: skip
def test_a_kernel_that_gives_less_is_told_once(home: Home, answers: list[tuple[int, int, int]], words: str) -> None:
    lines = filtered(home, *answers)
    assert [line[1] for line in wrong(lines)] == ["sandbox"], lines
    assert words in wrong(lines)[0][2]


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to make a chroot")
def test_in_a_chroot_the_chroot_is_named(home: Home) -> None:
    inside = home.top / "inside"
    inside.mkdir()
    script = (
        'for one in /*; do [ -d "$one" ] && [ ! -L "$one" ] && mkdir "$0$one" && mount --rbind "$one" "$0$one"; '
        '[ -L "$one" ] && cp -P "$one" "$0$one"; done; exec chroot "$0" "$@"'
    )
    program = (sys.executable, "-m", "anvilsrv.programs.cli", "doctor")
    home.env["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin"
    done = home.run("unshare", "-m", "sh", "-c", script, str(inside), *program)
    if done.returncode not in (0, 1):
        pytest.skip(f"no chroot can be made here: {done.stderr}")
    lines = said(done)
    assert [line[1] for line in wrong(lines)] == ["sandbox"], lines
    assert "in a chroot" in wrong(lines)[0][2]
