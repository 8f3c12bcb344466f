"""The lines of the Agent Client Protocol: JSON-RPC 2.0, one message a line. Pure.

An agent's output is hostile until it is parsed. A line has a bound: what is longer is skipped up to its newline, and is one fault.
Whatever is not a message of the protocol is a ``Fault`` with words, never an exception.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from anvilsrv.errors import Invalid
from anvilsrv.strict_json import loads_bytes

LONGEST = 16 << 20  # bytes of a line
SHOWN = 200  # characters of a fault's line
SENTENCE = 10_000  # characters of what is wrong, in words
HALF = re.compile("[\ud800-\udfff]")

Ident = int | str


@dataclass(frozen=True)
class Request:
    """The agent asks something. ``id`` is what the answer must carry, of whatever JSON it is."""

    id: Any
    method: str
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Notice:
    """The agent tells something."""

    method: str
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """The answer to a request of ours: a result, or an error."""

    id: Any
    result: Mapping[str, Any] = field(default_factory=dict)
    error: "RpcError | None" = None


@dataclass(frozen=True)
class RpcError:
    """Why a request failed. ``data`` is what else the agent tells."""

    code: int
    message: str
    data: Any = None

    @property
    def words(self) -> str:
        """A sentence for a person: agents put what counts into the message, or below ``data``."""
        found = _words(self.data)
        said = self.message if not found or found in self.message else f"{self.message}: {found}"
        return " ".join(said[:SENTENCE].split()) or f"error {self.code}"


@dataclass(frozen=True)
class Fault:
    """A line that is not a message; why, and how it begins."""

    why: str
    line: str = ""


Message = Request | Notice | Answer | Fault


class Lines:
    """What was read, as lines; ``longest`` bounds what is kept of one."""

    def __init__(self, longest: int = LONGEST) -> None:
        self._longest = longest
        self._pieces: list[bytes] = []
        self._size = 0
        self._skipped = 0  # bytes of a line that is too long

    def feed(self, data: bytes) -> Iterator[bytes | Fault]:
        """Yield the lines that this piece completes, without their ends."""
        *ended, rest = data.split(b"\n")
        for one in ended:
            self._add(one)
            yield self._line()
        self._add(rest)

    def end(self) -> Iterator[bytes | Fault]:
        """Yield what is left when nothing more comes."""
        if self._size or self._skipped:
            yield self._line()

    def _add(self, piece: bytes) -> None:
        if self._skipped or self._size + len(piece) > self._longest:
            self._skipped += self._size + len(piece)
            self._pieces, self._size = [], 0
        elif piece:
            self._pieces.append(piece)
            self._size += len(piece)

    def _line(self) -> bytes | Fault:
        pieces, skipped = self._pieces, self._skipped
        self._pieces, self._size, self._skipped = [], 0, 0
        if skipped:
            return Fault(f"a line of {skipped:,} bytes was left out: {self._longest:,} is the most")
        return b"".join(pieces)


def parse(line: bytes) -> Message:
    """Return the message in a line."""
    try:
        found = loads_bytes(line, LONGEST)
    except Invalid as error:
        return _fault(str(error), line)
    if not isinstance(found, dict):
        return _fault("not an object", line)
    method, params = found.get("method"), found.get("params")
    if isinstance(method, str):
        given = params if isinstance(params, dict) else {}
        return Request(found["id"], method, given) if found.get("id") is not None else Notice(method, given)
    if "id" in found and ("result" in found or "error" in found):
        failed, result = found.get("error"), found.get("result")
        return Answer(
            found["id"], result if isinstance(result, dict) else {}, None if failed is None else _error(failed)
        )
    return _fault("neither a request nor an answer", line)


def line(message: Mapping[str, Any]) -> bytes:
    """Return a message as it is sent; lone surrogates, which some agents never get over, are U+FFFD."""
    text = json.dumps({"jsonrpc": "2.0", **message}, ensure_ascii=False, separators=(",", ":"))
    return HALF.sub("\ufffd", text).encode() + b"\n"


def _fault(why: str, line: bytes) -> Fault:
    return Fault(why, line[: SHOWN * 4].decode("utf-8", "replace")[:SHOWN])


def _error(found: Any) -> RpcError:
    if not isinstance(found, dict):
        return RpcError(0, str(found)[:SHOWN])
    code, message = found.get("code"), found.get("message")
    known = isinstance(code, int) and not isinstance(code, bool)
    return RpcError(code if known else 0, message if isinstance(message, str) else "", found.get("data"))  # type: ignore[arg-type]


def _words(data: Any) -> str:
    """Return what an error's data says in words: it may be a text, or have one under a name that agents use."""
    if isinstance(data, str):
        return data
    if isinstance(data, dict):
        names = ("message", "details", "detail", "error", "reason")
        return next((found for name in names if (found := _words(data.get(name)))), "")
    return ""
