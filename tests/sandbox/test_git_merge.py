"""A merge into what the user has checked out: all of it or nothing, whatever is killed, and nothing of the user's is lost."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox import git_merge
from sandbox.errors import SandboxRefused
from sandbox.git_branch import Branch
from sandbox.git_own import Record

WHO = {f"GIT_{who}_{what}": "u@x" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


class Place:
    """A repository of the user's with a branch ``b``, as the merge sees it."""

    def __init__(self, top: Path) -> None:
        self.top = top / "repo"
        self.top.mkdir()
        self.git("init", "-q", "-b", "main")
        self.write(file="one\n", gone="gone\n", **{"d/deep": "deep\n"})
        self.commit("one")
        base = self.git("rev-parse", "HEAD")
        self.git("checkout", "-q", "-b", "b")
        (self.top / "gone").unlink()
        self.write(file="two\n", new="new\n", **{f"many/{n}": f"{n}\n" * 50 for n in range(200)})
        self.commit("two")
        self.source = self.git("rev-parse", "HEAD")
        self.git("checkout", "-q", "main")
        self.write(mine="mine\n")
        self.commit("mine")
        self.old = self.git("rev-parse", "HEAD")
        state = top / "state"
        state.mkdir()
        git = f"{self.top}/.git"
        self.branch = Branch(str(self.top), git, git, str(top / "tree"), "b", base, True)
        self.record = Record(str(state), f"{top}/tree/.git", True, git, git, [], 20, "refs/heads/b", base, [])

    def git(self, *words: str) -> str:
        env = {**os.environ, **WHO, "GIT_CONFIG_GLOBAL": "/dev/null"}
        return subprocess.run(
            ["git", *words], cwd=self.top, env=env, check=True, capture_output=True, text=True
        ).stdout.strip()

    def write(self, **files: str) -> None:
        for name, text in files.items():
            path = self.top / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def commit(self, message: str) -> None:
        self.git("add", "-A")
        self.git("commit", "-qm", message)

    def merge(self, **options: bool) -> str:
        squash, anyway = options.get("squash", False), options.get("anyway", False)
        return git_merge.merge(self.branch, self.record, self.source, squash, anyway, lambda *_: b"").commit

    def killed(self, before: int = 0, after: float = 0.0) -> bool:
        """Merge in a process that is killed before its n-th git, or after that time; whether it was."""
        child = os.fork()
        if not child:
            os.setpgid(0, 0)
            count, real = 0, git_merge.run

            def run(*words: str, **more: Any) -> bytes:
                nonlocal count
                count += 1
                if count == before:
                    os.killpg(0, signal.SIGKILL)
                return real(*words, **more)

            git_merge.run = run  # type: ignore[assignment]
            if after:
                signal.signal(signal.SIGALRM, lambda *_: os.killpg(0, signal.SIGKILL))
                signal.setitimer(signal.ITIMER_REAL, after)
            try:
                self.merge()
            finally:
                os._exit(0)
        return os.waitpid(child, 0)[1] != 0

    def state(self) -> str:
        """Return what there is: before, after, or what it is instead."""
        if self.git("status", "--porcelain"):
            return self.git("status", "--porcelain")
        return (
            "before"
            if self.git("rev-parse", "HEAD") == self.old
            else "after"
            if (self.top / "new").exists()
            else "lost"
        )


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    for name, value in WHO.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "home").mkdir()
    (tmp_path / "home/.gitconfig").write_text("[user]\n\tname = u\n\temail = u@x\n")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home/state"))
    yield Place(tmp_path)


def test_a_merge_brings_files_index_and_branch(place: Place) -> None:
    new = place.merge()
    assert place.state() == "after" and place.git("rev-parse", "HEAD") == new
    assert place.git("log", "-1", "--format=%P").split() == [place.old, place.source]
    with pytest.raises(SandboxRefused, match="already"):
        place.merge()


