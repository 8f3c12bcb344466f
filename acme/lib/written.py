"""A window whose text is a person's."""

from __future__ import annotations

from acme.lib.about import About


class Written(About):
    """A window whose text is the person's."""

    def draft(self) -> str:
        return self.window.body()

    def restore(self, text: str) -> None:
        self.window.replace(0, self.window.address("$")[1], text)

    def mine(self, q0: int, q1: int) -> bool:
        return True
