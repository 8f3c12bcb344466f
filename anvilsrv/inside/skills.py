"""``anvillm-skills``: what an agent can learn when it needs to, kept as one directory per skill with a ``SKILL.md`` in it.

A skill begins with front matter (YAML between two lines ``---``) that holds its name and a description; the rest is for
the agent to read. Directories are searched in order and the first skill of a name counts.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
import yaml

from anvilsrv import __version__, paths
from anvilsrv.errors import AnvilError, Invalid, NotFound

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_FRONT = re.compile(r"\ufeff?---[ \t]*\r?\n(.*?)^---[ \t]*\r?\n?(.*)", re.DOTALL | re.MULTILINE)


class Skill(NamedTuple):
    """One skill; `text` is what follows the front matter."""

    name: str
    description: str
    text: str
    folder: Path


def directories() -> list[Path]:
    """Return where skills are: ``$ANVILLM_SKILLS_DIR`` (separated by colons; an empty item means the defaults), else
    the defaults: the user's ``~/.config/anvillm/skills``, then those that ship with the program.
    """
    usual = [paths.config_dir() / "skills", paths.share() / "skills"]
    given = os.environ.get("ANVILLM_SKILLS_DIR")
    if given is None:
        return usual
    return [folder for part in given.split(":") for folder in ([Path(part).expanduser()] if part else usual)]


def read(file: Path) -> Skill:
    """Return the skill in a ``SKILL.md``. Raises Invalid, naming the file, if it is not one."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"{file}: {error}") from None
    parts = _FRONT.match(text)
    if parts is None:
        raise Invalid(f"{file}: no front matter (--- name, description ---)")
    try:
        front = yaml.safe_load(parts[1])
    except yaml.YAMLError as error:
        raise Invalid(f"{file}: {' '.join(str(error).split())}") from None
    if not isinstance(front, dict) or not isinstance(front.get("description"), str):
        raise Invalid(f"{file}: front matter without a description")
    name = front.get("name", file.parent.name)
    if name != file.parent.name or not _NAME.fullmatch(name):
        raise Invalid(f"{file}: name '{name}' must be the name of its directory")
    return Skill(name, " ".join(front["description"].split()), parts[2].lstrip("\r\n"), file.parent)


def skills() -> Iterator[Skill | Invalid]:
    """Yield every skill once, in order of names; an Invalid in place of one that cannot be read."""
    found: dict[str, Path] = {}
    for folder in directories():
        for file in sorted(folder.glob("*/SKILL.md")):
            found.setdefault(file.parent.name, file)
    for name in sorted(found):
        try:
            yield read(found[name])
        except Invalid as error:
            yield error


def load(name: str) -> Skill:
    """Return the skill of that name. Raises NotFound with the names that there are."""
    if _NAME.fullmatch(name):
        for folder in directories():
            if (folder / name / "SKILL.md").is_file():
                return read(folder / name / "SKILL.md")
    known = " ".join(one.name for one in skills() if isinstance(one, Skill))
    raise NotFound(f"no such skill '{name}': {known or 'none in ' + ':'.join(map(str, directories()))}")


@click.group(no_args_is_help=False, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="anvillm-skills", message="%(prog)s %(version)s")
def commands() -> None:
    """List skills and print them, for agents."""


@commands.command(name="list")
def list_() -> None:
    """Print the name and the description of each skill."""
    status = 0
    for one in skills():
        if isinstance(one, Skill):
            print(f"{one.name}\t{one.description}")
        else:
            print(f"anvillm-skills: {one}", file=sys.stderr)
            status = 1
    sys.exit(status)


@commands.command(name="load")
@click.argument("name", nargs=-1, required=True)
def load_(name: tuple[str, ...]) -> None:
    """Print the text of skills, and list the other files of each."""
    try:
        for skill in [load(one) for one in name]:
            print(skill.text.rstrip("\n"))
            extra = [path.name for path in sorted(skill.folder.iterdir()) if path.name != "SKILL.md"]
            if extra:
                print(f"\nMore in {skill.folder}: {' '.join(extra)}")
    except AnvilError as error:
        print(f"anvillm-skills: {error}", file=sys.stderr)
        sys.exit(1)


def main() -> None:
    """Run the program. Exit status 1 if something could not be read, 2 for wrong usage."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `anvillm-skills load name | head` is not an error
    commands(prog_name="anvillm-skills")
