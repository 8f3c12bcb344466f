"""What a user does with an agent's work: a turn taken back, a review, a change applied."""

import os
from pathlib import Path

import pytest

from anvilsrv.errors import AnvilError
from tests.conftest import Daemon
from tests.daemon.test_git import git
from tests.session import Session


def undo(agent: Session, n: int | str) -> str:
    return agent.client.write_read(f"{agent.id}/turns/{n}/ctl", b"undo").decode()


def kept(agent: Session) -> None:
    """What is changed from now on is none of the last turn's."""
    agent.read("turns/last/diff")


def test_a_turn_is_taken_back_and_that_too(daemon: Daemon, repository: Path) -> None:
    (repository / "gone").write_text("gone\n")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "two")
    (repository / "secret").write_text("mine\n")
    (repository / ".gitignore").write_text("build/\nsecret\n")
    agent = Session.new(daemon, cwd=repository)
    agent.ask("echo one > file; rm gone; mkdir d; echo x > d/x; ln -s file link; : > .gitignore")
    kept(agent)
    (repository / "other").write_text("of the user\n")
    assert undo(agent, 1).startswith("taken back: ")
    assert (repository / "file").read_text() == "one\ntwo\nthree\n" and (repository / "gone").read_text() == "gone\n"
    assert not (repository / "d").exists() and not (repository / "link").is_symlink()
    assert (repository / "secret").read_text() == "mine\n", "what the rules of before ignore stays"
    assert (repository / "other").read_text() == "of the user\n"
    assert agent.read("turns/list").splitlines()[1].split("\t")[1:3] == ["done", "undo"]
    assert " one\n+two\n+three\n" in agent.read("turns/2/diff")
    with pytest.raises(AnvilError, match="nothing of turn 1 is left to undo"):
        undo(agent, 1)
    agent.write("in", "echo ok")
    assert agent.read("out") == "ok\n"
    assert "# [The user took back what turn 1 changed: " in agent.screen.replace("\n", "")
    agent.ask("echo again")
    kept(agent)
    assert undo(agent, 2).startswith("taken back: ")
    assert (repository / "file").read_text() == "one\n" and os.readlink(repository / "link") == "file"
    assert (repository / "other").read_text() == "of the user\n"


def test_a_turn_is_not_taken_back_where_others_changed_the_same_since(daemon: Daemon, repository: Path) -> None:
    agent = Session.new(daemon, cwd=repository)
    agent.ask("echo one > file; echo new > new; rm -f .gitignore")
    kept(agent)
    (repository / "file").write_text("the user's\n")
    (repository / ".gitignore").mkdir()
    (repository / ".gitignore/x").write_text("x\n")
    with pytest.raises(AnvilError, match=r"it was changed since: .gitignore, file"):
        undo(agent, 1)
    assert (repository / "file").read_text() == "the user's\n" and (repository / "new").read_text() == "new\n"
    agent.write("in", "read line < fifo || sleep 60")
    with pytest.raises(AnvilError, match=r"busy: .* is in a turn"):
        undo(agent, 1)


def test_a_review_is_one_prompt_that_quotes_the_lines(daemon: Daemon, repository: Path) -> None:
    agent = Session.new(daemon, cwd=repository)
    agent.ask("printf 'one\\n2\\nthree\\nfour\\n' > file")
    agent.write("ctl", "hold")
    n = agent.client.write_read(
        f"{agent.id}/git/review", b"file:2: why a figure?\nfile:3-4: good,\n  and so on\n"
    ).decode()
    text = agent.read(f"turns/{n.strip()}/prompt")
    assert "file:2:\n    +2\nwhy a figure?\n\nfile:3-4:\n     three\n    +four\ngood,\nand so on" in text
    assert agent.read("git/review") == "2\tthere\tfile:2\twhy a figure?\n2\tthere\tfile:3-4\tgood, and so on\n"
    (repository / "file").write_text("zero\none\n2\nthree\n")
    assert [line.split("\t")[1:3] for line in agent.read("git/review").splitlines()] == [
        ["moved", "file:3"], ["outdated", "file:3-4"],
    ]  # fmt: skip
    for wrong in ("file: words", "file:9: words", "file:2:", "../file:1: x", "file:2-1: x"):
        with pytest.raises(AnvilError, match="invalid review"):
            agent.write("git/review", wrong)
    assert len(agent.read("turns/list").splitlines()) == 2


def test_a_change_is_applied_or_taken_back_if_the_file_is_as_it_was(daemon: Daemon, repository: Path) -> None:
    agent = Session.new(daemon, cwd=repository)
    agent.ask("sed -i s/two/2/ file; echo new > new")
    diff = agent.read("git/diff")
    back = git_reverse(repository, diff)
    agent.write("git/apply", back)
    assert (repository / "file").read_text() == "one\ntwo\nthree\n" and not (repository / "new").exists()
    agent.write("git/apply", diff)
    assert (repository / "file").read_text() == "one\n2\nthree\n"
    (repository / "file").write_text("one\n2\nthree\nfour\n")
    with pytest.raises(AnvilError, match="it was changed since the diff was read: file"):
        agent.write("git/apply", back)
    assert (repository / "new").exists()
    (repository / "link").symlink_to(daemon.home.home)
    evil = "diff --git a/link/x b/link/x\nnew file mode 100644\n--- /dev/null\n+++ b/link/x\n@@ -0,0 +1 @@\n+x\n"
    for path in ("link/x", ".git/x", "../x", "d/../.git/x"):
        with pytest.raises(AnvilError):
            agent.write("git/apply", evil.replace("link/x", path))
    assert not (daemon.home.home / "x").exists() and not (repository / ".git/x").exists()


def git_reverse(at: Path, diff: str) -> str:
    """Return the diff the other way round, by git itself."""
    patch = at.parent / "patch"
    patch.write_text(diff)
    base = git(at, "stash", "create").strip() or git(at, "rev-parse", "HEAD").strip()
    scratch = at.parent / "scratch"
    git(at, "worktree", "add", "-q", "--detach", str(scratch), base)
    git(scratch, "checkout", "-q", "-f", "HEAD~0")
    git(scratch, "checkout", "-q", git(at, "rev-parse", "HEAD").strip(), "--", ".")
    git(scratch, "apply", "--index", str(patch))
    tree = git(scratch, "write-tree").strip()
    found = git(
        scratch, "diff", "--binary", "--full-index", "--no-renames", tree, git(at, "rev-parse", "HEAD^{tree}").strip()
    )
    git(at, "worktree", "remove", "--force", str(scratch))
    return found
