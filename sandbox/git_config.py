"""What a session's own git directory takes over of a repository's configuration: keys that run nothing, URLs without credentials.

Threads: any.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from typing import NamedTuple

from sandbox import git_files, outside

_CORE = (
    "autocrlf", "eol", "safecrlf", "filemode", "symlinks", "ignorecase", "precomposeunicode", "quotepath", "sparsecheckout",
    "sparsecheckoutcone", "longpaths", "abbrev",
)  # fmt: skip
_ALLOWED = re.compile(
    rf"core\.(?:{'|'.join(_CORE)})|index\.sparse|extensions\.(?:partialclone|objectformat)"
    r"|remote\..+\.(?:url|fetch|promisor|partialclonefilter)|branch\..+\.(?:remote|merge|rebase)"
    r"|submodule\..+\.(?:url|active|path)|user\.(?:name|email)|pull\.rebase|init\.defaultbranch"
    r"|lfs\.repositoryformatversion",
    re.DOTALL,
)
_CREDENTIALS = re.compile(r"^([a-z][a-z0-9+.-]*://)([^/@]*)@", re.IGNORECASE)


class Pair(NamedTuple):
    """A key, with section and name in lower case, and its value; None for a bare key, which means true."""

    key: str
    value: str | None


def read(*paths: str) -> list[Pair]:
    """Return the keys of configuration files, without what they include; empty if there is no git to read them."""
    program = outside.which("git")
    found: list[Pair] = []
    for path in paths:
        content = git_files.read(path)
        if program is None or not content:
            continue
        result = subprocess.run(
            [program, "config", "--file", "-", "--list", "-z", "--no-includes"],
            input=content, capture_output=True, timeout=20, check=False, cwd="/",
            env={"GIT_DIR": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "PATH": "/usr/bin:/bin"},
        )  # fmt: skip
        for entry in result.stdout.decode("utf-8", "surrogateescape").split("\0"):
            key, newline, value = entry.partition("\n")
            if key:
                found.append(Pair(key, value if newline else None))
    return found


def last(pairs: Iterable[Pair], key: str) -> str:
    """Return the value that counts; empty if there is none."""
    values = [pair.value for pair in pairs if pair.key == key]
    return (values[-1] if values[-1] is not None else "true") if values else ""


def partial(pairs: Iterable[Pair]) -> bool:
    """Return whether this is a partial clone, which lacks objects that it can fetch."""
    return any(re.fullmatch(r"extensions\.partialclone|remote\..+\.promisor", key, re.DOTALL) and value not in ("", "false")
               for key, value in pairs)  # fmt: skip


def harmless(pairs: Iterable[Pair]) -> list[Pair]:
    """Return those that a session may have."""
    found = []
    for key, value in pairs:
        if _ALLOWED.fullmatch(key):
            found.append(Pair(key, without_credentials(value) if key.endswith("url") and value else value))
    return found


def without_credentials(url: str) -> str:
    """Return the URL without user and password; over ssh the user stays, since it says which account is meant."""
    match = _CREDENTIALS.match(url)
    if match is None:
        return url
    user = match[2].partition(":")[0] if "ssh" in match[1].lower() else ""
    return match[1] + (f"{user}@" if user else "") + url[match.end() :]


def text(pairs: Iterable[Pair]) -> str:
    """Return these as a configuration file."""
    lines = []
    for key, value in pairs:
        section, _, name = key.rpartition(".")
        first, dot, sub = section.partition(".")
        head = f'[{first} "{_quoted(sub)}"]' if dot else f"[{first}]"
        lines.append(f"{head}\n\t{name}" + ("" if value is None else f' = "{_escaped(value)}"'))
    return "".join(line + "\n" for line in lines)


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')


def _escaped(value: str) -> str:
    return _quoted(value).replace("\n", "\\n").replace("\t", "\\t")
