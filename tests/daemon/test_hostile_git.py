"""A session whose agent has made its git directory and work tree as hostile as it can, against every file and command of ours."""

import os
from pathlib import Path

import pytest

from anvilsrv.errors import AnvilError
from tests.conftest import Daemon, wait_until
from tests.daemon.test_git import IDENTITY, git
from tests.session import Session

PREPARE = """
d=$(git rev-parse --absolute-git-dir)
git add -A; {identity} git commit -qm work
for h in pre-commit post-checkout post-index-change reference-transaction pre-push post-merge pre-rebase; do
  mkdir -p $d/hooks; printf '#!/bin/sh\\ntouch {home}/owned\\n' > $d/hooks/$h; chmod +x $d/hooks/$h; done
printf '#!/bin/sh\\ntouch {home}/owned\\ncat\\n' > evil; chmod +x evil
git config core.fsmonitor "$PWD/evil"; git config filter.x.clean "$PWD/evil"; git config filter.x.smudge "$PWD/evil"
git config diff.external "$PWD/evil"; git config merge.x.driver "$PWD/evil"; git config core.sshCommand "$PWD/evil"
git config core.pager "$PWD/evil"; git config include.path "$PWD/config"; git config core.worktree /
git config --file "$PWD/config" core.hooksPath "$PWD"
printf '* filter=x diff=x merge=x\\n' > .gitattributes; echo more > file
rm -f $d/COMMIT_EDITMSG $d/FETCH_HEAD $d/ORIG_HEAD; ln -s {home}/victim $d/COMMIT_EDITMSG; ln -s {home}/victim $d/FETCH_HEAD
mkdir -p $d/refs/anvillm; ln -s {home}/victim $d/refs/anvillm/x; ln -s {home} $d/refs/heads/link
echo {home}/secret/.git/objects >> $d/objects/info/alternates; echo /nowhere > $d/commondir
mkdir -p n/.git && echo 'gitdir: {home}' > n/.git/gitdir; mkdir -p "$(printf 'o\\nd')"; echo x > "$(printf 'o\\nd/\\033[1mx')"
ln -s {home}/victim out; printf garbage > $d/index; true
"""


def attempt(agent: Session, path: str, text: str) -> str:
    """What it says, or why not."""
    try:
        return agent.client.write_read(f"{agent.id}/{path}", text.encode()).decode()
    except AnvilError as error:
        return str(error)


@pytest.mark.parametrize("branch", [False, True], ids=["in place", "on a branch"])
def test_nothing_that_an_agent_writes_runs_outside_or_changes_what_is_not_its_own(
    daemon: Daemon, repository: Path, branch: bool
) -> None:
    home = daemon.home.home
    (home / "victim").write_text("mine\n")
    (home / ".gitconfig").write_text("[user]\n\tname = u\n\temail = u@x\n")
    before = {path: path.read_bytes() for path in (repository / ".git/config", repository / ".git/HEAD")}
    agent = Session.new(daemon, "shell", *(["branch=b"] if branch else []), cwd=repository)
    agent.ask("echo one > one")
    agent.ask(PREPARE.format(home=home, identity=IDENTITY))
    for path in ("turns/1/diff", "turns/2/diff", "git/diff", "git/status", "git/branch", "git/base", "git/review"):
        try:
            assert agent.read(path).isprintable() or "\x1b" not in agent.read(path) or "diff" in path
        except AnvilError as error:
            assert str(error).isprintable(), path
    patch = "diff --git a/out b/out\n--- a/out\n+++ b/out\n@@ -1 +1 @@\n-mine\n+theirs\n"
    words = ["merge", "merge anyway", "merge squash anyway", "merge rebase anyway", "push", "pr", "discard"]
    tries = [("git/review", "file:1: x"), ("git/review", "out:1: x"), ("git/apply", patch), ("turns/2/ctl", "undo"),
             ("turns/1/ctl", "undo"), *(("git/ctl", word) for word in words)]  # fmt: skip
    for path, text in tries:
        said = attempt(agent, path, text)
        assert said.strip().isprintable(), (path, text, said)
        if "was given" in said or path == "git/review":
            agent.write("ctl", "hold")
    for words_of_the_user in ("status", "log --all", "fetch --all", "diff", "stash list"):
        git(repository, *words_of_the_user.split())
    assert not (home / "owned").exists() and (home / "victim").read_text() == "mine\n"
    assert {path: path.read_bytes() for path in before} == before
    assert not list((repository / ".git").rglob("*.lock"))
    agent.write("ctl", "kill")
    wait_until(lambda: agent.id not in daemon.client().read("list").decode(), "the session")
    assert not (home / "owned").exists() and os.listdir(home / ".local/state/anvillm")
