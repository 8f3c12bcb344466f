"""Screens that are left once."""

from textual.await_complete import AwaitComplete
from textual.screen import Screen, ScreenResultType


class Once(Screen[ScreenResultType]):
    """A screen that is left once: the same key, pressed again before it has gone, does not leave the one below, too."""

    def dismiss(self, result: ScreenResultType | None = None) -> AwaitComplete:
        """Leave it with that result; nothing where it is not the one that is shown."""
        return super().dismiss(result) if self.is_active else AwaitComplete()
