"""The last line of a screen: its keys, or for a while what was said last. It lies under dialogs, never over them."""

from textual.content import Content
from textual.widgets import Static

from tui.host import Host
from tui.text import clip


class Footer(Static):
    """``hints`` are separated by two blanks; where they do not fit, those before the last two give way."""

    def __init__(self, host: Host, hints: str) -> None:
        super().__init__(id="keys")
        self._host = host
        self._hints = hints.split("  ")

    def on_mount(self) -> None:
        self.draw()

    def on_resize(self) -> None:
        self.draw()

    def draw(self) -> None:
        """Show what is so now."""
        width = max(20, self.app.size.width - 2)
        said, error = self._host.said
        self.set_class(bool(said), "said")
        self.set_class(bool(said and error), "error")
        self.update(Content(clip(said, width) if said else fitting(self._hints, width)))


def fitting(hints: list[str], width: int) -> str:
    """Return as many of the hints as fit, the last two in any case."""
    kept = list(hints)
    while len(kept) > 2 and len("  ".join(kept)) > width:
        del kept[-3]
    return "  ".join(kept)[:width]
