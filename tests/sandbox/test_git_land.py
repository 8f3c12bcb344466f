"""Commits of a session come to the user's branch where it stands as it stood; of what is hostile in them, nothing comes."""

import fcntl
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from git_world import LAYER, GitWorld
from sandbox_world import PYTHON, World
from test_git_commands import LAYOUTS, set_up

from sandbox import git_out
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

    def land(self, **asked: Any) -> str:
        """Land the commits. Returns what is said of it; empty also where it was killed. See ``landing.py``."""
        spec = specification(
            self.policy(self.with_identity()), ["true"], tier="full", namespace_source=str(self.world.sess), tmpdir="", env=self.env,
            cover=self.covered,
        )  # fmt: skip
        path = self.scratch / "spec.json"
        path.write_text(json.dumps(spec))
        path.chmod(0o600)
        self.world.own()
        asked |= {"sandbox": str(self.world.top / "lib"), "state": str(self.state / "s1"), "spec": str(path),
                  "scratch": str(self.scratch)}  # fmt: skip
        program = Path(__file__).with_name("landing.py").read_text()
        result = subprocess.run(
            [PYTHON, "-I", "-S", "-c", program], input=json.dumps(asked), env=self.env, cwd="/", text=True, timeout=100, check=False,
            capture_output=True, start_new_session=True, **self.world.identity,
        )  # fmt: skip
        assert result.returncode in (0, -signal.SIGKILL), result.stderr
        return result.stdout

    def locks(self) -> list[Path]:
        """Return the locks in the user's repository."""
        return list((self.proj / ".git").rglob("*.lock"))


@pytest.fixture
def session(world: World) -> Iterator[Session]:
    yield Session(world).begin()


def wait_for(path: Path) -> None:
    """Wait until it is there."""
    for _ in range(2000):
        if path.exists():
            return
        time.sleep(0.01)
    raise AssertionError(f"no {path}")


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
    "your branch has moved in the meantime": "git commit -q --allow-empty -m mine",
    "you have checked out something else": "git checkout -q -b other",
    "your index has changed": "echo mine > file && git add file",
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


def test_a_linked_worktree_and_a_submodule_get_theirs(user_world: World) -> None:
    """Each on its own branch."""
    session = Session(user_world)
    session.user("git worktree add -q wt -b wt && git init -q -b main ../outside/lib && "
                 "git -C ../outside/lib commit -q --allow-empty -m x && "
                 "git -c protocol.file.allow=always submodule --quiet add ../outside/lib sub")  # fmt: skip
    session.begin()
    session.work("for d in wt sub; do ( cd $d && echo $d > new && git add new && git commit -qm $d ); done")
    session.land()
    assert (
        session.user("for d in wt sub; do git -C $d log -1 --format=%s; git -C $d status --short; done") == "wt\nsub\n"
    )


def test_the_first_commit_comes_to_a_branch_that_has_none(user_world: World) -> None:
    """What the user has staged before is in the way only if it is something else."""
    session = Session(user_world)
    session.user("rm -rf .git && git init -q -b main && git add file")
    session.begin()
    session.work("git add . && git commit -qm first")
    assert "on your branch main now" in session.land()
    assert session.user("git log --format=%s; git status --short") == "first\n"
    session.work("git commit -q --allow-empty -m second")
    assert "on your branch main now" in session.land()


def test_a_layer_can_say_that_the_branch_is_left_where_it_is(user_world: World) -> None:
    """The commits wait under their ref; without that layer a later one brings them all."""
    session = Session(user_world)
    session.covered = session.cover(LAYER | {"git": {"land": False}})
    session.work("git commit -q --allow-empty -m two")
    assert "and not on your branch: switched off by a layer of its policy" in session.land()
    assert session.land() == ""
    assert session.user("git log -1 --format=%s main; git log -1 --format=%s refs/anvillm/s1") == "one\ntwo\n"
    session.begin()
    session.work("git commit -q --allow-empty -m three")
    assert "on your branch main now" in session.land()
    assert session.user("git log --format=%s") == "three\ntwo\none\n"


@pytest.mark.slow(3)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_commits_land_in_a_repository_of_this_layout(user_world: World, layout: str) -> None:
    """Twice, and the work tree has nothing to tell that it did not tell before."""
    session = Session(user_world)
    at = set_up(session, layout)
    where = session.proj / at
    status = session.user("git status --short", where)
    session.begin()
    for n in ("a", "b"):
        session.work(f"cd {at} && echo {n} >> d/new && git add d/new && git commit -qm {n} -- d/new")
        assert "on your branch" in session.land()
        assert session.user("git log -1 --format=%s; git status --short", where) == f"{n}\n{status}"
    assert session.user("git -c advice.sparseIndexExpanded=false fsck --no-dangling --no-progress", where) == ""


