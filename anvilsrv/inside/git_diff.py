"""The unified diff between two checkpoints, bounded; first the names and sizes, so that a large one costs little.

One thread.
"""

from typing import NamedTuple

from anvilsrv.inside.git_tree import Tree

NAMED = 5000  # files whose numbers are told


class Diff(NamedTuple):
    """``files`` are (path, lines added, removed), -1 for a binary one; ``cut``: the text is not all of it."""

    text: bytes
    plus: int
    minus: int
    files: list[tuple[str, int, int]]
    cut: bool


def between(trees: list[Tree], old: dict[str, str], new: dict[str, str], most: int) -> Diff:
    """Return the diff of all trees that both checkpoints have. Raises Refused."""
    text, files, cut = b"", list[tuple[str, int, int]](), False
    for tree in trees:
        if tree.name not in old or tree.name not in new or old[tree.name] == new[tree.name]:
            continue
        two = (old[tree.name], new[tree.name])
        files += _files(tree, *two)
        found = tree.git(
            "diff-tree", "-r", "-p", "--no-ext-diff", "--no-textconv", "--no-color", "--binary", "--full-index", "--no-renames",
            "--ignore-submodules=all", f"--src-prefix=a/{tree.prefix}", f"--dst-prefix=b/{tree.prefix}", *two,
            most=max(1, most - len(text)),
        )  # fmt: skip
        if len(text) + len(found) > most:
            found, cut = _whole(found[: most - len(text)]), True
        text += found
    return Diff(
        text,
        sum(max(0, plus) for _, plus, _ in files),
        sum(max(0, minus) for *_, minus in files),
        files[:NAMED],
        cut,
    )


def merged(trees: list[Tree], commit: str) -> dict[str, str]:
    """Return the commits that somebody has who merged that one: of the work tree itself and, as it names them, of its submodules;
    of those that are not there, none.
    """
    main = next((tree for tree in trees if not tree.prefix), None)
    if main is None or main.git("cat-file", "-t", commit, fine=(0, 128)).strip() != b"commit":
        return {}
    found = {main.name: commit}
    for tree in trees:
        if tree.prefix:
            line = main.git("ls-tree", commit, "--", tree.prefix.rstrip("/")).split()
            if (
                line[:1] == [b"160000"]
                and tree.git("cat-file", "-t", line[2].decode(), fine=(0, 128)).strip() == b"commit"
            ):
                found[tree.name] = line[2].decode()
    return found


def _whole(text: bytes) -> bytes:
    """Return it up to the last file that is whole."""
    at = text.rfind(b"\ndiff --git ")
    return text[: at + 1] if at >= 0 else b""


def _files(tree: Tree, old: str, new: str) -> list[tuple[str, int, int]]:
    found = []
    for line in tree.names("diff-tree", "-r", "-z", "--numstat", "--no-renames", "--ignore-submodules=all", old, new):
        plus, _, rest = line.partition(b"\t")
        minus, _, name = rest.partition(b"\t")
        found.append((tree.shown(name), int(plus) if plus != b"-" else -1, int(minus) if minus != b"-" else -1))
    return found
