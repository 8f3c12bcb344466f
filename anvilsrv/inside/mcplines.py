"""The lines that a client of MCP sends, as the SDK gets them: those that it would drop in silence are mended or answered here.

Threads: the loop of ``anvilmcp``, and the thread in which anyio reads a line. Only ``mcparguments`` imports this.
"""

from __future__ import annotations

import io
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, BinaryIO

import anyio
from mcp.shared.message import SessionMessage
from mcp.types import (
    INVALID_REQUEST,
    PARSE_ERROR,
    ErrorData,
    JSONRPCError,
    JSONRPCNotification,
    jsonrpc_message_adapter,
)

from anvilsrv.errors import AnvilError
from anvilsrv.strict_json import loads

# In a line of JSON: an escaped backslash, a whole pair, and what is left: half of one.
_ESCAPE = re.compile(r"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[dD][89a-fA-F][0-9a-fA-F]{2}")


def whole_pairs(line: str) -> str:
    """Return a line of JSON with the replacement character in place of each lone surrogate."""
    return _ESCAPE.sub(lambda found: "\\ufffd" if len(found[0]) == 6 else found[0], line)


def refusal(line: str) -> JSONRPCError | None:
    """Return the answer to a line that is not a message of JSON-RPC; None if it is one. It has the id of the request, if
    there is one.
    """
    try:
        message = jsonrpc_message_adapter.validate_json(line, by_name=False)
    except ValueError:
        message = None
    if message is not None and not isinstance(message, JSONRPCNotification):
        return None
    try:
        found = loads(line, len(line))
    except AnvilError as error:
        return None if message is not None else _error(None, PARSE_ERROR, str(error))
    if message is not None and "id" not in found:
        return None  # with an id it is a request, whose id is none; nobody answers a notification
    request = found if isinstance(found, dict) and "method" in found else {}
    known = request.get("id")
    if not isinstance(known, (int, str)) or isinstance(known, bool):
        known = None
    return _error(known, INVALID_REQUEST, f"not a message of JSON-RPC 2.0: {_why(found)}")


def _why(found: Any) -> str:
    if not isinstance(found, dict):
        return "an object is expected" + (", and batches are not taken" if isinstance(found, list) else "")
    if found.get("jsonrpc") != "2.0":
        return 'jsonrpc must be "2.0"'
    if not isinstance(found.get("method", ""), str):
        return "method must be a string"
    if not isinstance(found.get("params", {}), dict):
        return "params must be an object"
    if found.get("id", 0) is None or not isinstance(found.get("id", 0), (int, str)):
        return "id must be a string or a number"
    return "a method, a result or an error is expected"


def _error(known: int | str | None, code: int, words: str) -> JSONRPCError:
    return JSONRPCError(jsonrpc="2.0", id=known, error=ErrorData(code=code, message=words))


class Lines:
    """Standard input, line by line. What is to be sent back for a line that the SDK does not see, ``answer`` sends."""

    def __init__(self, source: BinaryIO) -> None:
        self._file = anyio.wrap_file(io.TextIOWrapper(source, encoding="utf-8", errors="replace"))
        self._refuse, self._refused = anyio.create_memory_object_stream[SessionMessage](0)

    async def __aiter__(self) -> AsyncIterator[str]:
        async for line in self._file:
            meant = whole_pairs(line)
            wrong = refusal(meant) if meant.strip() else None
            if wrong is None:
                yield meant
            else:
                await self._refuse.send(SessionMessage(wrong))

    async def answer(self, send: Callable[[SessionMessage], Awaitable[None]]) -> None:
        """Send what is refused, until cancelled."""
        async for one in self._refused:
            await send(one)
