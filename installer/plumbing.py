"""The plumber's rules: one line in the user's ``$HOME/lib/plumbing`` that includes ours (plumb(7) of plan9port)."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from installer.edits import edited
from installer.layout import Layout, replace, say
from installer.record import Record

BY = "plumbing"
RULES = "anvil.plumbing"


def add(layout: Layout, record: Record) -> None:
    """Add the line where the user has plumbing rules, or a plumber whose own rules can be included after ours."""
    path = Path.home() / "lib/plumbing"
    if path.exists():
        before = path.read_bytes()
    elif str(path) not in record.merged and initial():
        before = b"include initial.plumbing\n"
    else:
        return
    if RULES.encode() in before or str(path) in record.merged:
        return  # there already, or taken out since
    with edited(record, path, BY):
        say("the plumber: rules for anvil:<session> (leave such files alone: --no-plumbing)")
        real = Path(os.path.realpath(path))
        mode = real.stat().st_mode & 0o777 if real.exists() else 0o644
        replace(real, with_line(before, line(layout)))
        real.chmod(mode)
    say("    a plumber that runs learns them by:  cat $HOME/lib/plumbing | 9p write plumb/rules")


def line(layout: Layout) -> bytes:
    """Return the line quoted as the plumber reads it."""
    rules = str(layout.env / "share/anvillm/acme" / RULES)
    quoted = rules if not set(rules) & set(" \t'") else "'{}'".format(rules.replace("'", "''"))
    return f"include {quoted}\n".encode()


def with_line(rules: bytes, ours: bytes) -> bytes:
    """Insert the line before the first include, whose rules would match earlier; an empty line ends what the included
    file began.
    """
    lines = rules.splitlines(keepends=True)
    at = next((n for n, one in enumerate(lines) if one.startswith(b"include")), 0)
    end = b"\r\n" if b"\r\n" in rules else b"\n"
    return b"".join([*lines[:at], ours.rstrip(b"\n") + end, end, *lines[at:]])


def drop(layout: Layout, path: Path) -> None:
    """Take our line out of a file that was changed since."""
    real = Path(os.path.realpath(path))
    lines = real.read_bytes().splitlines(keepends=True)
    ours = line(layout)
    for at in [n for n, one in enumerate(lines) if one.rstrip(b"\r\n") == ours.rstrip(b"\n")]:
        lines[at] = b""
        if lines[at + 1 : at + 2] in ([b"\n"], [b"\r\n"]):
            lines[at + 1] = b""
    mode = real.stat().st_mode & 0o777
    replace(real, b"".join(lines))
    real.chmod(mode)


def initial() -> bool:
    """Return whether there is a plan9port, with the rules that its plumber takes if the user has none."""
    plumber = shutil.which("plumber")
    tops = [Path(os.environ["PLAN9"])] if os.environ.get("PLAN9") else []
    tops += [Path(plumber).resolve().parent.parent] if plumber else []
    return any((top / "plumb/initial.plumbing").is_file() for top in tops)
