"""Additions to files of other programs: what was there before is kept beside the file, and put back.

An addition is recorded with the checksums of the file before and after. A file that is still as it was left gets its
former bytes back (or goes, if there was none); from one that was changed since, only the addition is taken out.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from installer.layout import Refused, checksum, say
from installer.record import Record

BACKUP = ".anvillm-backup"  # anvilsrv.programs.json_entry's


@contextmanager
def edited(record: Record, path: Path, by: str) -> Iterator[None]:
    """Record what the body adds to ``path``; ``by`` names who can take it out again."""
    real = Path(os.path.realpath(path))
    known = record.merged.get(str(path))
    before = checksum(real)
    if known is not None:
        yield
        if before == known["after"]:
            known["after"] = checksum(real) or ""
        return
    record.directory(real.parent)
    backup = keep(real)
    try:
        yield
    finally:
        _remember(record, path, by, before, backup)


def _remember(record: Record, path: Path, by: str, before: str | None, backup: Path | None) -> None:
    real = Path(os.path.realpath(path))
    after = checksum(real)
    if after == before or after is None:
        if backup:
            backup.unlink()
        return
    kept = backup or real.with_name(real.name + BACKUP)  # an older one serves, if the file was as it is in there
    record.merged[str(path)] = {
        "by": by,
        "before": before or "",
        "after": after,
        "backup": str(kept) if before and checksum(kept) == before else "",
    }
    record.save()
    say(f"added to {path}" + (f"\n    as it was before: {kept}" if before else " (a new file)"))


def keep(real: Path) -> Path | None:
    """Copy a file with its mode to where it is looked for; None if it is not there, or something is kept there already."""
    backup = real.with_name(real.name + BACKUP)
    if not real.exists() or backup.exists():
        return None
    shutil.copy2(real, backup)
    return backup


def undo(record: Record, path: str, drop: Callable[[str, Path], None]) -> None:
    """Take an addition away; ``drop`` takes it out of a file that was changed since. Raises nothing: what cannot be done is said."""
    found = record.merged.pop(path)
    real, backup = Path(os.path.realpath(path)), Path(found["backup"]) if found["backup"] else None
    now = checksum(real)
    kept = backup is not None and checksum(backup) == found["before"]
    if now == found["after"] and not found["before"]:
        real.unlink()
    elif now == found["after"] and backup is not None and kept:
        backup.replace(real)
        say(f"as before: {path}")
        return
    elif now is not None:
        beside = real.with_name(real.name + BACKUP)
        there = beside.exists()
        try:
            drop(found["by"], Path(path))
        except (Refused, OSError) as error:
            say(
                f"could not take our entry out of {path}: {error}"
                + (f"\n    as it was before: {backup}" if kept else "")
            )
            return
        if not there:
            beside.unlink(missing_ok=True)
        say(f"changed since; only what was added is taken out: {path}")
    if backup is not None and kept:
        backup.unlink()
