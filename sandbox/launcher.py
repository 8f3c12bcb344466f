"""Start one program inside the sandbox: ``python3 -I -S launcher.py <specification>``.

Applies what the specification says, tests itself, and starts the program; or says in a sentence why not and exits
126. 127 is a program that was not found inside. In the full tier this process stays outside as the keeper (see
``processes``); in the others it becomes the program. Only the C parts of the standard library are imported: the
whole must cost milliseconds.
"""

from __future__ import annotations

import os
import resource
import sys

if __name__ == "__main__":
    # Isolated mode leaves our own directory out; behind the standard library nothing of ours can stand in for it.
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from sandbox import groups, kernel, landlock, listeners, mounts, namespaces, processes, seccomp, selftest
from sandbox.errors import SandboxRefused

TYPE_CHECKING = False  # the package typing imports re: 10 ms
if TYPE_CHECKING:
    import signal
    from typing import Any, NoReturn
else:
    import _signal as signal  # the package signal imports enum: 6 ms

REFUSED, NOT_FOUND = 126, 127
BLESSED = f"/usr/local/libexec/anvillm/python{sys.version_info[0]}.{sys.version_info[1]}"
_KEYS = {
    "tier", "argv", "cwd", "env", "inherit", "binds", "links", "files", "directories", "rules", "protected", "network",
    "connect", "bind", "least_abi", "best_effort", "status",
}  # fmt: skip
_DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"


def main(path: str) -> None:
    """Start the sandbox; never returns."""
    status = ""
    try:
        spec = read_spec(path)
        status = spec["status"]
        if status and os.path.lexists(status):
            os.unlink(status)
        _tidy_descriptors()
        start = {"full": _full, "ll9": _landlock_only, "weak": _landlock_only, "none": _unsandboxed}.get(spec["tier"])
        if start is None:
            raise SandboxRefused(f"no tier '{spec['tier']}'")
        start(spec)
    except NotFound as error:
        processes.write_status(status, NOT_FOUND, _say(error))
        os._exit(NOT_FOUND)
    except (SandboxRefused, OSError) as error:
        processes.write_status(status, REFUSED, _say(error))
    os._exit(REFUSED)


def read_spec(path: str) -> dict[str, Any]:
    """Return the specification, from a file that no one but its owner can write."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        status = os.fstat(fd)
    except OSError as error:
        raise SandboxRefused(f"cannot read the specification {path}: {error.strerror}") from None
    with open(fd, encoding="utf-8") as file:
        if status.st_uid not in (0, os.geteuid()) or status.st_mode & 0o022:
            raise SandboxRefused(f"{path} can be written by others")
        text = file.read()
    spec = _parse(text)
    if not isinstance(spec, dict) or not spec.keys() >= _KEYS:
        raise SandboxRefused(f"{path} is not a specification")
    if spec.get("once"):
        os.unlink(path)
        os.rmdir(os.path.dirname(path))
    return spec | {"canary": os.path.abspath(path)}


def _parse(text: str) -> Any:
    """Parse JSON as json.loads does, without the package json, whose import costs as much as all the rest; None for
    what is not JSON.
    """
    try:
        from _json import make_scanner
    except ImportError:
        import json

        return json.loads(text)
    scan: Any = make_scanner
    try:
        return scan(_Decoder())(text, 0)[0]
    except (StopIteration, SystemError, ValueError):
        return None


class _Decoder:
    """The settings that the scanner of the standard library asks for."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = str
    memo: dict[str, str] = {}


def _tidy_descriptors() -> None:
    """Keep the standard three and nothing else. (Python does not start where one of those is a directory.)"""
    os.closerange(3, 1 << 20)
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open("/dev/null", os.O_RDWR)  # takes the lowest free number, this one


def _full(spec: dict[str, Any]) -> None:
    version = _version(spec)
    if spec["network"] == "hosts" and not spec.get("door"):
        raise SandboxRefused("hosts were granted, but no door is running")
    tty = processes.Tty()
    group = groups.Group(spec.get("limits"))
    namespaces.unshare_all(network=_private(spec))
    held = listeners.Held(spec.get("door"))
    held.pass_out()
    tty.release()
    alive_read, alive_write = os.pipe2(os.O_CLOEXEC)
    report_read, report_write = os.pipe2(os.O_CLOEXEC)
    sys.stdout.flush()
    init = os.fork()
    if init:
        os.close(alive_read)
        os.close(report_write)
        kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
        kernel.drop_capabilities()
        ending = processes.keep(init, report_read, tty, held)
        processes.end_as(ending.because(group.end()), spec["status"])
    os.close(alive_write)
    os.close(report_read)
    held.close()
    try:
        group.enter()
        processes.die_with_parent(alive_read)
        os.setpgid(0, 0)
        namespaces.unshare_mounts()
        mounts.enter(spec, tty.name)
        _confine(spec, version)
        kernel.prctl(kernel.PR_SET_DUMPABLE, 0)  # init's memory is no one's; the agent's exec ends it for the agent
        agent = os.fork()
        if not agent:
            tty.take()
            tty.reopen()
            selftest.run(spec, version)
            group.alone()
            _exec(spec)
        processes.run_init(agent, report_write, tty)
    except NotFound as error:
        processes.tell(report_write, b"r", _say(error).encode())
        os._exit(NOT_FOUND)
    except (SandboxRefused, OSError) as error:
        processes.tell(report_write, b"r", _say(error).encode())
    os._exit(REFUSED)


