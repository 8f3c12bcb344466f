"""What the programs answer to options."""

from __future__ import annotations

from collections.abc import Sequence

import click

from anvilsrv import __version__

SETTINGS = {"help_option_names": ["-h", "--help"], "allow_interspersed_args": False}

DOES = {
    "Assist": "Open the list of sessions, or another window of Assist, in acme.",
    "Claude": "Start a session of Claude Code, by default in the directory of the window.",
    "Kiro": "Start a session of Kiro, by default in the directory of the window.",
    "Tell": "Send the selected text to a session, with its file and lines.",
}


def answered(program: str, arguments: str, words: Sequence[str]) -> int | None:
    """Return the exit status if ``words`` begin with an option (a directory of such a name is ``./-name``), or ask for
    help anywhere, once that was answered.
    """
    every = click.Argument(["words"], nargs=-1, metavar=arguments)
    command = click.Command(
        program, SETTINGS, params=[every], help=f"{DOES.get(program, '')} See Assist(1).".lstrip(), options_metavar=""
    )
    click.version_option(__version__, message="%(prog)s %(version)s")(command)
    try:
        asked = ["--help"] if {"-h", "--help"} & set(words) else list(words)
        status: int | None = command.main(asked, program, standalone_mode=False)
    except click.UsageError as error:
        error.show()
        return error.exit_code
    return status
