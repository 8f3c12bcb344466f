"""What an MCP client may read without calling a tool, and prompts by which an agent takes the lead of a workflow.

A resource is read on each request, and reading changes nothing. Nothing here knows the MCP SDK, which takes most of a second to import.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from anvilsrv.errors import AnvilError, Invalid

if TYPE_CHECKING:
    from anvilsrv.inside.mcptools import Tools
    from anvilsrv.p9.client import Client

TURNS = 20  # of a conversation, the last ones
OVER = ("done", "failed")
JSON, TEXT = "application/json", "text/plain"


class Resource(NamedTuple):
    """What stands at an address; ``read`` gets the tools, and what the address has in braces."""

    address: str
    name: str
    kind: str
    about: str
    read: Callable[..., str]


def inbox(tools: Tools) -> str:
    """Return the waiting messages; reading changes nothing."""
    with tools.attached() as (client, me):
        return _text(client, f"{me}/inbox")


def beads(tools: Tools) -> str:
    """Return all beads."""
    with tools.attached() as (client, _):
        return _text(client, "beads/list")


def ready(tools: Tools) -> str:
    """Return beads with nothing in their way."""
    with tools.attached() as (client, _):
        return _text(client, "beads/ready")


def conversation(tools: Tools, session: str) -> str:
    """Return prompts and answers of a session, the last ones."""
    if "/" in session or session in ("", ".", ".."):
        raise Invalid(f"not a session: '{session[:60]}'")
    with tools.attached() as (client, _):
        rows = (line.split("\t") for line in _text(client, f"{session}/turns/list").splitlines())
        numbers = sorted(int(row[0]) for row in rows if row[1] in OVER)
        return "\n".join(_turn(client, session, n) for n in numbers[-TURNS:])


def _turn(client: Client, session: str, n: int) -> str:
    try:
        answer = _text(client, f"{session}/turns/{n}/out")
    except AnvilError as error:
        answer = f"({error})"
    return f"## {n}\n\n{_text(client, f'{session}/turns/{n}/prompt')}\n\n### answer\n\n{answer}\n"


def _text(client: Client, path: str) -> str:
    return client.read(path).decode("utf-8", "replace")


RESOURCES = (
    Resource("anvillm://inbox", "inbox", JSON, "Your waiting messages; reading leaves them there.", inbox),
    Resource("anvillm://beads", "beads", JSON, "All beads.", beads),
    Resource("anvillm://beads/ready", "ready beads", JSON, "Beads with nothing in their way.", ready),
    Resource(
        "anvillm://sessions/{session}/conversation", "conversation", TEXT,
        "The last prompts and answers of a session.", conversation,
    ),
)  # fmt: skip


class Prompt(NamedTuple):
    """How the part of who leads begins; ``{task}`` and the other arguments, sessions, are put in."""

    name: str
    about: str
    arguments: tuple[str, ...]
    words: str


_MAIL = "(send_message), and end your turn; the answer will start your next turn"
_AGAIN = "If the REVIEW_RESPONSE asks for changes, make them and ask again. If it says LGTM,"
PROMPTS = (
    Prompt(
        "dev_review", "Develop, with a session that reviews, until it is content.", ("task", "reviewer"),
        f"{{task}}\n\nDo that completely, with tests. Then send session {{reviewer}} a REVIEW_REQUEST {_MAIL}. {_AGAIN} you are done.",
    ),
    Prompt(
        "dev_review_qa", "Develop, with sessions that review and test.", ("task", "reviewer", "tester"),
        f"{{task}}\n\nDo that completely, with tests. Then send session {{reviewer}} a REVIEW_REQUEST {_MAIL}. {_AGAIN} send session "
        "{tester} an APPROVAL_REQUEST: what is new, how to use it, what must still work. If the APPROVAL_RESPONSE names faults, "
        "repair them and begin again with the reviewer. If it says PASS, you are done.",
    ),
    Prompt(
        "docs", "Write documentation, with a session that edits it.", ("task", "editor"),
        f"{{task}}\n\nWrite that from the sources and from trying the program. Then send session {{editor}} a REVIEW_REQUEST with the "
        f"names of the files {_MAIL}. {_AGAIN} you are done.",
    ),
    Prompt(
        "planning", "Plan, with sessions that find out and edit; the steps become beads.", ("task", "researcher", "editor"),
        "{task}\n\nPlan that; write no code. Send session {researcher} a QUERY_REQUEST for what you would otherwise guess "
        f"{_MAIL}. Make a bead for each step that one agent can do (bead_new), and add their dependencies (bead_dep). Then send "
        f"session {{editor}} a REVIEW_REQUEST with the plan and the ids of the beads. {_AGAIN} you are done.",
    ),
    Prompt(
        "research", "Find out, with a session that checks the findings.", ("task", "checker"),
        f"{{task}}\n\nFind that out; name the source of each finding. Then send session {{checker}} a REVIEW_REQUEST with the "
        f"question and the report {_MAIL}. {_AGAIN} you are done.",
    ),
)  # fmt: skip
