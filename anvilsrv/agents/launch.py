"""How an agent is started: everything that one launch needs is written into its session's directory.

``directories.py`` says what is where; ``plans.py`` what the session will run with; ``landing.py`` has its git directories.

Threads: called on the thread of the agents; nothing is kept but the logins, which guard themselves.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from anvilsrv.agents import commands, grants, limited, logins, setup
from anvilsrv.agents.directories import Directories
from anvilsrv.agents.door import Door
from anvilsrv.agents.landing import Landing
from anvilsrv.agents.plans import Plan, Plans
from anvilsrv.backends.backend import Backend
from anvilsrv.backends.place import Launch as Made
from anvilsrv.backends.place import Place
from anvilsrv.backends.registry import Backends
from anvilsrv.backends.vault import Vault
from anvilsrv.errors import Full, Unavailable
from anvilsrv.linux import beneath
from anvilsrv.linux.replace import write
from anvilsrv.sessions.gate import By
from anvilsrv.sessions.state import View
from sandbox import launcher
from sandbox.errors import SandboxError
from sandbox.git_cover import Cover
from sandbox.plan import specification
from sandbox.rights import rights


class Start(NamedTuple):
    """One start, for tmux: the command line and its directory; and what it runs with, for the session's row."""

    argv: list[str]
    cwd: str
    tier: str
    policy: str


class Launch:
    """Prepares starts. ``umask`` is that of the agents: the user's, since what they make is the user's work."""

    def __init__(
        self, backends: Backends, directories: Directories, plans: Plans, landing: Landing, umask: int, door: Door
    ) -> None:
        self._backends = backends
        self._directories = directories
        self._plans = plans
        self._landing = landing
        self._umask = umask
        self._door = door
        self.vault = Vault()

    def prepare(self, view: View) -> Start:
        """Write what one launch needs. Raises AnvilError."""
        backend = self._backends.get(view.backend)
        top = self._directories.of(view.id)
        plan = self._plans.of(view)
        try:
            self._directories.make(view.id)
            self._directories.unstage(view.id)
            if view.beside:
                self._landing.share(view)
            grants.copy(top / "run" / "code")
            made = backend.launch(self._place(view, plan, top), resume=self._directories.can_resume(view))
            _write(backend, made, top)
            self._log_in(backend, top, made.data)
            plan = self._plans.of(view, made.env)
            over = self._cover(plan, view.id)
            spec = specification(
                plan.policy, made.argv, tier=plan.tier, namespace_source=str(top / "ns"), env=os.environ,
                tmpdir=str(self._directories.of(view.beside or view.id) / "tmp"),
                status_file=str(top / "status"),
                shown=grants.shown(top / "run" / "code", view.cwd) | commands.shown(top / "run" / "bin", plan.policy.rights),
                listed=grants.granted(plan.tier).listed, cover=over, door=self._door.path,
                session=view.id, way=self._plans.way(),
            )  # fmt: skip
            if spec["door"]:
                self._door.ensure()
            own = [str(self._directories.of(one)) for one in (view.id, view.beside) if one]
            self._plans.start(view, rights(plan.policy, spec, own))
            self._plans.written.add(plan.policy.writable)
            if By.SETUP in view.gate.holders and plan.policy.setup:
                spec["argv"] = setup.wrapped(plan.policy.setup, spec["argv"], top / "data")
            (top / "status").unlink(missing_ok=True)
            path = self._directories.specification(view.id)
            limited.forget(path)
            write(path, json.dumps(spec | {"umask": self._umask} | commands.found(spec, top / "run" / "bin")))
        except SandboxError as error:
            raise Unavailable(str(error)) from None
        except OSError as error:
            kind, where = (
                (Full if error.errno in Full.NUMBERS else Unavailable),
                f": {error.filename}" if error.filename else "",
            )
            raise kind(f"cannot prepare session '{view.id}': {error.strerror}{where}") from None
        lacks = backend.lacks(self._place(view, plan, top), plan.policy.rights)
        command = [*self._plans.way().prefix, *launcher.command(str(path))]
        return Start(command, view.cwd, plan.tier, plan.text + lacks + over.text())

    def _cover(self, plan: Plan, session: str) -> Cover:
        """Return what covers repositories; without mounts there is nothing to cover."""
        if plan.tier != "full":
            return Cover(lines=[("note", "git directories are not protected in this tier", "")])
        return self._landing.cover(plan.policy, session)

    def _log_in(self, backend: Backend, top: Path, data: Mapping[str, object]) -> None:
        if backend.login is None or any(name in data for name in backend.login.files):
            logins.withhold(top)
        else:
            logins.give(self.vault, backend.name, backend.login, top)

    def _place(self, view: View, plan: Plan, top: Path) -> Place:
        return Place(
            id=view.id, cwd=view.cwd, session_dir=str(top / "run"), data_dir=str(top / "data"), home=str(Path.home()),
            conversation=view.conversation, permissions=plan.policy.permissions, code=str(top / "run/code" / grants.HERE.name),
            configuration=plan.policy.configuration, chosen=view.chosen,
            command=view.command, forked=view.forked, env=plan.policy.inside(os.environ),
        )  # fmt: skip


def _write(backend: Backend, made: Made, top: Path) -> None:
    """Write the files of one launch, and those that the agent keeps; what it is to begin again is removed."""
    for row in backend.follow:
        if row.fresh:
            beneath.discard(top / "data", row.path.removeprefix("{DATA}/"))
    for name, content in made.files.items():
        write(top / "run" / name, content)
    for name, found in made.data.items():
        if isinstance(found, str):
            beneath.write(top / "data", name, found)
        else:
            beneath.link(top / "data", name, found["link"])