def test_what_the_user_has_not_fetched_is_not_asked_for(user_world: World) -> None:
    """A partial clone lacks a file beside the one that is committed."""
    session = Session(user_world)
    session.user(
        "mkdir e && echo y > e/y && git add e && git commit -qm e && git config uploadpack.allowFilter true && "
        "git clone -q --filter=blob:none --sparse file://$PWD ../outside/c && rm -rf .git d e && mv ../outside/c/.git . && "
        "git rev-list --objects --missing=print HEAD | grep -q '^?'"
    )
    session.begin()
    session.work("mkdir e && echo n > e/new && git add --sparse e/new && git commit -qm new")
    assert "on your branch" in session.land()
    assert session.user("git log -1 --format=%s; git ls-files e") == "new\ne/new\ne/y\n"


@pytest.mark.slow(8)
def test_a_crash_before_any_git_of_landing_is_made_good(session: Session) -> None:
    """All of it is killed; the next time goes on."""
    for step in range(1, 20):
        session.work(f"echo {step} > file && git commit -qam step{step}")
        whole = session.land(die=step)
        session.land()
        assert session.user("git log -1 --format=%s; git status --short") == f"step{step}\n"
        assert session.locks() == []
        if whole:
            break
    assert step > 8


@pytest.mark.slow(20)
def test_killed_at_any_moment_it_leaves_no_lock_and_goes_on(user_world: World) -> None:
    """The gits that it has started are killed with it; what it left is cleared away by the next daemon, in a turn too."""
    session, after, whole = Session(user_world).begin(), 0.0, ""
    session.work("for n in $(seq 300); do echo $n > n$n; done; git add . && git commit -qm many")
    session.land()
    while not whole:
        after += 0.05
        session.work(f"for n in $(seq 300); do echo {after} > n$n; done; git commit -qam {after}")
        whole = session.land(after=after)
        session.land(resume=True)
        assert session.locks() == []
        assert session.user("git diff --cached --name-only") == ""
        session.land()
        assert session.user("git log -1 --format=%s; git status --short") == f"{after}\n"
        assert session.user("git fsck --no-dangling --no-progress") == ""


LOCKS = ("index.lock", "HEAD.lock", "refs/heads/main.lock", "packed-refs.lock", "refs/anvillm/s1.lock")


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_that_a_git_of_landing_left_is_taken_away(user_world: World, lock: str) -> None:
    """As a power failure leaves it."""
    session = Session(user_world).begin()
    session.work("git commit -q --allow-empty -m two")
    assert session.land(die=8) == ""
    path = session.proj / ".git" / lock
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    assert "now" in session.land()
    assert session.locks() == []


def test_a_lock_of_the_users_stays_and_the_next_time_it_lands(user_world: World) -> None:
    """Whether its git lives or not, and after a crash too."""
    session = Session(user_world).begin()
    session.work("git commit -q --allow-empty -m two")
    index = session.proj / ".git/index.lock"
    index.touch()
    assert "git of yours is at work" in session.land()
    assert index.exists()
    index.unlink()
    assert session.land(die=3) == ""
    editor = "sh -c 'touch edited; exec sleep 60'"
    command = ["git", "-c", f"core.editor={editor}", "commit", "-q", "--allow-empty", "-a"]
    with subprocess.Popen(command, env=session.env | {"GIT_EDITOR": editor}, cwd=session.proj, **session.world.identity,
                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          start_new_session=True) as git:  # fmt: skip
        try:
            wait_for(session.proj / "edited")
            assert index.exists()
            assert "git of yours is at work" in session.land()
            assert index.exists()
        finally:
            os.killpg(git.pid, signal.SIGTERM)
    session.user("rm -f edited")
    assert "now" in session.land()


@pytest.mark.parametrize("ends", ["update-ref", "refs/heads/main"])  # taking the commits out, and moving the branch
@pytest.mark.parametrize("how", ["killed", "failed"])
def test_a_lock_is_taken_away_after_a_git_that_was_killed_and_left_after_one_that_failed(
    user_world: World, how: str, ends: str
) -> None:
    """Where a git fails, the lock is of somebody whose program may be no git."""
    session = Session(user_world).begin()
    session.work("git commit -q --allow-empty -m two")
    lock = session.proj / ".git/refs/heads/main.lock"
    assert "now" not in session.land(ends=ends, how=how, lock=str(lock))
    assert lock.exists() == (how == "failed")
    session.land()
    assert lock.exists() == (how == "failed")


