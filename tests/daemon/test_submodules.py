"""Submodules: a branch has them in its work tree, and what is committed in them is in the user's before it is merged, or landed."""

import os
import subprocess
from pathlib import Path

import pytest

from anvilsrv.errors import AnvilError
from tests.conftest import Daemon, wait_until
from tests.daemon.test_branches import command
from tests.daemon.test_git import IDENTITY, git, made_repository
from tests.session import Session

COMMIT = (
    f"echo deep > sub/deep && cd sub && git add deep && {IDENTITY} git commit -qm deep && cd .. && "
    f"git add sub && {IDENTITY} git commit -qm up"
)


@pytest.fixture
def parent(daemon: Daemon) -> Path:
    """A repository with a submodule ``sub``, and an identity of the user's."""
    (daemon.home.home / ".gitconfig").write_text("[user]\n\tname = u\n\temail = u@example.org\n")
    library, at = made_repository(daemon.home.top / "library"), made_repository(daemon.home.top / "repository")
    (library / "x").write_text("x\n")
    git(library, "add", "x")
    git(library, "commit", "-qm", "x")
    git(at, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(library), "sub")
    git(at, "commit", "-qm", "sub")
    return at


def discard(agent: Session, tree: Path) -> None:
    command(agent, "discard anyway")
    wait_until(lambda: not tree.exists(), "the work tree is there still")
    wait_until(lambda: agent.id not in agent.daemon.client().read("list").decode(), "the session")


def test_a_branch_has_its_submodules_and_a_merge_brings_their_commits(daemon: Daemon, parent: Path) -> None:
    agent = Session.new(daemon, "shell", "branch=b", cwd=parent)
    tree = parent.with_name("repository.b")
    shown = agent.ask("cat sub/x; git status --short; git submodule status | cut -c 1; git -C sub status --short")
    assert shown == "x\n \n"
    agent.ask(COMMIT)
    assert "b/sub/deep\n" in agent.read("turns/2/diff")
    wait_until(lambda: git(tree, "log", "-1", "--format=%s") == "up\n", "the commit on the branch")
    new = git(tree / "sub", "rev-parse", "HEAD").strip()
    assert git(tree, "status", "--short") == "" and git(tree, "rev-parse", "HEAD:sub").strip() == new
    with pytest.raises(AnvilError, match=r"may run code, or links out of the tree.*: sub$"):
        command(agent, "merge")
    remote = daemon.home.top / "remote.git"
    git(parent, "init", "-q", "--bare", str(remote))
    git(parent, "remote", "add", "origin", str(remote))
    assert command(agent, "push").endswith("; not pushed are commits of submodules: sub")
    assert "b/sub/deep\n" in agent.read("git/diff")
    assert "'git submodule update' checks out sub" in command(agent, "merge anyway")
    assert agent.read("git/diff") == ""
    assert git(parent, "rev-parse", "HEAD:sub").strip() == new
    discard(agent, tree)
    assert git(parent / "sub", "worktree", "list").count("\n") == 1
    git(parent / "sub", "gc", "-q", "--prune=now")
    git(parent, "submodule", "--quiet", "update")
    assert (parent / "sub/deep").read_text() == "deep\n" and git(parent, "status", "--short") == ""


def test_what_the_user_does_in_a_submodule_is_in_the_way_of_a_merge(daemon: Daemon, parent: Path) -> None:
    agent = Session.new(daemon, "shell", "branch=b", cwd=parent)
    agent.ask(COMMIT)
    git(parent / "sub", "commit", "-q", "--allow-empty", "-m", "mine")
    with pytest.raises(AnvilError, match=r"you have changed or created files that it touches: sub$"):
        command(agent, "merge anyway")
    head = git(parent, "rev-parse", "HEAD")
    git(parent, "add", "sub")
    with pytest.raises(AnvilError, match=r"you have changed or created files that it touches: sub$"):
        command(agent, "merge anyway")
    assert git(parent, "rev-parse", "HEAD") == head and not list((parent / ".git").rglob("*.lock"))


@pytest.mark.slow(5)
def test_commits_of_a_clone_that_the_agent_made_are_brought_too(daemon: Daemon, parent: Path) -> None:
    """The user has a clone that lacks what is checked out."""
    later = git(parent.with_name("library"), "commit-tree", "-m", "later", "HEAD^{tree}").strip()
    git(parent, "update-index", "--cacheinfo", f"160000,{later},sub")
    git(parent, "commit", "-qm", "later")
    git(parent, "submodule", "--quiet", "deinit", "-f", "sub")
    agent = Session.new(daemon, "shell", "branch=b", cwd=parent)
    wait_until(lambda: "left out: sub: a submodule that is not cloned" in agent.read("log.now"), "it is not told")
    agent.ask(f"cd sub && git init -q -b main . && cd .. && {COMMIT}")
    command(agent, "merge anyway")
    new = git(parent, "rev-parse", "HEAD:sub").strip()
    module = parent / ".git/modules/sub"
    assert git(module, f"--git-dir={module}", "log", "-1", "--format=%s", new) == "deep\n"
    git(module, f"--git-dir={module}", "gc", "-q", "--prune=now")
    git(parent, "submodule", "--quiet", "update", "--init")
    assert (parent / "sub/deep").read_text() == "deep\n"


@pytest.mark.slow(5)
@pytest.mark.parametrize("named", [True, False], ids=["named", "not named"])
def test_a_submodule_that_the_session_alone_has_is_not_merged(daemon: Daemon, parent: Path, named: bool) -> None:
    agent = Session.new(daemon, "shell", "branch=b", cwd=parent)
    name = "printf '[submodule \"mine\"]\\n\\tpath = mine\\n\\turl = ../mine\\n' >> .gitmodules;" if named else ""
    agent.ask(
        f"git init -q mine; {IDENTITY} git -C mine commit -q --allow-empty -m x; {name} git add .gitmodules mine; "
        f"{IDENTITY} git commit -qm mine"
    )
    head = git(parent, "rev-parse", "HEAD")
    with pytest.raises(AnvilError, match=r"commits of submodules that only the session has.*: mine$"):
        command(agent, "merge anyway")
    assert git(parent, "rev-parse", "HEAD") == head and git(parent, "status", "--short") == ""


def test_commits_in_a_submodule_and_above_land_where_the_agent_works_in_place(daemon: Daemon, parent: Path) -> None:
    """The submodule is on no branch, as git itself leaves them."""
    git(parent / "sub", "checkout", "-q", "--detach")
    agent = Session.new(daemon, cwd=parent)
    agent.ask(COMMIT)
    wait_until(lambda: git(parent, "log", "-1", "--format=%s") == "up\n", "the commit on the branch")
    assert git(parent / "sub", "log", "-1", "--format=%s") == "deep\n"
    assert git(parent, "status", "--short") == "" and git(parent / "sub", "status", "--short") == ""
    assert subprocess.run(["git", "symbolic-ref", "-q", "HEAD"], cwd=parent / "sub", check=False).returncode == 1
    agent.write("ctl", "kill")
    wait_until(lambda: agent.id not in daemon.client().read("list").decode(), "the session")
    assert os.path.isdir(parent / "sub") and git(parent, "fsck", "--no-dangling", "--no-progress") == ""
