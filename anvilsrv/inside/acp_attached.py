"""Files that a prompt names and the user attached, as blocks of its content: images as such, short texts where the agent takes them,
anything else as a link. The path stays in the text, so an agent that makes nothing of a block can open the file.

Threads: that of the front; what is read has a bound.
"""

import base64
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MOST = 20  # files of one prompt
LARGEST = 8 << 20  # bytes of an image
TOGETHER = 10 << 20  # bytes of all that is sent: base64 makes 14 MB of it, and agents may end at 16 MB in a line
TEXT = 256 << 10  # bytes of a text; a longer one is a link
NAME = r"\w[\w.+-]{0,99}"
IMAGES = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif"}

Block = dict[str, Any]


def blocks(text: str, directory: str, capabilities: Mapping[str, Any], alone: bool = False) -> list[Block]:
    """Return the blocks of a prompt beside its text. ``capabilities`` are those of the agent; ``alone``: beside
    anything else it drops images, so then they are all that it gets.
    """
    takes = capabilities.get("promptCapabilities")
    takes = takes if isinstance(takes, dict) else {}
    made: list[Block] = []
    left = TOGETHER
    for path in named(text, directory)[:MOST]:
        block, size = _block(path, takes, left)
        left -= size
        made.append(block)
    images = [one for one in made if one["type"] == "image"]
    return images if alone and images else made


def named(text: str, directory: str) -> list[Path]:
    """Return the files in ``directory`` whose paths are in the text, each once; a full stop after a name ends a
    sentence.
    """
    if not directory:
        return []
    found: dict[Path, None] = {}
    for name in re.findall(rf"{re.escape(directory)}/({NAME})", text):
        either = (Path(directory, name), Path(directory, name.rstrip(".")))
        found |= dict.fromkeys([path for path in either if _regular(path)][:1])
    return list(found)


def _regular(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _block(path: Path, takes: Mapping[str, Any], left: int) -> tuple[Block, int]:
    """Return the block of one file, and how many bytes of it are in the block."""
    data = _content(path, min(left, LARGEST))
    image = _image(data)
    if image and takes.get("image") is True:
        return {
            "type": "image",
            "mimeType": image,
            "data": base64.b64encode(data).decode("ascii"),
            "uri": path.as_uri(),
        }, len(data)
    if not image and 0 < len(data) <= TEXT and takes.get("embeddedContext") is True:
        try:
            resource = {"uri": path.as_uri(), "mimeType": "text/plain", "text": data.decode()}
        except UnicodeDecodeError:
            pass
        else:
            return {"type": "resource", "resource": resource}, len(data)
    link = {"type": "resource_link", "uri": path.as_uri(), "name": path.name}
    return {**link, "mimeType": image} if image else link, 0


def _content(path: Path, most: int) -> bytes:
    """Return a file of no more than that many bytes; empty for another."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            data = file.read(most + 1)
    except OSError:
        return b""
    return data if len(data) <= most else b""


def _image(data: bytes) -> str:
    """Return its type, if it is an image that models take."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for start, kind in IMAGES.items() if data.startswith(start)), "")
