"""What the launcher tries from inside, just before the agent starts: each attempt must fail as the policy says.

A sandbox that was asked for and is not there is worse than none, so every part is tried and not believed.
"""

from __future__ import annotations

import _socket
import fcntl
import os

from sandbox import kernel, mounts, seccomp
from sandbox.errors import SandboxRefused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def run(spec: dict[str, Any], version: int) -> None:
    """Try to get out; SandboxRefused names the first attempt that was not stopped."""
    _no_privileges()
    _no_calls(spec["network"])
    if spec["tier"] == "full":
        _only_the_grants(spec)
    else:
        _outside_is_closed()
    for path in spec["protected"]:
        if os.access(path, os.W_OK, effective_ids=True):
            _failed(f"{path} is writable")
    if spec["network"] == "ports" and version >= 4:
        _port_closed(spec["connect"])
    if spec["tier"] == "full" and spec["network"] in ("none", "hosts") and _interfaces() != ["lo"]:
        _failed("the network is not empty")


def _failed(what: str) -> None:
    raise SandboxRefused(f"self test: {what}; nothing was started")


def _errno(attempt: Callable[[], object]) -> int:
    try:
        result = attempt()
    except OSError as error:
        return error.errno or 0
    if isinstance(result, int) and result > 2:
        os.close(result)
    return 0


def _no_privileges() -> None:
    if kernel.prctl(kernel.PR_GET_NO_NEW_PRIVS) != 1:
        _failed("a set-uid program would gain privileges")
    if kernel.prctl(kernel.PR_GET_SECCOMP) != 2:
        _failed("the system call filter is not there")
    status = _read("/proc/self/status")
    # /proc may be a grant that is missing in the lower tiers; the empty sets were asked for in any case.
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb") if status else ():
        if int(status.split(name + ":")[1].split()[0], 16):
            _failed(f"{name} is not empty")


def _read(path: str) -> str:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    with open(fd, encoding="utf-8", errors="replace") as file:
        return file.read()


def _no_calls(network: str) -> None:
    null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    try:
        # /dev/null itself would answer ENOTTY; only the filter answers EPERM.
        if _errno(lambda: fcntl.ioctl(null, seccomp.TIOCSTI, b"x")) != seccomp.EPERM:
            _failed("typing into the terminal is possible")
    finally:
        os.close(null)
    if _errno(lambda: os.fchmod(-1, 0o4755)) != seccomp.EPERM:  # no such descriptor: only the filter answers EPERM
        _failed("set-uid programs can be made")
    if _errno(lambda: kernel.syscall("unshare", kernel.CLONE_NEWUSER)) != seccomp.EPERM:
        _failed("new namespaces are possible")
    if _errno(lambda: _socket.socket(40, _socket.SOCK_STREAM, 0).close()) != seccomp.EACCES:
        _failed("sockets of every family are possible")


def _only_the_grants(spec: dict[str, Any]) -> None:
    # In sight, and readable but for Landlock: the right to read files is not granted there.
    if _errno(lambda: os.open(mounts.CANARY, os.O_RDONLY)) != seccomp.EACCES:
        _failed("Landlock does not hold")
    here, above = os.stat("/"), os.stat("/..")  # an old root that lies over the new one is stepped on by ".."
    if (here.st_dev, here.st_ino) != (above.st_dev, above.st_ino):
        _failed("the old root is still there")
    if _errno(lambda: os.mkdir("/.anvil-test")) == 0:
        _failed("the root directory is writable")
    granted = [target for target, source, _, _ in spec["binds"] if source[:1] == "/"]
    if (
        not any(spec["canary"].startswith(top + "/") for top in granted)
        and _errno(lambda: os.stat(spec["canary"])) == 0
    ):
        _failed("files that were not granted are in sight")
    if os.getpid() > 9:
        _failed("the pid namespace is not new")


def _outside_is_closed() -> None:
    if _errno(lambda: os.open("/", os.O_RDONLY | os.O_DIRECTORY)) != seccomp.EACCES:  # / cannot be granted
        _failed("Landlock does not hold")


def _interfaces() -> list[str]:
    return [name for _, name in _socket.if_nameindex()]


def _port_closed(allowed: list[int]) -> None:
    """Check that a port is closed. A refused connection would prove that it was tried: Landlock says EACCES before
    anything is sent.
    """
    port = next(number for number in range(1, 65536) if number not in allowed)
    sock = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM, 0)
    try:
        sock.setblocking(False)
        if _errno(lambda: sock.connect(("127.0.0.1", port))) != seccomp.EACCES:
            _failed("ports that were not granted can be reached")
    finally:
        sock.close()
