"""What ``global.yaml`` says of the daemon itself, and not of sandboxes. Read when the daemon starts."""

from collections.abc import Callable, Iterable
from pathlib import Path

from anvilsrv.activity.recorder import MOST
from anvilsrv.errors import Invalid
from sandbox import layers
from sandbox.errors import SandboxError


def kept_activity(config: Iterable[Path], on_error: Callable[[BaseException], None]) -> int:
    """Return how many bytes of activity are kept of a session. The first file counts; if it cannot be read the error is
    reported, and the default counts.
    """
    path = next((one for directory in config if (one := directory / "global.yaml").is_file()), None)
    try:
        return (layers.read("global", path).activity if path is not None else 0) or MOST
    except SandboxError as error:
        on_error(Invalid(str(error)))
        return MOST
