"""Commits of a session come to the user's branch where it stands as it stood; of what is hostile in them, nothing comes."""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from git_world import IDENTITY, LAYER, GitWorld
from sandbox_world import World

from sandbox import git_inside, git_land, git_out, git_own
from sandbox.errors import SandboxRefused
from sandbox.git_cover import Cover
from sandbox.plan import specification


class Session(GitWorld):
    """A session on the repository; ``land`` is the end of a turn."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.scratch = Path(tempfile.mkdtemp(dir=world.top))
        self.covered = Cover()

    def begin(self) -> "Session":
        self.covered = self.cover()
        return self

    def work(self, script: str, check: bool = True) -> str:
        return self.agent(script, self.covered, check=check)

    def land(self) -> str:
        """What is said of it; the git outside runs as whoever runs the tests."""
        layer = LAYER | {"env": [f"{name}={value}" for name, value in IDENTITY.items()]}
        spec = specification(
            self.world.policy(layer), ["true"], tier="full", namespace_source=str(self.world.sess), tmpdir="", env=self.env,
            cover=self.covered,
        )  # fmt: skip
        path = self.scratch / "spec.json"
        path.write_text(json.dumps(spec))
        path.chmod(0o600)

        def inside(argv: list[str], cwd: str, data: bytes, most: int) -> bytes:
            return git_inside.output(str(path), str(self.scratch), argv, cwd, data, most)

        said = []
        for record in git_own.records(str(self.state / "s1")):
            found = git_land.settle(record, "s1", inside, str(self.scratch))
            said += [found.said] if found else []
        return "; ".join(said)


@pytest.fixture
def session(world: World) -> Iterator[Session]:
    if world.uid != os.geteuid():
        pytest.skip("the daemon is the user")
    yield Session(world).begin()


def test_commits_come_to_the_users_branch_and_index(session: Session) -> None:
    """Again and again; the work tree is clean afterwards, and each is told."""
    for n in ("a", "b"):
        session.work(f"echo {n} > {n} && git add {n} && git commit -qm {n}")
        assert session.land().startswith("commits are on your branch main now (")
        assert session.user("git log -1 --format=%s; git status --short") == f"{n}\n"
    assert session.land() == ""
    assert session.user("git fsck --no-dangling --no-progress") == ""


def test_a_repository_in_which_nothing_was_committed_is_not_touched(session: Session) -> None:
    """Not a byte."""
    before = session.snapshot()
    session.work("echo x > x && git add x && git stash -q -u && git stash pop -q")
    assert session.land() == ""
    assert session.snapshot() == before


KEPT = {
    "your branch was moved meanwhile": "git commit -q --allow-empty -m mine",
    "you have checked out something else": "git checkout -q -b other",
    "your index is not as it was": "echo mine > file && git add file",
}


@pytest.mark.parametrize("why", KEPT)
def test_what_the_user_did_meanwhile_stays(session: Session, why: str) -> None:
    """The commits wait under a ref of their own, and it is said why."""
    session.work("echo agent > file && git commit -qam agent")
    session.user(KEPT[why])
    state = "git rev-parse HEAD main; git diff --cached; git symbolic-ref HEAD"
    before = session.user(state)
    assert why in session.land()
    assert session.user(state) == before
    assert session.user("git log -1 --format=%s refs/anvillm/s1") == "agent\n"
    assert session.land() == ""


def test_a_branch_that_the_session_left_or_rewrote_stays(session: Session) -> None:
    """What it says names the branch."""
    session.work("git checkout -q -b topic && git commit -q --allow-empty -m t")
    assert "the session is on topic" in session.land()
    session.work("git checkout -q main && git commit -q --amend -m changed")
    assert "rewrote commits that were yours" in session.land()
    assert session.user("git log --format=%s main") == "one\n"


def test_a_linked_worktree_and_a_submodule_get_theirs(world: World) -> None:
    """Each on its own branch."""
    if world.uid != os.geteuid():
        pytest.skip("the daemon is the user")
    session = Session(world)
    session.user("git worktree add -q wt -b wt && git init -q -b main ../outside/lib && "
                 "git -C ../outside/lib commit -q --allow-empty -m x && "
                 "git -c protocol.file.allow=always submodule --quiet add ../outside/lib sub")  # fmt: skip
    session.begin()
    session.work("for d in wt sub; do ( cd $d && echo $d > new && git add new && git commit -qm $d ); done")
    session.land()
    assert (
        session.user("for d in wt sub; do git -C $d log -1 --format=%s; git -C $d status --short; done") == "wt\nsub\n"
    )


@pytest.mark.slow(6)
def test_a_crash_between_two_steps_is_made_good(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each git of landing dies in turn; the next end of a turn goes on."""
    real, left = git_land.run, 0

    def dying(*words: str, **more: object) -> bytes:
        nonlocal left
        left -= 1
        if left == 0:
            raise KeyboardInterrupt
        return real(*words, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(git_land, "run", dying)
    for step in range(1, 6):
        session.work(f"echo {step} > file && git commit -qam step{step}")
        left = step
        with pytest.raises(KeyboardInterrupt):
            session.land()
        session.land()
        assert session.user("git log -1 --format=%s; git status --short") == f"step{step}\n"


MAKE = """
import subprocess
def git(*words, data=b""):
    return subprocess.run(["git", *words], input=data, capture_output=True, check=True).stdout.strip()
def tree(entry):
    return git("hash-object", "-t", "tree", "-w", "--stdin", "--literally", data=entry)
def point(at):
    git("update-ref", "refs/heads/main", git("commit-tree", at.decode(), "-p", "HEAD", "-m", "x").decode())
blob = bytes.fromhex(git("hash-object", "-w", "--stdin", data=b"x").decode())
sub = bytes.fromhex(tree(b"100644 config\\0" + blob).decode())
"""
MODULES = 'git("hash-object", "-w", "--stdin", data=b"[submodule \\"a\\"]\\n\\tpath=a\\n\\turl=-u./x\\n")'
HOSTILE = {
    "a tree with .git": 'point(tree(b"40000 .git\\0" + sub))',
    "a tree with ..": 'point(tree(b"40000 ..\\0" + sub))',
    "a tree with a slash": 'point(tree(b"100644 a/b\\0" + blob))',
    "a submodule that runs a command": f'point(tree(b"100644 .gitmodules\\0" + bytes.fromhex({MODULES}.decode())))',
    "a link as .gitattributes": 'point(tree(b"120000 .gitattributes\\0" + blob))',
    "a mode that there is not": 'point(tree(b"100666 a\\0" + blob))',
    "a repository in the repository": 'point(tree(b"160000 sub\\0" + blob))',
    "little that unpacks to much": 'big = git("-c", "core.bigFileThreshold=1m", "hash-object", "-w", "/tmp/big")\n'
    'point(tree(b"100644 a\\0" + bytes.fromhex(big.decode())))',
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_hostile_comes_to_the_users_branch(
    session: Session, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Index, branch and work tree stay as they were; and it is told."""
    monkeypatch.setattr(git_out, "UNPACKED", 32 << 20)
    if "unpacks" in name:
        session.work("truncate -s 48M /tmp/big && python3 - <<'END'\n" + MAKE + HOSTILE[name] + "\nEND")
    else:
        session.work("python3 - <<'END'\n" + MAKE + HOSTILE[name] + "\nEND")
    state = "git rev-parse main; git ls-files -s; git status --short"
    before = session.user(state)
    try:
        said = session.land()
    except SandboxRefused as error:
        said = str(error)
    assert said
    assert "now" not in said, said
    assert session.user(state) == before


def test_a_git_that_an_agent_plants_in_its_sandbox_gets_nowhere(session: Session) -> None:
    """A ref that is a link, a pack that is none, endless output."""
    session.work(
        "git commit -q --allow-empty -m x && rm .git/refs/heads/main && ln -s /etc/hostname .git/refs/heads/main"
    )
    assert session.land() == ""
    with pytest.raises(SandboxRefused, match="git: "):
        git_out.take(
            session.covered.records[0], "1" * 40, "refs/anvillm/s1", lambda *_: b"PACK" * 100, str(session.scratch)
        )
    assert session.user("git for-each-ref refs/anvillm/s1") == ""


def test_what_is_borrowed_is_held_and_let_go(session: Session) -> None:
    """A branch that the user deletes stays whole for the session, through a gc; at its end nothing of ours is left."""
    session.user("git checkout -q -b gone && git commit -q --allow-empty -m gone && git checkout -q main")
    git_own_place = str(session.state / "s1")
    subprocess.run(["rm", "-rf", git_own_place], check=True)
    session.begin()
    session.user("git branch -D gone && git reflog expire --expire=all --all && git gc -q --prune=now")
    assert session.work("git log -1 --format=%s gone") == "gone\n"
    for record in git_own.records(git_own_place):
        git_land.release(record, "s1")
    assert session.user("git for-each-ref refs/anvillm") == ""
