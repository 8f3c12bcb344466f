"""What a source tells, and which thing it means: two sources may have two ids for one, and ids of tools are unique in a conversation
at best: after ``/clear`` an agent may count from 1 again.

Threads: everything runs on the store's thread, in a job.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from anvilsrv.activity import rows
from anvilsrv.activity.live import Channel, squeezed
from anvilsrv.activity.rows import Begun
from anvilsrv.activity.running import NAMELESS, OWN
from anvilsrv.store.store import Tx

OF_TOOLS = ("tool", "output", "edit")  # kinds whose id is that of the use of a tool
NAMED = ("path", "to")  # the names of files
LONGEST = 200  # characters of an id
COMPARED = 8  # texts that grow with which a whole one is compared


class Told(NamedTuple):
    """Something that a source tells: ``made`` as ``schema.clean`` made it, ``turn`` the number of its turn, and where it begins in the
    file that told it, if it grows. ``of_tool``: output of a use of that tool, the source does not know which."""

    made: dict[str, Any]
    turn: int
    begun: Begun | None = None
    of_tool: str = ""


def here(made: dict[str, Any], cwd: str) -> dict[str, Any]:
    """Return an object with the files that it names by their paths below ``cwd``, if that is where they are; some agents
    have only absolute names. What was given to a tool, and its places, stay as they were reported; so does a title that
    is not one of these places, such as a command.
    """
    above = cwd.rstrip("/") + "/"
    titled = made.get("title") in [place.get("path") for place in made.get("places", ())]
    keys = (*NAMED, "title") if titled else NAMED
    named = {key: made[key] for key in keys if str(made.get(key, "")).startswith(above)}
    return {**made, **{key: value.removeprefix(above) for key, value in named.items() if value != above}}


def of_tool(tx: Tx, session: str, made: Mapping[str, Any], turn: int) -> str:
    """Return the id of the use of a tool that ``made`` is about. It is another one if that of an earlier turn has ended
    and what is reported now is not the same; a source that repeats what it reported, as in the file of a forked
    conversation, means the old one.
    """
    ident = str(made["id"])
    known = rows.newest(tx, session, "tool", ident)
    if known is None or not turn or known[0] in (0, turn):
        return ident
    name = f"{ident[: LONGEST - 20]} ({turn})"
    if rows.newest(tx, session, "tool", name) is not None:
        return name
    output = rows.newest(tx, session, "output", ident)
    ended = "end" in output[1] if output is not None else rows.told(tx, session, "output", ident)
    return name if made["kind"] == "tool" and ended and {**known[1], **made} != known[1] else ident


def of_use(tx: Tx, session: str, channel: Channel, told: Told) -> str:
    """Return the id of a tool's use; empty if it is unknown which one is meant."""
    made, ident = told.made, told.made["id"]
    if told.of_tool:
        return channel.running.meant(told.of_tool)
    if ident == NAMELESS and made["kind"] == "tool":
        return channel.running.early(made) or f"{OWN}{channel.number()}"
    name = f"{OWN}{ident}"
    if made["kind"] == "tool" and name not in channel.names and (own := channel.running.named(made)):
        channel.call(name, own)
        for kind in OF_TOOLS:
            rows.remember(tx, session, kind, ident, channel.last)
    return channel.names.get(name) or of_tool(tx, session, made, told.turn)


def of_text(tx: Tx, session: str, channel: Channel, told: Told) -> str:
    """Return the id of a text. A whole one may be known by a name that another source has for it: by what it says."""
    ident = str(told.made.get("id") or answer_of(told.turn))
    if ident in channel.names or ("text", ident) in channel.blocks:
        return channel.names.get(ident, ident)
    if "part" in told.made:
        return channel.late.get(ident) or channel.came_late(ident, told.turn, told.made["part"]) or ident
    if "text" not in told.made:
        return ident
    words, taken = squeezed(told.made["text"]), {*channel.names.values()}
    growing = [
        (name, one.grown)
        for (kind, name), one in channel.blocks.items()
        if kind == "text" and one.turn == told.turn and 0 < one.grown.solid <= len(words)
    ]
    grown = {name: squeezed(one.text) for name, one in growing[-COMPARED:]}
    for name, text in {**grown, **channel.ended}.items():
        if name not in taken and text and words.startswith(text):
            channel.call(ident, name)
            rows.remember(tx, session, "text", ident, channel.last)
            return name
    return ident


def answer_of(turn: int) -> str:
    """Return the id of a turn's answer, if its agent has none for it."""
    return f"answer {turn}"
