"""The arguments of a tool as clients send them: unknown ones are refused with what is known, and null stands for what is left out.

The SDK passes over unknown arguments in silence, so a misspelt one looks as if it had been heeded.
Only ``mcpserver.build`` imports this: the SDK takes most of a second.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

from anvilsrv.errors import Invalid


class Server(MCPServer):
    """MCP's server, with a look at the arguments before a tool has them."""

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
            raise Invalid(f"{name}: half of a surrogate pair, which is no text")
    return found


def _halves(value: Any) -> bool:
    """Whether some text in it cannot be written as UTF-8."""
    if isinstance(value, str):
        return any("\ud800" <= letter <= "\udfff" for letter in value)
    if isinstance(value, Mapping):
        return any(_halves(one) for pair in value.items() for one in pair)
    return isinstance(value, list) and any(map(_halves, value))