@pytest.mark.parametrize(
    ("script", "paths"),
    [
        ("echo x >> file", ["file"]),
        ("echo x >> file; git add file; git checkout -q HEAD -- . ; echo y > file; git add file", ["file"]),
        ("echo x > new", ["new"]),
        ("echo new > .git/info/exclude; echo x > new", ["new"]),
        ("mkdir new; touch new/x", ["new"]),
        ("echo x > many", None),
        ("rm -r d; rm gone; mkdir gone; touch gone/x", ["gone"]),
        ("echo x >> file; git commit -qam x", ["file"]),
    ],
)
def test_what_is_in_the_way_is_named_and_nothing_changes(place: Place, script: str, paths: list[str] | None) -> None:
    subprocess.run(["sh", "-ec", script], cwd=place.top, check=True, env={**os.environ, **WHO})
    head, status = place.git("rev-parse", "HEAD"), place.git("status", "--porcelain", "--ignored")
    with pytest.raises(git_merge.Refused) as caught:
        place.merge()
    assert caught.value.paths == paths or (paths is None and "many/0" in caught.value.paths)
    assert (place.git("rev-parse", "HEAD"), place.git("status", "--porcelain", "--ignored")) == (head, status)
    assert not list((place.top / ".git").glob("*.lock"))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("index.lock", "a git of yours is at work, or left its lock"),
        ("refs/heads/main.lock", "a git of yours is at work, or left its lock"),
        ("rebase-merge", "a rebase of yours is in progress"),
        ("CHERRY_PICK_HEAD", "a cherry-pick of yours is in progress"),
    ],
)
def test_what_the_user_is_in_the_middle_of_is_left_alone(place: Place, name: str, said: str) -> None:
    there = place.top / ".git" / name
    there.write_text("")
    with pytest.raises(SandboxRefused, match=said):
        place.merge()
    assert there.exists() and not Path(place.record.place, "merge").exists()
    there.unlink()
    assert place.state() == "before"
    place.merge()


@pytest.mark.parametrize(
    ("failing", "said"),
    [
        ("update-ref", "cannot lock ref"),
        ("read-tree", "unable to write file"),  # as on a disk that is full
        ("read-tree", "Cannot merge"),
    ],
)
def test_a_step_that_fails_leaves_all_as_it_was(
    place: Place, monkeypatch: pytest.MonkeyPatch, failing: str, said: str
) -> None:
    real, failed = git_merge.run, list[str]()

    def run(*given: str, **more: Any) -> bytes:
        if failing in given and not failed:
            failed.append(failing)
            if "unable" in said:
                place.write(file="tw", new="ne")
            raise SandboxRefused(f"git: {said}")
        return real(*given, **more)

    monkeypatch.setattr(git_merge, "run", run)
    with pytest.raises(SandboxRefused, match=said):
        place.merge()
    assert failed and place.state() == "before" and not Path(place.record.place, "merge").exists()
    place.merge()


def test_other_changes_of_the_user_are_kept(place: Place) -> None:
    place.write(mine="more\n", other="other\n")
    place.merge()
    assert place.git("status", "--porcelain") == "M mine\n?? other"
    assert (place.top / "mine").read_text() == "more\n"


def test_no_hook_runs_and_no_attributes_of_the_branch_run_a_driver(place: Place) -> None:
    for name in ("post-checkout", "post-merge", "pre-commit", "reference-transaction", "post-index-change"):
        hook = place.top / ".git/hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\ntouch {place.top.parent}/ran\n")
        hook.chmod(0o755)
    place.git("config", "core.fsmonitor", f"touch {place.top.parent}/ran; :")
    place.git("config", "commit.gpgsign", "true")
    place.git("config", "gpg.program", f"{place.top.parent}/none")
    place.merge()
    assert not (place.top.parent / "ran").exists()


@pytest.mark.slow(40)
def test_a_merge_that_was_killed_before_any_git_is_ended_or_taken_back(place: Place) -> None:
    seen, number = set[str](), 0
    while True:
        number += 1
        if not place.killed(before=number):
            break
        git_merge.resume(place.branch, place.record)
        state = place.state()
        seen.add(state)
        assert state in ("before", "after"), f"before git {number}: {state}"
        assert not list((place.top / ".git").rglob("*.lock"))
        place.git("reset", "-q", "--hard", place.old)
    assert seen == {"before", "after"} and number > 8


@pytest.mark.slow(40)
def test_a_merge_that_was_killed_at_any_moment_is_ended_or_taken_back(place: Place) -> None:
    for moment in range(1, 21):
        place.killed(after=moment * 0.01)
        git_merge.resume(place.branch, place.record)
        assert place.state() in ("before", "after"), moment
        assert not list((place.top / ".git").rglob("*.lock"))
        place.git("reset", "-q", "--hard", place.old)