def test_two_do_not_land_at_once(session: Session) -> None:
    """A git of a daemon that was killed may live on."""
    session.work("git commit -q --allow-empty -m two")
    with open(f"{session.covered.records[0].place}/lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert "git of an earlier daemon" in session.land()
    assert "now" in session.land()


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
LINKED = "a repository in the repository"
HOSTILE = {
    "a tree with .git": 'point(tree(b"40000 .git\\0" + sub))',
    "a tree with ..": 'point(tree(b"40000 ..\\0" + sub))',
    "a tree with a slash": 'point(tree(b"100644 a/b\\0" + blob))',
    "a submodule that runs a command": f'point(tree(b"100644 .gitmodules\\0" + bytes.fromhex({MODULES}.decode())))',
    "a link as .gitattributes": 'point(tree(b"120000 .gitattributes\\0" + blob))',
    "a mode that there is not": 'point(tree(b"100666 a\\0" + blob))',
    LINKED: 'point(tree(b"160000 sub\\0" + blob))',
    "little that unpacks to much": 'big = git("-c", "core.bigFileThreshold=1m", "hash-object", "-w", "/tmp/big")\n'
    'point(tree(b"100644 a\\0" + bytes.fromhex(big.decode())))',
}  # fmt: skip


def hostile(session: Session, name: str) -> None:
    big = "truncate -s 48M /tmp/big && " if "unpacks" in name else ""
    session.work(f"{big}python3 - <<'END'\n{MAKE}{HOSTILE[name]}\nEND")


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_hostile_comes_to_the_users_repository(session: Session, name: str) -> None:
    """Not even under a ref of ours; a repository in the repository comes there, but not to the branch. It is told."""
    hostile(session, name)
    state = "git rev-parse main; git ls-files -s; git status --short"
    before = session.user(state)
    said = session.land(unpacked=32 << 20)
    assert said.startswith("commits are at refs/anvillm/s1, and not" if name == LINKED else "refused: "), said
    assert session.user(state) == before
    assert (session.user("git for-each-ref refs/anvillm/s1") == "") == (name != LINKED)


def test_what_is_large_when_unpacked_is_unpacked_once(session: Session) -> None:
    """The same commit is refused again for the same reason; another one is looked at."""
    hostile(session, "little that unpacks to much")
    refused = session.land(unpacked=32 << 20)
    assert refused.startswith("refused: what it committed is ")
    assert session.land() == refused  # though it might be more by now
    session.work("git commit -q --allow-empty -m more")
    assert "on your branch main now" in session.land()


@pytest.mark.parametrize("name", ["a tree with .git", "a submodule that runs a command"])
def test_nothing_hostile_comes_to_a_partial_clone(user_world: World, name: str) -> None:
    """There, an object may name others that are missing."""
    session = Session(user_world)
    session.user("git config remote.origin.promisor true")
    session.begin()
    hostile(session, name)
    assert session.land().startswith("refused: ")
    assert session.user("git for-each-ref refs/anvillm/s1") == ""


@pytest.mark.parametrize("name", HOSTILE)
def test_each_hostile_commit_arrives_where_nothing_is_checked(user_world: World, name: str) -> None:
    """What git would refuse anyway proves nothing."""
    session = Session(user_world).begin()
    hostile(session, name)
    said = session.land(unchecked=True)
    assert session.user("git for-each-ref refs/anvillm/s1") != ""
    assert name != LINKED or "now" in said


def test_a_git_that_an_agent_plants_in_its_sandbox_gets_nowhere(session: Session) -> None:
    """A ref that is a link, a pack that is none, endless output."""
    session.work(
        "git commit -q --allow-empty -m x && rm .git/refs/heads/main && ln -s /etc/hostname .git/refs/heads/main"
    )
    assert session.land() == ""
    with pytest.raises(SandboxRefused, match="git: "):
        git_out.take(
            session.covered.records[0], "1" * 40, "refs/anvillm/s1", lambda *_: b"PACK" * 100, str(session.scratch), 2
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
    session.land(release=True)
    assert session.user("git for-each-ref refs/anvillm") == ""
