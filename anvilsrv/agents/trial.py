"""A program of a backend, run once inside the sandbox as a session would run it, without a session.

Threads: any; everything is in the directory that is given.
"""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from anvilsrv import paths
from anvilsrv.agents import grants
from anvilsrv.agents.directories import Directories
from anvilsrv.agents.plans import Plans
from anvilsrv.backends.place import Place
from anvilsrv.backends.registry import Backends
from anvilsrv.linux.replace import write
from sandbox import launcher
from sandbox.launcher import offline
from sandbox.plan import specification
from sandbox.policy import Policy

NAME = "trial"


class Trial(NamedTuple):
    """The command line that runs it, the policy, and what of the user's own that does not grant (lines of ``sandbox``)."""

    argv: list[str]
    policy: Policy
    lacks: str


def trial(backends: Backends, name: str, args: tuple[str, ...], top: Path, program: str | None = None) -> Trial:
    """Return a trial of the backend's program, or another one, with these arguments; ``top`` is an empty directory,
    kept until it has ended. Raises AnvilError, SandboxError and OSError.
    """
    backend, directories = backends.get(name), Directories(top / "state")
    plans = Plans(backends, directories, paths.namespace())
    directories.make(NAME)
    own, cwd = directories.of(NAME), top / "work"
    cwd.mkdir()
    grants.copy(own / "run/code")
    plan = plans.make(name, "", [], str(cwd), NAME)
    place = Place(
        id=NAME, cwd=str(cwd), session_dir=str(own / "run"), data_dir=str(own / "data"), home=str(Path.home()),
        permissions=plan.policy.permissions, code=str(own / "run/code" / grants.HERE.name),
        env=plan.policy.inside(os.environ),
    )  # fmt: skip
    plan = plans.make(name, "", [], str(cwd), NAME, backend.launch(place, resume=False).env)
    spec = specification(
        plan.policy, [program or backend.program_path() or "", *args], tier=plan.tier, namespace_source=str(own / "ns"),
        tmpdir=str(own / "tmp"), env=os.environ, shown=grants.shown(own / "run/code", str(cwd)),
        listed=grants.granted(plan.tier).listed,
    )  # fmt: skip
    path = own / "run/trial.json"
    write(path, json.dumps(offline(spec) | {"umask": 0o077}))
    lacks = backend.lacks(replace(place, cwd=os.getcwd(), configuration=plan.policy.configuration), plan.policy.rights)
    return Trial(launcher.command(str(path)), plan.policy, lacks)
