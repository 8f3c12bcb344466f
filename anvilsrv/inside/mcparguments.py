"""MCP's server with a look at what clients send before the SDK has it: it is read as it is meant, or refused in words of ours.

The SDK passes over unknown arguments in silence, so a misspelt one looks as if it had been heeded, and answers others with a report for
programmers, or with none. Only ``mcpserver.build`` imports this: the SDK takes most of a second.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Collection, Mapping
from typing import Any, cast

import anyio
from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ResourceNotFoundError, ToolError
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPError
from mcp.types import INVALID_PARAMS, Tool

from anvilsrv.errors import Invalid
from anvilsrv.inside.mcplines import Lines
from anvilsrv.inside.mcpvalues import SHOWN, heeded, read_object


class Server(MCPServer):
    """MCP's server. ``hides`` tells which tools are not listed just now."""

    hides: Callable[[], Collection[str]] = tuple

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, middleware=[self._looked_at], **kwargs)

    async def list_tools(self) -> list[Tool]:
        """Return the tools that a client is shown."""
        hidden = await anyio.to_thread.run_sync(self.hides)
        return [one for one in await super().list_tools() if one.name not in hidden]

    async def run_stdio_async(self) -> None:
        """Serve on standard input and output."""
        lines = Lines(sys.stdin.buffer)
        stdin = cast("anyio.AsyncFile[str]", lines)
        async with stdio_server(stdin=stdin) as (reads, writes), anyio.create_task_group() as group:
            group.start_soon(lines.answer, writes.send)
            await self._lowlevel_server.run(reads, writes, self._lowlevel_server.create_initialization_options())
            group.cancel_scope.cancel()

    async def call_tool(self, name: str, arguments: dict[str, Any], context: Any = None) -> Any:
        """Return the tool's result. Raises ToolError."""
        tool = self._tool_manager.get_tool(name)
        if tool is None:
            raise ToolError(_unknown("tool", name, [one.name for one in await self.list_tools()]))
        try:
            arguments = heeded(tool.parameters, arguments)
        except Invalid as error:
            raise ToolError(f"{name}: {error}") from error
        return await super().call_tool(name, arguments, context)

    async def read_resource(self, uri: Any, context: Any = None) -> Any:
        """Return what is at the address. Raises ResourceError."""
        try:
            return await super().read_resource(uri, context)
        except ResourceNotFoundError as error:
            resources = [str(one.uri) for one in await self.list_resources()]
            templates = [one.uri_template for one in await self.list_resource_templates()]
            raise ResourceNotFoundError(_unknown("resource", uri, resources + templates)) from error

    async def _looked_at(self, ctx: Any, call_next: Callable[[Any], Any]) -> Any:
        """Check, before the SDK looks, what a request names, and whether its arguments are an object. Middleware of the
        SDK.
        """
        given = {} if ctx.params is None else ctx.params
        if ctx.method in _NAMED and isinstance(given, Mapping):
            try:
                ctx = dataclasses.replace(ctx, params=self._meant(ctx.method, given))
            except Invalid as error:
                raise MCPError(code=INVALID_PARAMS, message=f"{ctx.method}: {error}") from None
        return await call_next(ctx)

    def _meant(self, method: str, given: Mapping[str, Any]) -> dict[str, Any]:
        key = _NAMED[method]
        named = heeded({"properties": {key: {"type": "string"}}, "required": [key]}, {key: given.get(key)})
        if method == "resources/read":
            return {**given, **named}
        arguments = read_object("arguments", given.get("arguments"))
        if method == "prompts/get":
            arguments = self._of_prompt(named[key], arguments)
        return {**given, **named, "arguments": arguments}

    def _of_prompt(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        prompt = self._prompt_manager.get_prompt(name)
        if prompt is None:
            raise Invalid(_unknown("prompt", name, [one.name for one in self._prompt_manager.list_prompts()]))
        offered = [one.name for one in prompt.arguments or ()]
        schema = {"properties": {one: {"type": "string"} for one in offered}, "required": offered}
        try:
            return heeded(schema, arguments)
        except Invalid as error:
            raise Invalid(f"{name}: {error}") from None


_NAMED = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
"""The requests that name something, and how they call it."""


def _unknown(kind: str, name: str, known: Collection[str]) -> str:
    return f"unknown {kind} '{str(name)[:SHOWN]}' (known: {', '.join(known)})"
