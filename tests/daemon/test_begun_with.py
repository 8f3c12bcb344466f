"""What sessions begin with: the user's uncommitted work, a command that sets up, a bead, another's sandbox or conversation."""

import json
import os
from pathlib import Path

import pytest

from anvilsrv.errors import AnvilError
from tests.conftest import Daemon, wait_until
from tests.daemon.test_branches import command, commit
from tests.daemon.test_git import IDENTITY, git
from tests.session import Session


@pytest.fixture
def dirty(daemon: Daemon, repository: Path) -> Path:
    """With something of each kind that is not committed."""
    (daemon.home.home / ".gitconfig").write_text("[user]\n\tname = u\n\temail = u@example.org\n")
    for name in ("changed", "staged", "removed", "dropped", "kind"):
        (repository / name).write_text("old\n")
    (repository / ".gitignore").write_text(".env*\nbuild/\n")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "files")
    (repository / "changed").write_text("mine\n")
    (repository / "staged").write_text("mine\n")
    (repository / "removed").unlink()
    git(repository, "add", "staged")
    git(repository, "rm", "-q", "dropped")
    (repository / "kind").unlink()
    (repository / "kind").symlink_to("changed")
    (repository / "new/deep").mkdir(parents=True)
    (repository / "new/deep/run").write_text("#!/bin/sh\n")
    (repository / "new/deep/run").chmod(0o755)
    (repository / "build").mkdir()
    (repository / "build/x").write_text("x")
    for name in (".env", ".env.local"):
        (repository / name).write_text(name)
    return repository


def test_a_branch_begins_with_what_is_not_committed_and_ignored_files_that_are_listed(
    daemon: Daemon, dirty: Path
) -> None:
    (dirty / ".worktreeinclude").write_text(".env\nchanged\n")
    before = git(dirty, "status", "--porcelain")
    agent = Session.new(daemon, "shell", "branch=w", "from=working", cwd=dirty)
    tree = dirty.with_name("repository.w")
    assert (tree / "changed").read_text() == (tree / "staged").read_text() == "mine\n"
    assert not (tree / "removed").exists() and not (tree / "dropped").exists()
    assert os.readlink(tree / "kind") == "changed"
    assert (tree / "new/deep/run").stat().st_mode & 0o777 == 0o755
    assert (
        (tree / ".env").read_text() == ".env" and not (tree / ".env.local").exists() and not (tree / "build").exists()
    )
    assert agent.ask("git status --porcelain").count("\n") == 7
    assert git(dirty, "status", "--porcelain") == before
    assert not [path for path in (daemon.home.state / "sessions").iterdir() if path.name != agent.id]


def test_without_from_working_only_listed_files_are_copied(daemon: Daemon, dirty: Path) -> None:
    (dirty / ".worktreeinclude").write_text(".env*\n")
    (dirty / ".env.local").unlink()
    (dirty / ".env.local").symlink_to("/etc/passwd")
    Session.new(daemon, "shell", "branch=w", cwd=dirty)
    tree = dirty.with_name("repository.w")
    assert (tree / "changed").read_text() == "old\n" and not (tree / "new").exists()
    assert (tree / ".env").read_text() == ".env" and os.readlink(tree / ".env.local") == "/etc/passwd"


def test_what_does_not_go_together_is_refused(daemon: Daemon, repository: Path) -> None:
    git(repository, "branch", "there")
    client = daemon.client()
    for words, why in (
        (f"{repository} from=working", "needs branch="),
        (f"{repository} branch=x from=head", "invalid from=.head."),
        (f"{repository} branch=x base=main from=working", "cannot be combined with base="),
        (f"{repository} branch=there from=working", "the branch already exists"),
        ("same=nobody", "no such session"),
        (f"{repository} same=nobody", "name no other place"),
        ("same=nobody role=x", "cannot be combined with role="),
        (f"{repository} bead=bd-none", "no such bead"),
    ):
        with pytest.raises(AnvilError, match=why):
            client.write("ctl", f"new shell {words}".encode())
    assert git(repository, "worktree", "list").count("\n") == 1


