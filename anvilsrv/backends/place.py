"""Where one agent is started, and what is run there. Pure values."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.configuration import NOTHING, Configuration

HERE = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Place:
    """Where one agent is started. ``session_dir`` is read-only inside, ``data_dir`` is the agent's to write, ``code`` has our
    modules that run inside; all as seen inside."""

    id: str
    cwd: str
    session_dir: str
    data_dir: str
    home: str
    conversation: str | None = None
    permissions: str = "bypass"
    mcp: list[str] | None = None  # argv of the MCP server; None: our own
    code: str = str(HERE)
    configuration: Configuration = NOTHING  # what may be seen of the user's own
    chosen: Mapping[str, str] = field(default_factory=dict)  # options of the agent
    forked: str | None = None  # the conversation with which its own begins
    command: tuple[str, ...] = ()  # what the user has named, where the backend takes any
    env: Mapping[str, str] = field(
        default_factory=lambda: os.environ
    )  # the user's, without what only the door may have


@dataclass(frozen=True)
class Launch:
    """What to run: ``files`` (relative name -> text) are to be in ``session_dir`` first, ``data`` in ``data_dir``.

    The agent writes in ``data_dir`` too, so it is opened beneath, never through links. A value there may also be a
    mapping ``{"link": path}``: a symbolic link.
    """

    argv: list[str]
    env: dict[str, str]
    files: dict[str, str]
    data: dict[str, str | dict[str, str]] = field(default_factory=dict)
