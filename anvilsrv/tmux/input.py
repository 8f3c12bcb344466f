"""What is typed into panes. It reaches the program also while a person scrolls there."""

import contextlib
import os
import re
import secrets
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from anvilsrv.errors import Unavailable
from anvilsrv.tmux.control import ControlClient
from anvilsrv.tmux.protocol import quote
from anvilsrv.tmux.server import WAIT, Server
from anvilsrv.tmux.windows import literal, target

PASTE = ".paste-"  # the beginning of a file's name, and of a buffer's
CHANGED = "changed"  # said where keys were not pressed, since the pane shows something else
RAW = {
    "Enter": "\r",
    "Escape": "\x1b",
    "Tab": "\t",
    "Space": " ",
    "BSpace": "\x7f",
}  # keys whose bytes no mode of the terminal changes


class Input(Server):
    """The part of ``Tmux`` that types. Raises Unavailable where the program has ended, or someone has switched its input off."""

    def __init__(self, socket: Path, on_error: Callable[[BaseException], None], timeout: float = WAIT) -> None:
        super().__init__(socket, on_error, timeout)
        self._asked: ControlClient | None = None  # the client whose server told
        self._letter = ""  # ... this; both are the same for every caller

    def tidy(self) -> None:
        """Remove what a daemon that was killed left of a paste. For the one that holds the namespace, at its start."""
        for one in self.socket.parent.glob(f"{PASTE}*"):
            with contextlib.suppress(OSError):  # a directory of that name is not ours
                one.unlink()

    def paste(self, pane: str, data: bytes) -> None:
        """Paste ``data`` (already sanitised), bracketed if the program asked for that. Any size."""
        if data:
            buffer = PASTE + secrets.token_hex(8)
            self.load(buffer, data)
            self.insert(pane, buffer, lose=True)

    def load(self, buffer: str, data: bytes) -> None:
        """Fill tmux's buffer of that name."""
        fd, name = tempfile.mkstemp(dir=self.socket.parent, prefix=PASTE)
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(data)
            self.line(f"load-buffer -b {quote(buffer)} {literal(name)}")
        finally:
            os.unlink(name)

    def insert(self, pane: str, buffer: str, lose: bool = False) -> None:
        """Paste what was loaded into that buffer, which is gone with it: so it shows whether that was done, to later daemons too. Where
        it cannot be pasted it stays, unless we ``lose`` it."""
        target(pane)
        # In one line, since a person may begin to scroll at any moment: in copy mode a paste is not bracketed, so that each line of it
        # would be submitted. It is not made raw (see ``_raw``): what is not text would arrive as something visible, and do nothing.
        paste = f"copy-mode -q -t {pane} ; paste-buffer -p -d -b {quote(buffer)} -t {pane}"
        self._type(pane, paste, buffer if lose else "")

    def buffered(self, buffer: str) -> bool:
        """Return whether tmux still has that buffer: what was loaded into it has not been pasted, not by a previous
        daemon either.
        """
        return buffer in self.command("list-buffers", "-F", "#{buffer_name}")

    def unload(self, buffer: str) -> None:
        """Forget the buffer; no-op if there is none."""
        if self.buffered(buffer):
            self.command("delete-buffer", "-b", buffer)

    def keys(self, pane: str, *names: str) -> None:
        """Press keys, by their tmux names or as single characters."""
        self.press(pane, names)

    def press(self, pane: str, names: Sequence[str], shown: str = "") -> bool:
        """Press keys as above; where something must be ``shown`` (a format of ``unchanged.py``) only if it is, at that
        very moment. Returns whether they were pressed.
        """
        raw = [bytes_of(name) for name in names]
        if all(raw):  # pasted: so they arrive while a person scrolls, and leave him there
            buffer = f"keys{target(pane)[1:]}"
            paste = f"paste-buffer -d -r{self._raw()} -b {buffer} -t {pane}"
            line = f"set-buffer -b {buffer} -- {quote(''.join(raw))} ; {paste}"
        else:
            line = f"copy-mode -q -t {target(pane)} ; send-keys -t {pane} -- {' '.join(map(quote, names))}"
        if shown:
            line = f"if-shell -F -t {pane} {quote(shown)} {{ {line} }} {{ display-message -p {CHANGED} }}"
        return self._type(pane, line)

    def _type(self, pane: str, line: str, buffer: str = "") -> bool:
        """Run a line of commands if what is typed reaches a program in ``pane``; else delete the buffer. False: it says ``CHANGED``.

        A paste into a pane whose program has ended crashes tmux before 3.4, and every agent ends with it. So tmux looks and acts in one
        step.
        """
        deaf = (
            f"{f'delete-buffer -b {quote(buffer)} ;' if buffer else ''} display-message -p -t {pane} '#{{pane_dead}}'"
        )
        asked = "#{?pane_dead,1,#{pane_input_off}}"
        said = self.line(f"if-shell -F -t {pane} '{asked}' {{ {deaf} }} {{ {line} }}")
        if said[-1] == [CHANGED]:
            return False
        if said[-1]:
            raise Unavailable(
                f"pane '{pane}': its {'program has ended' if said[-1] == ['1'] else 'input is switched off'}"
            )
        return True

    def _raw(self) -> str:
        """Return the letter that makes ``paste-buffer`` pass control characters on as they are: tmux has it, and needs
        it, from 3.7 on.
        """
        client = self._control()
        if self._asked is not client:
            [[usage]] = client.call("list-commands -F '#{command_list_usage}' paste-buffer", self._timeout)
            self._letter, self._asked = "S" if "S" in usage.split("]")[0] else "", client
        return self._letter


def bytes_of(name: str) -> str:
    """Return the bytes of a key, empty if they depend on the mode of the terminal."""
    if name in RAW:
        return RAW[name]
    if len(name) == 1:
        return name
    control = re.fullmatch(r"C-([a-z\[\\\]^_])", name)
    return chr(ord(control[1].upper()) & 0x1F) if control else ""
