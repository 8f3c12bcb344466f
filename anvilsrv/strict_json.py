"""JSON from and to the outside: the one reader for what agents, mail, clients and files say, and the one writer for what is told.

The reader takes what every other program takes to be the same value, and refuses the rest: NaN and Infinity, a number beyond a double,
a key that is said twice, half of a surrogate pair, what is nested too deeply, too large, or of too many values: a few MiB of empty
lists would be hundreds in memory. The writer makes one line that is one line
for every program: characters that end a line, act on a terminal or turn the direction of the text are escaped.

Pure; ``json`` is imported when it is needed, for the hook program counts milliseconds.
"""

from collections.abc import Iterable
from functools import cache
from math import isfinite
from typing import TYPE_CHECKING, Any

from anvilsrv.allowance import BOUNDS
from anvilsrv.errors import Invalid

if TYPE_CHECKING:
    from json import JSONDecoder, JSONEncoder

DEEPEST = 64  # levels of arrays and objects
LARGEST = 64 << 20  # bytes, where nothing smaller is said
VALUES = BOUNDS["values"].most
DIGITS = 300  # of an integer: more are beyond a double

# What JSON lets stand as it is, and no line and no terminal should see: DEL, C1, the line and paragraph separators, what turns the
# direction of the text. A half of a surrogate pair cannot be written in UTF-8.
_HOSTILE = (
    range(0x7F, 0xA0),
    (0x061C, 0x200E, 0x200F, 0x2028, 0x2029),
    range(0x202A, 0x202F),
    range(0x2066, 0x206A),
    (0xFEFF,),
)
_ESCAPES: dict[int, str] = {char: f"\\u{char:04x}" for chars in _HOSTILE for char in chars}


def loads(data: bytes | bytearray | str, largest: int = LARGEST) -> Any:
    """Return the value in ``data``. Raises Invalid, with what is wrong and not where."""
    text, found = _parsed(data, largest)
    if "\\u" in text and _halves(found):
        raise Invalid("invalid JSON: unpaired surrogate")
    return found


def loads_bytes(data: bytes | bytearray | str, largest: int = LARGEST) -> Any:
    """Return the same for what agents report: half of a surrogate pair stays, for it may stand for a byte that is not
    UTF-8 (PEP 383).
    """
    return _parsed(data, largest)[1]


def loads_object(data: bytes | bytearray | str, largest: int = LARGEST) -> dict[str, Any]:
    """Return the object in ``data``. Raises Invalid for another value too."""
    found = loads(data, largest)
    if not isinstance(found, dict):
        raise Invalid("invalid JSON: not an object")
    return found


def dumps(value: object, *, indent: int | None = None) -> str:
    """Return ``value`` as JSON: one line, without ``indent``. Raises Invalid for what JSON cannot hold (NaN, another
    type, too deep).
    """
    try:
        text = _encoder(indent).encode(value)
    except (ValueError, TypeError, RecursionError) as error:
        raise Invalid(f"not storable as JSON: {error}") from None
    if text.isascii() and "\x7f" not in text:
        return text
    return whole(text).translate(_ESCAPES)


def json_array(objects: Iterable[str]) -> bytes:
    """Return objects already in JSON as an array, one a line."""
    lines = list(objects)
    return ("[\n" + ",\n".join(lines) + "\n]\n").encode() if lines else b"[]\n"


def whole(text: str) -> str:
    """Return ``text`` with U+FFFD for each half of a surrogate pair: what can be encoded."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def _parsed(data: bytes | bytearray | str, largest: int) -> tuple[str, Any]:
    if len(data) > largest:
        raise Invalid(f"invalid JSON: more than {largest >> 20} MiB")
    try:
        text = data if isinstance(data, str) else data.decode()
    except UnicodeDecodeError:
        raise Invalid("invalid UTF-8") from None
    if text.startswith("\ufeff"):
        raise Invalid("invalid JSON: unexpected BOM")
    if text.count(",") + text.count("[") + text.count("{") > VALUES and _many(text):
        raise Invalid(f"invalid JSON: {BOUNDS['values'].full.format(BOUNDS['values'].figure)}")
    try:
        found = _decoder().decode(text)
    except RecursionError:
        raise Invalid(f"invalid JSON: nested more than {DEEPEST} levels") from None
    except ValueError as error:
        raise Invalid(f"invalid JSON: {error}") from None
    if text.count("[") + text.count("{") > DEEPEST and _deep(found):
        raise Invalid(f"invalid JSON: nested more than {DEEPEST} levels")
    return text, found


@cache
def _decoder() -> "JSONDecoder":
    import json

    return json.JSONDecoder(parse_constant=_constant, parse_float=_float, parse_int=_integer, object_pairs_hook=_object)


@cache
def _encoder(indent: int | None) -> "JSONEncoder":
    import json

    return json.JSONEncoder(
        ensure_ascii=False, allow_nan=False, indent=indent, separators=None if indent else (",", ":")
    )


def _many(text: str) -> bool:
    import re

    bare = re.sub(r'"(?:[^"\\]++|\\.)*+"', "", text, flags=re.DOTALL)
    return bare.count(",") + bare.count("[") + bare.count("{") > VALUES


def _constant(name: str) -> Any:
    raise Invalid(f"invalid JSON: {name} is not a number")


def _float(digits: str) -> float:
    value = float(digits)
    if not isfinite(value):
        raise Invalid("invalid JSON: a number is too large")
    return value


def _integer(digits: str) -> int:
    if len(digits) > DIGITS:
        raise Invalid("invalid JSON: a number is too large")
    return int(digits)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise Invalid(f"invalid JSON: duplicate key {twice[:40]!a}")
    return found


def _deep(value: object) -> bool:
    level = [value]
    for _ in range(DEEPEST):
        inner = (one.values() if isinstance(one, dict) else one if isinstance(one, list) else () for one in level)
        level = [one for some in inner for one in some if isinstance(one, dict | list)]
    return bool(level)


def _halves(value: object) -> bool:
    import json

    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False
