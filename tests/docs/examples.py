"""What README and the manual pages show: commands, what they print, files they want.

Each block says after its language what is to be done with it: ``run``, ``file=PATH``, and ``needs=WHAT`` for what not every machine
has. With both ``run`` and ``needs`` it is run where that is there. In manual pages the same words stand in a comment before the block.
"""

import os
import re
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.conftest import ROOT

SHELLS = ("sh", "console")
NEVER = (
    "network",
    "systemd",
    "ssh",
    "acme",
    "root",
    "claude",
    "kiro",
    "9pfuse",
)  # these change the machine, or need an account or a screen
ANY = "…"  # stands for anything in a line, and alone on a line for any lines


@dataclass
class Block:
    """One example."""

    where: str
    language: str
    words: list[str]
    text: str
    options: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.options = dict(word.partition("=")[::2] for word in self.words if "=" in word)

    @property
    def runs(self) -> bool:
        """Whether it is to be run on this machine."""
        return "run" in self.words and ("needs" not in self.options or there(self.options["needs"]))

    def commands(self) -> Iterator[tuple[str, str]]:
        """Yield each command of a transcript, and what it printed."""
        for part in re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]:
            command, _, printed = part.partition("\n")
            yield command, printed


def there(what: str) -> bool:
    """Return whether this machine has what an example needs."""
    if what in NEVER:
        return False
    if what.startswith("port"):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", int(what[4:])))
            except OSError:
                return False
        return True
    return shutil.which(what) is not None


def markdown(path: Path) -> list[Block]:
    """The fenced blocks of a page."""
    found = []
    for match in re.finditer(r"^```(.*)\n((?:.*\n)*?)```$", path.read_text(), re.MULTILINE):
        language, *words = match[1].split() or [""]
        line = path.read_text()[: match.start()].count("\n") + 1
        found.append(Block(f"{path.name}:{line}", language, words, match[2]))
    return found


def manual(path: Path) -> list[Block]:
    """Return the examples of a manual page. One without a comment before it has no words."""
    found = []
    pattern = r'(?:^\.\\" (.*)\n)?^\.(?:(?:Bd -literal.*|EX)\n((?:.*\n)*?)\.(?:Ed|EE)|Dl (.*))$'
    for match in re.finditer(pattern, path.read_text(), re.MULTILINE):
        line = path.read_text()[: match.start()].count("\n") + 1
        found.append(Block(f"{path.name}:{line}", "sh", (match[1] or "").split(), plain(match[2] or match[3])))
    return found


def plain(roff: str) -> str:
    """Return the text of literal roff."""
    for escape, text in (("\\(aq", "'"), ("\\(dq", '"'), ("\\-", "-"), ("\\e", "\\"), ("\\&", "")):
        roff = roff.replace(escape, text)
    return roff


def flat(page: Path) -> str:
    """Return the words of a manual page, with its macros taken away and options as they are typed."""
    text = re.sub(r"\\f[BIRP]|\\f\(..", "", plain(page.read_text()))
    return "\n".join(_words(line) if line.startswith(".") else line for line in text.split("\n"))


def _words(line: str) -> str:
    """Return the words of a line of macros: in mdoc each word after ``Fl`` is an option, up to the next macro."""
    found, option = [], False
    for word in line[1:].split():
        if re.fullmatch(r"[A-Z][a-z]|B|I|BI|IR|BR|TP|SM", word):
            option = word == "Fl"
        elif option and word not in ("|", ",", ".", "(", ")"):
            found.append(f"-{word}")
        else:
            found.append(word)
    return " ".join(found)


def pattern(shown: str) -> str:
    """Return a regular expression for what a transcript shows: ids, process ids and tokens differ from run to run."""
    lines = []
    for line in shown.rstrip().split("\n"):
        if line.strip() == ANY:
            lines.append(r"(?:.*\n)*?")
            continue
        made = re.escape(line).replace(ANY, ".*").replace("\\ ", " ")
        made = re.sub(r"\b[0-9a-f]{8}\b", "[0-9a-f]{8}", made)
        made = re.sub(r"\b\d{4,}\b", r"\\d+", re.sub(r"process \d+", r"process \\d+", made))
        lines.append(re.sub(r"token=\S+", r"token=\\S+", made) + r"\n")
    return "".join(lines)


def shell_path(top: Path, programs: Path) -> str:
    """Return a PATH with our programs and with ``9p``: plan9port's where it is there, else our own by that name."""
    extra = top / "bin"
    extra.mkdir()
    ninep = shutil.which("9p") or str(programs / "anvil9p")
    (extra / "9p").symlink_to(ninep)
    return f"{extra}:{programs}:{ROOT / 'bin'}:{os.environ['PATH']}"
