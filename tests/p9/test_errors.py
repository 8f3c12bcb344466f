"""What 9pfuse, which wants a number, makes of the texts of the errors that can be served."""

import ast
import errno
import importlib
from collections.abc import Iterator

import pytest

from anvilsrv.errors import AnvilError, Exists, IsDirectory, NotDirectory, NotFound
from anvilsrv.p9.dialect import ename
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


def sentences(node: ast.expr) -> Iterator[str]:
    """The texts that an expression may be, with ``x`` for what is only known later."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr(values=parts):
            yield "".join(part.value if isinstance(part, ast.Constant) else "x" for part in parts)
        case ast.IfExp(body=one, orelse=other):
            yield from sentences(one)
            yield from sentences(other)


def raised() -> Iterator[tuple[str, type[AnvilError], str]]:
    """Where, of which kind, with which sentence."""
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


@pytest.mark.parametrize("kind", [NotFound, Exists, NotDirectory, IsDirectory])
def test_9pfuse_takes_what_is_missing_or_taken_for_that(kind: type[AnvilError]) -> None:
    wrong = [
        f"{where}: {sentence}: {errno.errorcode[understood(ename(one(sentence)))]}"
        for where, one, sentence in some(raised())
        if one is kind and understood(ename(one(sentence))) != kind.errno
    ]
    assert not wrong, "\n".join(wrong)


def test_no_error_makes_9pfuse_repeat_the_call() -> None:
    found = some(raised())
    assert len(found) > 150
    assert [where for where, kind, sentence in found if understood(ename(kind(sentence))) == errno.EINTR] == []
