"""The file tree that the agent sees: a new root with nothing in it but what was granted.

Sources are opened without following links, copied as detached mounts before anything changes, and attached into an
empty tmpfs, which then becomes the root (pivot_root(2)); the old root is gone. Runs as process 1 of the sandbox,
with the capabilities of its user namespace, which it gives up afterwards.
"""

from __future__ import annotations

import os

from sandbox import kernel
from sandbox.errors import SandboxRefused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

CANARY = "/.anvil-sandbox"
TMPFS, EMPTY, TTY = "@tmpfs", "@empty", "@tty"
_STAGE = "/tmp"  # where the new root is put together; the private mount namespace alone sees it
_QUIET = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def attributes(letters: str) -> int:
    """Return MOUNT_ATTR_* for a grant's letters: never set-uid, devices only for ``d``."""
    flags = kernel.MOUNT_ATTR_NOSUID
    flags |= 0 if "d" in letters else kernel.MOUNT_ATTR_NODEV
    flags |= 0 if "w" in letters else kernel.MOUNT_ATTR_RDONLY  # devices are written all the same, their modes not
    return flags | (0 if "x" in letters else kernel.MOUNT_ATTR_NOEXEC)


def enter(spec: dict[str, Any], tty: str | None) -> None:
    """Build the tree of ``spec`` and make it the root of this process, with ``cwd`` current."""
    kernel.mount("none", "/", "", kernel.MS_REC | kernel.MS_PRIVATE)
    trees = [(*bind, _source(bind, tty)) for bind in spec["binds"]]
    root = _new_root()
    for path, text in {CANARY: "seen only from inside\n", **spec["files"]}.items():
        _write(root, path, text)
    for path, target in spec["links"]:
        _symlink(root, path, target)
    _proc(root)
    for target, source, letters, missing, tree in trees:
        if source == TMPFS:
            _tmpfs(root, target, letters, missing, spec.get("room", 0))
        elif source == EMPTY:
            _mask(root, target)
        elif tree is not None:
            _attach(root, target, tree)
    for path in spec["directories"]:
        os.close(_directory(root, path))
    where = _directory(root, "/dev/pts")
    flags = kernel.MS_NOSUID | kernel.MS_NOEXEC
    kernel.mount("devpts", f"/proc/self/fd/{where}", "devpts", flags, "newinstance,ptmxmode=0666,mode=0620")
    os.close(where)
    _pivot(root)
    try:
        os.chdir(spec["cwd"])
    except OSError as error:
        raise SandboxRefused(f"cannot work in {spec['cwd']}: {error.strerror}") from None


def _new_root() -> int:
    """Return an O_PATH descriptor of the empty tmpfs that becomes the root. Raises SandboxRefused if the user's own
    /tmp is still there.
    """
    users = os.stat(_STAGE).st_dev
    kernel.mount("tmpfs", _STAGE, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=0755")
    root = os.open(_STAGE, _DIRECTORY)
    if os.fstat(root).st_dev == users:  # every tmpfs has a device number of its own
        raise SandboxRefused(
            f"nothing was mounted on {_STAGE}, although the kernel reported success; nothing was started"
        )
    return root


def _source(bind: Sequence[str], tty: str | None) -> int | None:
    """Return the detached mount for a bind, None for one that needs none or may be missing."""
    target, source, letters, missing = bind
    if source == TTY:
        if tty is None:
            return None
        source = tty
    elif source.startswith("@"):
        return None
    try:
        fd = _open_or_make(source, missing)
    except FileNotFoundError:
        if missing == "skip":
            return None
        raise SandboxRefused(f"{source} does not exist") from None
    except OSError as error:
        if error.errno == 40:
            raise SandboxRefused(f"{source} was replaced by a symbolic link; nothing was started") from None
        if missing == "skip" and error.errno == 13:
            return None
        raise SandboxRefused(f"cannot open {source}: {error.strerror}") from None
    try:
        return kernel.clone_tree(fd, attributes(letters), target)
    finally:
        os.close(fd)


def _open_or_make(source: str, missing: str) -> int:
    try:
        return kernel.open_path(source)
    except FileNotFoundError:
        if missing not in ("mkdir", "touch"):
            raise
    # A name that must never be writable is made first, or the agent could make it.
    parent = kernel.open_path(os.path.dirname(source), flags=_DIRECTORY)
    try:
        name = os.path.basename(source)
        if missing == "mkdir":
            os.mkdir(name, 0o700, dir_fd=parent)
        else:
            os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600, dir_fd=parent))
        return kernel.open_path(source)
    finally:
        os.close(parent)


