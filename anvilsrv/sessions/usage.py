"""What a conversation has used."""

Figures = dict[str, float]


class Tally:
    """Tokens used in one conversation, from what its lines say.

    Several lines may repeat the figures of one message (each content block is a line); the message's id tells. Figures without an
    id are totals already.
    """

    KEEP = 64  # ids remembered: the lines of one message stand close together

    def __init__(self) -> None:
        self._totals: dict[str, float] = {}
        self._known: dict[str, Figures] = {}

    def add(self, figures: Figures, ident: str | None = None) -> Figures:
        """The totals with these figures; the last of one id count, as a message grows while it is streamed."""
        if ident is None:
            self._totals = dict(figures)
            return dict(self._totals)
        before = self._known.pop(ident, {})
        self._known[ident] = dict(figures)
        if len(self._known) > self.KEEP:
            del self._known[next(iter(self._known))]
        for name in {*figures, *before}:
            self._totals[name] = self._totals.get(name, 0) + figures.get(name, 0) - before.get(name, 0)
        return dict(self._totals)