def _landlock_only(spec: dict[str, Any]) -> None:
    version = _version(spec)
    group = groups.Group(spec.get("limits"))
    group.enter()
    namespaces.drop_groups()
    os.chdir(spec["cwd"])
    _confine(spec, version)
    selftest.run(spec, version)
    group.alone()
    _exec(spec)


def _unsandboxed(spec: dict[str, Any]) -> None:
    _say(SandboxRefused("warning: no sandbox at all, as global.yaml allows"))
    os.chdir(spec["cwd"])
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    _exec(spec)


def _version(spec: dict[str, Any]) -> int:
    """Return the Landlock ABI to use. Raises SandboxRefused if it is too old for what the policy asks."""
    version: int = min(landlock.abi(), spec.get("abi", landlock.NEWEST), landlock.NEWEST)
    if version < 1:
        raise SandboxRefused("this kernel has no Landlock (Linux 5.13 or newer, lsm=landlock)")
    if version < spec["least_abi"] and not spec["best_effort"]:
        raise SandboxRefused(f"the policy needs Landlock ABI {spec['least_abi']}, this kernel has {version}")
    return version


def _confine(spec: dict[str, Any], version: int) -> None:
    full, network, private = spec["tier"] == "full", spec["network"], _private(spec)
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core would be written by the kernel, outside of all this
    ports = None if network == "all" or private else (spec["connect"], spec["bind"])
    rules = [(path, letters) for path, letters in spec["rules"]]
    kernel.drop_capabilities()
    landlock.restrict(rules, version=version, ports=ports)
    found = seccomp.rules(network=network, private_ipc=full, private_pids=full, private_network=private)
    seccomp.install(seccomp.assemble(found))


def _private(spec: dict[str, Any]) -> bool:
    """Return whether there is a network namespace with nothing in it but a loopback and, for hosts, the door's
    listeners.
    """
    return spec["tier"] == "full" and spec["network"] in ("none", "hosts")


def _exec(spec: dict[str, Any]) -> NoReturn:
    """Become the program; SandboxRefused where it cannot be started."""
    environment = {name: os.environ[name] for name in spec["inherit"] if name in os.environ} | spec["env"]
    for number in (signal.SIGPIPE, getattr(signal, "SIGXFSZ", signal.SIGPIPE)):
        signal.signal(number, signal.SIG_DFL)
    if "umask" in spec:
        os.umask(spec["umask"])
    argv = spec["argv"]
    try:
        _execute(argv, environment)
    except FileNotFoundError:
        raise NotFound(f"{argv[0]}: not found inside the sandbox") from None
    except OSError as error:
        raise SandboxRefused(f"{argv[0]}: {error.strerror} (is it granted with x?)") from None
    raise SandboxRefused(f"{argv[0]}: not started")


class NotFound(SandboxRefused):
    """The sandbox is there, the program is not in it."""


def _execute(argv: list[str], environment: dict[str, str]) -> None:
    """Call execvpe(3), with the first refusal remembered."""
    if "/" in argv[0]:
        os.execve(argv[0], argv, environment)
    refusal: OSError = FileNotFoundError(2, "not found", argv[0])
    for directory in environment.get("PATH", _DEFAULT_PATH).split(":"):
        try:
            os.execve(f"{directory or '.'}/{argv[0]}", argv, environment)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            refusal = error
    raise refusal


def _say(error: Exception) -> str:
    """Tell the user; the sentence, without our name."""
    sentence = str(error)
    if isinstance(error, OSError):
        sentence = f"{error.filename or 'the kernel'}: {error.strerror}; nothing was started"
    sys.stderr.write(f"anvil-sandbox: {sentence}\n")
    sys.stderr.flush()
    return sentence


def offline(spec: dict[str, Any]) -> dict[str, Any]:
    """Return the same for a program beside the agent that needs no network: without the door, which would take it for
    the session itself, and without the agent's control group.
    """
    private = spec["tier"] == "full" and spec["network"] in ("none", "hosts")
    apart = spec | {"limits": (spec.get("limits") or {}) | {"group": None}}
    return apart | {"network": "none", "door": None} if private else apart


def command(spec_path: str) -> list[str]:
    """Return the command line that starts the program of a specification file."""
    return [launcher_python(), "-I", "-S", os.path.abspath(__file__), spec_path]


def launcher_python() -> str:
    """Return the interpreter of the launcher: the one that ``anvil-sandbox setup`` gave a profile, else our own."""
    if os.path.exists(BLESSED):
        return BLESSED
    return os.path.realpath(getattr(sys, "_base_executable", "") or sys.executable)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        _say(SandboxRefused("usage: launcher.py <specification>"))
        os._exit(REFUSED)
    main(sys.argv[1])
