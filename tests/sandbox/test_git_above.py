"""An agent that works in a part of a repository: git works there, knows nothing of the rest, and takes nothing of it away."""

import pytest
from git_world import GitWorld
from sandbox_world import World
from test_git_land import Session

GRANTS = {"the directory": [], "two of them": ["{CWD}/../e"], "and the rest to read": ["{CWD}/.."]}


class Part(Session):
    """A session in ``d``; beside it are ``e`` and ``file``."""

    def __init__(self, world: World, more: str = "the directory") -> None:
        super().__init__(world)
        self.user("mkdir e && echo e > e/file && echo x > 'd/a *b' && git add . && git commit -qm two")
        self.cwd = self.proj / "d"
        self.layer = {"filesystem": {"rwx": ["{CWD}", "{TMPDIR}"]}}
        if more == "two of them":
            self.layer["filesystem"]["rwx"].append(str(self.proj / "e"))
        if more == "and the rest to read":
            self.layer["filesystem"]["ro"] = [str(self.proj)]


@pytest.mark.parametrize("more", GRANTS)
def test_what_is_committed_in_a_part_takes_nothing_of_the_rest_away(world: World, more: str) -> None:
    """Whatever else of the repository is granted."""
    session = Part(world, more).begin()
    assert session.work("git status --short") == ""
    session.work("echo new > new && git add -A . && git commit -qam new && echo newer > new && git commit -qam newer")
    assert "on your branch main now" in session.land()
    assert (
        session.user("git log --format=%s -2; git diff --name-status HEAD~2; git status --short")
        == "newer\nnew\nA\td/new\n"
    )


def test_a_part_of_a_linked_worktree_is_one_too(user_world: World) -> None:
    """Whose git directory is a file."""
    session = Part(user_world)
    session.user("git worktree add -q wt -b wt")
    session.cwd = session.proj / "wt/d"
    session.begin()
    session.work("echo new > new && git add new && git commit -qm new")
    assert "on your branch wt now" in session.land()
    assert session.user("git log --format=%s -1; git status --short", session.cwd) == "new\n"


EVERYDAY = (
    "git log --oneline", "git checkout -q -b topic && echo t > t && git add t && git commit -qm t", "git checkout -q main",
    "git merge -q --no-ff -m m topic", "echo s >> file && git stash -q && git stash pop -q", "git reset -q --hard",
    "git checkout -q HEAD~1 && git checkout -q main", "git rebase -q --onto HEAD~1 HEAD~1 topic", "git add -A", "git clean -fdq",
    "git checkout -q other", "git checkout -q main",
)  # fmt: skip


def test_everyday_commands_work_in_a_part_of_a_repository(user_world: World) -> None:
    """With branches that differ in the rest."""
    session = Part(user_world)
    session.user("git checkout -q -b other && echo o > e/file && echo o > file && git rm -q 'd/a *b' && git commit -qam o && "
                 "git checkout -q main")  # fmt: skip
    before = session.snapshot()
    session.begin()
    for command in EVERYDAY:
        session.work(command)
    assert session.work("git status --short; ls") == "a *b\nfile\nt\n"
    assert session.snapshot() == before
    assert session.user("cat e/file file") == "e\none\n"


def test_what_is_not_granted_is_not_in_sight(world: World) -> None:
    """Neither the rest of the work tree nor the user's git directory."""
    session = Part(world).begin()
    assert session.work("ls -A ..; git rev-parse --show-toplevel") == f".git\nd\n{session.proj}\n"
    session.work("git config core.fsmonitor /evil && echo x > ../.git/hooks/post-commit")
    assert "evil" not in (session.proj / ".git/config").read_text()
    session.work("touch ../x", check=False)
    assert not (session.proj / "x").exists()


def test_the_users_home_is_no_repository_of_every_directory_in_it(world: World) -> None:
    """Nor is one that belongs to somebody else."""
    git = GitWorld(world)
    home = world.home
    git.user("git init -q && mkdir work", home)
    git.cwd = home / "work"
    assert git.cover().records == []
    assert "not a git repository" in git.agent("git status", git.cover(), check=False)
