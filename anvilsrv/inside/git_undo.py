"""What was changed between two checkpoints is taken back: a merge of what is there now with what was there before.

Nothing is done where that conflicts with what was changed since, or a file lies in the way. What the rules of before ignore stays. Each
work tree has a journal while its files change: if that is interrupted, they are brought back to what they were before.

One thread.
"""

import contextlib
import json
import os
import re
import shutil

from anvilsrv.inside import git_checkpoint
from anvilsrv.inside.git_tree import Refused, Tree, joined

LIMIT = 1 << 40
ASIDE = re.compile(rb"~[0-9a-f]{40,64}(_\d+)?$")  # what a merge puts behind a name where a file and a directory meet


def take_back(trees: list[Tree], segments: list[list[dict[str, str]]], now: dict[str, str]) -> list[str]:
    """Reverse these, the last one first; the paths that changed. ``now`` is a checkpoint of this moment. Raises Refused."""
    goals, conflicts = dict[str, str](), list[str]()
    for tree in trees:
        goal = now.get(tree.name, "")
        for old, new in reversed(segments) if goal else ():
            if tree.name in old and tree.name in new and old[tree.name] != new[tree.name]:
                goal, found = _merged(tree, goal, old[tree.name], new[tree.name])
                conflicts += [tree.shown(name) for name in found]
        if goal:
            goals[tree.name] = goal
    for tree in trees:
        if tree.name in goals and not conflicts:
            conflicts += _in_the_way(tree, now[tree.name], goals[tree.name])
    if conflicts:
        raise Refused("it was changed since", sorted(set(conflicts)))
    done = []
    for tree in trees:
        if tree.name in goals:
            done += _switch(tree, now[tree.name], goals[tree.name])
    return done


def _merged(tree: Tree, now: str, old: str, new: str) -> tuple[str, list[bytes]]:
    """Return a commit of what is there now without what came from ``old`` to ``new``; and the paths that conflict."""
    old = _with_ignored(tree, old, new)
    base = _commit(tree, f"{new}^{{tree}}")
    ours, theirs = _commit(tree, f"{now}^{{tree}}", base), _commit(tree, f"{old}^{{tree}}", base)
    fields = tree.git(
        "merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", ours, theirs, fine=(0, 1)
    ).split(b"\0")  # fmt: skip
    conflicts = [ASIDE.sub(b"", name) for name in fields[1:] if name]
    return _commit(tree, fields[0].decode()), conflicts


def _commit(tree: Tree, what: str, *parents: str) -> str:
    found = tree.git("rev-parse", "--verify", what).decode().strip()
    words = [word for parent in parents for word in ("-p", parent)]
    return tree.git("commit-tree", "--no-gpg-sign", "-m", "undo", *words, found).decode().strip()


def _with_ignored(tree: Tree, old: str, new: str) -> str:
    """Return ``old``, and of what came since all that its own rules ignore: that was there before, though no checkpoint
    had it.
    """
    added = tree.names("diff-tree", "-r", "-z", "--name-only", "--no-renames", "--diff-filter=A", old, new)
    if not added:
        return old
    place, index = f"{tree.directory}/rules", f"{tree.directory}/index.rules"
    shutil.rmtree(place, ignore_errors=True)
    try:
        os.makedirs(place)
        tree.git("read-tree", old, index=index)
        rules = [name for name in tree.names("ls-files", "-z", index=index) if name.split(b"/")[-1] == b".gitignore"]
        tree.git("checkout-index", "-f", "-q", "-z", "--stdin", data=joined(rules), index=index, top=place)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(index)
        tops = tuple(rule + b"/" for rule in rules)
        asked = [
            name for name in added if not name.startswith(tops)
        ]  # beyond a link, git would say nothing of all the rest
        ignored = [
            name
            for name in tree.git(
                "check-ignore", "-z", "--stdin", "--no-index", data=joined(asked), top=place, fine=(0, 1)
            ).split(b"\0")
            if name
        ]
        if not ignored:
            return old
        tree.git("read-tree", old, index=index)
        listed = tree.git("ls-tree", "-r", "-z", new).split(b"\0")
        wanted = set(ignored)
        lines = [line for line in listed if line.partition(b"\t")[2] in wanted]
        tree.git("update-index", "-z", "--index-info", data=joined(lines), index=index)
        return _commit(tree, tree.git("write-tree", "--missing-ok", index=index).decode().strip())
    finally:
        shutil.rmtree(place, ignore_errors=True)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(index)


def _in_the_way(tree: Tree, now: str, goal: str) -> list[str]:
    """Return what is where a file is to be made: it was ignored, and no checkpoint has it."""
    made = tree.names("diff-tree", "-r", "-z", "--name-only", "--no-renames", "--diff-filter=A", now, goal)
    known = set(tree.names("ls-tree", "-r", "-z", "--name-only", now)) if made else set()
    found = []
    for name in made:
        path = tree.path(name)
        if os.path.isdir(path) and not os.path.islink(path):
            inside = any(one.startswith(name + b"/") for one in known)
            found += [] if inside else [tree.shown(name)]
        elif os.path.lexists(path) and not _below_a_file(tree, name, known):
            found.append(tree.shown(name))
    return found


def _below_a_file(tree: Tree, name: bytes, known: set[bytes]) -> bool:
    """Return whether a directory of the path is a file or a link, which is known: it goes away."""
    parts = name.split(b"/")
    return any(b"/".join(parts[:end]) in known for end in range(1, len(parts)))


def _switch(tree: Tree, now: str, goal: str) -> list[str]:
    changed = tree.names("diff-tree", "-r", "-z", "--name-only", "--no-renames", now, goal)
    if not changed:
        return []
    _journal(tree, {"now": now, "goal": goal})
    try:
        tree.git("read-tree", "-m", "-u", now, goal)
    except Refused as error:
        recover(tree)
        raise Refused(f"a file was changed just now ({error})", [tree.shown(name) for name in changed]) from None
    os.unlink(f"{tree.directory}/journal")
    return [tree.shown(name) for name in changed]


def _journal(tree: Tree, what: dict[str, str]) -> None:
    path = f"{tree.directory}/journal"
    with open(f"{path}.new", "w", encoding="ascii") as file:
        json.dump(what, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(f"{path}.new", path)


def recover(tree: Tree) -> None:
    """Bring back what an interrupted change has begun; what is there is kept as a checkpoint first."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{tree.directory}/index.lock")  # no one else writes there
    try:
        with open(f"{tree.directory}/journal", encoding="ascii") as file:
            begun = json.load(file)
    except (FileNotFoundError, ValueError):
        return
    git_checkpoint.make(tree, LIMIT)
    now, goal = begun["now"], begun["goal"]
    index = f"{tree.directory}/index.back"
    tree.git("read-tree", now, index=index)
    changed = tree.names("diff-tree", "-r", "-z", "--name-only", "--no-renames", now, goal)
    kept = set(tree.names("ls-files", "-z", index=index))
    for name in changed:
        if name not in kept:
            with contextlib.suppress(OSError):
                os.unlink(tree.path(name))
    there = joined([name for name in changed if name in kept])
    tree.git("checkout-index", "-f", "-q", "-z", "--stdin", data=there, index=index)
    os.replace(index, f"{tree.directory}/index")
    tree.git("update-index", "-q", "--refresh", fine=(0, 1))
    os.unlink(f"{tree.directory}/journal")
