"""A program of ours that runs once, in a sandbox like that of a session that is not there yet: what it reads may be an agent's.

It has a directory beside those of sessions, with git directories of its own, which goes with it.

Threads: any; nothing is kept between calls.
"""

import json
import os
import sys
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from anvilsrv.agents import grants
from anvilsrv.agents.bounds import SPEC
from anvilsrv.agents.launch import Launch
from anvilsrv.linux import beneath
from anvilsrv.linux.replace import write
from sandbox import git_inside
from sandbox.errors import SandboxRefused
from sandbox.git_cover import Cover, cover
from sandbox.git_trust import Trusted
from sandbox.plan import specification

NAME = "aside-"


class Aside:
    """One that can be run in ``cwd``, under the policy of a kind of session. Raises AnvilError, SandboxError."""

    def __init__(self, launch: Launch, backend: str, role: str, tasks: list[str], cwd: str) -> None:
        self._launch = launch
        self._kind = (backend, role, tasks, cwd)
        self._cwd = cwd

    def output(self, module: str, data: bytes, writable: Iterable[str], most: int) -> bytes:
        """Return what a module of ``inside`` prints, run as a program. Raises SandboxError."""
        with self._directory() as top:
            specification = self._prepare(top)
            program = top / "run" / "code" / "anvilsrv" / "inside" / f"{module}.py"
            argv = [os.path.realpath(sys.executable), "-I", "-S", str(program)]
            return git_inside.output(str(specification), str(top), argv, self._cwd, data, most, writable)

    @contextmanager
    def _directory(self) -> Iterator[Path]:
        name = f"{NAME}{uuid.uuid4().hex[:16]}"
        top = self._launch.directory(name)
        try:
            self._launch.make_directories(name)
            yield top
        except OSError as error:
            raise SandboxRefused(f"cannot make {top}: {error.strerror}") from None
        finally:
            beneath.remove(top)

    def _prepare(self, top: Path) -> Path:
        plan = self._launch.plan(*self._kind, session=top.name)
        code, home = top / "run" / "code", str(Path.home())
        grants.copy(code)
        trusted = Trusted(self._launch.written)
        whole = plan.tier == "full"
        over = cover(plan.policy, trusted, place=str(top / "git"), home=home, remember=False) if whole else Cover()
        spec = specification(
            plan.policy, ["true"], tier=plan.tier, namespace_source=str(top / "ns"), tmpdir=str(top / "tmp"), env=os.environ,
            shown=grants.shown(code, self._cwd), listed=grants.granted(plan.tier).listed, cover=over,
        )  # fmt: skip
        path = top / "run" / SPEC
        write(path, json.dumps(spec | {"umask": self._launch.umask}))
        return path


def sweep(launch: Launch) -> None:
    """Remove what a daemon that died left of them. Once, at start."""
    for name in launch.there():
        if name.startswith(NAME):
            beneath.remove(launch.directory(name))
