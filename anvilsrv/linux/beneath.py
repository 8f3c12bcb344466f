"""Files beneath a directory that an agent can write to: reached component by component, never through a link.

What an agent owns is hostile ground: any name in it may be a link to a file of the user, a pipe that blocks, a directory
that is replaced while we look. So every component is opened relative to the one before with ``O_NOFOLLOW`` (openat(2)), and
what is opened must turn out to be a regular file.
"""

import errno
import itertools
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from anvilsrv.errors import Denied, Exists, NotFound, Unavailable

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
LINKS = (errno.ELOOP, errno.ENOTDIR)


def relative(top: Path, path: str) -> str:
    """Return the part of an absolute path below ``top``; nothing is looked up. Raises Denied if it is not below."""
    found = PurePosixPath(path)
    if ".." in found.parts or not found.is_relative_to(top):
        raise Denied(f"not in the session's directory: {path}")
    return str(found.relative_to(top))


def read(top: Path, name: str) -> int:
    """Return a descriptor of a regular file to read from. Raises NotFound, Denied, Unavailable."""
    with _parent(top, name) as (directory, last):
        try:
            fd = os.open(
                last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, dir_fd=directory
            )
        except OSError as error:
            raise refused(error, name) from None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise Denied(f"not a regular file: {name}")
    return fd


def write_to(top: Path, name: str, create: bool = False) -> int:
    """Return a descriptor of a regular file to write to; ``create``: make it, readable only by us, as is its directory.
    Raises NotFound, Denied, Unavailable, Exists.
    """
    made = os.O_CREAT | os.O_EXCL if create else 0
    with _parent(top, name, make=create) as (directory, last):
        try:
            fd = os.open(
                last, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | made, 0o600, dir_fd=directory
            )
        except FileExistsError:
            raise Exists(f"file exists: '{name}'") from None
        except OSError as error:
            raise refused(error, name) from None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise Denied(f"not a regular file: {name}")
    return fd


def exists(top: Path, name: str) -> bool:
    """Return whether a regular file is there, reached without links."""
    try:
        os.close(read(top, name))
    except (NotFound, Denied, Unavailable):
        return False
    return True


def write(top: Path, name: str, text: str) -> None:
    """Replace a file at once, with directories on the way made as needed; readable by us alone. Raises Denied, Unavailable."""
    with _parent(top, name, make=True) as (directory, last):
        fresh = f".{last[:100]}.{os.getpid()}.new"
        try:
            _unlink(directory, fresh)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with open(os.open(fresh, flags, 0o600, dir_fd=directory), "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(fresh, last, src_dir_fd=directory, dst_dir_fd=directory)
        except OSError as error:
            raise refused(error, name) from None


def link(top: Path, name: str, target: str) -> None:
    """Make a symbolic link to ``target``, in place of whatever file or link stood there. Raises Denied, Unavailable."""
    with _parent(top, name, make=True) as (directory, last):
        try:
            _unlink(directory, last)
            os.symlink(target, last, dir_fd=directory)
        except OSError as error:
            raise refused(error, name) from None


def discard(top: Path, name: str) -> None:
    """Remove a file or a link, if it is there. Raises Denied, Unavailable."""
    try:
        with _parent(top, name) as (directory, last):
            _unlink(directory, last)
    except NotFound:
        pass
    except OSError as error:
        raise refused(error, name) from None


def remove(top: Path) -> None:
    """Remove a directory and all in it, whatever its depth and modes; what cannot be removed stays.

    One directory is open at a time: those in it are moved up before they are emptied, so no depth costs descriptors or a stack.
    """
    try:
        fd = os.open(top, DIRECTORY)
    except OSError:
        return
    try:
        moved = itertools.count()
        waiting = _emptied(fd, fd, moved)
        while waiting:
            name = waiting.pop()
            with suppress(OSError):
                below = os.open(name, DIRECTORY, dir_fd=fd)
                try:
                    waiting += _emptied(below, fd, moved)
                finally:
                    os.close(below)
                os.rmdir(name, dir_fd=fd)
    finally:
        os.close(fd)
    with suppress(OSError):
        top.rmdir()


def _emptied(directory: int, top: int, moved: Iterator[int]) -> list[str]:
    """Remove the files of a directory and move its directories to ``top``; their names there."""
    found: list[str] = []
    with os.scandir(directory) as entries:
        listed = [(one.name, one.is_dir(follow_symlinks=False)) for one in entries]
    for name, is_directory in listed:
        with suppress(OSError):
            if not is_directory:
                os.unlink(name, dir_fd=directory)
                continue
            os.chmod(name, 0o700, dir_fd=directory)
            if directory != top:
                name, before = f".removed-{os.getpid()}-{next(moved)}", name
                os.rename(before, name, src_dir_fd=directory, dst_dir_fd=top)
            found.append(name)
    return found


@contextmanager
def _parent(top: Path, name: str, make: bool = False) -> Iterator[tuple[int, str]]:
    """Yield the directory that holds ``name``, and its last component."""
    parts = PurePosixPath(name).parts
    if not parts or any(part in ("/", "..") for part in parts):
        raise Denied(f"not in the session's directory: {name}")
    directory = _top(top)
    try:
        for part in parts[:-1]:
            following = _step(directory, part, name, make)
            os.close(directory)
            directory = following
        yield directory, parts[-1]
    finally:
        os.close(directory)


def _top(top: Path) -> int:
    try:
        return os.open(top, DIRECTORY)
    except OSError as error:
        raise refused(error, str(top)) from None


def _step(directory: int, part: str, name: str, make: bool) -> int:
    try:
        if make:
            try:
                os.mkdir(part, 0o700, dir_fd=directory)
            except FileExistsError:
                pass
        return os.open(part, DIRECTORY, dir_fd=directory)
    except OSError as error:
        raise refused(error, name) from None


def _unlink(directory: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        pass


def refused(error: OSError, name: str) -> NotFound | Denied | Unavailable:
    """Return the domain's error for one of the system."""
    if error.errno == errno.ENOENT:
        return NotFound(f"no such file '{name}'")
    if error.errno in LINKS:
        return Denied(f"not opened, a symbolic link: {name}")
    return Unavailable(f"{(error.strerror or 'error').lower()}: {name}")
