"""A backend's file as tables of keys: a table is read key by key; any other key is an error.

Whatever is wrong in it is an Invalid that names the file, the line and the key.
"""

import difflib
import re
from pathlib import Path
from typing import Any

import yaml

from anvilsrv.backends import templates
from anvilsrv.backends.backend import NAMES
from anvilsrv.errors import Invalid

MISSING = object()
Lines = dict[tuple[Any, ...], int]


class Table:
    """A mapping of a file, with the line of everything in it."""

    def __init__(self, file: Path, lines: Lines, at: tuple[Any, ...], value: Any) -> None:
        self.file, self.lines, self.at = file, lines, at
        if value is None:
            value = {}
        if not isinstance(value, dict):
            raise self.wrong(None, "must be a table of keys")
        self.rest: dict[Any, Any] = dict(value)

    def wrong(self, key: Any, why: str) -> Invalid:
        """Return the error that ``why`` is wrong with ``key`` (or with the table itself)."""
        place = self.at if key is None else (*self.at, key)
        known = next((self.lines[place[:n]] for n in range(len(place), -1, -1) if place[:n] in self.lines), 1)
        name = ".".join(map(str, place))
        return Invalid(f"{self.file}:{known}: {name + ': ' if name else ''}{why}")

    def take(self, key: str, default: Any = MISSING) -> Any:
        """Take the value of ``key``, whatever it is."""
        if key not in self.rest:
            if default is MISSING:
                for close in difflib.get_close_matches(key, map(str, self.rest), 1):
                    raise self.wrong(close, f"unknown key (did you mean '{key}'?)")
                raise self.wrong(None, f"key '{key}' is missing")
            return default
        return self.rest.pop(key)

    def text(self, key: str, default: Any = MISSING) -> Any:
        """Take a string."""
        value = self.take(key, default)
        if value is not default and not isinstance(value, str):
            raise self.wrong(key, "must be a string")
        return value

    def one_of(self, key: str, words: tuple[str, ...], default: Any = MISSING) -> str:
        """Take one of a few words."""
        value = self.text(key, default)
        if value not in words:
            raise self.wrong(key, f"must be one of: {' '.join(words)}")
        return str(value)

    def words(self, key: str, default: Any = MISSING) -> Any:
        """Take a list of strings; one string stands for a list of one."""
        value = self.take(key, default)
        if value is default:
            return value
        value = [value] if isinstance(value, str) else value
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.wrong(key, "must be a list of strings")
        return tuple(value)

    def seconds(self, key: str, default: float) -> float:
        """Take a number of seconds."""
        return self.number(key, default, " of seconds")

    def number(self, key: str, default: float, of: str = "") -> float:
        """Take a number, not negative."""
        value = self.take(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e300:
            raise self.wrong(key, f"must be a number{of}")
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        """Take true or false."""
        value = self.take(key, default)
        if not isinstance(value, bool):
            raise self.wrong(key, "must be true or false")
        return value

    def pattern(self, key: str, default: Any = MISSING) -> Any:
        """Take a regular expression; ``^`` and ``$`` match at every line, ``\\A`` and ``\\Z`` at the ends of the whole."""
        value = self.text(key, default)
        return value if value is default else self.compiled(key, value)

    def compiled(self, key: Any, value: Any) -> re.Pattern[str]:
        """Compile ``value``, the regular expression of ``key``."""
        if not isinstance(value, str):
            raise self.wrong(key, "must be a regular expression")
        try:
            return re.compile(value, re.MULTILINE)
        except re.error as error:
            raise self.wrong(key, f"not a regular expression: {error}") from None

    def table(self, key: str) -> "Table":
        """Take a table below; an empty one if it is missing."""
        return Table(self.file, self.lines, (*self.at, key), self.take(key, {}))

    def tables(self, key: str) -> list["Table"]:
        """Take a list of tables; one table stands for a list of one."""
        value = self.take(key, [])
        if isinstance(value, dict):
            return [Table(self.file, self.lines, (*self.at, key), value)]
        if not isinstance(value, list):
            raise self.wrong(key, "must be a list of tables")
        return [Table(self.file, self.lines, (*self.at, key, at), one) for at, one in enumerate(value)]

    def texts(self, key: str) -> dict[str, str]:
        """Take a table of strings; numbers are taken as text."""
        below = self.table(key)
        for name, value in below.rest.items():
            if not isinstance(name, str) or isinstance(value, bool) or not isinstance(value, str | int | float):
                raise below.wrong(name, "must be a string")
        return {name: str(value) for name, value in below.rest.items()}

    def template(self, key: str, value: Any) -> Any:
        """Return ``value``; refuse an unknown name."""
        unknown = templates.unknown_names(value, NAMES)
        if unknown:
            raise self.wrong(key, f"unknown name {unknown[0]}; known: {' '.join(NAMES)} ENV:<variable>")
        return value

    def end(self) -> None:
        """Check that nothing is left."""
        for key in self.rest:
            raise self.wrong(key, "unknown key")


def parse(path: Path) -> tuple[Any, Lines]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    lines: Lines = {}
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None, lines
        _note(node, (), lines, path)
        return loader.construct_document(node), lines
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise Invalid(
            f"{path}:{mark.line + 1 if mark else 1}: not YAML: {getattr(error, 'problem', None) or error}"
        ) from None
    finally:
        loader.dispose()


def _note(node: yaml.Node, at: tuple[Any, ...], lines: Lines, file: Path) -> None:
    lines.setdefault(at, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            below = (*at, key.value)
            if below in lines:
                raise Invalid(f"{file}:{key.start_mark.line + 1}: {'.'.join(map(str, below))}: duplicate key")
            lines[below] = key.start_mark.line + 1
            _note(value, below, lines, file)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            _note(value, (*at, number), lines, file)
