"""Sessions on a branch of their own: made, merged, pushed, discarded."""

import hashlib
import json
import os
import shutil
import time
from pathlib import Path

import pytest

from anvilsrv.errors import AnvilError
from tests.conftest import Daemon, wait_until
from tests.daemon.test_git import IDENTITY, git, made_repository
from tests.session import Session


def command(agent: Session, words: str) -> str:
    return agent.client.write_read(f"{agent.id}/git/ctl", words.encode()).decode().strip()


def commit(name: str, text: str = "x") -> str:
    return f"echo {text} > {name} && git add {name} && {IDENTITY} git commit -qm 'add {name}'"


@pytest.fixture
def identity(daemon: Daemon) -> None:
    (daemon.home.home / ".gitconfig").write_text("[user]\n\tname = u\n\temail = u@example.org\n")


def test_a_branch_is_made_merged_and_discarded(daemon: Daemon, repository: Path, identity: None) -> None:
    agent = Session.new(daemon, "shell", "branch=fix/one", cwd=repository)
    tree = repository.with_name("repository.fix-one")
    assert agent.read("cwd").strip() == str(tree) and agent.row["branch"] == "fix/one"
    assert agent.read("git/branch") == "fix/one\n"
    assert agent.client.read("list").decode().rstrip("\n").split("\t")[4:] == [str(tree), "fix/one"]
    head = git(repository, "rev-parse", "HEAD")
    agent.ask(commit("a"))
    assert "b/a\n" in agent.read("git/diff") and agent.read("git/base") == head
    agent.ask("echo more >> a; echo new > new")
    with pytest.raises(AnvilError, match="the session must commit these first: a, new"):
        command(agent, "merge")
    assert git(repository, "rev-parse", "HEAD") == head
    with pytest.raises(AnvilError, match="the session must commit these first"):
        command(agent, "discard")
    agent.ask(f"rm new; {IDENTITY} git commit -qam more")
    with pytest.raises(AnvilError, match=r"these were never merged or pushed: .*add a"):
        command(agent, "discard")
    (repository / "a").write_text("mine\n")
    with pytest.raises(AnvilError, match="you have changed or created files that it touches: a"):
        command(agent, "merge")
    (repository / "a").unlink()
    assert command(agent, "merge").startswith("merged fix/one into main: ")
    assert (repository / "a").read_text() == "x\nmore\n" and git(repository, "status", "--short") == ""
    assert git(repository, "rev-parse", "HEAD") == git(tree, "rev-parse", "HEAD")
    assert agent.read("git/diff") == ""
    assert command(agent, "discard").startswith("discarded fix/one: refs/anvillm/gone/")
    wait_until(lambda: not tree.exists(), "the work tree is there still")
    wait_until(lambda: agent.id not in json.dumps(daemon.client().read("list").decode()), "the session")
    refs = git(repository, "for-each-ref", "--format=%(refname)")
    assert f"refs/anvillm/gone/{agent.id}." in refs
    assert git(repository, "worktree", "list").count("\n") == 1


def test_a_squash_is_one_commit_of_the_user_and_a_killed_session_leaves_its_work(
    daemon: Daemon, repository: Path, identity: None
) -> None:  # fmt: skip
    agent = Session.new(daemon, "shell", "branch=two", cwd=repository)
    agent.ask(f"{commit('a')} && {commit('b')}")
    git(repository, "commit", "-q", "--allow-empty", "-m", "meanwhile")
    command(agent, "merge squash")
    assert git(repository, "log", "-1", "--format=%an %P%n%B") == (
        f"u {git(repository, 'rev-parse', 'HEAD~1').strip()}\ntwo\n\n* add a\n* add b\n"
    )
    agent.ask(commit("c"))
    assert "b/c\n" in (diff := agent.read("git/diff")) and "b/a\n" not in diff
    git(repository, "commit", "-q", "--allow-empty", "-m", "more")
    agent.ask("echo open > d")
    command(agent, "merge rebase anyway")
    assert (repository / "c").exists()
    assert "b/d\n" in (diff := agent.read("git/diff")) and "b/c\n" not in diff
    agent.write("ctl", "kill")
    tree = repository.with_name("repository.two")
    wait_until(lambda: agent.id not in daemon.client().read("list").decode(), "the session")
    assert (tree / "c").exists() and (tree / ".git").exists()


def test_what_may_run_something_is_told_before_a_merge(daemon: Daemon, repository: Path, identity: None) -> None:
    git(repository, "config", "core.hooksPath", ".githooks")
    agent = Session.new(daemon, "shell", "branch=evil", cwd=repository)
    agent.ask(
        f"mkdir .githooks .vscode; echo evil > .githooks/pre-commit; echo '* filter=x' > .gitattributes; ln -s /etc/passwd p;"
        f"echo t > .vscode/tasks.json; ln -s file ok; git add . && {IDENTITY} git commit -qm evil"
    )
    with pytest.raises(AnvilError, match="may run code") as caught:
        command(agent, "merge")
    for path in (".githooks/pre-commit", ".gitattributes", ".vscode/tasks.json", "p"):
        assert path in str(caught.value)
    assert ", ok" not in str(caught.value) and not (repository / "p").is_symlink()
    command(agent, "merge anyway")
    assert (repository / "p").is_symlink()


