"""Following what happens in a session: the last turns as they were, then ``<id>/activity`` as it comes, across restarts of the daemon.

What is told are lines of JSON, whose kinds and fields anvilsrv(4) has. An object may come twice: it replaces what has its kind and id.

Threads: a ``Turns`` is a ``tail.Tail``: it owns a thread, which calls ``tell`` and ``end``.
"""

from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from anvilsrv.errors import AnvilError, Unavailable
from anvilsrv.front.follow import Follower, parsed
from anvilsrv.front.tail import Tail
from anvilsrv.p9.client import Client
from anvilsrv.strict_json import dumps

LAST = 5  # turns that are told before what comes
OVER = ("done", "failed")
Object = dict[str, Any]


class Turns(Tail):
    """Follows the activity of ``session``; ``tell`` gets lines, ``first`` the number of the first turn that is told (0: none was).

    ``after`` is the number of the last object that is known already: nothing before it is told, nor ``first``. ``follows`` is called
    each time when the turns that were over have been told, and only what comes is left.
    """

    def __init__(
        self, follower: Follower, session: str, tell: Callable[[list[str]], None], end: Callable[[str], None],
        first: Callable[[int], None] = lambda n: None, after: int | None = None, follows: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        super().__init__(follower, session, lambda data: None, end)
        self._told = tell
        self._first = first
        self._follows = follows
        self._seq = after

    def _follow(self, client: Client) -> NoReturn:
        if self._seq is None:
            self._seq = self._begin(client)
        with client.open(f"{self.session}/activity.{self._seq}") as file:
            self._open(file)
            self._follows()
            rest = b""
            while data := file.read(timeout=None):
                *lines, rest = (rest + data).split(b"\n")
                if lines:
                    self._seq = parsed(lines[-1], "activity")["seq"]
                    self._told([line.decode("utf-8", "replace") for line in lines])
            raise Unavailable("the activity ended")

    def _begin(self, client: Client) -> int:
        """Tell the last turns that are over. What comes goes on after the end of the last: what follows it is told again."""
        numbers = over(client, self.session)
        self._first(numbers[-LAST:][0] if numbers else 0)
        seq = 0
        for n in numbers[-LAST:]:
            lines = turn(client, self.session, n)
            self._told(lines)
            seq = max([seq, *(one["seq"] for one in objects(lines) if one["kind"] == "end")])
        return seq


def objects(lines: Iterable[str]) -> list[Object]:
    """Return the objects in lines."""
    return [parsed(line.encode(), "activity") for line in lines]


def over(client: Client, session: str) -> list[int]:
    """Return the numbers of the prompts that were answered or have failed."""
    rows = (line.split("\t") for line in client.read(f"{session}/turns/list").decode("utf-8", "replace").splitlines())
    return sorted(int(row[0]) for row in rows if row[1] in OVER)


def turn(client: Client, session: str, n: int) -> list[str]:
    """Return what happened in one turn that is over. Of one from before there was activity: its prompt and its answer."""
    found = client.read(f"{session}/turns/{n}/activity").decode("utf-8", "replace").splitlines()
    return found or [dumps({"seq": 0, "ts": None, "turn": n, **one}) for one in _said(client, session, n)]


def _said(client: Client, session: str, n: int) -> list[Object]:
    text = client.read(f"{session}/turns/{n}/prompt").decode("utf-8", "replace")
    said: list[Object] = [{"kind": "prompt", "id": str(n), "text": text}]
    try:
        answer = client.read(f"{session}/turns/{n}/out").decode("utf-8", "replace")
    except AnvilError as error:
        return [*said, {"kind": "end", "how": "error", "reason": str(error)}]
    return [*said, {"kind": "text", "id": f"answer {n}", "text": answer}, {"kind": "end", "how": "answer"}]
