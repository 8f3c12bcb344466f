"""The lines of control mode, and words in tmux's own language.

Every command is followed by a ``display-message`` of a random word, and its answer ends where that word comes back: a pane whose
content looks like the protocol cannot forge the end of an answer.
"""

import secrets
import threading
from collections.abc import Sequence

from anvilsrv.errors import Unavailable

Block = tuple[bool, list[bytes]]  # whether a command succeeded, and the lines that it printed


class Hung(Unavailable):
    """tmux is there, and has not answered in the time that it was given."""

    def __init__(self, timeout: float) -> None:
        super().__init__(f"the tmux server does not answer (waited {timeout:g} s)")


def quote(word: str) -> str:
    """Return ``word`` as one argument in tmux's own command language, whatever is in it."""
    out = []
    for char in word:
        if char in '"\\$':
            out.append("\\" + char)
        elif char == "\n":
            out.append("\\n")
        elif char < " " or char == "\x7f":
            out.append(f"\\{ord(char):03o}")
        else:
            out.append(char)
    return '"' + "".join(out) + '"'


class Call:
    """A line of commands on its way, and what came back."""

    def __init__(self) -> None:
        self.word = secrets.token_hex(16).encode()
        self.lines: list[bytes] = []
        self.done = threading.Event()
        self.blocks: list[Block] | None = None  # one for each command that ran; None when tmux is gone

    def result(self) -> list[list[str]]:
        """Return what each command printed. Raises Unavailable, with tmux's words for the first that failed."""
        if self.blocks is None:
            raise Unavailable("the tmux server is gone")
        if not self.blocks:
            raise Unavailable("tmux: no reply")
        found = []
        for succeeded, lines in self.blocks:
            text = [line.decode("utf-8", "replace") for line in lines]
            if not succeeded:
                raise Unavailable("tmux: " + (text[-1] if text else "error"))
            found.append(text)
        return found


def split(lines: Sequence[bytes]) -> tuple[list[Block], list[bytes]]:
    """Return the blocks between ``%begin`` and ``%end`` or ``%error``, and the lines beside them."""
    blocks: list[Block] = []
    beside: list[bytes] = []
    at = 0
    while at < len(lines):
        if not lines[at].startswith(b"%begin "):
            beside.append(lines[at])
            at += 1
            continue
        head = lines[at].removeprefix(b"%begin ")
        # A block ends at the last line that says so: before that it is content, which panes can forge.
        end = max((n for n in range(at, len(lines)) if lines[n] in (b"%end " + head, b"%error " + head)), default=None)
        if end is None:
            blocks.append((False, [b"incomplete reply"]))
            break
        blocks.append((lines[end].startswith(b"%end "), list(lines[at + 1 : end])))
        at = end + 1
    return blocks, beside
