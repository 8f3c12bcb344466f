"""What goes wrong in the sandbox, as values; every message is one sentence for the user."""


class SandboxError(Exception):
    """Base of this package's errors."""


class PolicyError(SandboxError, ValueError):
    """A layer of the policy cannot be used; the sentence names the file, the line and the key."""


class SandboxRefused(SandboxError):
    """The kernel cannot enforce what the policy asks, so nothing was started."""
