"""A conversation with a session, line by line, for a terminal that can do no more (acme's win): ``Assist talk <id>``."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Sequence

from acme.lib.agent import Agent
from acme.lib.logged import progressed, timed
from anvilsrv.display import shown
from anvilsrv.errors import AnvilError
from anvilsrv.p9.client import File


def main(words: Sequence[str]) -> int:
    """Print the session's log as it grows; each line that is typed is a prompt. Ends with the input."""
    if len(words) != 1:
        print("usage: Assist talk <id>", file=sys.stderr)
        return 2
    agent = Agent()
    try:
        session = agent.roster().get(words[0])
        log = agent.open(f"{session.id}/log")
        reader = threading.Thread(target=_print, args=(log,), name="log", daemon=True)
        reader.start()
        for line in sys.stdin:
            if line.strip():
                agent.prompt(session.id, line.rstrip("\n"))
        log.cancel()
    except AnvilError as error:
        print(f"Assist: {error}", file=sys.stderr)
        return 1
    finally:
        agent.forget()
    return 0


def _print(log: File) -> None:
    with contextlib.suppress(AnvilError):
        for line in log.lines():
            print(shown(timed(progressed(line.decode("utf-8", "replace").rstrip("\n")))), flush=True)
