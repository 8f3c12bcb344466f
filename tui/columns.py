"""The columns of the list: which there are, how wide, and how much of a session stands in them."""

import time

from textual.content import Content

from anvilsrv.front.follow import Row
from anvilsrv.front.notes import notes
from tui.text import clip, short_path

LEAST = {"id": 8, "alias": 12, "state": 8, "backend": 9, "notes": 12, "directory": 10}
WIDE = {"age": 5, "tokens": 6}  # where there is room
GAP = 2  # around each
LITTLE = 6  # columns in which a word says nothing
COLOURS = {
    "idle": "ansi_green",
    "running": "ansi_yellow",
    "starting": "ansi_cyan",
    "error": "ansi_red bold",
    "stopped": "dim",
}


def widths(total: int) -> dict[str, int]:
    """Return the columns of a list of ``total`` characters, in their order. What is left goes to alias, notes and
    directory.
    """
    found = dict(LEAST)
    if total < 70:
        del found["backend"]
    if total >= 100:
        found = {name: found[name] for name in ("id", "alias", "state")} | WIDE | {
            name: found[name] for name in ("backend", "notes", "directory")
        }  # fmt: skip
    spare = total - 1 - sum(found.values()) - GAP * len(found)
    if spare > 0:
        found["alias"] += (more := min(20, max(0, spare - 8) // 4))
        found["notes"] += (much := min(40, max(0, spare - 8) // 3))
        found["directory"] += spare - more - much
    return found


def cells(row: Row, columns: dict[str, int]) -> tuple[Content, ...]:
    """Return what is in each of the columns."""
    found = {
        "id": Content(row["id"]),
        "alias": Content.styled(clip(row["alias"] or "-", columns["alias"]), "bold"),
        "state": Content.styled(row["state"], COLOURS.get(row["state"], "")),
        "age": Content.styled(age(time.time() - (row.get("since") or row["changed"])), "dim"),
        "tokens": Content.styled(tokens(row), "dim"),
        "backend": Content(clip(row["backend"], LEAST["backend"])),
        "notes": noted_in(row, columns["notes"]),
        "directory": Content(short_path(row["cwd"], columns["directory"])),
    }
    return tuple(found[name] for name in columns)


def noted_in(row: Row, width: int) -> Content:
    """Return the notes, followed by what the session does in its turn, unless that is to wait for its user."""
    noted = notes(row)
    loud = "ansi_red bold" if any(note.loud for note in noted) else ""
    said = clip(", ".join(note.text for note in noted), width)
    doing = "" if row["ask"] or row.get("doing") == row["state"] else row.get("doing") or ""
    room = width - len(said) - 2 * bool(said)
    if not doing or room < LITTLE:
        return Content.styled(said, loud)
    return Content.assemble((said, loud), ", " if said else "", (clip(doing, room), "dim"))


def age(seconds: float) -> str:
    """Return a time span in one unit: ``40s``, ``12m``, ``3h``, ``5d``."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return f"{max(0, int(seconds))}s"


def itself(row: Row) -> list[str]:
    """Return what an agent tells of itself: its model and mode, and what is left of its context."""
    mode = row.get("mode") if row.get("mode") != "default" else ""
    named = " ".join(word for word in (row.get("model"), mode) if word)
    left = row.get("context_left")
    return [*([named] if named else []), *([] if left is None else [f"{left}% context left"])]


def tokens(row: Row) -> str:
    """Return what the session has used, as ``12k`` or ``3.4M``; empty if its agent does not report it."""
    usage = row.get("usage") or {}
    count = sum(value for name in ("input", "output") if isinstance(value := usage.get(name), int | float))
    if count >= 999_500:
        return f"{count / 1e6:.1f}M"
    return f"{count / 1e3:.0f}k" if count >= 1000 else f"{count:.0f}" if count else ""
