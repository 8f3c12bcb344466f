"""A session whose agent has made its git directory and work tree as hostile as it can, against every file and command of ours."""

import os
import subprocess
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


def plain_env() -> dict[str, str]:
    """Return the environment of a user who commits."""
    return {**os.environ, "GIT_EDITOR": "true", **dict(word.split("=") for word in IDENTITY.split())}


def attempt(agent: Session, path: str, text: str) -> str:
    """Return what it says, or why not."""
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
    for line in ("commit -qam mine", "commit -q --allow-empty -m more", "rebase HEAD~1", "rebase --continue"):
        subprocess.run(["git", *line.split()], cwd=repository, env=plain_env(), capture_output=True, check=False)
    assert not (home / "owned").exists() and (home / "victim").read_text() == "mine\n"
    assert {path: path.read_bytes() for path in before} == before
    assert not list((repository / ".git").rglob("*.lock"))
    agent.write("ctl", "kill")
    wait_until(lambda: agent.id not in daemon.client().read("list").decode(), "the session")
    assert not (home / "owned").exists() and os.listdir(home / ".local/state/anvillm")


#: Run by an agent: `point` makes a commit of a tree that git itself would not make.
MAKE = """
import hashlib, struct, subprocess, zlib
def git(*words, data=b""):
    return subprocess.run(["git", *words], input=data, capture_output=True, check=True).stdout.strip()
def tree(*entries):
    return git("hash-object", "-t", "tree", "-w", "--stdin", "--literally", data=b"".join(entries))
def point(at):
    git("update-ref", "HEAD", git("commit-tree", at.decode(), "-p", "HEAD", "-m", "x").decode())
def raw(name):
    return bytes.fromhex(name.decode())
def head(kind, size):
    first, size, out = (kind << 4) | (size & 15), size >> 4, b""
    while size:
        out, first, size = out + bytes([first | 128]), size & 127, size >> 7
    return out + bytes([first])
blob = git("hash-object", "-w", "--stdin", data=b"[core]\\n\\tfsmonitor = touch HOME/owned; false\\n")
inner = tree(b"100644 config\\0" + raw(blob))
"""
#: A pack of a few kilobytes by hand: 16 MiB of zeros, and a blob that is 64 times that.
BOMB = """
piece, many = 16 << 20, 64
base = bytes(piece)
def number(n):
    out = b""
    while True:
        out, n = out + bytes([(n & 127) | (128 if n > 127 else 0)]), n >> 7
        if not n:
            return out
part = piece - 1 - 65535  # what one instruction can copy ends below 16 MiB
copy = bytes([0x80 | 0x70]) + struct.pack("<I", part)[:3]
delta = number(piece) + number(part * many) + copy * many
whole = hashlib.sha1(b"blob %d\\0" % (part * many))
for _ in range(many):
    whole.update(base[:part])
names = [hashlib.sha1(b"blob %d\\0" % piece + base).digest(), whole.digest()]
objects = [head(3, piece) + zlib.compress(base), head(7, len(delta)) + names[0] + zlib.compress(delta)]
pack = b"PACK" + struct.pack(">II", 2, 2) + b"".join(objects)
pack += hashlib.sha1(pack).digest()
rows = sorted(zip(names, objects, [12, 12 + len(objects[0])]))
index = b"\\xfftOc" + struct.pack(">I", 2)
index += b"".join(struct.pack(">I", sum(name[0] <= n for name, *_ in rows)) for n in range(256))
index += b"".join(name for name, *_ in rows) + b"".join(struct.pack(">I", zlib.crc32(one)) for _, one, _ in rows)
index += b"".join(struct.pack(">I", at) for *_, at in rows) + pack[-20:]
index += hashlib.sha1(index).digest()
where = git("rev-parse", "--git-path", "objects/pack/pack-" + pack[-20:].hex()).decode()
for end, data in ((".pack", pack), (".idx", index)):
    with open(where + end, "wb") as file:
        file.write(data)
assert len(pack) < 20000 and git("cat-file", "-s", names[1].hex()) == b"%d" % (part * many)
point(tree(b"100644 big\\0" + names[1]))
"""
TREES = {
    "a tree with .git": 'point(tree(b"40000 .git\\0" + raw(inner)))',
    "a tree with ..": 'point(tree(b"40000 ..\\0" + raw(tree(b"40000 .git\\0" + raw(inner)))))',
    "a tree with .git in another case": 'point(tree(b"40000 .GIT\\0" + raw(inner)))',
    "a submodule whose address is an option": (
        'url = git("hash-object", "-w", "--stdin", data=b"[submodule \\"a\\"]\\n\\tpath = a\\n\\turl = -u./x\\n")\n'
        'point(tree(b"100644 .gitmodules\\0" + raw(url)))'
    ),
    "a submodule whose name leads out": (
        'url = git("hash-object", "-w", "--stdin", data=b"[submodule \\"../../x\\"]\\n\\tpath = a\\n\\turl = ./x\\n")\n'
        'point(tree(b"100644 .gitmodules\\0" + raw(url), b"160000 a\\0" + raw(git("rev-parse", "HEAD"))))'
    ),
    "a gibibyte in a pack of a few kilobytes": BOMB,
}  # fmt: skip


