"""Files that are replaced as a whole."""

import os
from pathlib import Path


def write(path: Path, content: str) -> None:
    """Replace a file at once, readable by us alone."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    with open(
        os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "w", encoding="utf-8"
    ) as file:
        file.write(content)
    os.replace(fresh, path)
