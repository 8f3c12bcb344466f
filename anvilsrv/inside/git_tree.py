"""One work tree and the git directory of its checkpoints, and git run there: no hooks, no fsmonitor, nothing fetched.

One thread.
"""

import os
import subprocess

PATIENCE = 120  # s for one git
SETTINGS = (
    "core.fsmonitor=false", "core.hooksPath=/dev/null", "gc.auto=0", "maintenance.auto=false", "core.untrackedCache=false",
    "diff.renames=false", "merge.renames=false", "submodule.recurse=false", "core.quotePath=false", "core.bigFileThreshold=64m",
    "diff.noprefix=false", "diff.mnemonicPrefix=false", "diff.algorithm=myers", "diff.suppressBlankEmpty=false",
    "core.splitIndex=false",
)  # fmt: skip
WHO = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER")
       for what, value in (("NAME", "anvillm"), ("EMAIL", "anvillm@localhost"))}  # fmt: skip


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
        """What a git prints, of which at most ``most`` bytes are taken. Raises Refused."""
        argv = ["git"]
        for setting in SETTINGS:
            argv += ["-c", setting]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        env = kept | WHO | {
            "GIT_DIR": self.directory, "GIT_WORK_TREE": top or self.top, "GIT_TERMINAL_PROMPT": "0", "GIT_NO_LAZY_FETCH": "1",
            "GIT_ALLOW_PROTOCOL": "none", "GIT_NO_REPLACE_OBJECTS": "1", "LC_ALL": "C", "GIT_EXTERNAL_DIFF": "",
            "GIT_INDEX_FILE": index or f"{self.directory}/index",
        }  # fmt: skip
        del env["GIT_EXTERNAL_DIFF"]
        try:
            with subprocess.Popen(
                [*argv, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env,
                cwd=top or self.top,
            ) as process:  # fmt: skip
                if most and process.stdin and process.stdout:
                    process.stdin.close()
                    found = process.stdout.read(most + 1)
                    if len(found) > most:
                        process.kill()
                        return found
                    said = process.stderr.read() if process.stderr else b""
                    process.wait(PATIENCE)
                else:
                    try:
                        found, said = process.communicate(data, PATIENCE)
                    except subprocess.TimeoutExpired:
                        process.kill()
                        raise
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Refused(f"git {words[0]}: {error}") from None
        if process.returncode not in fine:
            lines = said.decode("utf-8", "replace").strip().splitlines() or [f"status {process.returncode}"]
            first = next((line for line in lines if line.startswith(("fatal: ", "error: "))), lines[-1])
            raise Refused(f"git {words[0]}: {first.removeprefix('fatal: ').removeprefix('error: ')[:300]}")
        return found

    def names(self, *words: str, data: bytes = b"", index: str = "", fine: tuple[int, ...] = (0,)) -> list[bytes]:
        """The same of what is separated by zeros."""
        return [name for name in self.git(*words, data=data, index=index, fine=fine).split(b"\0") if name]

    def path(self, name: bytes) -> str:
        """The file of that name."""
        return os.path.join(self.top, os.fsdecode(name))

    def shown(self, name: bytes) -> str:
        """The name as it is told."""
        return self.prefix + name.decode("utf-8", "replace")


def joined(names: list[bytes]) -> bytes:
    """Names for a standard input."""
    return b"".join(name + b"\0" for name in names)
