"""What 9pfuse, which wants a number, makes of the texts of the errors that can be served."""

import ast
import errno
import importlib
import re
from collections.abc import Iterator

import pytest

from anvilsrv.errors import AnvilError, Conflict, Invalid, NotFound
from anvilsrv.p9.dialect import ename, number
from anvilsrv.p9.fids import BadFid
from tests.conftest import ROOT, some

# What 9pfuse takes a text for (plan9port's src/cmd/9pfuse/errstr.c): the first of these that it contains, in any case, counts.
NINEPFUSE = (
    ("permitted", errno.EPERM), ("permission", errno.EACCES), ("access", errno.EACCES), ("exists", errno.EEXIST),
    ("exist", errno.ENOENT), ("no such", errno.ENOENT), ("not found", errno.ENOENT), ("not implemented", errno.ENOSYS),
    ("input/output", errno.EIO), ("timeout", errno.ETIMEDOUT), ("timed out", errno.ETIMEDOUT), ("i/o", errno.EIO),
    ("too long", errno.E2BIG), ("interrupt", errno.EINTR), ("no such", errno.ENODEV), ("bad file", errno.EBADF),
    (" fid ", errno.EBADF), ("temporar", errno.EAGAIN), ("memory", errno.ENOMEM), ("is a directory", errno.EISDIR),
    ("directory", errno.ENOTDIR), ("argument", errno.EINVAL), ("pipe", errno.EPIPE), ("in use", errno.EBUSY),
    ("busy", errno.EBUSY), ("illegal", errno.EINVAL), ("invalid", errno.EINVAL), ("read-only", errno.EROFS),
    ("read only", errno.EROFS), ("stale ", errno.ESTALE), ("proto", errno.EPROTO), ("entry", errno.ENOENT),
)  # fmt: skip

CLIENTS = (
    "inside",
    "front",
    "programs",
    *(f"p9/{name}.py" for name in ("client", "channel", "fsys", "address", "listener", "text")),
)


def understood(text: str) -> int:
    return next((number for word, number in NINEPFUSE if word in text.lower()), errno.ERANGE)


def every(kind: type[AnvilError]) -> Iterator[type[AnvilError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from every(below)


SERVED = [one for one in every(AnvilError) if one.__module__.startswith("anvilsrv.")]


def sentences(node: ast.expr) -> Iterator[str]:
    """Yield the texts that an expression may be, with ``x`` for what is only known later."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr(values=parts):
            yield "".join(part.value if isinstance(part, ast.Constant) else "x" for part in parts)
        case ast.IfExp(body=one, orelse=other):
            yield from sentences(one)
            yield from sentences(other)


def raised() -> Iterator[tuple[str, type[AnvilError], str]]:
    """Yield where, of which kind, with which sentence."""
    for file in sorted((ROOT / "anvilsrv").rglob("*.py")):
        name = str(file.relative_to(ROOT / "anvilsrv"))
        if name.startswith(CLIENTS) or file.name == "__init__.py":
            continue
        tree = ast.parse(file.read_text())
        calls = [
            one for one in ast.walk(tree) if isinstance(one, ast.Call) and isinstance(one.func, ast.Name) and one.args
        ]
        module = importlib.import_module("anvilsrv." + name[:-3].replace("/", ".")) if calls else None
        for call in calls:
            assert isinstance(call.func, ast.Name)
            kind = getattr(module, call.func.id, None)
            if isinstance(kind, type) and issubclass(kind, AnvilError):
                for sentence in sentences(call.args[0]):
                    yield f"{name}:{call.lineno}", kind, sentence


def test_9pfuse_makes_of_each_text_the_number_that_linux_is_sent() -> None:
    found = some(raised())
    assert len(found) > 150
    wrong = [
        f"{where}: {ename(kind(text))}: {errno.errorcode[understood(ename(kind(text)))]}, not {errno.errorcode[kind.errno]}"
        for where, kind, text in found
        if understood(ename(kind(text))) != number(kind(text))
    ]
    assert not wrong, "\n".join(wrong)


def test_a_text_that_does_not_tell_its_kind_gets_the_phrase_of_its_kind() -> None:
    assert ename(Conflict("'bd-1' waits for 'bd-2'")) == "busy: 'bd-1' waits for 'bd-2'"
    assert ename(Invalid("invalid alias 'a b'")) == "invalid alias 'a b'"
    assert ename(NotFound("no such session 'x'")) == "no such session 'x'"
    assert ename("internal error") == "i/o error: internal error"


@pytest.mark.parametrize("kind", SERVED)
def test_each_phrase_of_a_kind_alone_gives_its_number(kind: type[AnvilError]) -> None:
    assert [understood(phrase) for phrase in kind.phrases] == [kind.errno] * len(kind.phrases)


def test_the_manual_has_the_kinds_and_their_numbers() -> None:
    rows = re.findall(r"^\.It (.+?) Ta (E[A-Z]+)", (ROOT / "man/anvilsrv.4").read_text(), re.MULTILINE)
    told = {(phrase, name) for phrases, name in rows for phrase in phrases.split(", ")}
    first = {(kind.phrases[0], errno.errorcode[kind.errno]) for kind in SERVED if kind is not BadFid}
    assert first <= told
    assert told <= {(phrase, errno.errorcode[kind.errno]) for kind in SERVED for phrase in kind.phrases}
