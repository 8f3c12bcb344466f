"""What a person asks of a session's work trees: to see what was changed, take a turn back, merge, discard.

All raise AnvilError, with the daemon's own sentence.
"""

from typing import NamedTuple

from anvilsrv.p9.client import Client

WHOLE = 0  # in place of a turn's number: since the session began, or since the base of its branch


def diff(client: Client, session: str, n: int = WHOLE) -> str:
    """Return what the turn of prompt ``n`` changed, or all that is changed, as a unified diff."""
    name = f"turns/{n}/diff" if n else "git/diff"
    return client.read(f"{session}/{name}").decode("utf-8", "replace")


class Changed(NamedTuple):
    """A turn that changed something: the number of its prompt, and lines added and removed."""

    n: int
    plus: int
    minus: int


def turns(client: Client, session: str) -> list[Changed]:
    """Return those that changed something, the last one last."""
    rows = (line.split("\t") for line in client.read(f"{session}/turns/list").decode("utf-8", "replace").splitlines())
    found = (Changed(int(row[0]), *(int(count) if count.isdigit() else 0 for count in row[5:7])) for row in rows)
    return sorted(one for one in found if one.plus or one.minus)


def last(client: Client, session: str) -> int:
    """Return the number of the last prompt whose turn changed something; 0 for none."""
    return max((one.n for one in turns(client, session)), default=0)


def undo(client: Client, session: str, n: int) -> str:
    """Take back what that turn changed; what was done, in words."""
    return client.write_read(f"{session}/turns/{n}/ctl", b"undo\n").decode("utf-8", "replace").strip()


def command(client: Client, session: str, words: str) -> str:
    """Run ``merge``, ``discard`` or another command of ``git/ctl``. Returns what was done, in words."""
    return client.write_read(f"{session}/git/ctl", f"{words}\n".encode()).decode("utf-8", "replace").strip()
