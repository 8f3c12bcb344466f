"""Namespaces of the full tier: user, pid, ipc, mount, and network where the policy gives none."""

from __future__ import annotations

import _socket
import fcntl
import os

from sandbox import kernel
from sandbox.errors import SandboxRefused


def unshare_all(*, network: bool) -> None:
    """Leave the user's namespaces; the next child is process 1 of the new pid namespace.

    The user is mapped to itself, so files look as they always do. Root loses its groups first, since a user
    namespace cannot take them away later.
    """
    uid, gid = os.geteuid(), os.getegid()
    drop_groups()
    flags = kernel.CLONE_NEWUSER | kernel.CLONE_NEWPID | kernel.CLONE_NEWIPC | (kernel.CLONE_NEWNET if network else 0)
    try:
        kernel.syscall("unshare", flags)
        _put("/proc/self/setgroups", "deny")
        _put("/proc/self/uid_map", f"{uid} {uid} 1")
        _put("/proc/self/gid_map", f"{gid} {gid} 1")
    except OSError as error:
        raise SandboxRefused(f"this kernel allows no user namespaces ({error.strerror})") from None
    if network:
        _loopback_up()


def drop_groups() -> None:
    """Drop root's groups, if it is a root that can still drop them (inside another sandbox it is not)."""
    if os.geteuid() == 0:
        try:
            os.setgroups([])
        except PermissionError:
            return


def unshare_mounts() -> None:
    """Make a mount namespace of our own; refused by kernels that give user namespaces without rights (Ubuntu's
    AppArmor).
    """
    try:
        kernel.syscall("unshare", kernel.CLONE_NEWNS)
    except OSError as error:
        raise SandboxRefused(
            f"user namespaces have no rights here ({error.strerror}), perhaps because of AppArmor: anvil-sandbox setup"
        ) from None


def _put(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def _loopback_up() -> None:
    """Bring up the loopback that an empty network namespace still has: servers under test can be reached from inside."""
    with_name = b"lo".ljust(16, b"\0")
    sock = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM, 0)
    try:
        flags = int.from_bytes(fcntl.ioctl(sock.fileno(), 0x8913, with_name.ljust(40, b"\0"))[16:18], "little")
        fcntl.ioctl(sock.fileno(), 0x8914, with_name + (flags | 1).to_bytes(2, "little").ljust(24, b"\0"))
    except OSError as error:
        raise SandboxRefused(f"the loopback of the empty network did not come up: {error.strerror}") from None
    finally:
        sock.close()