def test_a_branch_is_pushed_to_a_remote_of_the_user_without_hooks(
    daemon: Daemon, repository: Path, identity: None
) -> None:
    remote = daemon.home.top / "remote.git"
    git(repository, "init", "-q", "--bare", str(remote))
    git(repository, "remote", "add", "origin", str(remote))
    hook = repository / ".git/hooks/pre-push"
    hook.write_text("#!/bin/sh\ntouch ran\nexit 1\n")
    hook.chmod(0o755)
    agent = Session.new(daemon, "shell", "branch=out", cwd=repository)
    agent.ask(commit("a"))
    assert command(agent, "push").startswith("pushed out to origin: ")
    assert git(remote, "log", "-1", "--format=%s", "out") == "add a\n" and not (repository / "ran").exists()
    git(remote, "update-ref", "refs/heads/out", git(remote, "commit-tree", "-m", "other", "out^{tree}").strip())
    with pytest.raises(AnvilError, match=r"git: \[rejected\] .* -> out \(fetch first\)"):
        command(agent, "push")
    command(agent, "discard anyway")


REQUESTS = {
    "gh": ("remote.git", "pr\ncreate\n--head\nout\n--base\nmain\n--title\n", "--body\n"),
    "glab": (
        "gitlab/remote.git", "mr\ncreate\n--yes\n--source-branch\nout\n--target-branch\nmain\n--title\n", "--description\n",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_is_made_by_gh_or_glab_with_words_from_the_turns(stopped_daemon: Daemon, name: str) -> None:
    """By glab(1) where the remote's address names GitLab."""
    home, (place, head, body) = stopped_daemon.home, REQUESTS[name]
    (home.top / "bin").mkdir()
    program = home.top / "bin" / name
    program.write_text(
        '#!/bin/sh\nprintf "%s\\n" "$@" > "$HOME/asked"; pwd >> "$HOME/asked"; echo creating >&2; echo https://example.org/7\n'
    )
    program.chmod(0o755)
    home.env["PATH"] = f"{home.top / 'bin'}:{home.env['PATH']}"
    (home.home / ".gitconfig").write_text("[user]\n\tname = u\n\temail = u@example.org\n")
    daemon = stopped_daemon.start()
    at, remote = made_repository(home.top / "repository"), home.top / place
    git(at, "init", "-q", "--bare", str(remote))
    git(at, "remote", "add", "origin", str(remote))
    agent = Session.new(daemon, "shell", "branch=out", cwd=at)
    agent.ask(f"{commit('a')} && echo done")
    assert command(agent, "pr") == "https://example.org/7"
    asked = (home.home / "asked").read_text()
    assert asked.startswith(f"{head}{commit('a')} && echo done"[:120])
    assert f"{body}done\n\nAsked for:\n\n- echo x > a" in asked and asked.endswith(f"{at}\n")
    assert git(remote, "log", "-1", "--format=%s", "out") == "add a\n"
    program.write_text("#!/bin/sh\necho no such repository >&2; exit 1\n")
    with pytest.raises(AnvilError, match=rf"pushed out to origin.*; {name}: no such repository"):
        command(agent, "pr")


def test_what_was_discarded_is_kept_for_thirty_days(daemon: Daemon, repository: Path) -> None:
    head, now = git(repository, "rev-parse", "HEAD").strip(), int(time.time())
    for name, days in (("old", 31), ("young", 29)):
        git(repository, "update-ref", f"refs/anvillm/gone/{name}.{now - days * 86400}", head)
    agent = Session.new(daemon, "shell", "branch=b", cwd=repository)
    agent.ask(commit("a"))
    command(agent, "discard anyway")
    refs = git(repository, "for-each-ref", "--format=%(refname)", "refs/anvillm/gone")
    assert "gone/old." not in refs and "gone/young." in refs and f"gone/{agent.id}." in refs


def test_a_work_tree_in_which_another_session_works_is_not_discarded(daemon: Daemon, repository: Path) -> None:
    agent = Session.new(daemon, "shell", "branch=b", cwd=repository)
    other = Session.new(daemon, cwd=repository.with_name("repository.b"))
    with pytest.raises(AnvilError, match=f"other sessions work there: {other.id}"):
        command(agent, "discard")
    other.write("ctl", "kill")
    wait_until(lambda: other.id not in daemon.client().read("list").decode(), "the session")
    command(agent, "discard")


def test_where_a_work_tree_cannot_stand_beside_the_repository_it_is_the_same_elsewhere(
    daemon: Daemon, repository: Path, identity: None
) -> None:
    """In another work tree it would be an unknown directory. Beside one of a bare repository it would not."""
    inner = made_repository(repository / "inner")
    agent = Session.new(daemon, "shell", "branch=b", cwd=inner)
    assert agent.read("cwd").strip() == str(daemon.home.home / ".local/share/anvillm-worktrees/inner.b")
    agent.ask(commit("a"))
    command(agent, "merge")
    made = daemon.client().write_read("ctl", f"new shell same={agent.id}".encode()).decode().strip()
    beside = Session(daemon, made)
    with pytest.raises(AnvilError, match=f"shares the work tree of '{agent.id}'"):
        command(beside, "merge")
    bare = daemon.home.top / "project"
    git(repository, "clone", "-q", "--bare", str(repository), str(bare / ".bare"))
    (bare / ".git").write_text("gitdir: ./.bare\n")
    git(bare, "worktree", "add", "-q", "main")
    agent = Session.new(daemon, "shell", "branch=b", cwd=bare / "main")
    assert agent.read("cwd").strip() == str(bare / "main.b")
    agent.ask(commit("a"))
    command(agent, "merge")
    assert (inner / "a").exists() and (bare / "main/a").exists()


def test_a_session_that_works_in_place_has_nothing_to_merge(daemon: Daemon, repository: Path) -> None:
    agent = Session.new(daemon, cwd=repository)
    with pytest.raises(AnvilError, match="no branch of its own"):
        command(agent, "merge")
    client = daemon.client()
    for words, why in (
        (f"new shell {repository} branch=..", "is not a valid branch name"),
        (f"new shell {repository} branch=main", "git:"),
        (f"new shell {repository} branch=x base=none", "no commit 'none'"),
        (f"new shell {repository} branch=x role=none", "none"),
        (f"new shell {daemon.home.home} branch=x", "no git repository"),
    ):
        with pytest.raises(AnvilError, match=why):
            client.write("ctl", words.encode())
    assert git(repository, "for-each-ref", "--format=%(refname)", "refs/heads") == "refs/heads/main\n"
    assert sorted(path.name for path in daemon.home.top.iterdir() if path.name.startswith("repository")) == [
        "repository"
    ]


POINTER = "version https://git-lfs.github.com/spec/v1\\noid sha256:{name}\\nsize {size}\\n"


def test_large_files_are_brought_before_a_merge(daemon: Daemon, repository: Path, identity: None) -> None:
    """As git-lfs keeps them; where nothing lands by itself, the merge does it. One whose hash is another is refused."""
    (daemon.home.config / "tasks").mkdir(parents=True)
    (daemon.home.config / "tasks/still.yaml").write_text("git: {land: off}\n")
    agent = Session.new(daemon, "shell", "branch=b", "tasks=still", cwd=repository)
    head, kept = git(repository, "rev-parse", "HEAD"), {}
    for text in ("large\n", "false\n"):
        name = hashlib.sha256(text.encode()).hexdigest()
        kept[text] = at = f"lfs/objects/{name[:2]}/{name[2:4]}/{name}"
        agent.ask(
            f"o=$(git rev-parse --git-dir)/{at} && mkdir -p ${{o%/*}} && echo large > $o && git rm -q --ignore-unmatch a.big && "
            f"printf '{POINTER.format(name=name, size=len(text))}' > a.big && git add a.big && {IDENTITY} git commit -qm a"
        )
        if text == "large\n":
            assert not (repository / ".git" / at).exists()
            command(agent, "merge")
            assert (repository / ".git" / at).read_text() == text
            assert git(repository, "show", "HEAD:a.big") == (repository / "a.big").read_text()
            head = git(repository, "rev-parse", "HEAD")
    with pytest.raises(AnvilError, match=r"its large file .* does not have the hash that names it"):
        command(agent, "merge")
    assert git(repository, "rev-parse", "HEAD") == head and not (repository / ".git" / kept["false\n"]).exists()
    assert git(repository, "status", "--short") == ""


@pytest.mark.slow(6)
def test_what_git_lfs_keeps_inside_is_in_the_users_files_after_a_merge(
    daemon: Daemon, repository: Path, identity: None
) -> None:
    """With the real program."""
    program = shutil.which("git-lfs")
    if program is None:
        pytest.skip("no git-lfs")
    where = os.path.dirname(program)
    (daemon.home.config / "tasks").mkdir(parents=True)
    (daemon.home.config / "tasks/lfs.yaml").write_text(
        f"filesystem: {{rox: [{program}]}}\nenv: ['PATH={where}:/usr/bin:/bin']\n"
    )
    git(repository, "lfs", "install", "--local")
    git(repository, "lfs", "track", "*.big")
    (repository / "a.big").write_text("large\n")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "big")
    agent = Session.new(daemon, "shell", "branch=b", "tasks=lfs", cwd=repository)
    assert agent.ask("cat a.big; git lfs ls-files | cut -d ' ' -f 3; git status --short") == "large\na.big\n"
    agent.ask(f"echo larger > a.big; {commit('b.big', 'new')} && {IDENTITY} git commit -qam more")
    command(agent, "merge")
    assert (repository / "a.big").read_text() == "larger\n" and (repository / "b.big").read_text() == "new\n"
    assert git(repository, "show", "HEAD:b.big").startswith("version https://git-lfs")
    assert git(repository, "status", "--short") == "" and "OK" in git(repository, "lfs", "fsck")
