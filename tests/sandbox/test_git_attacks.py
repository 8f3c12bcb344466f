"""What an agent plants in a repository is not run by the user's next git command there, and writes through nothing of theirs."""

import pytest
from git_world import GitWorld
from sandbox_world import World

MARK = "/mark"
RUN = "printf '#!/bin/sh\\ntouch {mark}\\n' > evil.sh && chmod +x evil.sh"
# What an agent does, and what the user types afterwards; where it succeeds there is a file {mark}.
ATTACKS = {
    "commondir that leads to a configuration of its own": (
        f"{RUN} && mkdir c && cp -r .git/objects .git/refs .git/HEAD c/ && "
        "printf '[core]\\nrepositoryformatversion=0\\nfsmonitor=%s/evil.sh\\n' $PWD > c/config && echo ../c > .git/commondir",
        "git status",
    ),
    "a configuration": (f"{RUN} && git config core.fsmonitor $PWD/evil.sh", "git status"),
    "a hook": (f"{RUN} && cp evil.sh .git/hooks/post-checkout", "git checkout -q -b other"),
    "a filter in info/attributes": (
        f"{RUN} && git config filter.f.clean $PWD/evil.sh && echo '* filter=f' > .git/info/attributes",
        "touch file && git add file",
    ),
    "a repository in a subdirectory as a gitlink": (
        f"{RUN} && git init -q sub && git -C sub commit -q --allow-empty -m x && "
        "git -C sub config core.fsmonitor $PWD/evil.sh && git add sub 2>/dev/null",
        "git status",
    ),
    "the todo list of a rebase": (
        f"{RUN} && mkdir .git/rebase-merge && for f in git-rebase-todo:\"exec $PWD/evil.sh\" head-name:refs/heads/main "
        "onto:$(git rev-parse HEAD) orig-head:$(git rev-parse HEAD) interactive: end:1 msgnum:0; do "
        "printf '%s\\n' \"${{f#*:}}\" > .git/rebase-merge/${{f%%:*}}; done",
        "git rebase --continue",
    ),
    "COMMIT_EDITMSG as a link": ("rm -f .git/COMMIT_EDITMSG && ln -s {mark} .git/COMMIT_EDITMSG", "git commit --allow-empty -m x"),
    "FETCH_HEAD as a link": ("ln -s {mark} .git/FETCH_HEAD", "git fetch -q . main"),
    "logs/HEAD as a link": ("rm -f .git/logs/HEAD && ln -s {mark} .git/logs/HEAD", "git commit -q --allow-empty -m x"),
    "another directory in place of .git": (
        f"{RUN} && mv .git gone && cp -r gone .git && git config core.fsmonitor $PWD/evil.sh", "git status",
    ),
    "a pointer file in place of .git": (
        f"{RUN} && mv .git gone && echo 'gitdir: gone' > .git && git config core.fsmonitor $PWD/evil.sh", "git status",
    ),
}  # fmt: skip


def tried(git: GitWorld, name: str, covered: bool) -> bool:
    """Return whether the attack succeeds."""
    mark = git.world.outside / "mark"
    inside, after = ATTACKS[name]
    git.agent(inside.format(mark=mark), git.cover() if covered else None, check=False)
    git.user(after, check=False)
    return mark.exists()


@pytest.mark.parametrize("name", ATTACKS)
def test_what_an_agent_plants_in_git_runs_and_writes_nothing_outside(world: World, name: str) -> None:
    """As root and as a user."""
    assert not tried(GitWorld(world), name, covered=True)


@pytest.mark.parametrize("name", ATTACKS)
def test_each_of_these_attacks_succeeds_without_the_cover(user_world: World, name: str) -> None:
    """One that would fail anyway proves nothing."""
    assert tried(GitWorld(user_world), name, covered=False)


def test_objects_that_an_agent_swaps_are_not_the_users(world: World) -> None:
    """Git checks no hashes on reading."""
    swap = (
        "f=.git/objects/$(git rev-parse HEAD:file | sed 's,..,&/,'); chmod -R u+w .git/objects; rm -f $f; "
        "printf 'blob 5\\0evil\\n' | python3 -c 'import sys,zlib; sys.stdout.buffer.write(zlib.compress(sys.stdin.buffer.read()))' > $f"
    )
    git = GitWorld(world)
    git.agent(swap, git.cover(), check=False)
    assert git.user("git show HEAD:file") == "one\n"
    git.agent(swap, None)
    assert git.user("git show HEAD:file") == "evil\n"


@pytest.mark.parametrize("where", ["wt/.git", "sub/.git"])
def test_the_pointer_of_a_worktree_or_submodule_cannot_be_swapped(world: World, where: str) -> None:
    """Neither written, nor moved away with its directory."""
    git = GitWorld(world)
    git.user("git worktree add -q wt && git init -q -b main ../outside/lib && git -C ../outside/lib commit -q --allow-empty -m x && "
             "git -c protocol.file.allow=always submodule --quiet add ../outside/lib sub")  # fmt: skip
    before = (git.proj / where).read_bytes()
    covered = git.cover()
    top = where.split("/")[0]
    git.agent(
        f"set +e; echo 'gitdir: /x' > {where}; rm -f {where}; mv {where} x; mv {top} y; rm -rf {top}",
        covered,
        check=False,
    )
    assert (git.proj / where).read_bytes() == before


def test_the_git_directory_is_the_same_byte_for_byte_after_a_session(world: World) -> None:
    """Whatever was done inside."""
    git = GitWorld(world)
    git.user("git branch side && echo x > dirty && git add dirty && git stash -q && echo y > dirty && git add dirty")
    before = git.snapshot()
    out = git.agent(
        "git stash list; git commit -qam two; git checkout -q side; git config a.b c; git gc -q; rm -rf .git/refs .git/hooks; true",
        git.cover(),
    )
    assert "stash@{0}" in out
    assert git.snapshot() == before


def test_a_repository_that_turned_up_while_agents_work_there_is_named_and_left(world: World) -> None:
    """It may be an agent's, and nothing of ours is built on it; the user may say that it is theirs."""
    git = GitWorld(world)
    git.agent("git init -q new && git -C new commit -q --allow-empty -m x", git.cover())
    made = git.cover(place="s2")
    assert (
        "git",
        f"{git.proj}/new/.git",
        "made since agents work there: its configuration may be an agent's",
    ) in made.lines
    git.agent("git -C new commit -q --allow-empty -m y", made)
    assert len(git.user("git -C new log --oneline").splitlines()) == 2
    from sandbox.git_trust import Trusted

    Trusted(git.written).add(f"{git.proj}/new/.git")
    git.agent("git -C new commit -q --allow-empty -m z", git.cover(place="s3"))
    assert len(git.user("git -C new log --oneline").splitlines()) == 2
