"""What `anvilsrv doctor` finds: a line of it, and how programs are asked for their versions.

Threads: any; nothing is kept.
"""

import os
import re
import shutil
import subprocess
import tempfile
from typing import NamedTuple

from sandbox import outside

OK, NOTE, DO = "ok", "note", "do"
PATIENCE = 20.0  # s for any program that is asked for its version


class Line(NamedTuple):
    """One finding: a verdict, what was looked at, and a sentence."""

    verdict: str
    subject: str
    words: str


class Version(NamedTuple):
    """What a program says of itself; empty where it says nothing, and then why (a sentence without its name)."""

    said: str
    why: str = ""


def version(name: str, *argv: str) -> Version:
    """Return the first line that a program says of itself."""
    path = outside.which(name)
    if path is None:
        found = shutil.which(name)
        return Version("", f"{found} is not run: others can write there" if found else "missing")
    try:
        with tempfile.TemporaryDirectory(prefix="anvil-doctor-") as home:  # some make files in their first second
            done = subprocess.run(
                [path, *argv], capture_output=True, timeout=PATIENCE, stdin=subprocess.DEVNULL,
                env=os.environ | {"HOME": home},
            )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Version("", f"{path} does not answer within {PATIENCE:g} s")
    except OSError as error:
        return Version("", f"{path} cannot be run: {error.strerror}")
    said = next(iter(done.stdout.decode(errors="replace").strip().splitlines()), "")
    if done.returncode or not said:
        return Version("", f"{path} ends with status {done.returncode}: {last(done.stderr or done.stdout)}")
    return Version(said)


def numbers(said: str) -> tuple[int, ...]:
    """Return the first dotted number in a text: ``tmux 3.3a`` gives (3, 3)."""
    found = re.search(r"\d+(?:\.\d+)*", said)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def packages(name: str) -> str:
    """Return how to install a package here, in brackets; empty on a system we do not know."""
    ways = {
        "apt-get": "apt-get install",
        "dnf": "dnf install",
        "pacman": "pacman -S",
        "apk": "apk add",
        "zypper": "zypper install",
        "xbps-install": "xbps-install",
    }
    return next((f" ({words} {name})" for tool, words in ways.items() if shutil.which(tool)), "")


def last(output: bytes) -> str:
    """Return the last line of a program's output."""
    return next(iter(output.decode(errors="replace").strip().splitlines()[-1:]), "it said nothing")
