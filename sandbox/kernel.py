"""The few system calls that the standard library lacks, by number, through ctypes.

Imported by the launcher, which must start in milliseconds: nothing here may import re, enum or json.
A failing call raises OSError whose ``strerror`` is the kernel's and whose ``filename`` is what was acted on.
"""

from __future__ import annotations

import ctypes
import os

TYPE_CHECKING = False  # the package typing imports re: 10 ms
if TYPE_CHECKING:
    from typing import Any

_X86_64 = {
    "pivot_root": 155, "mount": 165, "umount2": 166, "unshare": 272, "capset": 126,
}  # fmt: skip
_AARCH64 = {
    "pivot_root": 41, "mount": 40, "umount2": 39, "unshare": 97, "capset": 91,
}  # fmt: skip
#: Calls newer than Linux 5.1 have one number on every architecture.
_COMMON = {
    "open_tree": 428, "move_mount": 429, "openat2": 437, "mount_setattr": 442,
    "landlock_create_ruleset": 444, "landlock_add_rule": 445, "landlock_restrict_self": 446,
}  # fmt: skip
MACHINE = os.uname().machine
NUMBERS = _COMMON | {"x86_64": _X86_64, "aarch64": _AARCH64}.get(MACHINE, {})

CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWUSER = 0x20000, 0x08000000, 0x10000000
CLONE_NEWPID, CLONE_NEWNET = 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND = 1, 2, 4, 8, 32, 4096
MS_REC, MS_PRIVATE = 16384, 1 << 18
MNT_DETACH = 2
AT_FDCWD, AT_EMPTY_PATH, AT_RECURSIVE = -100, 0x1000, 0x8000
OPEN_TREE_CLONE, MOVE_MOUNT_F_EMPTY_PATH = 1, 4
MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC = 1, 2, 4, 8
RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, RESOLVE_IN_ROOT = 2, 4, 16
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_SECUREBITS = 1, 4, 24, 28
PR_SET_SECCOMP, PR_GET_SECCOMP, PR_SET_NO_NEW_PRIVS, PR_GET_NO_NEW_PRIVS = 22, 21, 38, 39
PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
#: NOROOT, NO_SETUID_FIXUP and NO_CAP_AMBIENT_RAISE, each with its lock, and the lock of KEEP_CAPS (capabilities(7)).
SECUREBITS_LOCKED = 0b11101111

_libc = ctypes.CDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long
_prctl = _libc.prctl


def syscall(name: str, *args: Any, what: str = "") -> int:
    """Make the system call; integers are passed as C longs, bytes and ctypes objects by address."""
    number = NUMBERS.get(name)
    if number is None:
        raise OSError(38, f"{name} is not known on {MACHINE}")
    result = int(_syscall(ctypes.c_long(number), *(ctypes.c_long(a) if isinstance(a, int) else a for a in args)))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), what or name)
    return result


def prctl(option: int, *args: int) -> int:
    """Call prctl(2)."""
    values = [ctypes.c_ulong(a) for a in (*args, 0, 0, 0, 0)[:4]]
    result = int(_prctl(ctypes.c_int(option), *values))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), f"prctl {option}")
    return result


def words(*values: int) -> ctypes.Array[ctypes.c_uint64]:
    """Return a C array of 64-bit words, the shape of most of the newer argument structures."""
    return (ctypes.c_uint64 * len(values))(*values)


def open_path(path: str, *, root: int = AT_FDCWD, flags: int = os.O_PATH, follow: bool = False) -> int:
    """Open ``path`` without passing through any symbolic link; with ``root`` every name is looked up beneath it.

    A link in the way is OSError ELOOP: a grant that someone swapped for a link is never followed.
    """
    resolve = RESOLVE_NO_MAGICLINKS | (0 if follow else RESOLVE_NO_SYMLINKS)
    if root != AT_FDCWD:
        resolve |= RESOLVE_IN_ROOT
    how = words(flags | os.O_CLOEXEC, 0, resolve)
    return syscall("openat2", root, os.fsencode(path), how, ctypes.sizeof(how), what=path)


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    """Call mount(2)."""
    syscall("mount", source.encode(), os.fsencode(target), kind.encode(), flags, data.encode() or None, what=target)


def clone_tree(fd: int, attributes: int, what: str) -> int:
    """Return a detached copy of the mounts at an O_PATH descriptor, all of them with ``attributes`` (MOUNT_ATTR_*)
    added.
    """
    tree = syscall("open_tree", fd, b"", AT_EMPTY_PATH | OPEN_TREE_CLONE | AT_RECURSIVE | os.O_CLOEXEC, what=what)
    change = words(attributes, 0, 0, 0)
    syscall("mount_setattr", tree, b"", AT_EMPTY_PATH | AT_RECURSIVE, change, ctypes.sizeof(change), what=what)
    return tree


def attach(tree: int, target: int, what: str) -> None:
    """Attach a detached mount at an O_PATH descriptor."""
    # MOVE_MOUNT_T_EMPTY_PATH is 0x40.
    syscall("move_mount", tree, b"", target, b"", MOVE_MOUNT_F_EMPTY_PATH | 0x40, what=what)


def drop_capabilities() -> None:
    """Give up every capability, also those that a later exec could bring back, for good."""
    for number in range(64):
        try:
            prctl(PR_CAPBSET_DROP, number)
        except OSError as error:
            if error.errno == 22:  # past the last capability this kernel knows
                break
            if error.errno != 1:  # EPERM: not ours to drop; no_new_privs and the empty sets below hold it out
                raise
    try:
        prctl(PR_SET_SECUREBITS, SECUREBITS_LOCKED)
    except OSError as error:
        if error.errno != 1:
            raise
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    syscall("capset", header, (ctypes.c_uint32 * 6)(0, 0, 0, 0, 0, 0))
