"""The configuration: brought up to date without touching a file that the user changed."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from installer.layout import Layout, checksum, replace, say
from installer.record import Record, forget

# Of cfg/; backends belong to the program, a user's are found before them.
SHIPPED = ("*.yaml", "roles/*.yaml", "tasks/*.yaml")


def configure(layout: Layout, record: Record) -> None:
    """Bring the configuration up to date; what the user changed, made or removed is left as it is."""
    shipped = layout.env / "share/anvillm/cfg"
    if layout.config is None:
        return
    names = [path.relative_to(shipped) for part in SHIPPED for path in sorted(shipped.glob(part))]
    for name in names:
        one_file(layout.config / name, (shipped / name).read_bytes(), record)
    for gone in set(record.config) - {str(layout.config / name) for name in names}:
        forget(Path(gone), record.config)
        forget(Path(gone + ".new"), record.beside)


def one_file(path: Path, content: bytes, record: Record) -> None:
    new, now, laid = hashlib.sha256(content).hexdigest(), checksum(path), record.config.get(str(path))
    beside = path.with_name(path.name + ".new")
    record.directory(path.parent)
    there = os.path.lexists(path)
    as_laid = laid is None if not there else now is not None and now == laid
    if as_laid:
        if now != new:
            replace(path, content)
        forget(beside, record.beside)
        record.config[str(path)] = new
    elif there and new not in (now, laid):
        replace(beside, content)
        record.beside[str(beside)] = record.config[str(path)] = new
        say(f"changed by you, left as it is: {path}\n    the new version is {beside}")
