"""How an agent is started: its directories, its policy, its sandbox, its command line.

A session owns ``<state>/sessions/<id>/``::

    ns/     bound as the agent's $NAMESPACE: the socket ``agent`` (the only one it can reach) and ``spool/`` of its hooks
    data/   what the agent keeps as long as the session lives: its own configuration and conversations
    run/    what is generated for one launch: settings files, the sandbox's specification, a copy of our code; read-only inside
    tmp/    the agent's private $TMPDIR and /tmp
    status  how the last agent ended, from the launcher
    git/    git directories of the session's own, which lie over those of repositories in its grants, and their checkpoints
    seen.json   what there was at the last look that runs something outside
    rights.json, bound.json   what the last start gave it, and what the session had that spawned it; out of its sight
    process  which process it is (see ``birth``)

Threads: called on the 9P workers (``plan``, to refuse early) and on the thread of the agents (``prepare``); the lock guards what
was found out about the kernel.
"""

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from anvilsrv import allowance, paths
from anvilsrv.agents import birth, branch_journal, commands, grants, limited, logins, setup
from anvilsrv.agents.bounds import SPEC, Bounds, refuse_more
from anvilsrv.agents.door import Door
from anvilsrv.agents.limited import DAEMON, bounded
from anvilsrv.backends.backend import Backend
from anvilsrv.backends.backend import Launch as Made
from anvilsrv.backends.registry import Backends, Place
from anvilsrv.backends.vault import Vault
from anvilsrv.display import one_line
from anvilsrv.errors import AnvilError, Full, Unavailable
from anvilsrv.linux import beneath
from anvilsrv.linux.replace import write
from anvilsrv.sessions.gate import By
from anvilsrv.sessions.state import View
from sandbox import delegation, git_inside, git_land, git_out, git_own, git_refs, git_watch, launcher, policy, tiers
from sandbox.errors import SandboxError, SandboxRefused
from sandbox.git_cover import Cover, cover
from sandbox.git_trust import Trusted
from sandbox.limits import Way, lines, temporary
from sandbox.plan import specification
from sandbox.rights import Rights, effective, rights
from sandbox.text import describe
from sandbox.written import Written

log = logging.getLogger("anvilsrv")
LANDING = 130.0  # s for which one landing of a session waits for another
PLANTED = 100  # paths that are named after one turn
KEPT = 30 * 86400  # s for which commits that cannot be brought are kept


class Plan(NamedTuple):
    """What a session will run with: its policy, the tier that enforces it, both in words, and what is missing."""

    policy: policy.Policy
    tier: str
    text: str
    gaps: list[str]  # what this kernel does not enforce and `best_effort` let pass


class Start(NamedTuple):
    """One start, for tmux: the command line and its directory; and what it runs with, for the session's row."""

    argv: list[str]
    cwd: str
    tier: str
    policy: str


