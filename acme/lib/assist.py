"""The program Assist: one for each acme; a second one asks the first to show its window."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from acme.lib import service, talk
from acme.lib.acme import Acme
from acme.lib.agent import Agent
from acme.lib.app import App
from acme.lib.usage import answered
from anvilsrv.errors import AnvilError, Invalid


def main(words: Sequence[str]) -> int:
    """Run until the last window is deleted or acme ends. Exit status 1, and a sentence, on trouble; 2 on bad usage."""
    if (status := answered("Assist", "[window [subject]]", words)) is not None:
        return status
    if words[:1] == ["talk"]:
        return talk.main(words[1:])
    try:
        kind, subject = service.parse(words)
        acme = Acme.dial()
        script = Path(sys.argv[0]).resolve()
        app = App(acme, Agent(), home=os.getcwd(), command=_command(script), script=str(script))
        server = service.serve(app.called)
        if server is None:
            service.pass_on(words)
            acme.close()
            return 0
    except Invalid as error:
        return _fail(error, 2)
    except AnvilError as error:
        return _fail(error, 1)
    signal.set_wakeup_fd(app.done.tell)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    try:
        app.start()
        app.begun()
        if kind != "main":
            app.ask(kind, subject)
        app.done.wait()
    finally:
        server.stop()
        app.stop()
    return 0


def _command(script: Path) -> str:
    """Return how Assist is called again: by its name if that finds this very script."""
    found = shutil.which(script.name)
    return script.name if found and Path(found).resolve() == script else str(script)


def _fail(error: AnvilError, status: int) -> int:
    print(f"Assist: {error}", file=sys.stderr)
    return status
