"""The numbers on the command line of a measurement, and its ``--help``."""

import argparse


def numbers(doc: str, **defaults: float) -> list[float]:
    """Return the arguments in their order, each or its default; ``doc`` is what ``--help`` prints."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in defaults.items():
        parser.add_argument(name, nargs="?", type=float, default=value, help=f"default {value:g}")
    given = parser.parse_args()
    return [getattr(given, name) for name in defaults]
