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
from anvilsrv.agents.directories import Directories
from anvilsrv.agents.plans import Plans
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

    def __init__(
        self, directories: Directories, plans: Plans, umask: int, backend: str, role: str, tasks: list[str], cwd: str
    ) -> None:
        self._directories = directories
        self._plans = plans
        self._umask = umask
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
        top = self._directories.of(name)
        try:
            self._directories.make(name)
            yield top
        except OSError as error:
            raise SandboxRefused(f"cannot make {top}: {error.strerror}") from None
        finally:
            beneath.remove(top)

    def _prepare(self, top: Path) -> Path:
        plan = self._plans.make(*self._kind, session=top.name)
        code, home = top / "run" / "code", str(Path.home())
        grants.copy(code)
        trusted = Trusted(self._plans.written)
        whole = plan.tier == "full"
        over = cover(plan.policy, trusted, place=str(top / "git"), home=home, remember=False) if whole else Cover()
        spec = specification(
            plan.policy, ["true"], tier=plan.tier, namespace_source=str(top / "ns"), tmpdir=str(top / "tmp"), env=os.environ,
            shown=grants.shown(code, self._cwd), listed=grants.granted(plan.tier).listed, cover=over,
        )  # fmt: skip
        path = self._directories.specification(top.name)
        write(path, json.dumps(spec | {"umask": self._umask}))
        return path


class Asides:
    """Makes them. ``umask`` is that of the agents."""

    def __init__(self, directories: Directories, plans: Plans, umask: int) -> None:
        self._directories = directories
        self._plans = plans
        self._umask = umask

    def of(self, backend: str, role: str, tasks: list[str], cwd: str) -> Aside:
        """Return one for a kind of session."""
        return Aside(self._directories, self._plans, self._umask, backend, role, tasks, cwd)

    def sweep(self) -> None:
        """Remove what a daemon that died left of them. Once, at start."""
        for name in self._directories.there():
            if name.startswith(NAME):
                beneath.remove(self._directories.of(name))