def test_a_work_tree_is_set_up_before_its_agent_and_that_is_in_the_log(daemon: Daemon, repository: Path) -> None:
    (daemon.home.config / "tasks").mkdir(parents=True)
    (daemon.home.config / "tasks/one.yaml").write_text("git: {setup: 'echo made > made; echo said; exit 3'}\n")
    (daemon.home.config / "tasks/two.yaml").write_text("git: {setup: 'cat made > again'}\n")
    agent = Session.starting(daemon, "shell", "branch=w", "tasks=one,two", cwd=repository)
    assert agent.ask("cat again") == "made\n"
    log = daemon.client().open(f"{agent.id}/log").read(1 << 16).decode()
    assert "said" in log and "ended with status 3" in log and "% cat made > again" in log
    agent.ask("rm again")
    agent.write("ctl", "restart")
    wait_until(lambda: agent.state == "idle" and agent.row["held"] == "", "it to be there again")
    assert agent.ask("test -e again || echo no") == "no\n"
    other = Session.new(daemon, "shell", "tasks=one,two", cwd=repository)
    assert other.ask("test -e made || echo no") == "no\n"


def test_a_session_for_a_bead_claims_it_completes_it_by_a_merge_and_gives_it_back(daemon: Daemon, dirty: Path) -> None:
    client = daemon.client()
    make = "new 'echo one' 'touch ran'"
    one = client.write_read("beads/ctl", make.encode()).decode().strip()
    two = client.write_read("beads/ctl", b"new 'echo two'").decode().strip()

    def bead(name: str) -> dict[str, str]:
        return dict(json.loads(client.read(f"beads/{name}/json")))

    agent = Session.new(daemon, "shell", f"bead={one}", cwd=dirty)
    assert agent.row["branch"] == one and bead(one)["status"] == "in_progress" and bead(one)["assignee"] == agent.id
    assert agent.read("turns/1/prompt") == "# echo one\n#\n# touch ran"  # any agent may have written that
    agent.out()
    assert agent.ask("test -e ran || echo no") == "no\n"
    agent.ask(commit("a"))
    with pytest.raises(AnvilError, match="is not open"):
        client.write("ctl", f"new shell {dirty} bead={one} branch=other".encode())
    assert f"; {one} is completed" in command(agent, "merge")
    assert bead(one)["status"] == "closed"
    other = Session.new(daemon, "shell", f"bead={two}", "branch=mine", cwd=dirty)
    assert other.row["branch"] == "mine"
    other.write("ctl", "kill")
    wait_until(lambda: bead(two)["status"] == "open", "it is not given back")
    assert not bead(two).get("assignee")
    daemon.kill()
    daemon.start()


def test_a_claim_is_given_back_though_the_daemon_was_killed(daemon: Daemon, repository: Path) -> None:
    client = daemon.client()
    one = client.write_read("beads/ctl", b"new 'echo one'").decode().strip()
    agent = Session.new(daemon, "shell", f"bead={one}", cwd=repository)
    client.write("beads/ctl", f"unclaim {one}".encode())
    daemon.kill()
    daemon.start()
    client = daemon.client()
    wait_until(lambda: agent.id in client.read(f"beads/{one}/json").decode(), "it is not claimed again")


def test_a_shell_beside_an_agent_has_its_directory_its_git_and_its_tmp(daemon: Daemon, repository: Path) -> None:
    agent = Session.new(daemon, "shell", "branch=w", cwd=repository)
    agent.ask(f"{commit('a')}; git checkout -q -b inner; touch /tmp/here")
    beside = _beside(daemon, agent)
    assert beside.read("cwd") == agent.read("cwd") and beside.row["beside"] == agent.id
    assert beside.ask("git branch --show-current; git log -1 --format=%s; ls /tmp/here") == "inner\nadd a\n/tmp/here\n"
    beside.ask(f"echo more > more && git add more && {IDENTITY} git commit -qm more")
    assert agent.ask("git log -1 --format=%s") == "more\n"
    assert "b/more" in agent.read("git/diff")
    with pytest.raises(AnvilError, match=f"shares the work tree of '{agent.id}'"):
        beside.read("git/diff")
    again = _beside(daemon, beside)
    assert again.row["beside"] == agent.id
    again.write("ctl", "kill")
    wait_until(lambda: again.id not in daemon.client().read("list").decode(), "the session")
    assert agent.ask("git log -1 --format=%s") == "more\n"
    agent.write("ctl", "kill")
    wait_until(lambda: not daemon.client().read("list"), "those beside it are left")


def _beside(daemon: Daemon, agent: Session) -> Session:
    client = daemon.client()
    made = Session(daemon, client.write_read("ctl", f"new shell same={agent.id}".encode()).decode().strip(), client)
    made.wait("idle")
    return made
