"""The limits of sessions: the file ``limits``, what the user sets for an agent that runs, and the end of a run whose time is over.

Threads: deadlines are on the reactor of the agents; ``shown`` and ``set`` are called on 9P workers, and look at control groups.
"""

import time
from functools import partial

from anvilsrv.agents import limited
from anvilsrv.agents.directories import Directories
from anvilsrv.agents.plans import Plans
from anvilsrv.desk.life import Life
from anvilsrv.errors import Invalid, Unavailable
from anvilsrv.linux.reactor import Deadline, Reactor
from anvilsrv.sessions.registry import Registry
from anvilsrv.sessions.state import View
from anvilsrv.store.store import Need, Store, Tx
from sandbox import groups
from sandbox.limit_values import NAMES, parse, written

LAYERS = "default"  # what is written for a limit to have that of the layers again
OFTEN = 86_400.0  # s between looks at one that is far away


class SessionLimits:
    """Of all sessions."""

    def __init__(
        self, reactor: Reactor, store: Store, registry: Registry, life: Life, directories: Directories, plans: Plans
    ) -> None:
        self._reactor = reactor
        self._store = store
        self._registry = registry
        self._life = life
        self._directories = directories
        self._plans = plans
        self._deadlines: dict[str, Deadline] = {}  # the reactor's

    # -- the time of a run -----------------------------------------------------------------------------------------------

    def follow(self, before: View | None, after: View | None) -> None:
        """See :class:`Follower`."""
        if (before and _run(before)) != (after and _run(after)):
            view = after or before
            assert view is not None
            self._reactor.do(partial(self._look, view.id))

    def close(self) -> None:
        """Do nothing: the reactor drops what was to come."""

    def _look(self, session: str) -> None:
        deadline = self._deadlines.pop(session, None)
        if deadline is not None:
            deadline.cancel()
        view = self._registry.views.get(session)
        most = parse("time", view.limit("time")) if view is not None else None
        if view is None or not view.live or view.ran is None or most is None:
            return
        ran, left = view.ran, view.ran + most - time.monotonic()
        if left > 0:
            self._deadlines[session] = self._reactor.at(min(left, OFTEN), partial(self._look, session))
        else:
            self._life.about(session, lambda tx: self._life.over(tx, session, ran))

    # -- the file --------------------------------------------------------------------------------------------------------

    def shown(self, session: str) -> str:
        """Return a line for each: name, used, limit. Raises NotFound."""
        view = self._registry.get(session)
        used = self._used(view) if view.pid else {}
        return "".join(f"{name} {used.get(name, '-')} {view.limit(name)}\n" for name in NAMES)

    def _used(self, view: View) -> dict[str, str]:
        ran = time.monotonic() - view.ran if view.ran is not None else 0.0
        found = {"time": written("time", max(0, int(ran)))}
        group = limited.group(self._directories.specification(view.id), view.pid)
        files = {"memory": "memory.current", "cpu": "cpu.stat", "pids": "pids.current"}
        for name, file in files.items() if group else ():
            try:
                text = groups.read(f"{group}/{file}")
            except OSError:  # no such controller, or the agent has just ended
                continue
            found[name] = _figure(name, text, time.monotonic() - (view.began if view.began is not None else 0.0))
        return found

    def set(self, session: str, text: str) -> None:
        """Set limits: each line a name and its limit, or ``default``; the group of an agent that runs has it
        immediately.

        Raises NotFound, Invalid, and Unavailable where the kernel refuses.
        """
        view = self._registry.get(session)
        wanted = _wanted(text)
        asked = {name: said for name, said in {**view.limits, **wanted}.items() if said is not None}
        plan = self._plans.make(
            view.backend, view.role, view.tasks, view.cwd, view.id, parent=view.parent, limits=asked
        )
        values = {name: plan.policy.limits[name].value for name in wanted}
        group = limited.group(self._directories.specification(view.id), view.pid) if view.pid else ""
        if group:
            try:
                groups.put(group, values)
            except OSError as error:
                raise Unavailable(f"limits: the control group refuses them: {error.strerror}") from None
        found = [
            line
            for line in plan.text.splitlines(keepends=True)
            if line.split("\t")[:2] in [["limit", n] for n in wanted]
        ]

        def job(tx: Tx) -> None:
            self._registry.limited(tx, session, wanted, "".join(found))

        self._store.call(job, need=Need.OWN)


def _run(view: View) -> tuple[object, ...]:
    return view.live, view.ran, view.limit("time")


def _wanted(text: str) -> dict[str, str | None]:
    """Return what each line sets; None is what layers say. Raises Invalid."""
    found: dict[str, str | None] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) != 2 or words[0] not in NAMES:
            raise Invalid(f"invalid limit '{line[:80]}': NAME VALUE, of {', '.join(NAMES)}")
        name, said = words
        try:
            found[name] = None if said == LAYERS else written(name, parse(name, said))
        except ValueError as error:
            raise Invalid(f"invalid limit: {name}: {error}") from None
    return found


def _figure(name: str, text: str, lived: float) -> str:
    """Return what is used, as it is written: for the processor the mean since the agent was started."""
    if name == "cpu":
        spent = next((int(line.split()[1]) for line in text.splitlines() if line.startswith("usage_usec ")), 0)
        return f"{round(spent / 10_000 / max(lived, 0.001))}%"
    value = int(text)
    return written(name, value >> 20 << 20) if name == "memory" else str(value)
