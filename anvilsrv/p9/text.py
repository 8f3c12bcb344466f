"""Messages as readable lines, one each: ``Twalk tag 1 fid 0 newfid 2 names ["agent" "list"]``.

``parse(format(message)) == message``. The trace of the server, the transcripts of the tests and the pages use it.
Strings and data are quoted; bytes that are not printable UTF-8 are written ``\\xNN``. A qid is ``(type vers path)``,
a stat is a list of its fields in braces.
"""

import re
from typing import Any, get_type_hints

from anvilsrv.p9 import wire
from anvilsrv.p9.wire import Qid, Stat, WireError

_CLASSES = {cls.__name__: cls for cls in wire.TYPES.values()}
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}
_TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[][(){}]|[^][(){}"\s]+)')
_ESCAPED = re.compile(rb'\\(x[0-9a-f]{2}|["\\nt])')


def format(msg: wire.Message) -> str:
    """Return the line of a message, without a newline."""
    return " ".join([type(msg).__name__, *_fields(msg)])


def parse(line: str) -> wire.Message:
    """Return the message of a line; raises WireError if it is not one."""
    tokens = _tokens(line)
    try:
        cls = _CLASSES[tokens.pop(0)]
        msg = _record(cls, tokens)
    except (KeyError, IndexError, ValueError) as error:
        raise WireError(f"not a message: {line!r}: {error!r}") from None
    if tokens:
        raise WireError(f"not a message: {line!r}: more than a {cls.__name__}")
    return msg  # type: ignore[no-any-return]


def _fields(record: Any) -> list[str]:
    return [f"{name} {_show(value)}" for name, value in zip(record._fields, record, strict=True)]


def _show(value: Any) -> str:
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return _quote(value)
    if isinstance(value, bytes):
        return _quote(value.decode("utf-8", "surrogateescape"))
    if isinstance(value, Qid):
        return f"({value.type} {value.vers} {value.path})"
    if isinstance(value, Stat):
        return "{" + " ".join(_fields(value)) + "}"
    return "[" + " ".join(map(_show, value)) + "]"


def _quote(text: str) -> str:
    return '"' + "".join(_ESCAPES.get(c) or (c if c.isprintable() else _bytes(c)) for c in text) + '"'


def _bytes(char: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogateescape"))


def _unquote(token: str) -> bytes:
    if not token.startswith('"'):
        raise ValueError(f"not a string: {token}")
    plain = {b'"': b'"', b"\\": b"\\", b"n": b"\n", b"t": b"\t"}
    return _ESCAPED.sub(lambda m: plain.get(m[1]) or bytes([int(m[1][1:], 16)]), token[1:-1].encode())


def _tokens(line: str) -> list[str]:
    tokens, pos = [], 0
    line = line.rstrip()
    while pos < len(line):
        found = _TOKEN.match(line, pos)
        if not found:
            raise WireError(f"not a message: {line!r}")
        tokens.append(found[1])
        pos = found.end()
    return tokens


def _record(cls: type[Any], tokens: list[str]) -> Any:
    values = []
    for name, kind in get_type_hints(cls).items():
        _expect(tokens, name)
        values.append(_value(kind, tokens))
    return cls(*values)


def _value(kind: Any, tokens: list[str]) -> Any:
    if kind is int:
        return int(tokens.pop(0), 0)
    if kind is str:
        return _unquote(tokens.pop(0)).decode()
    if kind is bytes:
        return _unquote(tokens.pop(0))
    if kind is Qid:
        _expect(tokens, "(")
        qid = Qid(*(int(tokens.pop(0), 0) for _ in range(3)))
        _expect(tokens, ")")
        return qid
    if kind is Stat:
        _expect(tokens, "{")
        stat = _record(Stat, tokens)
        _expect(tokens, "}")
        return stat
    _expect(tokens, "[")
    values = []
    while tokens[0] != "]":
        values.append(_value(kind.__args__[0], tokens))
    _expect(tokens, "]")
    return tuple(values)


def _expect(tokens: list[str], wanted: str) -> None:
    found = tokens.pop(0)
    if found != wanted:
        raise ValueError(f"{found!r} instead of {wanted!r}")
