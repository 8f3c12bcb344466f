"""What a session will run with, found out before it is made and again before each start: its policy, and the tier that enforces it.

Nothing is made or started here, so one that cannot run is refused early.

Threads: any (9P workers refuse early, the thread of the agents starts); the lock guards what was found out about the kernel.
"""

import json
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from anvilsrv import allowance, paths
from anvilsrv.agents import grants
from anvilsrv.agents.bounds import SPEC, Bounds, refuse_more
from anvilsrv.agents.directories import Directories
from anvilsrv.agents.limited import DAEMON, bounded
from anvilsrv.backends.backend import Backend
from anvilsrv.backends.registry import Backends
from anvilsrv.errors import Unavailable
from anvilsrv.sessions.state import View
from sandbox import delegation, policy, tiers
from sandbox.errors import SandboxError
from sandbox.git_cover import Cover, cover
from sandbox.git_trust import Trusted
from sandbox.limits import Way, lines, temporary
from sandbox.plan import specification
from sandbox.rights import Rights, effective, rights
from sandbox.text import describe
from sandbox.written import Written


class Plan(NamedTuple):
    """What a session will run with: its policy, the tier that enforces it, both in words, and what is missing."""

    policy: policy.Policy
    tier: str
    text: str
    gaps: list[str]  # what this kernel does not enforce and `best_effort` let pass


class Plans:
    """Those of all sessions. ``namespace`` is the user's namespace directory."""

    def __init__(self, backends: Backends, directories: Directories, namespace: str) -> None:
        self._backends = backends
        self._directories = directories
        self._namespace = namespace
        self._bounds = Bounds(directories.of)
        self._lock = threading.Lock()
        self._report: tiers.Report | None = None
        self._way: Way | None = None
        self.written = Written.of(os.environ)

    # -- the kernel --------------------------------------------------------------------------------------------------

    def tier_report(self) -> tiers.Report:
        """Return what this kernel provides; found out once. Raises Unavailable."""
        if self._report is None:
            try:
                report = tiers.probe()
            except SandboxError as error:
                raise Unavailable(str(error)) from None
            with self._lock:
                self._report = report
        return self._report

    def way(self) -> Way:
        """Return the mechanism that enforces limits here; found out once."""
        if self._way is None:
            way = delegation.find(daemon=True)
            with self._lock:
                self._way = way
        return self._way

    # -- plans -------------------------------------------------------------------------------------------------------

    def of(self, view: View, env: Mapping[str, str] | None = None) -> Plan:
        """Return that of the next start of a session. Raises AnvilError."""
        return self.make(
            view.backend, view.role, view.tasks, view.cwd, view.id, env, parent=view.parent, limits=view.limits
        )

    def make(
        self,
        backend: str,
        role: str,
        tasks: Sequence[str],
        cwd: str,
        session: str = "new",
        env: Mapping[str, str] | None = None,
        parent: str | None = None,
        limits: Mapping[str, str] = {},
    ) -> Plan:
        """Return the policy and tier of a session; ``limits`` are those that the user set.

        Raises AnvilError with the reason when it cannot run here.
        """
        found = self._backends.get(backend)
        top, ours = self._directories.of(session), self._own(found, session, env or {})
        try:
            made = policy.load(
                config=[paths.config_dir(), paths.share() / "cfg"],
                backend=found.name,
                role=role or None,
                tasks=list(tasks),
                cwd=cwd,
                namespace=self._namespace,
                env=os.environ,
                extra=[("daemon", ours)],
                untrusted=self.written.known(),
            )
            made.limits = bounded(made.limits, self._bounds.limits(session, parent), limits)
            tier = tiers.choose(made, self.tier_report())
            if tier != "full":  # without mounts, some policies cannot be held: better said now than at the start
                ns, tmp = str(top / "ns"), str(top / "tmp")
                specification(made, ["true"], tier=tier, namespace_source=ns, tmpdir=tmp, env=os.environ)
        except SandboxError as error:
            raise Unavailable(str(error)) from None
        gaps = list(tiers.gaps(made, tier, self.tier_report().abi))
        text = describe(made, tier) + "".join(f"gap\t{gap}\n" for gap in gaps)
        text += lines(made.limits, self.way(), tier, DAEMON) + temporary(made.limits, kept=str(top)) + allowance.lines()
        return Plan(made, tier, text, gaps)

    def _own(self, backend: Backend, session: str, env: Mapping[str, str]) -> dict[str, object]:
        """Return the layer by which the daemon grants a session its own directories."""
        top = self._directories.of(session)
        code = grants.granted(self.tier_report().tier)
        return {
            "env": _variables({**env, "ANVILLM_SESSION": session}),
            "filesystem": {
                "rox": [*code.rox, *backend.reads(), str(top / "run" / "bin")],
                "rw": [str(top / "data")],
                "ro": [str(top / "run"), *code.ro],
                "hide": code.hide,
            },
        }

    # -- what it gives -----------------------------------------------------------------------------------------------

    def within(self, child: Plan, parent: View) -> None:
        """Refuse a session that would get more than the one that spawns it. Raises Denied."""
        bound = self._bounds.of(parent.id)
        if bound is None:  # it was started by a version that did not keep them
            bound = self._planned(
                self.make(parent.backend, parent.role, parent.tasks, parent.cwd, parent.id), parent.id
            )
        refuse_more(self._planned(child, "new"), bound)

    def start(self, view: View, wanted: Rights) -> None:
        """Keep what a start gives. Raises Denied if that is more than the session has, or last had, that spawned this one."""
        self._bounds.start(view, wanted)

    def _planned(self, plan: Plan, session: str) -> Rights:
        top = self._directories.of(session)
        ns, tmp = str(top / "ns"), str(top / "tmp")
        try:
            spec = specification(
                plan.policy, ["true"], tier=plan.tier, namespace_source=ns, tmpdir=tmp, env=os.environ,
                cover=self._foreseen(plan, top),
            )  # fmt: skip
        except SandboxError as error:
            raise Unavailable(str(error)) from None
        return rights(plan.policy, spec, [str(top)])

    def _foreseen(self, plan: Plan, top: Path) -> Cover | None:
        """Return what will be mounted over repositories, with nothing made yet."""
        if plan.tier != "full":
            return None
        found = cover(plan.policy, Trusted(self.written), remember=False, home=str(Path.home()))
        own = {one.git for one in found.repositories}
        return Cover(
            over=[(path, str(top / "git")) for path in sorted(own)],
            protect=[(path, how) for path, how in found.protect if path not in own],
        )

    def remember(self) -> None:
        """Record where agents may write that an older version started without recording it. Raises Unavailable."""
        if self.written.path.exists():
            return
        try:
            for path in self._directories.state.glob(f"sessions/*/run/{SPEC}"):
                spec = json.loads(path.read_text())
                self.written.add(top for top, _ in spec["rules"] if "w" in effective(spec, top))
        except (SandboxError, OSError, ValueError, KeyError) as error:
            raise Unavailable(f"cannot tell where agents may write: {error}") from None


def _variables(env: Mapping[str, str]) -> list[str]:
    """Return these as a layer has them; for the user's own variables the name alone, since ``sandbox`` shows the values
    of the others.
    """
    return [name if os.environ.get(name) == value else f"{name}={value}" for name, value in env.items()]
