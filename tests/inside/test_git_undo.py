"""What was changed between two checkpoints is taken back: exactly, or not at all, whatever is killed."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from anvilsrv.inside import git_checkpoint, git_undo
from anvilsrv.inside.git_tree import Refused, Tree

LIMIT = 1 << 20


class Place:
    """A work tree and the directory of its checkpoints."""

    def __init__(self, top: Path) -> None:
        self.top, check = top / "work", top / "check"
        self.top.mkdir()
        subprocess.run(["git", "init", "-q", "--bare", str(check)], check=True)
        subprocess.run(["git", f"--git-dir={check}", "config", "core.bare", "false"], check=True)
        self.tree = Tree("0", str(self.top), str(check), "")

    def sh(self, script: str) -> None:
        subprocess.run(["sh", "-ec", script], cwd=self.top, check=True)

    def now(self) -> str:
        return git_checkpoint.make(self.tree, LIMIT)[0]

    def undo(self, old: str, new: str) -> list[str]:
        return git_undo.take_back([self.tree], [[{"0": old}, {"0": new}]], {"0": self.now()})

    def all(self) -> dict[str, str]:
        """Return every file, and what is in it or where it leads."""
        found = {}
        for path in sorted(self.top.rglob("*")):
            name = str(path.relative_to(self.top))
            if path.is_symlink():
                found[name] = f"-> {os.readlink(path)}"
            elif path.is_file():
                found[name] = f"{path.stat().st_mode & 0o111:o} {path.read_text()}"
        return found


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


SWAPS = {
    "a file becomes a directory": ("echo x > a", "rm a; mkdir a; echo y > a/b"),
    "a directory becomes a file": ("mkdir a; echo y > a/b", "rm -r a; echo x > a"),
    "a file becomes a link": ("echo x > a", "rm a; ln -s /etc/passwd a"),
    "a link becomes a directory": ("ln -s /tmp a", "rm a; mkdir a; echo x > a/b"),
    "a directory becomes a link": ("mkdir a; echo x > a/b; echo y > c", "rm -r a; ln -s . a"),
    "a mode changes": ("echo x > a", "chmod +x a"),
    "odd names": ("echo x > 'a b'", "echo y > '-n'; echo z > \"$(printf 'n\\nl')\"; echo q > ':(top)x'; rm 'a b'"),
    "all goes": ("mkdir d; echo x > d/a; echo y > b", "rm -r d b"),
    "binary": ("printf '\\0\\1' > a", "printf '\\0\\2' > a"),
}


@pytest.mark.parametrize("swap", SWAPS)
def test_every_swap_is_taken_back_exactly(place: Place, swap: str) -> None:
    before, change = SWAPS[swap]
    place.sh(before)
    old, was = place.now(), place.all()
    place.sh(change)
    new, then = place.now(), place.all()
    assert was != then
    place.undo(old, new)
    assert place.all() == was
    place.undo(new, old)
    assert place.all() == then


def test_what_the_rules_of_before_ignore_stays(place: Place) -> None:
    place.sh(
        "printf '.env\\nbuild/\\n*.o\\n' > .gitignore; mkdir -p build d; echo s > .env; echo x > build/x; echo o > d/a.o"
    )
    old = place.now()
    place.sh(": > .gitignore; echo y > d/y; echo z > build/z")
    new = place.now()
    place.undo(old, new)
    assert {".env", "build/x", "build/z", "d/a.o"} <= place.all().keys() and "d/y" not in place.all()
    assert "*.o" in place.all()[".gitignore"]


def test_what_is_ignored_now_and_lies_in_the_way_is_not_overwritten(place: Place) -> None:
    place.sh("echo old > x.cfg")
    old = place.now()
    place.sh("rm x.cfg; echo x.cfg > .gitignore")
    new = place.now()
    place.sh("echo precious > x.cfg")
    with pytest.raises(Refused) as caught:
        place.undo(old, new)
    assert caught.value.paths == ["x.cfg"] and place.all()["x.cfg"] == "0 precious\n"


def test_a_link_leads_no_undo_out_of_the_tree(place: Place, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/a").write_text("mine\n")
    place.sh("mkdir d; echo x > d/a")
    old = place.now()
    place.sh("echo y > d/a")
    new = place.now()
    place.sh(f"rm -r d; ln -s {tmp_path}/outside d")
    with pytest.raises(Refused):
        place.undo(old, new)
    assert (tmp_path / "outside/a").read_text() == "mine\n"


def in_a_child(what: Callable[[], None]) -> bool:
    """Do it in a process group of its own; whether it was killed."""
    child = os.fork()
    if not child:
        os.setpgid(0, 0)
        try:
            what()
        finally:
            os._exit(0)
    return os.waitpid(child, 0)[1] != 0


@pytest.mark.slow(40)
def test_an_undo_that_was_killed_is_taken_back_or_done(place: Place, tmp_path: Path) -> None:
    place.sh("mkdir many; for n in $(seq 400); do echo $n > many/$n; done; echo x > a; : > z")
    old, was = place.now(), place.all()
    place.sh("for n in $(seq 300); do echo more >> many/$n; done; rm a many/400; mkdir a; echo y > a/b; echo new > new")
    new, then = place.now(), place.all()
    seen = set[str]()
    for moment in (*range(1, 12), *range(12, 80, 4)):

        def undo(moment: int = moment) -> None:
            signal.signal(signal.SIGALRM, lambda *_: os.killpg(0, signal.SIGKILL))
            signal.setitimer(signal.ITIMER_REAL, moment * 0.005)
            place.undo(old, new)

        in_a_child(undo)
        git_undo.recover(place.tree)
        found = place.all()
        assert found in (was, then), moment
        seen.add("done" if found == was else "taken back")
        place.sh("rm -rf ./* .gitignore")
        shutil.rmtree(f"{place.tree.directory}/rules", ignore_errors=True)
        index = f"{place.tree.directory}/index"
        place.tree.git("read-tree", new)
        place.tree.git("checkout-index", "-f", "-a")
        assert place.all() == then and os.path.exists(index)
    assert seen
