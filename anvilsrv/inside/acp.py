"""The program in the pane of an agent that speaks the Agent Client Protocol.

    python -I -m anvilsrv.inside.acp SETTINGS [CONVERSATION]

``SETTINGS`` is a file of JSON (``acp_settings.py``). With ``ANVILLM_PLAIN`` or ``TERM=dumb`` nothing is redrawn.

Threads: the main one has the terminal (``acp_pane.py``), ``front`` everything else (``acp_front.py``).
"""

import os
import queue
import signal
import sys
import threading
from typing import Any

from anvilsrv.inside import acp_settings
from anvilsrv.inside.acp_front import Front
from anvilsrv.inside.acp_pane import Leave, Lined, Plain

USAGE = "usage: python -m anvilsrv.inside.acp SETTINGS [CONVERSATION]\n"


def is_plain() -> bool:
    """Return whether nothing is to be redrawn."""
    return bool(os.environ.get("ANVILLM_PLAIN")) or os.environ.get("TERM") in ("dumb", "") or not os.isatty(0)


def main(argv: list[str] | None = None) -> int:
    """Run the program. Returns its exit status."""
    words = sys.argv[1:] if argv is None else argv
    if not 1 <= len(words) <= 2:
        sys.stderr.write(USAGE)
        return 2
    settings = acp_settings.read(words[0], words[1] if len(words) == 2 else "")
    events: queue.SimpleQueue[Any] = queue.SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, frame: events.put(Leave(number)))
    pane = (Plain if is_plain() else Lined)(events.put)
    status = [1]

    def run() -> None:
        try:
            status[0] = Front(settings, pane, events).run()
        finally:
            pane.close()

    thread = threading.Thread(target=run, name="front")
    thread.start()
    pane.run()
    thread.join()
    return status[0]


if __name__ == "__main__":
    sys.exit(main())
