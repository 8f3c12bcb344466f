"""What a shell wants of a daemon, one command each: ``anvilsrv ask``, ``run``, ``ls``, ``status --short`` and ``attach``.

Threads: while an answer is waited for, one more reads ``events``, and says what the agent asks and what holds the prompt meanwhile; it
ends with its connection. Only one of them uses a ``Held`` at a time.
"""

import json
import os
import shlex
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from anvilsrv.display import one_line, shown, standing
from anvilsrv.errors import AnvilError, Invalid, NotFound, Unavailable
from anvilsrv.front import requests
from anvilsrv.front.appear import Appearing
from anvilsrv.front.follow import Row, read_json
from anvilsrv.front.notes import asks, label, notes
from anvilsrv.front.terminal import show
from anvilsrv.p9 import wire
from anvilsrv.p9.client import Client, P9Error

PATIENCE = 60.0  # s for a daemon that went away to come back, while an answer is waited for
ENDED = ("stopped", "error")
ENDING = 10.0  # s for a session to be ended
NOTES = 2  # the column of a table
SHORT = ("ask", "error", "held", "mail", "running")  # what `status --short` counts, in its order

Say = Callable[[str], None]


class Sent(NamedTuple):
    """A prompt that was accepted: its number in the session of that id."""

    session: str
    n: int


def find(client: Client, name: str) -> Row:
    """Return the session of that alias or id. Raises NotFound."""
    rows: list[Row] = read_json(client, "sessions")
    for row in rows:
        if name in (row["id"], row["alias"]):
            return row
    raise NotFound(f"no such session '{name}'; there are: {', '.join(map(label, rows)) or 'none'}")


def _lacks(row: Row, what: str) -> Unavailable:
    """Return the error for a session that lacks something: its state, why, and how to restart it if it has ended."""
    why = f": {row['error']}" if row["error"] else ""
    how = f"; to restart it: echo restart | anvil9p write agent/{shlex.quote(label(row))}/ctl"
    return Unavailable(f"'{label(row)}' {what}: it {standing(row['state'])}{why}{how if row['state'] in ENDED else ''}")


def live(client: Client, name: str) -> str:
    """Return the id of the session of that name, if it takes prompts. Raises NotFound, and Unavailable for one that takes none."""
    row = find(client, name)
    if row["state"] in ENDED:
        raise _lacks(row, "takes no prompt")
    return str(row["id"])


def send(client: Client, session: str, text: bytes) -> Sent:
    """Queue a prompt. Raises Invalid for an empty one."""
    if not text.strip():
        raise Invalid("invalid prompt: it is empty")
    with client.open(f"{session}/in", wire.ORDWR) as file:
        file.write(text)
        file.write(b"")  # accepted, or refused, here
        return Sent(session, int(file.read()))


def answer(socket: str, sent: Sent, say: Say) -> bytes:
    """Wait for the answer, over restarts of the daemon; what the agent asks meanwhile, and why it does not begin, is said. Raises
    AnvilError when none can come."""
    held = Held(sent, say)
    while True:
        try:
            with Client(socket) as client, _meanwhile(socket, held):
                said = client.read(f"{sent.session}/turns/{sent.n}/out", timeout=None)
                with suppress(NotFound, P9Error):  # the session may be gone by now
                    _looked(client, sent)
                return said
        except Unavailable as gone:
            _await(socket, gone)


def _looked(client: Client, sent: Sent) -> None:
    """Record that the user has that answer now."""
    if sent.n > find(client, sent.session)["seen"]:
        client.write(f"{sent.session}/seen", f"{sent.n}\n".encode())


def _await(socket: str, gone: Unavailable) -> None:
    """Wait until a daemon answers at the socket. Raises ``gone`` when none has come in time."""
    end = time.monotonic() + PATIENCE
    with Appearing(socket) as appearing:
        while (left := end - time.monotonic()) > 0:
            with suppress(AnvilError), Client(socket, timeout=left) as client:
                client.read("list")
                return
            appearing.wait(min(left, 1.0))
    raise gone


class Held:
    """What a prompt waits for, other than the one before it: said once, and again when it is something else."""

    def __init__(self, sent: Sent, say: Say) -> None:
        self.sent = sent
        self.say = say
        self._said = ""

    def look(self, client: Client) -> None:
        """Say it if it is new. Raises NotFound when the session is gone."""
        row = find(client, self.sent.session)
        words = _obstacle(row)
        if words and self.sent.n not in (one.n for one in requests.queue(client, self.sent.session)):
            words = ""  # it was begun
        if words != self._said:
            self._said = words
            if words:
                self.say(shown(one_line(f"the prompt waits: {words}")))


