"""Everyday git goes on working in a session's own git directory, in every layout of a repository; the user's stays as it is."""

from pathlib import Path

import pytest
from git_world import GitWorld
from sandbox_world import World

#: One after the other, in the same work tree.
COMMANDS = (
    "git status", "git status --short --branch", "git log --oneline -3", "git diff", "git diff HEAD",
    "git diff --cached", "git show HEAD", "git blame file", "git ls-files", "git grep one", "git branch -a",
    "git rev-parse --show-toplevel", "echo two >> file && git add file", "git commit -qm two",
    "git commit -q --amend --no-edit", "git commit -qam empty --allow-empty",
    "echo new > new && git add -A && git commit -qm new", "git mv new newer", "git rm -q --cached newer",
    "git reset -q", "git checkout -q -- . && git clean -fdq", "git restore .", "git reset -q --hard HEAD",
    "git checkout -q -b topic", "echo t > t && git add t && git commit -qm t", "git switch -q -",
    "git merge -q --no-ff -m m topic", "git branch -m topic topic2", "git branch -d topic2",
    "git tag v1 && git tag -a v2 -m v2", "git describe", "echo s >> file && git stash -q", "git stash list",
    "git stash pop -q", "git stash -q && git stash drop -q",
    "git checkout -q -b r HEAD~1 && echo r > r && git add r && git commit -qm r", "git rebase -q start",
    "git cherry-pick v1^2", "git revert --no-edit HEAD~1", "git reflog",
    "git bisect start HEAD HEAD~2 && git bisect reset",
    "git format-patch -q -1 -o {tmp}/p && git am -q --abort || true",
    "git diff HEAD~1 | git apply -R && git checkout -q .", "git archive HEAD | tar t", "git config user.signingkey x",
    "git remote add up https://example.org/x.git && git remote -v",
    "git remote rename up down && git remote remove down",
    "git worktree add -q {tmp}/w HEAD && git worktree remove {tmp}/w", "git notes add -m n",
    "git sparse-checkout set --cone d && git sparse-checkout disable", "git gc -q", "git repack -adq", "git prune",
    "git fsck --no-progress --no-dangling", "git clone -q . {tmp}/c && git -C {tmp}/c log --oneline -1",
    "git shortlog -sn HEAD", "git count-objects -v",
    "printf '#!/bin/sh\\ntouch {tmp}/hooked\\n' > $(git rev-parse --git-path hooks)/pre-commit && "
    "chmod +x $(git rev-parse --git-path hooks)/pre-commit && git commit -q --allow-empty -m h && test -e {tmp}/hooked",
)  # fmt: skip

MAIN = "git branch -f start && git tag old"
ADD = "git -c protocol.file.allow=always submodule --quiet add ../outside/lib sub && git commit -qm sub"
REFTABLE = "reftable"
LAYOUTS = {
    "plain": (MAIN, "."),
    "dirty": (
        f"{MAIN} && echo x >> file && git add file && git stash -q && echo y >> d/file && echo z > z && git add z", "."
    ),
    "a linked worktree": (f"{MAIN} && git worktree add -q wt -b wt", "wt"),
    "a submodule": (
        f"{MAIN} && git clone -q . ../outside/lib && git -C ../outside/lib branch start && "
        f"{ADD} && git -C sub branch start", "sub",
    ),
    "a superproject": (
        f"{MAIN} && git clone -q . ../outside/lib && {ADD} && git branch -f start", ".",
    ),
    "a bare repository with worktrees": (
        f"{MAIN} && git clone -q --bare . .bare && rm -rf .git && echo 'gitdir: ./.bare' > .git && git worktree add -q wt -b wt", "wt",
    ),
    "shallow": (
        "for i in 1 2 3 4 5; do git commit -q --allow-empty -m $i; done; git clone -q --depth 4 file://$PWD ../outside/c && "
        "rm -rf .git && mv ../outside/c/.git . && git branch start && git tag old", ".",
    ),
    "partial": (
        "mkdir e && echo y > e/y && git add e && git commit -qm e && echo yy > e/y && git commit -qam yy && "
        "for i in 1 2 3; do git commit -q --allow-empty -m $i; done; git config uploadpack.allowFilter true && "
        "git clone -q --filter=blob:none file://$PWD ../outside/c && rm -rf .git && mv ../outside/c/.git . && "
        "git branch start && git tag old && git rev-list --objects --missing=print HEAD | grep -q '^?'", ".",
    ),
    "sparse": (f"{MAIN} && git sparse-checkout set --cone --sparse-index d", "."),
    REFTABLE: (
        f"rm -rf .git && git init -q -b main --ref-format=reftable . && git add . && git commit -qm one && {MAIN}", ".",
    ),
    "sha256": (
        f"rm -rf .git && git init -q -b main --object-format=sha256 . && git add . && git commit -qm one && {MAIN}", ".",
    ),
    "objects borrowed from another repository": (
        "git clone -q . ../outside/c && git clone -q --shared ../outside/c ../outside/s && rm -rf .git && mv ../outside/s/.git . && "
        "git branch start && git tag old", ".",
    ),
    "index of version 4": (f"{MAIN} && git update-index --index-version 4", "."),
    "packed": (f"{MAIN} && git gc -q", "."),
}  # fmt: skip


@pytest.mark.slow(4)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_everyday_commands_work_in_a_repository_of_this_layout(user_world: World, layout: str) -> None:
    """Each of them; and the user's git directory is the same afterwards, byte for byte."""
    check(GitWorld(user_world), layout)


def test_everyday_commands_work_in_a_plain_repository(world: World) -> None:
    """As root and as a user."""
    check(GitWorld(world), "plain")


def set_up(git: GitWorld, layout: str) -> str:
    """Make a repository of that layout; where in the project it is worked."""
    if layout == REFTABLE and "ref-format" not in git.user("git init -h", check=False):
        pytest.skip("needs git 2.45 or newer")
    setup, at = LAYOUTS[layout]
    git.user(setup)
    return at


def check(git: GitWorld, layout: str) -> None:
    at = set_up(git, layout)
    common = Path(git.user("git rev-parse --path-format=absolute --git-common-dir", git.proj / at).strip())
    refs = "git for-each-ref | grep -v refs/anvillm/"
    before, names = git.snapshot(common), git.user(refs, common)
    script = f"set +e; cd {at}; export T=$(mktemp -d);\n" + "\n".join(
        f"( set -e; {command.format(tmp='$T')} ) >$T/out 2>&1 </dev/null; "
        f"s=$?; if [ $s != 0 ] || grep -q '^error:\\|^warning:' $T/out; then echo \"$s: FAILED {n}\"; cat $T/out; fi"
        for n, command in enumerate(COMMANDS)
    )
    out = git.agent(script, git.cover(), check=False)
    failed = [line for line in out.splitlines() if "FAILED" in line]
    assert not failed, "\n".join([*(COMMANDS[int(line.split()[-1])] for line in failed), out])
    assert (git.snapshot(common), git.user(refs, common)) == (before, names)
