"""What has begun with work trees of branches, in ``<state>/branches``, so that a crash between two steps leaves no half of it.

``new-<n>`` is a work tree that was made for a session which is not there yet: with the session it is over, without it is taken back.
``gone-<id>`` is one that goes with its session: it is removed when nothing of that runs any more.

Threads: any; a file belongs to who wrote it.
"""

import json
import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from anvilsrv.linux.replace import write
from anvilsrv.strict_json import loads_object
from sandbox import git_branch
from sandbox.errors import SandboxRefused
from sandbox.git_branch import Branch


def _top(state: Path) -> Path:
    return state / "branches"


def _put(path: Path, one: Branch) -> Path:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    write(path, json.dumps(asdict(one)))
    return path


def _read(path: Path) -> Branch:
    return Branch(**loads_object(path.read_bytes()))


def begin(state: Path, one: Branch) -> Path:
    """Record that a work tree is about to be made."""
    return _put(_top(state) / f"new-{uuid.uuid4().hex}", one)


def end(path: Path) -> None:
    """Record that its session exists, or that it was taken back."""
    path.unlink(missing_ok=True)


def going(state: Path, session: str, one: Branch) -> Path:
    """Record that a session is about to be killed, and its work tree is to be removed."""
    return _put(_top(state) / f"gone-{session}", one)


def finish(state: Path, session: str) -> None:
    """Remove the work tree of a session of which nothing runs any more, if it is to be removed. Raises SandboxRefused."""
    path = _top(state) / f"gone-{session}"
    with suppress(FileNotFoundError):
        one = _read(path)
        git_branch.remove(one)
        end(path)


def sweep(state: Path, places: Iterable[str], sessions: Iterable[str]) -> Iterator[SandboxRefused | OSError]:
    """Finish what a daemon that died had begun; ``places`` are the directories of all sessions. Yields what could not
    be done.
    """
    there, known = list(places), set(sessions)
    for path in sorted(_top(state).glob("*")) if _top(state).is_dir() else []:
        try:
            if path.name.startswith("new-"):
                one = _read(path)
                if not any(f"{place}/".startswith(f"{one.path}/") for place in there):
                    git_branch.take_back(one)
                end(path)
            elif path.name.startswith("gone-") and path.name.removeprefix("gone-") in known:
                end(path)  # it was not killed
            elif path.name.startswith("gone-") and not os.path.isdir(state / "sessions" / path.name[5:]):
                finish(state, path.name.removeprefix("gone-"))
        except (SandboxRefused, OSError) as error:
            yield error
