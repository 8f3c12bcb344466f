"""What the programs answer to options."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from anvilsrv import __version__


def answered(program: str, arguments: str, words: Sequence[str]) -> int | None:
    """The exit status if ``words`` begin with an option (a directory of such a name is ``./-name``), once it was answered."""
    first = words[0] if words else ""
    if first == "--version":
        print(f"{program} {__version__}")
    elif first in ("--help", "-h"):
        print(f"usage: {program} {arguments}\n\nsee Assist(1)")
    elif first.startswith("-"):
        print(f"usage: {program} {arguments}", file=sys.stderr)
        return 2
    else:
        return None
    return 0
