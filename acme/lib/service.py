"""One Assist for each acme: the first one serves `$NAMESPACE/assist`, the others write to it and end.

``echo 'log a3f2b9d1' | 9p write assist/ctl`` opens a window from any script; the words are those of Assist's command
line.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from anvilsrv import paths, words
from anvilsrv.errors import Conflict, Invalid
from anvilsrv.p9.client import Client
from anvilsrv.p9.server import Server
from anvilsrv.p9.tree import File, Handle, Request, StaticDir

KINDS = (
    "main",
    "prompt",
    "log",
    "ask",
    "context",
    "queue",
    "queued",
    "inbox",
    "archive",
    "message",
    "compose",
    "daemon",
    "diff",
    "new",
    "tasks",
    "task",
)


def socket() -> str:
    return str(Path(paths.namespace(), "assist"))


def parse(given: Sequence[str]) -> tuple[str, str]:
    """Return a window's kind and subject: ``log a3f2b9d1``; no words are the main window. Raises Invalid if there is no
    such kind.
    """
    kind = given[0] if given else "main"
    if kind not in KINDS:
        raise Invalid(f"no such window '{kind}': must be one of {' '.join(KINDS)}")
    return kind, given[1] if len(given) > 1 else "user" if kind in ("inbox", "archive") else ""


def pass_on(given: Sequence[str]) -> None:
    """Give the request to the Assist that serves already."""
    with Client(socket()) as client:
        client.write("ctl", f"{words.join(given or ['main'])}\n".encode())


def serve(asked: Callable[[str, str], None]) -> Server | None:
    """Serve `assist`; `asked` gets each request, on the server's thread. None if another Assist does already."""
    server = Server()
    try:
        server.listen(socket(), StaticDir("/", [_Ctl(asked)]))
    except Conflict:
        server.stop()
        return None
    server.start()
    return server


class _Ctl(File):
    mode = 0o200

    def __init__(self, asked: Callable[[str, str], None]) -> None:
        super().__init__("ctl")
        self.asked = asked

    def open(self, who: Any, mode: int, req: Request) -> Handle:
        return _Asking(self.asked)


class _Asking(Handle):
    def __init__(self, asked: Callable[[str, str], None]) -> None:
        self.asked = asked

    def write(self, offset: int, data: bytes, req: Request) -> int:
        for line in data.decode("utf-8", "replace").splitlines():
            self.asked(*parse(line.split()))
        return len(data)
