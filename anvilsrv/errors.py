"""The errors of AnviLLM: values of the domain, turned into an Rerror, a click error or JSON only at the edge.

Every message is one short lower-case sentence that names the thing it is about: ``no such session 'a3f2'``.
The subclasses say only what kind of trouble it is, for callers that must tell one from another. Each has the number of
errno(3) that a client of 9P2000.u gets. Clients of 9P2000 have only the text: plan9port's 9pfuse makes the same number
of ``phrases``. A text that has none of them is served with the first before it (``p9/dialect.py``).
"""

import errno as numbers
from typing import ClassVar


class AnvilError(Exception):
    """Base of every error that a user may see; ``str(error)`` is the sentence."""

    errno: ClassVar[int] = numbers.EIO
    phrases: ClassVar[tuple[str, ...]] = ("i/o error",)


class NotFound(AnvilError):
    """The named thing does not exist."""

    errno = numbers.ENOENT
    phrases = ("no such", "does not exist", "not found")


class Denied(AnvilError):
    """The caller may not do this (an Rerror of the kind of intro(9p)'s "permission denied")."""

    errno = numbers.EACCES
    phrases = ("permission denied",)


class NotDirectory(Denied):
    """A name was looked for in a plain file."""

    errno = numbers.ENOTDIR
    phrases = ("not a directory",)


class IsDirectory(Denied):
    """A directory cannot be written."""

    errno = numbers.EISDIR
    phrases = ("is a directory",)


class Invalid(AnvilError):
    """What was written cannot be understood or is not allowed; nothing was changed."""

    errno = numbers.EINVAL
    phrases = ("invalid", "unknown argument")


class Conflict(AnvilError):
    """The thing is in a state that does not allow this now, but may do so later (``busy: 'bd-1' waits for 'bd-2'``)."""

    errno = numbers.EBUSY
    phrases = ("busy",)


class NotPermitted(Conflict):
    """What the thing is, or has become, rules this out; it is of no use to wait (``not permitted: 'bd-1' is already closed``)."""

    errno = numbers.EPERM
    phrases = ("not permitted",)


class NoResponse(Conflict):
    """A prompt that was not answered, or not by now, has no response to be read."""

    errno = numbers.EIO
    phrases = ("i/o error",)


class Exists(Conflict):
    """The name is taken."""

    errno = numbers.EEXIST
    phrases = ("already exists",)


class Unavailable(AnvilError):
    """Something outside is missing or failed: a program, the disk, the daemon."""


class Full(Unavailable):
    """The disk is full. What has happened (``store.store.Need.HAPPENED``) will be saved when there is space.

    9pfuse knows no text for ENOSPC.
    """

    WORDS: ClassVar[str] = "the disk is full"  # by which a client knows it
    NUMBERS: ClassVar[tuple[int, ...]] = (numbers.ENOSPC, numbers.EDQUOT)  # of an OSError that means the same
