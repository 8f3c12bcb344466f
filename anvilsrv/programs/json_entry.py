"""Add our entry to another program's JSON file, and remove it, leaving the rest unchanged.

    python3 -m anvilsrv.programs.json_entry put  FILE KEY.PATH JSON
    python3 -m anvilsrv.programs.json_entry drop FILE KEY.PATH [JSON]

``put`` merges: objects key by key, arrays by adding what is not in them yet, anything else by replacing. ``drop`` takes the key
away, or with JSON just what that adds, and empty containers on the way with it. A file that cannot be parsed is refused and left
alone. Before the first change a copy is kept as FILE.anvillm-backup; a change that changes nothing writes nothing. Exit status 1
with the reason.

Dots within a key are written ``\\.``. The standard library alone: installers run before anything is installed.
"""

import codecs
import copy
import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

USAGE = "usage: json_entry put FILE KEY.PATH JSON | drop FILE KEY.PATH [JSON]"
BACKUP = ".anvillm-backup"


class Refused(Exception):
    """A sentence that names the file."""


def put(path: Path, keys: Sequence[str], value: Any) -> bool:
    """Merge ``value`` in at ``keys``; whether the file changed. Raises Refused."""
    before = load(path)
    after = merged(before, nested(keys, value), str(path))
    return save(path, before, after)


def drop(path: Path, keys: Sequence[str], value: Any = None) -> bool:
    """Take what stands at ``keys`` away, or only what ``value`` adds there; whether the file changed. Raises Refused."""
    before = load(path)
    after = without(before, nested(keys, value))
    return save(path, before, {} if after is None else after)


def nested(keys: Sequence[str], value: Any) -> Any:
    """Return ``value`` inside an object for each key."""
    for key in reversed(keys):
        value = {key: value}
    return value


def merged(old: Any, new: Any, where: str) -> Any:
    """Return both together. Raises Refused if one is an object or array and the other is not."""
    if isinstance(old, dict) and isinstance(new, dict):
        found = dict(old)
        for key, value in new.items():
            found[key] = merged(old[key], value, f"{where}: {key}") if key in old else copy.deepcopy(value)
        return found
    if isinstance(old, list) and isinstance(new, list):
        return [*old, *(item for item in new if item not in old)]
    if isinstance(old, dict | list) or isinstance(new, dict | list):
        raise Refused(f"{where}: cannot merge an object or an array with another value")
    return new


def without(old: Any, gone: Any) -> Any:
    """Return ``old`` less ``gone``; None (in ``gone``) takes all. What is empty by it is None."""
    if gone is None:
        return None
    if isinstance(old, dict) and isinstance(gone, dict):
        found = dict(old)
        for key in gone.keys() & old.keys():
            left = without(old[key], gone[key])
            if left is None:
                del found[key]
            else:
                found[key] = left
        return found if found or not old else None
    if isinstance(old, list) and isinstance(gone, list):
        left = [item for item in old if item not in gone]
        return left if left or not old else None
    return None if old == gone else old


def load(path: Path) -> Any:
    """Return the file's content; an empty object if there is none. Raises Refused."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if not text.strip():
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refused(f"{path}: is not JSON, left as it is: {error}") from None
    if not isinstance(found, dict):
        raise Refused(f"{path}: is not a JSON object, left as it is")
    return found


def save(path: Path, before: Any, after: Any) -> bool:
    """Write what changed, through a link if the file is one, at once, with the mode it had. Raises Refused."""
    if before == after:
        return False
    real = Path(os.path.realpath(path))
    try:
        real.parent.mkdir(parents=True, exist_ok=True)
        mode = real.stat().st_mode & 0o777 if real.exists() else 0o600
        backup = real.with_name(real.name + BACKUP)
        old = real.read_bytes() if real.exists() else b""
        if old and not backup.exists():
            _write(backup, old, mode)
        _write(real, written_as(old, after), mode)
    except OSError as error:
        raise Refused(f"{error.filename or path}: {error.strerror}") from None
    return True


def written_as(old: bytes, value: Any) -> bytes:
    """Return ``value`` with the indentation, line ends, mark of the encoding and last line end that the file had."""
    indented = re.search(rb"^([ \t]+)\S", old, re.MULTILINE)
    indent = indented[1].decode() if indented else "  "
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    if not old or old.endswith(b"\n"):
        text += "\n"
    if b"\r\n" in old:
        text = text.replace("\n", "\r\n")  # those within strings are escaped
    return (codecs.BOM_UTF8 if old.startswith(codecs.BOM_UTF8) else b"") + text.encode()


def _write(path: Path, data: bytes, mode: int) -> None:
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.chmod(fresh, mode)
    os.replace(fresh, path)


def split(path: str) -> list[str]:
    """Return the keys of a path."""
    return [key.replace("\\.", ".") for key in re.split(r"(?<!\\)\.", path)]


def main(argv: Sequence[str]) -> int:
    """Run the program."""
    command, *words = [*argv, ""][: max(1, len(argv))]
    if not ((command == "put" and len(words) == 3) or (command == "drop" and len(words) in (2, 3))):
        print(USAGE, file=sys.stderr)
        return 2
    path, keys = Path(words[0]), split(words[1])
    try:
        value = json.loads(words[2]) if len(words) == 3 else None
        changed = put(path, keys, value) if command == "put" else drop(path, keys, value)
    except (Refused, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{path}: {'changed' if changed else 'nothing to change'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
