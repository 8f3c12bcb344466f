"""``anvilmcp``: AnviLLM as an MCP server on standard input and output (modelcontextprotocol.io).

Started by an agent inside its session it speaks for that session; started by a client outside (Claude Desktop, Cline,
Kiro) for the user. The tools are in ``mcptools``.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, get_type_hints

import click

from anvilsrv import __version__
from anvilsrv.errors import AnvilError

if TYPE_CHECKING:
    from mcp.server import MCPServer

    from anvilsrv.inside.mcptools import Tools

READS = {"read_only_hint": True, "open_world_hint": False}
ADDS = {"read_only_hint": False, "destructive_hint": False, "open_world_hint": False}
SETS = ADDS | {"idempotent_hint": True}
TOOLS = {
    "read_inbox": ADDS,
    "send_message": ADDS,
    "list_sessions": READS,
    "set_state": SETS,
    "read_output": READS,
    "read_diff": READS,
    "review": ADDS,
    "ask_user": ADDS,
    "beads_ready": READS,
    "beads_list": READS,
    "bead_show": READS,
    "bead_new": ADDS,
    "bead_claim": ADDS,
    "bead_unclaim": ADDS,
    "bead_complete": ADDS,
    "bead_fail": ADDS,
    "bead_dep": ADDS,
    "bead_comment": ADDS,
}
"""Every tool with what a client may be told of it: whether it reads, adds or sets. None deletes."""
INSTRUCTIONS = """\
AnviLLM runs coding agents side by side. Messages go between sessions and the user; beads are the shared list of tasks.
Claim a bead before you work on it, complete it when it is done, fail it with a reason when it cannot be done.
A *_REQUEST that started your turn is answered automatically with your last response; answer with send_message only if you
want to say something else."""


def build(tools: Tools) -> MCPServer:
    """Return the server with all its tools, ready to run on a transport."""
    from mcp.types import ToolAnnotations

    from anvilsrv.inside.mcparguments import Server
    from anvilsrv.inside.mcpemacs import Emacs

    emacs = Emacs(tools)
    server = Server("anvillm", version=__version__, instructions=INSTRUCTIONS, log_level="WARNING")
    server.hides = emacs.hidden
    for name, hints in {**TOOLS, **dict.fromkeys(Emacs.TOOLS, READS)}.items():
        title = name.replace("_", " ")
        annotations = ToolAnnotations(title=title, **hints)
        method = _watched(tools) if name == "read_output" else getattr(emacs if name in Emacs.TOOLS else tools, name)
        as_tool = server.tool(
            name, title=title, description=inspect.getdoc(method), annotations=annotations, structured_output=True
        )
        as_tool(_told(method))
    _offer(server, tools)
    return server


def _offer(server: MCPServer, tools: Tools) -> None:
    """Offer resources and prompts."""
    from mcp.server.mcpserver.prompts.base import Prompt, PromptArgument

    from anvilsrv.inside.mcpresources import PROMPTS, RESOURCES

    for one in RESOURCES:
        as_resource = server.resource(one.address, name=one.name, description=one.about, mime_type=one.kind)
        as_resource(_readable(one.read, tools, "{" in one.address))
    for prompt in PROMPTS:
        arguments = [
            PromptArgument(
                name=name, description="what is to be done" if name == "task" else "a session", required=True
            )
            for name in prompt.arguments
        ]
        server.add_prompt(
            Prompt(
                name=prompt.name, title=prompt.name.replace("_", " "), description=prompt.about, arguments=arguments,
                fn=functools.partial(_worded, prompt.words), icons=None, context_kwarg=None,
            )
        )  # fmt: skip


def _worded(words: str, **given: str) -> str:
    return words.format_map(given)


def _readable(read: Callable[..., str], tools: Tools, of_session: bool) -> Callable[..., str]:
    """Return the function of a resource, with its domain errors as errors that the client may read."""
    from mcp.server.mcpserver.exceptions import ResourceError

    def found(**given: str) -> str:
        try:
            return read(tools, **given)
        except AnvilError as error:
            raise ResourceError(str(error)) from error

    if of_session:
        return lambda session: found(session=session)
    return lambda: found()


def _watched(tools: Tools) -> Callable[..., Any]:
    """Return a ``read_output`` that tells a client which asks for progress what the session does while it waits."""
    from anyio.from_thread import run
    from mcp.server.mcpserver import Context

    def read_output(session: str, wait: float = 0, *, ctx: Any) -> Any:
        count = itertools.count(1)
        return tools.watch_output(session, wait, lambda words: run(ctx.report_progress, next(count), None, words))

    read_output.__doc__ = tools.read_output.__doc__
    read_output.__annotations__ = {**get_type_hints(type(tools).read_output, include_extras=True), "ctx": Context}
    return read_output


def _told(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return the method with its domain errors as errors that the model may read; any other stays hidden."""
    from mcp.server.mcpserver.exceptions import ToolError

    @functools.wraps(method)
    def tool(*args: Any, **kwargs: Any) -> Any:
        if "from" in kwargs:  # the SDK passes what has an alias under its alias
            kwargs["sender"] = kwargs.pop("from")
        try:
            return method(*args, **kwargs)
        except AnvilError as error:
            raise ToolError(str(error)) from error

    return tool


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="anvilmcp", message="%(prog)s %(version)s")
def command() -> None:
    """Serve MCP on standard input and output; see anvilmcp(1)."""
    from anvilsrv.inside.mcptools import Tools

    build(Tools()).run()


def main() -> None:
    """Run the program."""
    if sys.argv[1:]:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `anvilmcp --help | head` is not an error
    command(prog_name="anvilmcp")


if __name__ == "__main__":
    main()
