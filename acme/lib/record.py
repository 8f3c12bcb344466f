"""One line of acme's `event` file, acme(4): what happened in a window, and where. Counts and addresses are in runes."""

from dataclasses import dataclass

BUILTIN = 1  # X, x: acme has a command of that name.  L, l: acme can show it without loading a file
EXPANDED = 2  # a record with the expansion follows
FILE = 4  # L, l: the name of a file or window
CHORD = 8  # X, x: two records follow: the argument, its origin


@dataclass(frozen=True, slots=True)
class Record:
    """One line of an `event` file. `text` is empty where acme left it out (deletions, more than 256 runes)."""

    origin: str
    kind: str
    q0: int
    q1: int
    flag: int
    count: int
    text: str

    @property
    def left_out(self) -> bool:
        """True when there is a text, too long for a record: it must be read from the window."""
        return self.count == 0 and self.q1 > self.q0

    @property
    def literal(self) -> bool:
        """True when `text` is what stands there: of a file it is the whole name, of a long text nothing."""
        return not self.left_out and not (self.flag & FILE and self.kind in "LlRr")
