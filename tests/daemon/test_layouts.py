"""Repositories of every layout: a session's turns, diffs and undo leave the user's git directory byte for byte as it was; a commit
changes the branch, the index and the objects, and nothing else.
"""

import os
import re
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.conftest import Daemon, wait_until
from tests.daemon.test_git import IDENTITY, git
from tests.session import Session

BEGIN = (
    "git init -q -b main . && echo one > file && mkdir d && echo d > d/file && printf 'build/\\n' > .gitignore && git add . && "
    "git commit -qm one && git tag t && git branch side && git config user.name u && git config user.email u@x"
)
LIBRARY = "git clone -q . ../library && git -c protocol.file.allow=always submodule --quiet add ../library sub && git commit -qm sub"
CLONE = "rm -rf .git && mv ../clone/.git . && git config user.name u && git config user.email u@x"
POINTER = "version https://git-lfs.github.com/spec/v1\\noid sha256:$h\\nsize 6\\n"
LFS = (
    "printf '*.big filter=lfs diff=lfs merge=lfs -text\\n' > .gitattributes && h=$(printf 'large\\n' | sha256sum | cut -c 1-64) && "
    "o=.git/lfs/objects/$(echo $h | cut -c 1-2)/$(echo $h | cut -c 3-4) && mkdir -p $o && printf 'large\\n' > $o/$h && "
    f'git config filter.lfs.required false && printf "{POINTER}" > a.big && git add . && git commit -qm lfs'
)
#: What the user does, and where the session works.
LAYOUTS = {
    "plain, with changes": (
        "echo x >> file && git add file && git stash -q && echo y >> d/file && echo z > z && git add z && git gc -q", ".",
    ),
    "a linked worktree": ("git worktree add -q wt -b wt", "wt"),
    "a submodule": (LIBRARY, "sub"),
    "a superproject": (LIBRARY, "."),
    "a subdirectory": ("true", "d"),
    "a bare repository with worktrees": (
        "git clone -q --bare . .bare && rm -rf .git && echo 'gitdir: ./.bare' > .git && git worktree add -q wt -b wt", "wt",
    ),
    "shallow": (
        f"git commit -q --allow-empty -m two && git clone -q --depth 1 file://$PWD ../clone && {CLONE}", ".",
    ),
    "partial": (
        f"echo yy > d/file && git commit -qam yy && git config uploadpack.allowFilter true && "
        f"git clone -q --filter=blob:none file://$PWD ../clone && {CLONE}", ".",
    ),
    "sparse": ("mkdir e && echo e > e/e && git add e && git commit -qm e && git sparse-checkout set --cone d", "."),
    "large files": (LFS, "."),
}  # fmt: skip
#: Of the git directory, or of that of a work tree or submodule in it.
CHANGED = re.compile(r"((modules|worktrees)/[^/]+/)?(index|(logs/)?(HEAD|refs/heads/(main|wt))|objects/.*)")


def files(top: Path) -> dict[str, tuple[int, bytes]]:
    """Return the files of a git directory, and how they may be used."""
    return {
        str(path.relative_to(top)): (path.lstat().st_mode, path.read_bytes())
        for path in sorted(top.rglob("*"))
        if path.is_file()
    }


def but_held(found: dict[str, tuple[int, bytes]]) -> dict[str, tuple[int, bytes]]:
    """Without what is held for a session that lives."""
    return {name: value for name, value in found.items() if "refs/anvillm/" not in name}


def made(top: Path, setup: str) -> Path:
    """Return the repository."""
    at = Path(tempfile.mkdtemp(dir=top)) / "repository"
    at.mkdir()
    env = {**os.environ, **dict(word.split("=") for word in IDENTITY.split()), "GIT_CONFIG_GLOBAL": "/dev/null"}
    done = subprocess.run(
        ["sh", "-euc", f"{BEGIN} && {setup}"], cwd=at, env=env, check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return at


@pytest.mark.slow(3)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_users_git_directory_is_as_it_was_but_for_what_was_committed(shared: Daemon, layout: str) -> None:
    setup, where = LAYOUTS[layout]
    at = made(shared.home.top, setup)
    there = (at / where).resolve()
    common = Path(git(there, "rev-parse", "--path-format=absolute", "--git-common-dir").strip())
    before = files(common)
    agent = Session.new(shared, cwd=there)
    agent.ask(
        "echo new > new; echo more >> file; mkdir build; echo x > build/x; git add -A; git status --short; git stash list"
    )
    diff = agent.read("turns/1/diff")
    assert "+new\n" in diff and "+more\n" in diff and "build" not in diff
    assert "+more\n" in agent.read("git/diff") and "file" in agent.read("git/status")
    assert agent.read("git/base").strip()
    agent.client.write_read(f"{agent.id}/turns/1/ctl", b"undo")
    assert not (there / "new").exists() and "more" not in (there / "file").read_text() and (there / "build/x").exists()
    assert but_held(files(common)) == before
    agent.ask(f"git reset -q; echo in > in && git add in && {IDENTITY} git commit -qm in -- in")
    wait_until(lambda: git(there, "log", "-1", "--format=%s") == "in\n", "the commit on the branch")
    wait_until(lambda: "on your branch" in agent.read("sandbox"), "it is not told")
    agent.write("ctl", "kill")
    wait_until(lambda: agent.id not in shared.client().read("list").decode(), "the session")
    wait_until(lambda: files(common).keys() == but_held(files(common)).keys(), "what was held is not let go")
    after = files(common)
    assert not [name for name in after if name.endswith(".lock")]
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert changed and not [name for name in changed if not CHANGED.fullmatch(name)]
    gone = {
        name for name in before if name.rpartition("/")[0].startswith("objects") and before[name] != after.get(name)
    }
    assert not gone  # objects are added