def _obstacle(row: Row) -> str:
    """Return why a live session begins no prompt; one that is not live gives an error to the caller."""
    if row["held"]:
        return f"{label(row)} is held: {row['held']}"
    return f"{label(row)} is starting again: {row['error']}" if row["state"] == "starting" and row["error"] else ""


@contextmanager
def _meanwhile(socket: str, held: Held) -> Iterator[None]:
    """Say each question that the session has or gets, and what holds the prompt, while the block runs."""
    session, say = held.sent.session, held.say
    with Client(socket) as client, client.open("events") as events:
        row = find(client, session)

        def follow() -> None:
            with suppress(AnvilError):  # the daemon is gone, which the one who waits notices too
                for line in events.lines():
                    event = json.loads(line)
                    if event["session_id"] != session:
                        continue
                    if event["type"] == "ask" and "over" not in event:
                        _say(row, event["ask"], say)
                    elif event["type"] == "state_change" or "held" in event:
                        held.look(client)

        for one in asks(row):
            _say(row, one, say)
        held.look(client)
        thread = threading.Thread(target=follow, name=f"asks {session}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            events.cancel()
            thread.join(ENDING)


def _say(row: Row, ask: Row, say: Say) -> None:
    choices = f" ({', '.join(ask['choices'])})" if ask.get("choices") else ""
    name = label(row)
    say(shown(f"{name} asks: {ask['text']}{choices}"))
    if ask.get("diff"):
        say(shown(str(ask["diff"])).rstrip("\n"))
    say(f"answer by: echo '{ask['id']} CHOICE' | anvil9p write agent/{name}/answer")


def run(socket: str, backend: str, directory: str, text: bytes, say: Say, *, role: str = "", tasks: str = "") -> bytes:
    """Return the answer of a session that is made for this prompt, and ended with it. Raises AnvilError."""
    with Client(socket) as client:
        session = requests.new(client, backend, os.path.abspath(directory), role=role, tasks=tasks)
    try:
        with Client(socket) as client:
            sent = send(client, session, text)
        return answer(socket, sent, say)
    finally:
        with suppress(AnvilError), Client(socket, timeout=ENDING) as client:
            requests.control(client, session, "kill")


def table(rows: list[Row], width: int = 0) -> list[str]:
    """Return a line for each session: name, state, notes, backend, directory. What is behind the notes is shown as far as there is
    room in ``width``.
    """
    cells = [
        [label(row), row["state"], ", ".join(note.text for note in notes(row)) or "-", row["backend"], row["cwd"]]
        for row in rows
    ]
    lines = [[one_line(cell) for cell in row] for row in cells]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    room = width - sum(widths) - 2 * (len(widths) - 1) + widths[NOTES]
    if room > widths[NOTES]:
        for row, line in zip(rows, lines, strict=True):
            whole = one_line(", ".join(note.line for note in notes(row))) or "-"
            line[NOTES] = whole if len(whole) <= room else whole[: room - 1] + "…"
        widths[NOTES] = max(len(line[NOTES]) for line in lines)
    return ["  ".join(cell.ljust(wide) for cell, wide in zip(row, widths, strict=True)).rstrip() for row in lines]


def reasons(row: Row) -> list[str]:
    """Return what is behind the notes of a session, a line for each."""
    return [f"  {one_line(note.line)}" for note in notes(row) if note.why]


def short(rows: list[Row]) -> str:
    """Return what needs the user and what runs, in a few words: ``2 ask · 1 running``; empty if nothing. Each session
    counts once.
    """
    count = Counter(row["needs"] or row["state"] for row in rows)
    return " · ".join(f"{count[word]} {word}" for word in SHORT if count[word])


def attach(client: Client, name: str, here: bool) -> list[str] | None:
    """Return the argument list that attaches this terminal to an agent; not ``here``: None, after another terminal was
    opened for it.

    Raises Unavailable where the agent has none, or no terminal opens.
    """
    row = find(client, name)
    if not row["tmux"]:
        raise _lacks(row, "has no terminal")
    command = row["tmux"].splitlines()[-1]
    if here:
        return shlex.split(command)
    show(command)
    return None
