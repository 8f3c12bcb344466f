"""The end of a turn, as a program: what lands commits is the user, and may be killed. ``Session.land`` runs it.

It reads an object: ``sandbox`` the directory of the package, ``state`` with the session's git directories, ``spec``, ``scratch``;
``unpacked`` a bound; ``unchecked`` to leave out every check of what comes in; ``die`` the number of the git before which, and with
``after`` the seconds after which, everything is killed. ``ends`` is the word whose git leaves ``lock``, and ends as ``how`` says. It
prints what is said.
"""

import json
import os
import signal
import sys
import threading
from typing import Any

CHECKS = ("fsck.", "fetch.fsck")
FLAGS = ("--strict", "--fsck-objects")


def die() -> None:
    os.killpg(0, signal.SIGKILL)


def main(asked: dict[str, Any]) -> None:
    sys.path.insert(0, asked["sandbox"])
    from sandbox import git_inside, git_land, git_out, git_own, git_run
    from sandbox.errors import SandboxRefused

    real, count = git_out.run, 0

    def run(*words: str, **more: Any) -> bytes:
        nonlocal count
        count += 1
        if count == asked.get("die"):
            die()
        if asked.get("ends") in words:
            open(asked["lock"], "x").close()
            raise (git_run.Killed if asked["how"] == "killed" else SandboxRefused)(asked["how"])
        if asked.get("unchecked"):
            if "diff-tree" in words:
                return b""
            words = tuple("a.b=c" if word.startswith(CHECKS) else "-v" if word in FLAGS else word for word in words)
        return real(*words, **more)

    git_out.run = git_land.run = run
    git_out.UNPACKED = asked.get("unpacked", git_out.UNPACKED)
    if "after" in asked:
        threading.Timer(asked["after"], die).start()

    def inside(argv: list[str], cwd: str, data: bytes, most: int) -> bytes:
        return git_inside.output(asked["spec"], asked["scratch"], argv, cwd, data, most)

    for record in git_own.records(asked["state"]):
        try:
            if asked.get("release"):
                git_land.release(record, "s1")
                continue
            resume = asked.get("resume")
            found = git_land.resume(record, "s1") if resume else git_land.settle(record, "s1", inside, asked["scratch"])
            print(found.said if found else "", end="")
        except SandboxRefused as error:
            print(f"refused: {error}", end="")
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main(json.load(sys.stdin))