class Launch:
    """Prepares starts. ``state`` is the daemon's state directory, ``namespace`` the user's namespace directory,
    ``umask`` that of the agents: the user's, since what they make is the user's work."""

    def __init__(
        self, backends: Backends, state: Path, namespace: str, umask: int = 0o022, door: Door | None = None
    ) -> None:
        self.umask = umask
        self._door = door
        self._backends = backends
        self._state = state
        self._namespace = namespace
        self._lock = threading.Lock()
        self._report: tiers.Report | None = None
        self._way: Way | None = None
        self._landing: dict[str, threading.BoundedSemaphore] = {}
        self._bounds = Bounds(self.directory)
        self.written = Written.of(os.environ)
        self.vault = Vault()

    def directory(self, session: str) -> Path:
        """Return the session's own directory."""
        return self._state / "sessions" / session

    def data(self, session: str) -> Path:
        """Return what the agent keeps there: its own configuration and conversations."""
        return self.directory(session) / "data"

    def staged(self, session: str) -> Path:
        """Return where the files are that a session to be made begins with."""
        return self._state / "sessions" / f"fork-{session}" / "data"

    def _unstage(self, session: str) -> None:
        """Put it in its place, before the first start. Raises OSError."""
        staged = self.staged(session)
        if staged.is_dir():
            staged.rename(self.data(session))
            staged.parent.rmdir()

    def make_directories(self, session: str) -> Path:
        """Make them; returns the socket's path."""
        top = self.directory(session)
        for name in ("ns/spool", "data", "run", "tmp"):
            (top / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        return top / "ns" / paths.SERVICE

    def forget(self, session: str) -> None:
        """Remove the session's directory; what its agent committed goes to the user's repository first."""
        try:
            if self._owner(session) == session:
                for line in self.settle(session):
                    log.info("%s: %s", session, one_line(line))
                if self._keeps(session):
                    return
                for record in git_own.records(self.git(session)):
                    git_land.release(record, session)
            branch_journal.finish(self._state, session)
        except SandboxError as error:
            log.warning("%s: %s", session, error)
        limited.forget(self.directory(session) / "run" / SPEC)
        beneath.remove(self.directory(session))

    def _keeps(self, session: str) -> bool:
        """Return whether it has commits that could not be brought, as on a full disk: the next daemon tries again, for
        some time.
        """
        trees = [one.tree for one in self.records(session) if os.path.isdir(one.common)
                 and self.tip(one) not in ("", one.base, one.taken)]  # fmt: skip
        mark = self.directory(session) / "kept"
        if not trees or (mark.exists() and mark.stat().st_mtime < time.time() - KEPT):
            return False
        if not mark.exists():
            mark.touch()
        words = "%s: its commits in %s could not be brought: they are in %s, and the next daemon tries again"
        log.warning(words, session, one_line(", ".join(trees)), self.directory(session))
        return True

    def there(self) -> list[str]:
        """Return the sessions that have a directory."""
        return sorted(path.name for path in self._state.glob("sessions/*") if path.is_dir())

    def remember(self) -> None:
        """Record where agents may write that an older version started without recording it. Raises Unavailable."""
        if self.written.path.exists():
            return
        try:
            for path in self._state.glob(f"sessions/*/run/{SPEC}"):
                spec = json.loads(path.read_text())
                self.written.add(top for top, _ in spec["rules"] if "w" in effective(spec, top))
        except (SandboxError, OSError, ValueError, KeyError) as error:
            raise Unavailable(f"cannot tell where agents may write: {error}") from None

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

    def plan(
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
        top, ours = self.directory(session), self._own(found, session, env or {})
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
        top = self.directory(session)
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

    def within(self, child: Plan, parent: View) -> None:
        """Refuse a session that would get more than the one that spawns it. Raises Denied."""
        bound = self._bounds.of(parent.id)
        if bound is None:  # it was started by a version that did not keep them
            bound = self._planned(
                self.plan(parent.backend, parent.role, parent.tasks, parent.cwd, parent.id), parent.id
            )
        refuse_more(self._planned(child, "new"), bound)

    def _planned(self, plan: Plan, session: str) -> Rights:
        top = self.directory(session)
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

    def prepare(self, view: View) -> Start:
        """Write what one launch needs. Raises AnvilError."""
        backend = self._backends.get(view.backend)
        top = self.directory(view.id)
        plan = self._plan(view)
        try:
            self.make_directories(view.id)
            self._unstage(view.id)
            if view.beside:
                self._share(view)
            grants.copy(top / "run" / "code")
            made = backend.launch(self._place(view, plan, top), resume=self.can_resume(view))
            _write(backend, made, top)
            self._log_in(backend, top, made.data)
            plan = self._plan(view, made.env)
            over = self._cover(plan, view.id)
            spec = specification(
                plan.policy, made.argv, tier=plan.tier, namespace_source=str(top / "ns"), env=os.environ,
                tmpdir=str(self.directory(view.beside or view.id) / "tmp"),
                status_file=str(top / "status"),
                shown=grants.shown(top / "run" / "code", view.cwd) | commands.shown(top / "run" / "bin", plan.policy.rights),
                listed=grants.granted(plan.tier).listed, cover=over, door=self._door.path if self._door is not None else "",
                session=view.id, way=self.way(),
            )  # fmt: skip
            if self._door is not None and spec["door"]:
                self._door.ensure()
            own = [str(self.directory(one)) for one in (view.id, view.beside) if one]
            self._bounds.start(view, rights(plan.policy, spec, own))
            self.written.add(plan.policy.writable)
            if By.SETUP in view.gate.holders and plan.policy.setup:
                spec["argv"] = setup.wrapped(plan.policy.setup, spec["argv"], top / "data")
            (top / "status").unlink(missing_ok=True)
            limited.forget(top / "run" / SPEC)
            path = top / "run" / SPEC
            write(path, json.dumps(spec | {"umask": self.umask} | commands.found(spec, top / "run" / "bin")))
        except SandboxError as error:
            raise Unavailable(str(error)) from None
        except OSError as error:
            kind, where = (
                (Full if error.errno in Full.NUMBERS else Unavailable),
                f": {error.filename}" if error.filename else "",
            )
            raise kind(f"cannot prepare session '{view.id}': {error.strerror}{where}") from None
        lacks = backend.lacks(self._place(view, plan, top), plan.policy.rights)
        command = [*self.way().prefix, *launcher.command(str(path))]
        return Start(command, view.cwd, plan.tier, plan.text + lacks + over.text())

    def _plan(self, view: View, env: Mapping[str, str] | None = None) -> Plan:
        return self.plan(
            view.backend, view.role, view.tasks, view.cwd, view.id, env, parent=view.parent, limits=view.limits
        )

    def _cover(self, plan: Plan, session: str) -> Cover:
        """Return what covers repositories with git directories of the session's own; without mounts there is nothing to
        cover.
        """
        if plan.tier != "full":
            return Cover(lines=[("note", "git directories are not protected in this tier", "")])
        trusted, home = Trusted(self.written), str(Path.home())
        made = cover(plan.policy, trusted, place=self.git(session), session=self._owner(session), home=home)
        without = [*plan.policy.hide, *(path for path, _ in plan.policy.protect)]
        tops = [path for path in plan.policy.writable if os.path.isdir(path)]
        git_watch.begin(self._seen(session), tops, without, made.repositories)
        return made

    def git(self, session: str) -> str:
        """Return where a session's own git directories are: another's, if it works beside that one's agent."""
        path = self.directory(session) / "git"
        return os.readlink(path) if path.is_symlink() else str(path)

    def _owner(self, session: str) -> str:
        """Return whose they are."""
        return Path(self.git(session)).parent.name

    def _share(self, view: View) -> None:
        """Have it work with the git directories of the session beside which it is."""
        path = self.directory(view.id) / "git"
        if not path.is_symlink():
            path.symlink_to(self.directory(view.beside) / "git")

    def inside(self, session: str, argv: list[str], cwd: str, most: int, data: bytes = b"") -> bytes:
        """Return what a command prints in the session's sandbox. Raises SandboxError."""
        top = self.directory(session)
        return git_inside.output(str(top / "run" / SPEC), str(top), argv, cwd, data, most)

    def records(self, session: str) -> list[git_own.Record]:
        """Return its own git directories."""
        return git_own.records(self.git(session))

    @staticmethod
    def tip(record: git_own.Record) -> str:
        """Return the commit that a session has checked out; empty if that is unknown."""
        found = git_out.tip(record)
        return found.commit if found is not None else ""

    @staticmethod
    def branch(record: git_own.Record) -> str:
        """Return the branch that a session is on; empty for none."""
        found = git_out.tip(record)
        branch = found.branch if found is not None else git_refs.head(record.own).removeprefix("ref: ")
        return one_line(branch.removeprefix("refs/heads/")) if branch.startswith("refs/heads/") else ""

    def _seen(self, session: str) -> str:
        return str(self.directory(session) / "seen.json")

    def settle(self, session: str) -> list[str]:
        """Take out what the agent committed and land it; that, and what else it left, as lines of ``sandbox``."""
        with self._alone(self._owner(session)):
            return self._settle(session)

    def _settle(self, session: str) -> list[str]:
        owner = self._owner(session)
        top = self.directory(owner)
        for path in top.glob("take-*"):  # of a daemon that was killed
            beneath.remove(path)
        inside = partial(git_inside.output, str(top / "run" / SPEC), str(top))
        said = self._landed(session, lambda record: git_land.settle(record, owner, inside, str(top)))
        planted = [f"planted\t{one_line(path)}\n" for path in git_watch.changes(self._seen(session))]
        more = [f"planted\t{len(planted) - PLANTED} more\n"] if len(planted) > PLANTED else []
        return [*said, *planted[:PLANTED], *more]

    @contextmanager
    def _alone(self, session: str) -> Iterator[None]:
        """Allow one landing of a session at a time. Raises SandboxRefused."""
        with self._lock:
            turn = self._landing.setdefault(session, threading.BoundedSemaphore())
        if not turn.acquire(timeout=LANDING):
            raise SandboxRefused("commits of this session are being brought over: try again")
        try:
            yield
        finally:
            turn.release()

    def resume(self, session: str) -> list[str]:
        """Go on with what a daemon that died had begun to land; lines as those of ``settle``."""
        return self._landed(session, lambda record: git_land.resume(record, self._owner(session)))

    def _landed(self, session: str, land: Callable[[git_own.Record], git_land.Outcome | None]) -> list[str]:
        said = []
        for record in sorted(git_own.records(self.git(session)), key=lambda one: -len(one.tree)):  # submodules first
            try:
                found = land(record)
            except (SandboxError, OSError) as error:
                said.append(f"commits\t{one_line(record.tree)}\t{one_line(str(error))}\n")
            else:
                said += [f"commits\t{one_line(record.tree)}\t{one_line(found.said)}\n"] if found else []
        return said

    def _log_in(self, backend: Backend, top: Path, data: Mapping[str, object]) -> None:
        if backend.login is None or any(name in data for name in backend.login.files):
            logins.withhold(top)
        else:
            logins.give(self.vault, backend.name, backend.login, top)

    def started(self, session: str, pid: int) -> None:
        """Record the process of its agent."""
        if self.living(session) != pid:
            birth.note(self.directory(session) / "process", pid)

    def living(self, session: str) -> int:
        """Return the process of its agent, wherever it may run, as long as it does; else 0."""
        return birth.living(self.directory(session) / "process")

    def ended(self, session: str) -> tuple[int, str] | None:
        """Return what the launcher wrote at the end: the exit status (128 and more: a signal) and its sentence; None if
        it was killed.
        """
        try:
            code, _, sentence = (self.directory(session) / "status").read_text().partition("\n")
            return int(code), sentence.strip()
        except (OSError, ValueError):
            return limited.out_of_memory(self.directory(session) / "run" / SPEC)

    def can_resume(self, view: View) -> bool:
        """Return whether there is a conversation to go on with: agents refuse to resume one that never had a prompt."""
        if not view.conversation:
            return False
        if not view.transcript:
            return view.turns > view.since
        data = self.directory(view.id) / "data"
        try:
            return beneath.exists(data, beneath.relative(data, view.transcript))
        except AnvilError:
            return False

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


def _variables(env: Mapping[str, str]) -> list[str]:
    """Return these as a layer has them; for the user's own variables the name alone, since ``sandbox`` shows the values
    of the others.
    """
    return [name if os.environ.get(name) == value else f"{name}={value}" for name, value in env.items()]
