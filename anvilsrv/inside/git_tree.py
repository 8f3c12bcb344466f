"""One work tree and the git directory of its checkpoints, and git run there: no hooks, no fsmonitor, nothing fetched.

One thread.
"""

import os
import subprocess
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 120  # s for one git
SETTINGS = (
    "core.fsmonitor=false", "core.hooksPath=/dev/null", "gc.auto=0", "maintenance.auto=false", "core.untrackedCache=false",
    "diff.renames=false", "merge.renames=false", "submodule.recurse=false", "core.quotePath=false", "core.bigFileThreshold=64m",
    "diff.noprefix=false", "diff.mnemonicPrefix=false", "diff.algorithm=myers", "diff.suppressBlankEmpty=false",
    "index.skipHash=true",
)  # fmt: skip
#: The index of 50,000 files has 4 MB, of which a checkpoint then writes what is different. One of another use is written as a whole.
SPLIT = ("core.splitIndex=true", "splitIndex.sharedIndexExpire=1.hour.ago")
WHOLE = ("core.splitIndex=false",)
WHO = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER")
       for what, value in (("NAME", "anvillm"), ("EMAIL", "anvillm@localhost"))}  # fmt: skip

SETTINGS_OF = {"write-tree": ("core.looseCompression=0",)}  # hashes, which no compression makes smaller
#: Git asks for and frees some 300 kB for each object that it writes: here it keeps them, which takes a quarter of the time away.
MEMORY = {
    "MALLOC_TOP_PAD_": str(16 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(256 << 20),
    "MALLOC_MMAP_THRESHOLD_": str(64 << 20),
}


class Refused(Exception):
    """It cannot be done; ``paths`` are those because of which."""

    def __init__(self, why: str, paths: list[str] | None = None) -> None:
        super().__init__(why)
        self.paths = paths or []


class Tree:
    """``prefix`` goes before its paths where they are shown: empty, or ends in a slash."""

    def __init__(self, name: str, top: str, directory: str, prefix: str) -> None:
        self.name, self.top, self.directory, self.prefix = name, top, directory, prefix

    def git(
        self,
        *words: str,
        data: bytes = b"",
        index: str = "",
        top: str = "",
        fine: tuple[int, ...] = (0,),
        most: int = 0,
    ) -> bytes:
        """Return what a git prints, of which at most ``most`` bytes are taken. Raises Refused."""
        try:
            with self.begun(words, index, top) as process:
                found, said = _output(process, data, most)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Refused(f"git {words[0]}: {error}") from None
        if most and len(found) > most:
            return found
        if process.returncode not in fine:
            raise _refused(words[0], said)
        return found

    def beside(self, lines: Sequence[tuple[str, ...]], meanwhile: Callable[[], T]) -> tuple[list[bytes], T]:
        """Return the names that several gits print, which run side by side, and what is found meanwhile. Raises
        Refused.
        """
        names = list[bytes]()
        with ExitStack() as stack:
            begun = [stack.enter_context(self.begun(words)) for words in lines]
            more = meanwhile()
            for words, process in zip(lines, begun, strict=True):
                try:
                    found, said = _output(process, b"", 0)
                except subprocess.TimeoutExpired as error:
                    for one in begun:
                        one.kill()
                    raise Refused(f"git {words[0]}: {error}") from None
                if process.returncode:
                    raise _refused(words[0], said)
                names += [name for name in found.split(b"\0") if name]
        return names, more

    def begun(self, words: tuple[str, ...], index: str = "", top: str = "") -> subprocess.Popen[bytes]:
        """Start git with these words, whose output is to be read."""
        argv = ["git"]
        for setting in (*SETTINGS, *(WHOLE if index else SPLIT), *SETTINGS_OF.get(words[0], ())):
            argv += ["-c", setting]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        env = kept | WHO | MEMORY | {
            "GIT_DIR": self.directory, "GIT_WORK_TREE": top or self.top, "GIT_TERMINAL_PROMPT": "0", "GIT_NO_LAZY_FETCH": "1",
            "GIT_ALLOW_PROTOCOL": "none", "GIT_NO_REPLACE_OBJECTS": "1", "LC_ALL": "C", "GIT_EXTERNAL_DIFF": "",
            "GIT_INDEX_FILE": index or f"{self.directory}/index",
        }  # fmt: skip
        del env["GIT_EXTERNAL_DIFF"]
        return subprocess.Popen(
            [*argv, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env,
            cwd=top or self.top,
        )  # fmt: skip

    def names(self, *words: str, data: bytes = b"", index: str = "", fine: tuple[int, ...] = (0,)) -> list[bytes]:
        """Return the same of what is separated by zeros."""
        return [name for name in self.git(*words, data=data, index=index, fine=fine).split(b"\0") if name]

    def path(self, name: bytes) -> str:
        """Return the file of that name."""
        return os.path.join(self.top, os.fsdecode(name))

    def shown(self, name: bytes) -> str:
        """Return the name as it is shown."""
        return self.prefix + name.decode("utf-8", "replace")


def _output(process: subprocess.Popen[bytes], data: bytes, most: int) -> tuple[bytes, bytes]:
    """Return what it prints, and what it says on standard error; with ``most`` it is ended beyond that."""
    if not most:
        try:
            return process.communicate(data, PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    process.stdin.close()
    found = process.stdout.read(most + 1)
    if len(found) > most:
        process.kill()
        return found, b""
    said = process.stderr.read()
    process.wait(PATIENCE)
    return found, said


def _refused(word: str, said: bytes) -> Refused:
    lines = said.decode("utf-8", "replace").strip().splitlines() or ["it failed"]
    first = next((line for line in lines if line.startswith(("fatal: ", "error: "))), lines[-1])
    return Refused(f"git {word}: {first.removeprefix('fatal: ').removeprefix('error: ')[:300]}")


def joined(names: list[bytes]) -> bytes:
    """Return names for a standard input."""
    return b"".join(name + b"\0" for name in names)
