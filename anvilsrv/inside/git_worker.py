"""Git of ours inside a session's sandbox, beside its agent: checkpoints of its work trees, and what is made of them.

    python3 -I -S /path/anvilsrv/inside/git_worker.py

It reads an object a line and answers each with an object a line and as many bytes as that says (``size``); it ends with its input. All
it knows of a repository is the git directory of the checkpoints, which the agent does not see: nothing that an agent wrote into a git
directory is read as configuration, hook or index. Standard library only.
"""

import json
import os
import sys
from collections.abc import Callable
from typing import Any

if __package__ in (None, ""):  # run by its path
    # The package is made from its own directory: without mounts, the one above is closed to an agent.
    sys.modules["anvilsrv"] = package = type(sys)("anvilsrv")
    package.__path__ = [os.path.dirname(os.path.dirname(os.path.abspath(__file__)))]

from anvilsrv.inside import git_apply, git_checkpoint, git_diff, git_undo
from anvilsrv.inside.git_tree import Refused, Tree

Found = tuple[dict[str, Any], bytes]


def checkpoint(trees: list[Tree], asked: dict[str, Any]) -> Found:
    """Make a checkpoint of all of them as they are now."""
    made = [git_checkpoint.make(tree, asked["limit"]) for tree in trees]
    return {"commits": {tree.name: commit for tree, (commit, _) in zip(trees, made, strict=True)},
            "left": [line for _, left in made for line in left][:1000]}, b""  # fmt: skip


def diff(trees: list[Tree], asked: dict[str, Any]) -> Found:
    """Return what changed from one checkpoint to another; of that, what a commit does not have that was merged."""
    old = asked["old"]
    if asked.get("merged"):
        old |= git_diff.merged(trees, asked["merged"])
    found = git_diff.between(trees, old, asked["new"], asked["most"])
    return {"plus": found.plus, "minus": found.minus, "files": found.files, "cut": found.cut}, found.text


def undo(trees: list[Tree], asked: dict[str, Any]) -> Found:
    """Take back what was changed from one checkpoint to another."""
    return {"paths": git_undo.take_back(trees, asked["segments"], asked["now"])}, b""


def apply(trees: list[Tree], asked: dict[str, Any]) -> Found:
    """Apply a diff to the files."""
    return {"paths": git_apply.apply(asked["top"], trees, os.fsencode(asked["patch"]))}, b""


def lines(trees: list[Tree], asked: dict[str, Any]) -> Found:
    """Return the lines of files."""
    return {"files": git_apply.contents(asked["top"], asked["paths"])}, b""


WORDS: dict[str, Callable[[list[Tree], dict[str, Any]], Found]] = {
    "checkpoint": checkpoint, "diff": diff, "undo": undo, "apply": apply, "lines": lines,
}  # fmt: skip


def answer(asked: dict[str, Any]) -> Found:
    """Return what one request comes to."""
    try:
        trees = [Tree(one["name"], one["tree"], one["git"], one["prefix"]) for one in asked["trees"]]
        for tree in trees:
            git_undo.recover(tree)
        return WORDS[asked["do"]](trees, asked)
    except Refused as error:
        return {"refused": str(error), "paths": error.paths[:1000]}, b""
    except (OSError, ValueError) as error:
        return {"refused": f"{type(error).__name__}: {error}", "paths": []}, b""


def main() -> None:
    """Answer requests until the input ends."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # anything else that is printed is not an answer
    for line in sys.stdin.buffer:
        head, body = answer(json.loads(line))
        out.write(json.dumps(head | {"size": len(body)}).encode() + b"\n" + body)
        out.flush()


if __name__ == "__main__":
    main()
