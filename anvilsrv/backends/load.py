"""Reading a backend's file. Whatever is wrong in it is an Invalid that names the file, the line and the key.

Defaults stand here and nowhere else.
"""

import importlib
import importlib.util
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from anvilsrv.backends import acp, backend, mistakes, private
from anvilsrv.backends.backend import Backend, Peculiarity, Stop
from anvilsrv.backends.flags import VALUE, Flag
from anvilsrv.backends.load_follow import conditions, follows, tools
from anvilsrv.backends.reset_time import GROUPS as LIMITS
from anvilsrv.backends.rules import KINDS, TEXTS, Rule
from anvilsrv.backends.shown import Dialog, Title
from anvilsrv.backends.tables import Table, parse
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
    "git",
    "limits",
    "description",
)
EVIDENCE = ("hooks", "transcript", "late", "message")
REPEATED = re.compile(r"(.+)\*(\d{1,3})")
DIALOGS = ("start", "turn", "prompt", "command")


def load(path: Path) -> Backend:
    """Return the backend in ``path``, named after it. Raises Invalid."""
    name = path.name.removesuffix(".yaml")
    data, lines = parse(path)
    top = Table(path, lines, (), data)
    if not NAME.fullmatch(name):
        raise Invalid(f"{path}: not a name for a backend: '{name}'")
    layer = {key: top.rest.pop(key) for key in LAYER if key in top.rest}
    body = Table(path, lines, ("backend",), top.take("backend"))
    top.end()
    acp.expand(body)
    made = _backend(name, path, body, layer)
    mistakes.check(made, Table(path, lines, ("backend",), data.get("backend")), made.peculiarity is not Peculiarity)
    if made.ready_screen is None and not made.reports("ready"):
        raise body.wrong("ready", "neither a hook that reports ready nor a screen: it would never become idle")
    return made


def _backend(name: str, path: Path, body: Table, layer: Mapping[str, Any]) -> Backend:
    requires, ready, stop, titles = (body.table(name) for name in ("requires", "ready", "stop", "titles"))
    payload, at = _payload(body)
    made = Backend(
        name=name,
        path=path,
        title=body.text("title", name), aliases=body.words("aliases", ()),
        command=_command(body),
        **{key: body.template(key, body.words(key, None)) for key in ("resume", "fork")},
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
        ignore=conditions(body, "ignore"),
        transcript=tuple(_rule(one) for one in body.tables("transcript")),
        beside=body.text("beside", ""),
        replies=_replies(body),
        input=_input(body.table("input")),
        context=body.one_of("context", ("before", "comment"), "before"),
        doing=body.text("doing", ""),
        mail=body.one_of("mail", ("prompt", "comment"), "prompt"),
        slash=body.words("slash", ()),
        interrupt=body.words("interrupt", ()),
        stop=Stop(stop.words("keys", ()), stop.seconds("grace", 5.0)),
        limits=tuple(_limit(one) for one in body.tables("limits")),
        layer=layer,
        **_login(body),
        follow=follows(body),
        **_by_name(body),
        peculiarity=_peculiarity(body, path),
    )  # fmt: skip
    end(requires, ready, stop, titles, body)
    return made


def end(*tables: Table) -> None:
    """Raise Invalid if one of these has an unknown key."""
    for table in tables:
        table.end()


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


def _login(body: Table) -> dict[str, Any]:
    if "login" not in body.rest or isinstance(body.rest["login"], str):
        return {"no_login": body.text("login", "")}
    below = body.table("login")
    files = tuple(_files_named(below))
    made = Login(
        command=_command(below), env=below.template("env", below.texts("env")), files=files,
        renews=below.words("renews", ()), data=_files(below, "data"), **_database(below),
    )  # fmt: skip
    below.end()
    return {"login": made}


def _database(login: Table) -> dict[str, str]:
    if "database" not in login.rest:
        return {}
    below = login.table("database")
    made = {"database": below.text("file"), "table": below.text("table")}
    if made["database"].startswith("/") or ".." in made["database"].split("/"):
        raise below.wrong("file", "must be a relative name")
    below.end()
    return made


def _files_named(table: Table) -> list[str]:
    names: tuple[str, ...] = table.words("files")
    if not names or any(not name or name.startswith("/") or ".." in name.split("/") for name in names):
        raise table.wrong("files", "must be relative names")
    if len({name.rpartition("/")[2] for name in names}) < len(names):
        raise table.wrong("files", "two have the same last part")
    return list(names)


def _by_name(body: Table) -> dict[str, Any]:
    """Return the tables that have a row for each name."""
    return {"tools": tools(body), "options": _flags(body)}


def _flags(body: Table) -> dict[str, Flag]:
    """Return the table ``options``."""
    below = body.table("options")
    return {str(name): _flag(below.table(name)) for name in list(below.rest)}


def _flag(table: Table) -> Flag:
    made = Flag(table.words("flag"), table.words("choices", ()), table.text("command", ""))
    if not any(VALUE in word for word in made.words):
        raise table.wrong("flag", "must hold {VALUE}")
    if made.command and VALUE not in made.command:
        raise table.wrong("command", "must hold {VALUE}")
    table.end()
    return made


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
    """Return the paths of fields that every report may have, and that of the time of a transcript's line."""
    below = body.table("payload")
    found = {name: below.text(name) for name in TEXTS if name in below.rest}
    at = below.text("at", None)
    below.end()
    return found, at


def _rule(table: Table) -> Rule:
    made = Rule(
        report=table.one_of("report", KINDS),
        when=conditions(table, "when"),
        unless=conditions(table, "unless"),
        texts={name: table.text(name) for name in TEXTS if name in table.rest},
        continued=table.text("continued", None),
        wake=conditions(table, "wake"),
        pending=table.words("pending", ()),
        usage=table.texts("usage"),
        choices=dict(table.table("choices").rest),
        offered=table.text("offered", None),
        also=table.text("also", None),
        free=table.take("free", None),
        otherwise=table.take("otherwise", None),
    )
    table.end()
    return made


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
        busy=table.pattern("busy", None),
        drop=_drop(table.table("drop")),
        most=int(table.number("most", 0)),
        line=int(table.number("line", 0)),
        bytes=int(table.number("bytes", 0)),
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
    """Return the keys with repetitions spelled out: ``C-u*3`` is that key three times."""
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
    """Return the class that ``python: file.py:Class`` (beside the YAML) or ``package.module:Class`` names."""
    given = body.text("python", None)
    if given is None:
        return Peculiarity
    where, _, name = given.rpartition(":")
    if not where or not name:
        raise body.wrong("python", f"'{given}' must be FILE.py:CLASS")
    try:
        found = getattr(_module(where, path), name)
    except Exception as error:  # a user's file may raise anything
        raise body.wrong("python", f"cannot load '{given}': {mistakes.cause(error, path.parent / where)}") from None
    if not (isinstance(found, type) and issubclass(found, Peculiarity)):
        raise body.wrong("python", f"'{name}' must be a subclass of anvilsrv.backends.backend.Peculiarity")
    if wrong := mistakes.misspelt(found, Peculiarity):
        raise body.wrong("python", wrong)
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
