"""The work trees of a session, and the git of ours that works there: a process in its sandbox, kept since the start takes long.

What it answers is what an agent could have made it say: it is bounded, and nothing outside trusts it.

Threads: a ``Worker`` belongs to the thread of its session (``checkpoints.py``), but for ``kill``.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from anvilsrv.agents.bounds import SPEC
from anvilsrv.errors import Invalid
from anvilsrv.strict_json import loads_object
from sandbox import git_check, git_inside, git_own
from sandbox.errors import SandboxError, SandboxRefused
from sandbox.git_own import Record
from sandbox.pathnames import under

MOST = 16  # work trees of a session of which checkpoints are made
HEAD = 4 << 20  # bytes of the first line of an answer
BODY = 64 << 20
PATIENCE = 180.0  # s for one answer


class Trees(NamedTuple):
    """``top`` is the directory from which paths are told; ``records`` the work trees in it, its own first."""

    top: str
    records: list[Record]

    @property
    def main(self) -> Record | None:
        """That of the top itself."""
        return next((one for one in self.records if one.tree == self.top), None)

    def asked(self) -> list[dict[str, str]]:
        """Return them as the process inside is told."""
        return [
            {"name": os.path.basename(one.place), "tree": one.tree, "git": git_check.directory(one),
             "prefix": "" if one.tree == self.top else os.path.relpath(one.tree, self.top) + "/"}
            for one in self.records
        ]  # fmt: skip


def trees(place: str, cwd: str) -> Trees | None:
    """Return the work trees of a session that works in ``cwd``; None if there are none. Raises SandboxRefused."""
    there = [
        one for one in git_own.records(place) if os.path.isdir(git_check.directory(one)) and os.path.isdir(one.tree)
    ]
    main = max((one for one in there if under(cwd, one.tree)), key=lambda one: len(one.tree), default=None)
    top = main.tree if main is not None else cwd
    found = sorted((one for one in there if under(one.tree, top)), key=lambda one: (len(one.tree), one.tree))[:MOST]
    if found and not all(one.checkpoints for one in found):
        raise SandboxRefused("switched off by a layer of its policy (git: {checkpoints: off})")
    return Trees(top, found) if found else None


class Worker:
    """The process of one session; it is started when it is asked, and again when it has ended."""

    def __init__(self, session: str, top: Path) -> None:
        self._session = session
        self._top = top  # the session's directory
        self._process: subprocess.Popen[bytes] | None = None
        self._for: list[str] = []  # the git directories that it sees

    def ask(self, trees: Trees, do: str, **fields: Any) -> tuple[dict[str, Any], bytes]:
        """Return what it answers. Raises Refusal if it says why not, SandboxError if it fails."""
        line = json.dumps({"do": do, "trees": trees.asked(), "top": trees.top, **fields}).encode() + b"\n"
        try:
            process = self._started(trees)
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(line)
            process.stdin.flush()
            head, body = _answer(process.stdout.fileno())
        except (OSError, ValueError, Invalid) as error:
            self.close()
            raise SandboxError(f"git in its sandbox: {error}") from None
        if "refused" in head:
            raise Refusal(str(head["refused"])[:500], [str(path)[:4096] for path in head.get("paths", [])][:1000])
        return head, body

    def kill(self) -> None:
        """End it at once, from any thread; who waits for an answer gets an error."""
        process = self._process
        if process is not None:
            process.kill()

    def close(self) -> None:
        """End it."""
        process, self._process = self._process, None
        if process is not None:
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _started(self, trees: Trees) -> subprocess.Popen[bytes]:
        wanted = [git_check.directory(one) for one in trees.records]
        if self._process is not None and (self._process.poll() is not None or self._for != wanted):
            self.close()
        if self._process is None:
            code = self._top / "run" / "code" / "anvilsrv" / "inside" / "git_worker.py"
            python = os.path.realpath(sys.executable)
            specification = str(self._top / "run" / SPEC)
            argv = git_inside.command(
                specification, [python, "-I", "-S", str(code)], trees.top, str(self._top), writable=wanted
            )
            self._for = wanted
            self._process = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True, cwd="/",
            )  # fmt: skip
        return self._process


class Refusal(SandboxRefused):
    """It cannot be done, because of these paths."""

    def __init__(self, why: str, paths: list[str]) -> None:
        super().__init__(why)
        self.paths = paths


def _answer(fd: int) -> tuple[dict[str, Any], bytes]:
    end, got = time.monotonic() + PATIENCE, b""
    while (at := got.find(b"\n")) < 0:
        got += _more(fd, end)
        if len(got) > HEAD + BODY:
            raise ValueError("its answer is too large")
    head = loads_object(got[:at])
    if not isinstance(size := head.get("size"), int) or not 0 <= size <= BODY:
        raise ValueError("it gave an unexpected answer")
    parts, have = [got[at + 1 :]], len(got) - at - 1
    while have < size:
        parts.append(_more(fd, end))
        have += len(parts[-1])
    return head, b"".join(parts)[:size]


def _more(fd: int, end: float) -> bytes:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    if not poll.poll(max(0.0, end - time.monotonic()) * 1000):
        raise ValueError(f"no answer within {PATIENCE:.0f} s")
    found = os.read(fd, 1 << 20)
    if not found:
        raise ValueError("it ended")
    return found
