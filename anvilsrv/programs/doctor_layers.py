"""What `anvilsrv doctor` says of the configuration: each layer of the sandbox, and each kind of agent, run inside it.

Threads: the main thread of the command. Nothing of the user's is changed; what agents are tried in is removed.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from anvilsrv import paths
from anvilsrv.display import one_line
from anvilsrv.errors import AnvilError
from anvilsrv.programs.finding import DO, NOTE, OK, PATIENCE, Line, last
from anvilsrv.strict_json import loads_object
from sandbox import outside

if TYPE_CHECKING:
    from anvilsrv.agents.trial import Trial
    from anvilsrv.backends.backend import Backend
    from anvilsrv.backends.registry import Backends
    from sandbox.hosts import Host
    from sandbox.policy import Policy


def configuration() -> Iterator[Line]:
    """Check that every layer can be read, and what waits to be merged. What is wrong with what all have in common is
    reported once.
    """
    from sandbox import policy
    from sandbox.errors import SandboxError

    mine, shipped = paths.config_dir(), paths.share() / "cfg"
    if not (shipped / "global.yaml").is_file():
        yield Line(DO, "configuration", f"no {shipped}: install again")
        return
    if (mine.exists() or mine.is_symlink()) and not mine.is_dir():
        yield Line(DO, "configuration", f"{mine} is not a directory, and the shipped configuration is used: remove it")
        return
    if mine.is_dir() and not os.access(mine, os.R_OK | os.X_OK):
        yield Line(DO, "configuration", f"{mine} cannot be read: chmod u+rx {mine}")
        return
    common = base_fault()
    trials: list[tuple[str | None, list[str]]] = [(role, []) for role in policy.names([mine, shipped], "roles")]
    trials += [(None, [task]) for task in policy.names([mine, shipped], "tasks")]
    wrong = {common} - {""}
    for role, tasks in trials:
        try:
            _load("", role, tasks)
        except SandboxError as error:
            wrong.add(str(error))
    yield from (Line(DO, "configuration", one) for one in sorted(wrong))
    if not wrong:
        yield Line(OK, "configuration", f"{mine if mine.is_dir() else shipped}: {len(trials)} roles and tasks")
    for new in sorted({*mine.rglob("*.new"), *_laid_beside()}):
        yield Line(NOTE, "configuration", f"compare {new} with yours, then remove it")


def _laid_beside() -> set[Path]:
    """Return the files that an upgrade has put beside those that the user had edited, in the configuration or elsewhere."""
    try:
        record = loads_object((Path(sys.prefix).parent / "installed.json").read_bytes())
        return {Path(one) for one in record["beside"] if os.path.exists(one)}
    except (AnvilError, OSError, KeyError, TypeError):
        return set()  # not installed by ./install


def base_fault() -> str:
    """Return what is wrong with what every session has: the layer for all, and the role of those that name none. Empty
    if nothing is.
    """
    from sandbox.errors import SandboxError

    try:
        _load("", None, [])
    except SandboxError as error:
        return str(error)
    return ""


def _load(backend: str, role: str | None, tasks: list[str]) -> "Policy":
    """Return the policy of a session in some directory. Raises SandboxError."""
    from sandbox import policy

    with tempfile.TemporaryDirectory(prefix="anvil-doctor-") as cwd:
        return policy.load(
            config=[paths.config_dir(), paths.share() / "cfg"], backend=backend, role=role, tasks=tasks,
            cwd=os.path.realpath(cwd), namespace=paths.namespace(), env=os.environ,
        )  # fmt: skip


def backends() -> Iterator[Line]:
    """Check which agents are here, and their versions; at least one must be."""
    from anvilsrv.backends.registry import Backends

    if base_fault():
        yield Line(NOTE, "backends", "not tried: the configuration of all sessions is wrong")
        return
    found = Backends()
    lines: list[Line] = []
    needed: dict[Host, list[str]] = {}
    for name, title, words in found.listing():
        said = [_unusable(found, name, words)] if words != "ok" else list(_tried(found, name, title, needed))
        yield from said
        lines += said
    if not any(line.verdict == OK for line in lines) and not any(line.verdict == DO for line in lines):
        yield Line(DO, "backends", "none can run: see the lines above")
    yield from network(needed)


def network(needed: "dict[Host, list[str]]") -> Iterator[Line]:
    """Check the granted hosts, with the backends that need them: those that cannot be reached from this machine, each
    once.
    """
    from anvilsrv.programs import ways

    refused = ways.refused(needed, PATIENCE)
    named = [host for host in needed if not host.addresses and not host.name.startswith("*.")]
    unknown = [host for host in named if refused.get(host, "").startswith(ways.UNKNOWN)]
    if len(named) > 1 and unknown == named:
        names = ", ".join(sorted({name for host in named for name in needed[host]}))
        yield Line(
            NOTE, "network", f"no host name can be resolved: check the network and the name server ({names} need it)"
        )
        refused = {host: why for host, why in refused.items() if host not in unknown}
    for host, why in refused.items():
        yield Line(NOTE, "network", f"from this machine, {host} {why} (for {', '.join(needed[host])})")
    if needed and not refused and not unknown:
        yield Line(OK, "network", f"{len(needed)} granted host(s) can be reached")


def _unusable(found: "Backends", name: str, words: str) -> Line:
    """Return the finding for a backend that cannot be used. A missing program is optional; a file that is wrong is to
    be corrected.
    """
    try:
        found.get(name)
    except AnvilError:
        return Line(DO, f"backend {name}", words)
    return Line(NOTE, f"backend {name}", words)


def _run(found: "Backends", name: str, top: str) -> "tuple[Trial, subprocess.CompletedProcess[bytes]]":
    """Run its program inside the sandbox to ask for its version; if it has none to ask, check that a program runs
    there.
    """
    from anvilsrv.agents.trial import trial

    backend = found.get(name)
    asked = backend.program is not None and backend.version_args
    if asked:
        made = trial(found, name, backend.version_args, Path(top))
    else:
        made = trial(found, name, ("-I", "-c", "pass"), Path(top), sys.executable)
    return made, subprocess.run(made.argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE)


def _tried(found: "Backends", name: str, title: str, needed: "dict[Host, list[str]]") -> Iterator[Line]:
    """Check one that can run: what it says of its version, inside the sandbox as a session runs it. Adds the hosts that
    it needs.
    """
    from anvilsrv.backends import mistakes
    from anvilsrv.backends.backend import Peculiarity
    from sandbox.errors import PolicyError, SandboxError

    backend = found.get(name)
    if backend.peculiarity is Peculiarity:
        yield from (Line(NOTE, f"backend {name}", one) for one in mistakes.unheard(backend))
    try:
        _load(name, None, [])
    except PolicyError as error:
        yield Line(DO, f"backend {name}", str(error))
        return
    with tempfile.TemporaryDirectory(prefix="anvil-doctor-", ignore_cleanup_errors=True) as top:
        try:
            made, done = _run(found, name, top)
        except subprocess.TimeoutExpired:
            yield Line(
                NOTE, f"backend {name}", f"inside the sandbox it does not print its version within {PATIENCE:g} s"
            )
            return
        except (SandboxError, AnvilError) as error:
            yield Line(NOTE, f"backend {name}", f"cannot run in the sandbox: {error}")
            return
    for line in made.lacks.splitlines():
        _, what, grant = line.split("\t")
        yield Line(NOTE, f"backend {name}", f"{what} is not granted: {grant}")
    if not done.returncode:
        said = next(iter(done.stdout.decode(errors="replace").strip().splitlines()), "")
        yield Line(OK, f"backend {name}", f"{title}{f': {one_line(said)}' if said else ''}")
        for host in made.policy.network.hosts:
            needed.setdefault(host, []).append(name)
        return
    words = one_line(last(done.stderr.strip() or done.stdout))
    yield Line(
        NOTE,
        f"backend {name}",
        f"fails inside the sandbox, with status {done.returncode}: {words}{_lacks(backend, made.policy)}",
    )


def _lacks(backend: "Backend", policy: "Policy") -> str:
    """Return what its program runs, outside, that is not granted, and how to grant it. Empty if that cannot be told."""
    from anvilsrv.programs.executed import executed

    path = outside.which(backend.program or "")
    ran = executed([path, *backend.version_args], PATIENCE) if path is not None else None
    missing = [one for one in ran or [] if "x" not in policy.rights(os.path.realpath(one))]
    if not missing:
        return ""
    tops = sorted({_around(os.path.realpath(one)) for one in missing})
    return (
        f"; {path} runs {' and '.join(missing)}, which no layer grants: put 'filesystem: {{rox: [{', '.join(tops)}]}}' into "
        f"{paths.config_dir() / 'global.yaml'}, or the directory of the program itself first into the daemon's PATH"
    )


def _around(path: str) -> str:
    """Return what is to be granted for a program: what it was installed with if that is a directory of its own, else
    only the file.
    """
    packages = [one for one in Path(path).parents if one.name == "node_modules"]
    top = packages[-1] if packages else Path(path).parent.parent if Path(path).parent.name == "bin" else Path(path)
    shared = (Path.home(), Path.home() / ".local", Path("/"), Path("/usr"), Path("/usr/local"), Path("/opt"))
    return path if top in shared else str(top)
