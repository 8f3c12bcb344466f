"""A daemon for the tests of this directory, with two sessions whose agents do not run, so that mail waits for them."""

from __future__ import annotations

import functools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from mcp import Client as McpClient

from anvilsrv.inside.mcpserver import build
from anvilsrv.inside.mcptools import Tools
from anvilsrv.p9.client import Client
from tests.conftest import Daemon, Home, run_async, wait_until

MODES = ["auto", "legacy"]


class Result(NamedTuple):
    """What a tool gave: its structured value, or the text of its error."""

    value: Any
    error: str


class Desk:
    """Two sessions, and the tools as the user or one of them sees them."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.user = daemon.client()
        self.one, self.two = (self._stopped(alias) for alias in ("one", "two"))

    def _stopped(self, alias: str) -> str:
        command = f"new shell {self.daemon.home.work} alias={alias}\n".encode()
        session = self.user.write_read("ctl", command).decode().strip()
        self.wait(session, ("idle", "error"))
        if self.state(session) == "idle":
            self.user.write(f"{session}/ctl", b"stop\n")
            self.wait(session, ("stopped", "error"))
        return session

    def wait(self, session: str, states: tuple[str, ...]) -> None:
        wait_until(lambda: self.state(session) in states, f"{session} is {self.state(session)}, not one of {states}")

    def state(self, session: str) -> str:
        return self.user.read(f"{session}/state").decode().strip()

    def address(self, session: str | None) -> str:
        if session is None:
            return str(self.daemon.home.socket)
        state = self.daemon.home.state
        return str(state / "sessions" / session / "ns" / "agent")

    def tools(self, session: str | None = None) -> Tools:
        return Tools(functools.partial(Client, self.address(session)), session or "")

    def call(self, name: str, session: str | None = None, /, mode: str = "auto", **arguments: Any) -> Result:
        """Call a tool through the SDK's own client, in memory."""

        async def run() -> Result:
            async with McpClient(build(self.tools(session)), mode=mode) as client:
                found = await client.call_tool(name, arguments)
                text = "".join(getattr(part, "text", "") for part in found.content)
                return Result(found.structured_content, text if found.is_error else "")

        return run_async(run())


@pytest.fixture(scope="session")
def desk() -> Iterator[Desk]:
    top = Path(tempfile.mkdtemp(prefix="av-", dir="/tmp"))
    daemon = Daemon(Home(top))
    try:
        yield Desk(daemon.start())
    finally:
        daemon.close()
        shutil.rmtree(top, ignore_errors=True)


@pytest.fixture(params=MODES)
def call(request: pytest.FixtureRequest, desk: Desk) -> Callable[..., Result]:
    """Calls a tool, in the protocol of today and in that of before."""
    return functools.partial(desk.call, mode=request.param)
