"""Reading a backend's file. Whatever is wrong in it is an Invalid that names the file, the line and the key.

A table is read key by key; what nobody asked for is unknown. Defaults stand here and nowhere else.
"""

import importlib
import importlib.util
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from anvilsrv.backends import acp, backend, private, templates
from anvilsrv.backends.backend import NAMES, Backend, Dialog, Peculiarity, Stop, Title
from anvilsrv.backends.reset_time import GROUPS as LIMITS
from anvilsrv.backends.rules import KINDS, TEXTS, Rule
from anvilsrv.backends.typed import Drop, Guard, Input
from anvilsrv.backends.vault import Login
from anvilsrv.errors import Invalid
from anvilsrv.linux import beneath

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
LAYER = (
    "general",
    "filesystem",
    "network",
    "env",
    "unix",
    "agents",
    "permissions",
    "advanced",
    "configuration",
    "description",
)
EVIDENCE = ("hooks", "transcript", "late", "message")
REPEATED = re.compile(r"(.+)\*(\d{1,3})")
DIALOGS = ("start", "turn", "prompt")
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
        """The error that ``why`` is wrong with ``key`` (or with the table itself)."""
        place = self.at if key is None else (*self.at, key)
        known = next((self.lines[place[:n]] for n in range(len(place), -1, -1) if place[:n] in self.lines), 1)
        name = ".".join(map(str, place))
        return Invalid(f"{self.file}:{known}: {name + ': ' if name else ''}{why}")

    def take(self, key: str, default: Any = MISSING) -> Any:
        """The value of ``key``, whatever it is."""
        if key not in self.rest:
            if default is MISSING:
                raise self.wrong(None, f"key '{key}' is missing")
            return default
        return self.rest.pop(key)

    def text(self, key: str, default: Any = MISSING) -> Any:
        """A string."""
        value = self.take(key, default)
        if value is not default and not isinstance(value, str):
            raise self.wrong(key, "must be a text")
        return value

    def one_of(self, key: str, words: tuple[str, ...], default: Any = MISSING) -> str:
        """One of a few words."""
        value = self.text(key, default)
        if value not in words:
            raise self.wrong(key, f"must be one of: {' '.join(words)}")
        return str(value)

    def words(self, key: str, default: Any = MISSING) -> Any:
        """A list of strings; one string stands for a list of one."""
        value = self.take(key, default)
        if value is default:
            return value
        value = [value] if isinstance(value, str) else value
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.wrong(key, "must be a list of texts")
        return tuple(value)

    def seconds(self, key: str, default: float) -> float:
        """A number of seconds."""
        return self.number(key, default, " of seconds")

    def number(self, key: str, default: float, of: str = "") -> float:
        """A number, not negative."""
        value = self.take(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e300:
            raise self.wrong(key, f"must be a number{of}")
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        """true or false."""
        value = self.take(key, default)
        if not isinstance(value, bool):
            raise self.wrong(key, "must be true or false")
        return value

    def pattern(self, key: str, default: Any = MISSING) -> Any:
        """A regular expression; ``^`` and ``$`` match at every line, ``\\A`` and ``\\Z`` at the ends of the whole."""
        value = self.text(key, default)
        return value if value is default else self.compiled(key, value)

    def compiled(self, key: Any, value: Any) -> re.Pattern[str]:
        """``value``, a regular expression, of ``key``."""
        if not isinstance(value, str):
            raise self.wrong(key, "must be a regular expression")
        try:
            return re.compile(value, re.MULTILINE)
        except re.error as error:
            raise self.wrong(key, f"not a regular expression: {error}") from None

    def table(self, key: str) -> "Table":
        """A table below; an empty one if it is missing."""
        return Table(self.file, self.lines, (*self.at, key), self.take(key, {}))

    def tables(self, key: str) -> list["Table"]:
        """A list of tables; one table stands for a list of one."""
        value = self.take(key, [])
        if isinstance(value, dict):
            return [Table(self.file, self.lines, (*self.at, key), value)]
        if not isinstance(value, list):
            raise self.wrong(key, "must be a list of tables")
        return [Table(self.file, self.lines, (*self.at, key, at), one) for at, one in enumerate(value)]

    def texts(self, key: str) -> dict[str, str]:
        """A table of strings; numbers are taken as text."""
        below = self.table(key)
        for name, value in below.rest.items():
            if not isinstance(name, str) or isinstance(value, bool) or not isinstance(value, str | int | float):
                raise below.wrong(name, "must be a text")
        return {name: str(value) for name, value in below.rest.items()}

    def template(self, key: str, value: Any) -> Any:
        """``value``, refused if it has a name that nobody knows."""
        unknown = templates.unknown_names(value, NAMES)
        if unknown:
            raise self.wrong(key, f"unknown name {unknown[0]}; known: {' '.join(NAMES)} ENV:<variable>")
        return value

    def end(self) -> None:
        """Nothing may be left."""
        for key in self.rest:
            raise self.wrong(key, "unknown key")


def load(path: Path) -> Backend:
    """The backend in ``path``, named after it. Raises Invalid."""
    name = path.name.removesuffix(".yaml")
    data, lines = _parse(path)
    top = Table(path, lines, (), data)
    if not NAME.fullmatch(name):
        raise Invalid(f"{path}: not a name for a backend: '{name}'")
    layer = {key: top.rest.pop(key) for key in LAYER if key in top.rest}
    body = Table(path, lines, ("backend",), top.take("backend"))
    top.end()
    made = _backend(name, path, body, layer)
    if made.ready_screen is None and not made.reports("ready"):
        raise body.wrong("ready", "neither a hook that reports ready nor a screen: it would never become idle")
    return made


def _parse(path: Path) -> tuple[Any, Lines]:
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
                raise Invalid(f"{file}:{key.start_mark.line + 1}: {'.'.join(map(str, below))}: said twice")
            lines[below] = key.start_mark.line + 1
            _note(value, below, lines, file)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            _note(value, (*at, number), lines, file)


def _backend(name: str, path: Path, body: Table, layer: Mapping[str, Any]) -> Backend:
    acp.expand(body)
    requires, ready, stop = body.table("requires"), body.table("ready"), body.table("stop")
    titles = body.table("titles")
    payload, at = _payload(body)
    made = Backend(
        name=name,
        path=path,
        title=body.text("title", name),
        aliases=body.words("aliases", ()),
        command=_command(body),
        resume=body.template("resume", body.words("resume", None)),
        conversation=body.one_of("conversation", ("none", "uuid", "hook"), "none"),
        evidence=body.one_of("evidence", EVIDENCE, "hooks"),
        env=body.template("env", body.texts("env")),
        files=_files(body, "files"),
        data=_files(body, "data"),
        permissions=_permissions(body),
        program=requires.text("program", None),
        install=requires.text("install", ""),
        version_args=requires.words("version", ()),
        ready_timeout=ready.seconds("timeout", 60.0),
        ready_screen=ready.pattern("screen", None),
        unheard=ready.text("unheard", ""),
        dialogs=tuple(_dialog(one) for one in body.tables("dialogs")),
        titles=Title(titles.pattern("busy", None), titles.pattern("idle", None)),
        hooks=_hooks(body),
        payload=payload,
        at=at,
        ignore=_conditions(body, "ignore"),
        transcript=tuple(_rule(one) for one in body.tables("transcript")),
        replies=_replies(body),
        input=_input(body.table("input")),
        context=body.one_of("context", ("before", "comment"), "before"),
        mail=body.one_of("mail", ("prompt", "comment"), "prompt"),
        slash=body.words("slash", ()),
        interrupt=body.words("interrupt", ()),
        stop=Stop(stop.words("keys", ()), stop.seconds("grace", 5.0)),
        limits=tuple(_limit(one) for one in body.tables("limits")),
        layer=layer,
        login=_login(body),
        peculiarity=_peculiarity(body, path),
    )
    for table in (requires, ready, stop, titles, body):
        table.end()
    return made


def _command(body: Table) -> tuple[str, ...]:
    command: tuple[str, ...] = body.words("command")
    if not command:
        raise body.wrong("command", "is empty")
    return tuple(body.template("command", command))


def _files(body: Table, key: str) -> dict[str, Any]:
    below = body.table(key)
    for name in below.rest:
        if not isinstance(name, str) or not name or name.startswith("/") or ".." in name.split("/"):
            raise below.wrong(name, "must be a relative name")
        below.template(name, below.rest[name])
    return below.rest


def _login(body: Table) -> Login | None:
    if "login" not in body.rest:
        return None
    below = body.table("login")
    files = tuple(_files_named(below))
    made = Login(
        command=_command(below), env=below.template("env", below.texts("env")), files=files,
        renews=below.words("renews", ()), data=_files(below, "data"),
    )  # fmt: skip
    below.end()
    return made


def _files_named(table: Table) -> list[str]:
    names: tuple[str, ...] = table.words("files")
    if not names or any(not name or name.startswith("/") or ".." in name.split("/") for name in names):
        raise table.wrong("files", "must be relative names")
    if len({name.rpartition("/")[2] for name in names}) < len(names):
        raise table.wrong("files", "two have the same last part")
    return list(names)


def _permissions(body: Table) -> dict[str, tuple[str, ...]]:
    below = body.table("permissions")
    found = {word: below.template(word, below.words(word, ())) for word in ("bypass", "ask")}
    below.end()
    return found


def _dialog(table: Table) -> Dialog:
    made = Dialog(
        screen=table.pattern("screen"),
        keys=table.words("keys", ()),
        times=int(table.number("times", 1)),
        at=table.one_of("at", DIALOGS, "start"),
        reason=table.pattern("reason", None),
        says=table.text("says", ""),
    )
    if made.says and made.at != "start":
        raise table.wrong("says", "only with at: start")
    if not made.keys and not made.says:
        raise table.wrong("keys", "needed, or says")
    if made.reason is not None and made.at != "turn":
        raise table.wrong("reason", "only with at: turn")
    table.end()
    return made


def _hooks(body: Table) -> dict[str, tuple[Rule, ...]]:
    below = body.table("hooks")
    return {name: tuple(_rule(one) for one in below.tables(name)) for name in list(below.rest)}


def _payload(body: Table) -> tuple[dict[str, str], str | None]:
    """The paths of fields that every report may have, and that of the time of a transcript's line."""
    below = body.table("payload")
    found = {name: below.text(name) for name in TEXTS if name in below.rest}
    at = below.text("at", None)
    below.end()
    return found, at


def _rule(table: Table) -> Rule:
    made = Rule(
        report=table.one_of("report", KINDS),
        when=_conditions(table, "when"),
        unless=_conditions(table, "unless"),
        texts={name: table.text(name) for name in TEXTS if name in table.rest},
        continued=table.text("continued", None),
        wake=_conditions(table, "wake"),
        pending=table.words("pending", ()),
        usage=table.texts("usage"),
        choices=dict(table.table("choices").rest),
        offered=table.text("offered", None),
        free=table.take("free", None),
        otherwise=table.take("otherwise", None),
    )
    table.end()
    return made


def _conditions(table: Table, key: str) -> tuple[tuple[str, re.Pattern[str]], ...]:
    below = table.table(key)
    return tuple((path, below.compiled(path, "" if value is True else value)) for path, value in below.rest.items())


def _replies(body: Table) -> dict[str, Any]:
    below = body.table("replies")
    found = {kind: below.take(kind) for kind in ("stop", "ask") if kind in below.rest}
    below.end()
    return found


def _input(table: Table) -> Input:
    made = Input(
        settle=table.seconds("settle", 0.3),
        submit=table.words("submit", ("Enter",)),
        clear=_repeated(table.words("clear", ())),
        confirm=table.seconds("confirm", 3.0),
        empty=table.pattern("empty", None),
        find=table.pattern("find", None),
        styled=table.flag("styled", False),
        drop=_drop(table.table("drop")),
        most=int(table.number("most", 0)),
        line=int(table.number("line", 0)),
        guards=tuple(_guard(one) for one in table.tables("guard")),
    )
    table.end()
    return made


def _limit(table: Table) -> re.Pattern[str]:
    made: re.Pattern[str] = table.pattern("match")
    for name in made.groupindex:
        if name not in LIMITS:
            raise table.wrong("match", f"unknown group '{name}'; known: {' '.join(LIMITS)}")
    if not made.groupindex:
        raise table.wrong("match", f"no group says when: {' '.join(LIMITS)}")
    table.end()
    return made


def _repeated(keys: tuple[str, ...]) -> tuple[str, ...]:
    """``C-u*3`` is that key three times."""
    found = [REPEATED.fullmatch(key) for key in keys]
    return tuple(
        one for key, times in zip(keys, found, strict=True) for one in ([times[1]] * int(times[2]) if times else [key])
    )


def _drop(table: Table) -> Drop:
    made = Drop(table.text("anywhere", ""), table.text("start", ""), table.text("end", ""))
    table.end()
    return made


def _guard(table: Table) -> Guard:
    made = Guard(table.pattern("when"), table.text("prefix", ""), table.text("suffix", ""), table.text("refuse", ""))
    if made.refuse and (made.prefix or made.suffix):
        raise table.wrong("refuse", "not with prefix or suffix")
    table.end()
    return made


def _peculiarity(body: Table, path: Path) -> type[Peculiarity]:
    """``python: file.py:Class`` (beside the YAML) or ``package.module:Class``."""
    given = body.text("python", None)
    if given is None:
        return Peculiarity
    where, _, name = given.rpartition(":")
    try:
        found = getattr(_module(where, path), name)
    except Exception as error:  # whatever a file of somebody's does when it is run
        raise body.wrong("python", f"cannot load '{given}': {error}") from None
    if not (isinstance(found, type) and issubclass(found, Peculiarity)):
        raise body.wrong("python", f"'{name}' is no anvilsrv.backends.backend.Peculiarity")
    return found


def _module(where: str, path: Path) -> Any:
    if not where.endswith(".py"):
        return importlib.import_module(where)
    for known in (backend, private, beneath):  # by the names that users' files import them by since version 0.1
        sys.modules.setdefault(f"anvilsrv.{known.__name__.rpartition('.')[2]}", known)
    file = path.parent / where
    spec = importlib.util.spec_from_file_location(f"anvillm_backend_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise ImportError(f"no module in {file}")
    module = importlib.util.module_from_spec(spec)
    run: Callable[[Any], None] = spec.loader.exec_module
    run(module)
    return module
