"""The errors of AnviLLM: values of the domain, turned into an Rerror, a click error or JSON only at the edge.

Every message is one short lower-case sentence that names the thing it is about: ``no session 'a3f2'``.
The subclasses say only what kind of trouble it is, for callers that must tell one from another.
"""


class AnvilError(Exception):
    """Base of every error that a user may see; ``str(error)`` is the sentence."""


class NotFound(AnvilError):
    """The named thing does not exist."""


class Denied(AnvilError):
    """The caller may not do this (an Rerror of the kind of intro(9p)'s "permission denied")."""


class Invalid(AnvilError):
    """What was written cannot be understood or is not allowed; nothing was changed."""


class Conflict(AnvilError):
    """The thing is in a state that does not allow this now (``not idle: running``)."""


class Unavailable(AnvilError):
    """Something outside is missing or failed: a program, the disk, the daemon."""
