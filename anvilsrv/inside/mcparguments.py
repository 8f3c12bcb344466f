"""The arguments of a tool as clients send them: unknown ones are refused with what is known, and null stands for what is left out.

The SDK passes over unknown arguments in silence, so a misspelt one looks as if it had been heeded.
Only ``mcpserver.build`` imports this: the SDK takes most of a second.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable, Collection, Mapping
from typing import Any

import anyio
from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.stdio import stdio_server
from mcp.types import Tool

from anvilsrv.errors import Invalid

# In a line of JSON: an escaped backslash, a whole pair, and what is left: half of one.
_ESCAPE = re.compile(r"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[dD][89a-fA-F][0-9a-fA-F]{2}")


def whole_pairs(line: str) -> str:
    """A line of JSON with the character for what cannot be read in place of each half of a surrogate pair."""
    return _ESCAPE.sub(lambda found: "\\ufffd" if len(found[0]) == 6 else found[0], line)


class Lines(io.TextIOWrapper):
    """Standard input, line by line."""

    def readline(self, size: int = -1, /) -> str:  # type: ignore[override]
        return whole_pairs(super().readline(size))

    def __next__(self) -> str:  # type: ignore[override]
        return whole_pairs(super().__next__())


class Server(MCPServer):
    """MCP's server, with a look at the arguments before a tool has them. ``hides`` tells which tools are not listed just now."""

    hides: Callable[[], Collection[str]] = tuple

    async def list_tools(self) -> list[Tool]:
        """What a client is told of."""
        hidden = await anyio.to_thread.run_sync(self.hides)
        return [one for one in await super().list_tools() if one.name not in hidden]

    async def run_stdio_async(self) -> None:
        """Serve on standard input and output; half of a surrogate pair, for which the SDK drops the request unanswered, is U+FFFD."""
        wrapped = anyio.wrap_file(Lines(sys.stdin.buffer, encoding="utf-8", errors="replace"))
        async with stdio_server(stdin=wrapped) as (reads, writes):
            await self._lowlevel_server.run(reads, writes, self._lowlevel_server.create_initialization_options())

    async def call_tool(self, name: str, arguments: dict[str, Any], context: Any = None) -> Any:
        """The tool's result. Raises ToolError."""
        tool = self._tool_manager.get_tool(name)
        if tool is not None:
            try:
                arguments = heeded(tool.parameters, arguments)
            except Invalid as error:
                raise ToolError(f"{name}: {error}") from error
        return await super().call_tool(name, arguments, context)


def heeded(schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that the schema has. Raises Invalid for others, and for values that are none of its words."""
    known: Mapping[str, Mapping[str, Any]] = schema.get("properties", {})
    for name in arguments:
        if name not in known:
            raise Invalid(f"unknown argument '{str(name)[:60]}' (known: {', '.join(known) or 'none'})")
    required = schema.get("required", ())
    found = {name: value for name, value in arguments.items() if value is not None or name in required}
    for name, value in found.items():
        if _halves(value):
            raise Invalid(f"{name}: unpaired surrogate")
    return found


def _halves(value: Any) -> bool:
    """Whether some text in it cannot be written as UTF-8."""
    if isinstance(value, str):
        return any("\ud800" <= letter <= "\udfff" for letter in value)
    if isinstance(value, Mapping):
        return any(_halves(one) for pair in value.items() for one in pair)
    return isinstance(value, list) and any(map(_halves, value))
