"""What a session leaves in its own directory for the daemon: reports of hooks that found none, and the lines of its transcript.

The agent can write there, so everything is hostile: what is a link, not a regular file, too large or not JSON is skipped.

Threads: any; nothing is kept.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from anvilsrv.agents import transcript
from anvilsrv.errors import AnvilError

MOST = 1000  # reports read at a time
LARGEST = 16 << 20  # bytes of one


class Kept:
    """The directories of all sessions, below ``<state>/sessions``."""

    def __init__(self, state: Path) -> None:
        self._sessions = state / "sessions"

    def spooled(self, session: str) -> list[tuple[object, dict[str, Any]]]:
        """The reports that hooks left while no daemon answered, oldest first, each with its path. Raises AnvilError."""
        return list(spooled(self._sessions / session / "ns" / "spool"))

    def take(self, place: object) -> None:
        """That report is on disk elsewhere now: remove it. Raises Unavailable."""
        assert isinstance(place, Path)
        try:
            place.unlink(missing_ok=True)
        except OSError as error:
            raise AnvilError(f"cannot remove spooled report '{place.name}': {error.strerror}") from None

    def lines(self, session: str, path: str) -> Iterator[dict[str, Any]]:
        """Every line of a transcript, from its beginning. Raises AnvilError."""
        return transcript.lines(self._sessions / session / "data", path)


def spooled(directory: Path) -> list[tuple[Path, dict[str, Any]]]:
    """The reports in a spool, oldest first, each with its path; what is none is removed. Raises AnvilError."""
    found: list[tuple[Path, dict[str, Any]]] = []
    try:
        top = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return []
    try:
        for name in sorted(n for n in os.listdir(top) if n.endswith(".json"))[:MOST]:
            report = _report(top, name)
            if report is None:
                _unlink(top, name)
            else:
                found.append((directory / name, report))
    finally:
        os.close(top)
    return found


def _report(top: int, name: str) -> dict[str, Any] | None:
    try:
        with open(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=top), "rb") as file:
            if not os.path.isfile(file.fileno()) or os.fstat(file.fileno()).st_size > LARGEST:
                return None
            content = json.load(file)
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _unlink(top: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=top)
    except OSError as error:
        if not isinstance(error, (FileNotFoundError, IsADirectoryError)):
            raise AnvilError(f"cannot remove spooled report '{name}': {error.strerror}") from None
