"""Who waits for what: readers are woken by name once a job that concerns them is on disk. The publisher knows no reader.

Threads: everything runs on the store's thread.
"""

from collections.abc import Callable

from anvilsrv.store.effects import Wake
from anvilsrv.store.store import Tx

Call = Callable[[], None]

MAIL = "log"  # all messages: the file ``log`` of the root
STATES = "states"  # the state of some session


def conversation_of(session: str) -> str:
    """Return the topic of ``<id>/log``."""
    return f"log {session}"


def answer_to(prompt: int) -> str:
    """Return the topic of the answer to a prompt, by its id: ``<id>/out``."""
    return f"out {prompt}"


class Topics:
    """The waiting readers of all topics."""

    def __init__(self) -> None:
        self._waiting: dict[str, dict[object, Call]] = {}

    def wait(self, topic: str, key: object, wake: Call) -> None:
        """Call ``wake`` once, after the next commit that notifies ``topic``; a second call with one ``key`` replaces the first."""
        self._waiting.setdefault(topic, {})[key] = wake

    def forget(self, topic: str, key: object) -> None:
        """Do not call ``key``'s wake. No-op if there is none."""
        waiting = self._waiting.get(topic)
        if waiting is not None:
            waiting.pop(key, None)
            if not waiting:
                del self._waiting[topic]

    def waiting(self, topic: str) -> int:
        """Return how many wait for ``topic``."""
        return len(self._waiting.get(topic, {}))

    @staticmethod
    def notify(tx: Tx, topic: str) -> None:
        """Wake all waiters of ``topic`` once ``tx`` is on disk."""
        tx.after(Wake(topic))

    def wake(self, topic: str) -> None:
        """Wake them now (effect ``Wake``)."""
        for wake in self._waiting.pop(topic, {}).values():
            wake()