def _proc(root: int) -> None:
    where = _directory(root, "/proc")
    try:
        kernel.mount("proc", f"/proc/self/fd/{where}", "proc", _QUIET)
    except OSError as error:
        raise SandboxRefused(
            f"a fresh /proc cannot be mounted ({error.strerror}): is this inside a container?"
        ) from None
    finally:
        os.close(where)
    for name in ("sys", "sysrq-trigger", "irq", "bus"):
        try:
            fd = kernel.open_path(f"/proc/{name}", root=root)
        except FileNotFoundError:
            continue
        read_only = attributes("r")
        kernel.attach(kernel.clone_tree(fd, read_only, name), fd, name)
        os.close(fd)


def _tmpfs(root: int, target: str, letters: str, mode: str, room: int) -> None:
    """Mount a tmpfs; ``room`` is its size in bytes; 0: half of the machine's memory."""
    where = _directory(root, target)
    flags = kernel.MS_NOSUID | kernel.MS_NODEV | (0 if "x" in letters else kernel.MS_NOEXEC)
    kernel.mount("tmpfs", f"/proc/self/fd/{where}", "tmpfs", flags, f"mode={mode},size={room or '50%'}")
    os.close(where)


def _mask(root: int, target: str) -> None:
    """Put nothing where something is that must not be reached: an empty directory, or an empty file."""
    try:
        fd = kernel.open_path(target, root=root)
    except FileNotFoundError:
        return
    if os.fstat(fd).st_mode & 0o170000 == 0o040000:
        # Not read-only: places for what is granted deeper are made in it. Landlock lets no one write there.
        kernel.mount("tmpfs", f"/proc/self/fd/{fd}", "tmpfs", _QUIET, "mode=0555")
    else:
        empty = _write(root, "/.anvil-empty", "")
        kernel.attach(kernel.clone_tree(empty, attributes("r"), target), fd, target)
        os.close(empty)
    os.close(fd)


def _attach(root: int, target: str, tree: int) -> None:
    if os.fstat(tree).st_mode & 0o170000 == 0o040000:
        where = _directory(root, target)
    else:
        where = _write(root, target, None)
    kernel.attach(tree, where, target)
    os.close(where)
    os.close(tree)


def _directory(root: int, path: str) -> int:
    """Return an O_PATH descriptor of a directory beneath the new root; what is missing of it is made."""
    try:
        return kernel.open_path(path, root=root, flags=_DIRECTORY)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise SandboxRefused(f"cannot create {path} inside: {error.strerror}") from None
    here = os.dup(root)
    try:
        for name in path.strip("/").split("/"):
            try:
                deeper = os.open(name, _DIRECTORY, dir_fd=here)
            except FileNotFoundError:
                try:
                    os.mkdir(name, 0o755, dir_fd=here)
                except FileExistsError:
                    pass  # another start of the session has made it just now: they share their /tmp
                deeper = os.open(name, _DIRECTORY, dir_fd=here)
            os.close(here)
            here = deeper
    except OSError as error:
        os.close(here)
        raise SandboxRefused(f"cannot create {path} inside: {error.strerror}") from None
    return here


def _write(root: int, path: str, text: str | None) -> int:
    """Make a file beneath the new root (kept as it is if ``text`` is None and it exists); an O_PATH descriptor of it."""
    try:
        if text is None:
            return kernel.open_path(path, root=root)
    except FileNotFoundError:
        pass
    parent, name = _directory(root, os.path.dirname(path) or "/"), os.path.basename(path)
    try:
        flags = os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(name, flags, 0o644, dir_fd=parent)
        if text:
            os.write(fd, text.encode())
        os.close(fd)
        return os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    except OSError as error:
        raise SandboxRefused(f"cannot create {path} inside: {error.strerror}") from None
    finally:
        os.close(parent)


def _symlink(root: int, path: str, target: str) -> None:
    parent = _directory(root, os.path.dirname(path))
    try:
        os.symlink(target, os.path.basename(path), dir_fd=parent)
    except FileExistsError:
        pass
    finally:
        os.close(parent)


def _pivot(root: int) -> None:
    os.fchdir(root)
    kernel.syscall("pivot_root", b".", b".", what="pivot_root")
    kernel.syscall("umount2", b".", kernel.MNT_DETACH, what="the old root")
    os.chdir("/")
    kernel.mount("none", "/", "", kernel.MS_REMOUNT | kernel.MS_BIND | kernel.MS_RDONLY | _QUIET)
