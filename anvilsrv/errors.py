"""The errors of AnviLLM: values of the domain, turned into an Rerror, a click error or JSON only at the edge.

Every message is one short lower-case sentence that names the thing it is about: ``no such session 'a3f2'``.
The subclasses say only what kind of trouble it is, for callers that must tell one from another. Each has the number of
errno(3) that a client of 9P2000.u gets. Others guess it from the text: "no such" is what plan9port's 9pfuse looks for.
"""

import errno as numbers
from typing import ClassVar


class AnvilError(Exception):
    """Base of every error that a user may see; ``str(error)`` is the sentence."""

    errno: ClassVar[int] = numbers.EIO


class NotFound(AnvilError):
    """The named thing does not exist."""

    errno = numbers.ENOENT


class Denied(AnvilError):
    """The caller may not do this (an Rerror of the kind of intro(9p)'s "permission denied")."""

    errno = numbers.EACCES


class NotDirectory(Denied):
    """A name was looked for in a plain file."""

    errno = numbers.ENOTDIR


class IsDirectory(Denied):
    """A directory cannot be written."""

    errno = numbers.EISDIR


class Invalid(AnvilError):
    """What was written cannot be understood or is not allowed; nothing was changed."""

    errno = numbers.EINVAL


class Conflict(AnvilError):
    """The thing is in a state that does not allow this now (``not idle: running``)."""

    errno = numbers.EBUSY


class Exists(Conflict):
    """The name is taken."""

    errno = numbers.EEXIST


class Unavailable(AnvilError):
    """Something outside is missing or failed: a program, the disk, the daemon."""
