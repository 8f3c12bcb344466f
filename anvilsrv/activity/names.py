"""Which thing an agent's id means. Ids of tools are unique in a conversation at best: after ``/clear`` an agent may count from 1 again.

Threads: everything runs on the store's thread, in a job.
"""

from collections.abc import Mapping
from typing import Any

from anvilsrv.activity import rows
from anvilsrv.store.store import Tx

OF_TOOLS = ("tool", "output", "edit")  # kinds whose id is that of the use of a tool
NAMED = ("path", "to")  # the names of files
LONGEST = 200  # characters of an id


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