PATIENT = 300.0  # s; a gibibyte is unpacked, and its hash made, before it is refused
TRIED = [
    pytest.param(name, marks=[pytest.mark.slow(15 if code is BOMB else 8), pytest.mark.timeout(900)])
    for name, code in TREES.items()
]


@pytest.mark.parametrize("name", TRIED)
def test_no_command_brings_a_hostile_commit_to_the_user(daemon: Daemon, repository: Path, name: str) -> None:
    """Whatever is asked for, and what the user does then with plain git."""
    home, large = daemon.home.home, TREES[name] is BOMB
    (home / ".gitconfig").write_text("[user]\n\tname = u\n\temail = u@x\n")
    git(repository, "remote", "add", "origin", str(repository))
    agent = Session.new(daemon, "shell", "branch=b", cwd=repository)
    agent.patience = PATIENT
    tree = repository.with_name("repository.b")
    agent.ask(f"echo work > work; git add -A; {IDENTITY} git commit -qm work")
    wait_until(lambda: git(tree, "log", "-1", "--format=%s") == "work\n", "the first commit")
    before = ours(repository)
    script = f"{MAKE}{TREES[name]}".replace("HOME", str(home))
    assert agent.ask(f"{IDENTITY} python3 - <<'END'\n{script}\nEND") == ""
    told = (f"commits\t{tree}\tgit: ", f"commits\t{tree}\twhat it committed is ")
    wait_until(lambda: any(line in agent.read("sandbox") for line in told), "that they cannot be brought", PATIENT)
    for path in ("turns/1/diff", "turns/2/diff", "git/diff", "git/status", "git/branch", "git/base", "git/review"):
        attempt_read(agent, path)
    words = ["merge anyway", "push", "discard anyway"]
    words += [] if large else ["merge", "merge squash anyway", "merge rebase anyway", "pr", "discard"]
    for path, text in (("turns/2/ctl", "undo"), *(("git/ctl", word) for word in words)):
        with pytest.raises(AnvilError):
            agent.client.write_read(f"{agent.id}/{path}", text.encode(), timeout=PATIENT)
    for place in (repository, tree):
        for line in (
            "status",
            "log --all",
            "fetch -q --all",
            "commit -q --allow-empty -m mine",
            "rebase -q HEAD~1",
            "stash list",
        ):
            git(place, *line.split())
    assert ours(repository) == before and not (home / "owned").exists()
    assert "big" not in git(repository, "rev-list", "--objects", "--all")
    assert git(repository, "fsck", "--no-dangling", "--no-progress") == "" and not list(
        (repository / ".git").rglob("*.lock")
    )
    assert sum(path.stat().st_size for path in (repository / ".git").rglob("*") if path.is_file()) < 1 << 20


def ours(repository: Path) -> str:
    """Return what came out of the session, and what is held for it."""
    return git(repository, "for-each-ref", "--format=%(objectname) %(refname)", "refs/anvillm")


def attempt_read(agent: Session, path: str) -> None:
    """What it says is text, whether it is the file or why not."""
    try:
        agent.client.read(f"{agent.id}/{path}", timeout=PATIENT)
    except AnvilError as error:
        assert str(error).isprintable(), path
