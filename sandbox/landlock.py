"""Landlock (landlock(7)): which files, ports and processes a process tree can still reach.

A ruleset *handles* every right that this kernel knows, so whatever is not granted is denied. ABI by kernel:
1 5.13, 2 5.19 REFER, 3 6.2 TRUNCATE, 4 6.7 TCP, 5 6.10 IOCTL_DEV, 6 6.12 scopes, 9 7.1 RESOLVE_UNIX, 10 7.2 UDP.
"""

from __future__ import annotations

import ctypes
import os

from sandbox import kernel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

NEWEST = 10
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, REMOVE_DIR, REMOVE_FILE = (1 << n for n in range(6))
MAKE_CHAR, MAKE_DIR, MAKE_REG, MAKE_SOCK, MAKE_FIFO, MAKE_BLOCK, MAKE_SYM = (1 << n for n in range(6, 13))
REFER, TRUNCATE, IOCTL_DEV, RESOLVE_UNIX = (1 << n for n in range(13, 17))
BIND_TCP, CONNECT_TCP, BIND_UDP, CONNECT_UDP = (1 << n for n in range(4))
SCOPE_ABSTRACT, SCOPE_SIGNAL = 1, 2

#: Rights that mean something for a file that is not a directory; the kernel refuses others on one.
ON_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV | RESOLVE_UNIX
#: What each letter of a grant means. Device nodes are never made; ``d`` is for /dev, ``s`` lets sockets be connected.
LETTERS = {
    "r": READ_FILE | READ_DIR,
    "l": READ_DIR,
    "w": WRITE_FILE | TRUNCATE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | MAKE_SOCK | MAKE_FIFO | MAKE_SYM
    | REFER,
    "x": EXECUTE,
    "d": WRITE_FILE | IOCTL_DEV,
    "s": RESOLVE_UNIX,
}  # fmt: skip


def abi() -> int:
    """Return the kernel's Landlock ABI; 0 if there is none or it is switched off."""
    try:
        return kernel.syscall("landlock_create_ruleset", None, 0, 1)
    except OSError:
        return 0


def refusal() -> int:
    """Return the errno with which the kernel refuses Landlock: EOPNOTSUPP if it is switched off; 0 if it does not."""
    try:
        kernel.syscall("landlock_create_ruleset", None, 0, 1)
    except OSError as error:
        return error.errno or 0
    return 0


def handled(version: int) -> tuple[int, int, int]:
    """Return (file rights, network rights, scopes) known to ABI ``version``."""
    if version < 1:
        return 0, 0, 0
    fs = (1 << 13) - 1
    for since, right in ((2, REFER), (3, TRUNCATE), (5, IOCTL_DEV), (9, RESOLVE_UNIX)):
        fs |= right if version >= since else 0
    net = (BIND_TCP | CONNECT_TCP if version >= 4 else 0) | (BIND_UDP | CONNECT_UDP if version >= 10 else 0)
    return fs, net, SCOPE_ABSTRACT | SCOPE_SIGNAL if version >= 6 else 0


def rights(letters: Iterable[str]) -> int:
    """Return the file rights of a grant's letters."""
    return sum_bits(LETTERS[letter] for letter in letters)


def sum_bits(values: Iterable[int]) -> int:
    """Return all bits that any of the values has."""
    bits = 0
    for value in values:
        bits |= value
    return bits


def restrict(
    grants: Sequence[tuple[str, str]],
    *,
    version: int,
    ports: tuple[Sequence[int], Sequence[int]] | None,
) -> None:
    """Restrict this process and all it starts, for good.

    ``grants`` are (path, letters), missing paths are passed over; ``ports`` is (connect, bind) for TCP, or None to
    leave the network alone. Needs no_new_privs. OSError where the kernel refuses any part of it.
    """
    fs, net, scopes = handled(version)
    net = net if ports is not None else 0
    attribute = kernel.words(fs, net, scopes)
    size = 24 if scopes else 16 if net else 8
    ruleset = kernel.syscall("landlock_create_ruleset", attribute, size, 0)
    try:
        for path, letters in grants:
            _grant(ruleset, path, rights(letters) & fs)
        for right, numbers in ((CONNECT_TCP, ports[0]), (BIND_TCP, ports[1])) if ports and net else ():
            for port in numbers:
                kernel.syscall("landlock_add_rule", ruleset, 2, kernel.words(right, port), 0, what=f"port {port}")
        kernel.syscall("landlock_restrict_self", ruleset, 0)
    finally:
        os.close(ruleset)


def _grant(ruleset: int, path: str, allowed: int) -> None:
    try:
        fd = kernel.open_path(path)
    except FileNotFoundError:
        return
    try:
        if os.fstat(fd).st_mode & 0o170000 != 0o040000:
            allowed &= ON_FILES
        if allowed:
            rule = _PathBeneath(allowed, fd)
            kernel.syscall("landlock_add_rule", ruleset, 1, ctypes.byref(rule), 0, what=path)
    finally:
        os.close(fd)


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32)]
