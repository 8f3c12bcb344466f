"""The command ``anvillm``: the sessions of the daemon in this namespace, on a terminal.

Expensive imports are deferred to main(), after argument parsing.
"""

import argparse
import os
import sys

from anvilsrv import __version__


def main(argv: list[str] | None = None) -> None:
    """The program. Exit status 0; 1 without a terminal, 2 for wrong usage."""
    parser = argparse.ArgumentParser(prog="anvillm", description="The sessions of anvilsrv on a terminal.")
    parser.add_argument("--version", action="version", version=f"anvillm {__version__}")
    parser.add_argument("--ns", metavar="DIR", help="the namespace (default: $NAMESPACE, else plan9port's rule)")
    chosen = parser.parse_args(argv)
    if chosen.ns:
        os.environ["NAMESPACE"] = chosen.ns
    if not all(os.isatty(fd) for fd in (0, 1, 2)):  # Textual draws on standard error
        print("anvillm: standard input, output and error must be a terminal", file=sys.stderr)
        sys.exit(1)
    from tui.anvillm import Anvillm

    Anvillm().run()


if __name__ == "__main__":
    main()
