"""The command ``anvillm``: the sessions of the daemon in this namespace, on a terminal.

Expensive imports are deferred to command(), after argument parsing.
"""

import os
import sys

import click

from anvilsrv import __version__


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="anvillm", message="%(prog)s %(version)s")
@click.option("--ns", metavar="DIR", help="The namespace (default: $NAMESPACE, else /tmp/ns.$USER.$DISPLAY).")
def command(ns: str | None) -> None:
    """Show the sessions of anvilsrv in this terminal, and work with them."""
    if ns:
        os.environ["NAMESPACE"] = ns
    if not all(os.isatty(fd) for fd in (0, 1, 2)):  # Textual draws on standard error
        print("anvillm: standard input, output and error must be a terminal", file=sys.stderr)
        sys.exit(1)
    for name in ("COLUMNS", "LINES"):  # Textual believes them, and they would hold when the window is resized
        os.environ.pop(name, None)
    from tui.anvillm import Anvillm

    Anvillm().run()


def main() -> None:
    """Run the program. Exit status 0; 1 without a terminal, 2 for wrong usage."""
    command(prog_name="anvillm")


if __name__ == "__main__":
    main()
