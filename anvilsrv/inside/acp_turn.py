"""One turn of an agent, from its prompt to its end: what is its answer, and what its tools did. Pure.

The answer is the text of the last message: after the last tool call, and of the last message id where there is one. All that is
remembered has a bound.
"""

from typing import TypeVar

from anvilsrv.inside.acp_said import Text, Tool

T = TypeVar("T")
LONGEST = 5_000_000  # characters of an answer that are kept
TOOLS = 1000  # that are remembered
OUTPUT = 1 << 18  # characters of a tool's output that came in parts


class Turn:
    """``ident``: its name in reports. ``text``: its prompt."""

    def __init__(self, ident: str, text: str) -> None:
        self.ident = ident
        self.text = text
        self.cancelled = False
        self.left_out = 0  # characters of the answer
        self.tools: dict[str, Tool] = {}
        self._pieces: list[str] = []
        self._size = 0
        self._message = ""
        self._over = False  # a tool was called since

    @property
    def answer(self) -> str:
        """What it has said last."""
        return "".join(self._pieces)

    def cancel(self) -> None:
        """Cancel it: whatever the agent answers, it was cancelled."""
        self.cancelled = True

    def say(self, piece: Text) -> bool:
        """Add more of what the agent says. Returns whether another message begins with it."""
        other = bool(piece.message and self._message and piece.message != self._message)
        begins = self._over or other
        if begins:
            self._pieces, self._size, self.left_out, self._over = [], 0, 0, False
        self._message = piece.message
        kept = piece.text[: LONGEST - self._size]
        self._pieces.append(kept)
        self._size += len(kept)
        self.left_out += len(piece.text) - len(kept)
        return begins

    def use(self, news: Tool) -> Tool:
        """Return what is known of that use of a tool now. One that was not reported before ends the message."""
        before = self.tools.pop(news.id, None)
        if before is None:
            self._over = True
        if len(self.tools) >= TOOLS:
            del self.tools[next(iter(self.tools))]
        made = self.tools[news.id] = news if before is None else merged(before, news)
        return made

    def known(self, news: Tool) -> Tool:
        """Return the same, of a request for a permission: some agents say in it what they said nowhere else, others
        nothing.
        """
        before = self.tools.get(news.id)
        return news if before is None else merged(before, news)


def merged(before: Tool, news: Tool) -> Tool:
    """Return what is known after the news."""
    return Tool(
        news.id, _newer(news.title, before.title), _newer(news.kind, before.kind), _newer(news.status, before.status),
        _text(before, news), news.part, news.diffs or before.diffs, news.places or before.places,
        _newer(news.exit, before.exit), False, _newer(news.name, before.name), _newer(news.input, before.input),
    )  # fmt: skip


def _text(before: Tool, news: Tool) -> str | None:
    """Return what a tool has given so far: the whole of it is reported, or more of it; of much the end."""
    if news.part is None or news.text is not None:
        return _newer(news.text, before.text)
    return ((before.text or "") + news.part)[-OUTPUT:]


def _newer(news: T | None, before: T | None) -> T | None:
    return before if news is None else news
