"""The end of Assist."""

from __future__ import annotations

import os


class End:
    """The end of Assist, waited for on the main thread.

    A pipe, since a signal that comes right before a lock is waited for would not be noticed until it is released.
    """

    def __init__(self) -> None:
        self._told, self.tell = os.pipe()
        os.set_blocking(self.tell, False)

    def set(self) -> None:
        os.write(self.tell, b"x")

    def wait(self) -> None:
        os.read(self._told, 1)
