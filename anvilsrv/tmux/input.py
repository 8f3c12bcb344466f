"""What is typed into panes. It reaches the program also while a person scrolls there."""

import contextlib
import os
import re
import tempfile

from anvilsrv.errors import Unavailable
from anvilsrv.tmux.protocol import quote
from anvilsrv.tmux.server import Server
from anvilsrv.tmux.windows import literal, target

PASTE = ".paste-"  # the beginning of a file's name, and of a buffer's
RAW = {
    "Enter": "\r",
    "Escape": "\x1b",
    "Tab": "\t",
    "Space": " ",
    "BSpace": "\x7f",
}  # keys whose bytes no mode of the terminal changes


class Input(Server):
    """The part of ``Tmux`` that types. Raises Unavailable where the program has ended."""

    def tidy(self) -> None:
        """Remove what a daemon that was killed left of a paste. For the one that holds the namespace, at its start."""
        for one in self.socket.parent.glob(f"{PASTE}*"):
            with contextlib.suppress(OSError):  # a directory of that name is not ours
                one.unlink()

    def paste(self, pane: str, data: bytes) -> None:
        """Paste ``data`` (already sanitised), bracketed if the program asked for that. Any size."""
        if not data:
            return
        target(pane)
        fd, name = tempfile.mkstemp(dir=self.socket.parent, prefix=PASTE)
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(data)
            buffer = os.path.basename(name)
            self.line(f"load-buffer -b {quote(buffer)} {literal(name)}")
            # in copy mode it would not bracket, and every line were submitted
            self._type(pane, f"copy-mode -q -t {pane} ; paste-buffer -p -d -b {quote(buffer)} -t {pane}", buffer)
        finally:
            os.unlink(name)

    def keys(self, pane: str, *names: str) -> None:
        """Press keys, by their tmux names or as single characters."""
        raw = [bytes_of(name) for name in names]
        if all(raw):
            buffer = f"keys{target(pane)[1:]}"
            self.command("set-buffer", "-b", buffer, "--", "".join(raw))
            self._type(pane, f"paste-buffer -d -r -b {buffer} -t {pane}", buffer)
        else:
            self._type(target(pane), f"copy-mode -q -t {pane} ; send-keys -t {pane} -- {' '.join(map(quote, names))}")

    def _type(self, pane: str, line: str, buffer: str = "") -> None:
        """Run a line of commands if the program in ``pane`` lives; else delete the buffer.

        A paste into a pane whose program has ended crashes tmux before 3.4, and every agent ends with it. So tmux looks and acts in one
        step.
        """
        dead = f"{f'delete-buffer -b {quote(buffer)} ;' if buffer else ''} display-message -p dead"
        if self.line(f"if-shell -F -t {pane} '#{{pane_dead}}' {{ {dead} }} {{ {line} }}")[-1] == ["dead"]:
            raise Unavailable(f"pane '{pane}': its program has ended")


def bytes_of(name: str) -> str:
    """The bytes of a key, or nothing where they depend on the mode of the terminal."""
    if name in RAW:
        return RAW[name]
    if len(name) == 1:
        return name
    control = re.fullmatch(r"C-([a-z\[\\\]^_])", name)
    return chr(ord(control[1].upper()) & 0x1F) if control else ""
