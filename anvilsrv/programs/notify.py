"""``anvillm-notify``: a desktop notification when an agent needs you, has finished, failed, or writes to you.

It reads ``events`` and calls ``notify-send``, or the command in ``$ANVILLM_NOTIFY`` with title and text as arguments;
where there is neither it prints. When the daemon goes away it waits for it and continues behind the last event seen.
"""

from __future__ import annotations

import functools
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import click

from anvilsrv import __version__
from anvilsrv.display import one_line
from anvilsrv.errors import AnvilError, Unavailable
from anvilsrv.p9.client import Client, P9Error, dial
from anvilsrv.words import USER
from sandbox import outside

RETRY = 1.0  # s between two attempts to reach a daemon that is away
TEXT_MAX = 300
Say = Callable[[str, str, bool], None]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="anvillm-notify", message="%(prog)s %(version)s")
def command() -> None:
    """Show desktop notifications of what agents need and say, until interrupted; see anvillm-notify(1)."""
    try:
        follow(speaker())
    except AnvilError as error:
        print(f"anvillm-notify: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


def main() -> None:
    """Run the program; it ends when it is interrupted, with status 2 if there is no daemon at first."""
    command(prog_name="anvillm-notify")


def speaker() -> Say:
    """Return how to tell the user: title, text, and whether it is urgent."""
    command = shlex.split(os.environ.get("ANVILLM_NOTIFY", ""))
    usual = None if command else outside.which("notify-send")

    def say(title: str, text: str, urgent: bool) -> None:
        if not command and not usual:
            print(f"{title}: {text}", flush=True)
            return
        urgency = "critical" if urgent else "normal"
        start = [usual, "--app-name=AnviLLM", f"--urgency={urgency}", "--"] if usual else command
        try:
            subprocess.run([*start, title, text], stdin=subprocess.DEVNULL, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"anvillm-notify: {error}\n{title}: {text}", file=sys.stderr)

    return say


def follow(say: Say) -> None:
    """Report every event that is worth it, for ever. Raises Unavailable only if there is no daemon at the start."""
    seen: int | None = None
    client = dial()
    while True:
        try:
            with client:
                for line in client.open("events" if seen is None else f"events.{seen}").lines():
                    event = json.loads(line)
                    seen = event["seq"]
                    found = notice(event, functools.partial(name, client))
                    if found:
                        say(*found)
        except Unavailable:
            pass
        client = reconnect()


def reconnect() -> Client:
    """Return a connection as soon as there is a daemon again."""
    while True:
        try:
            return dial()
        except Unavailable:
            time.sleep(RETRY)


def notice(event: dict[str, Any], called: Callable[[str], str]) -> tuple[str, str, bool] | None:
    """Return title, text and urgency for an event; None for what the user need not know."""
    kind, session = event.get("type"), event.get("session_id") or ""
    if kind == "ask" and event.get("ask") and not event.get("over"):
        return f"{called(session)} needs you", brief(_question(event["ask"])), True
    if kind == "response":
        return (
            (f"{called(session)} failed", brief(event["error"]), True)
            if event.get("error")
            else (f"{called(session)} has finished", "its turn has ended", False)
        )
    if kind == "error":
        return f"{called(session) if session else 'AnviLLM'}: error", brief(str(event.get("error", ""))), True
    if kind == "message" and event.get("to") == USER:
        text = event.get("subject") or str(event.get("kind", "")).replace("_", " ").lower()
        return f"mail from {called(event['from'])}", brief(text), str(event.get("kind")).endswith("REQUEST")
    return None


def _question(ask: Any) -> str:
    if not isinstance(ask, dict):
        return str(ask)
    return str(ask.get("text") or ask.get("question") or ask.get("title") or json.dumps(ask, ensure_ascii=False))


def brief(text: str) -> str:
    """Return the text on one line, cut where a notification would be."""
    line = " ".join(one_line(text).split())
    return line if len(line) <= TEXT_MAX else line[: TEXT_MAX - 1] + "…"


def name(client: Client, session: str) -> str:
    """Return the user's name for a session: its alias, else its id."""
    try:
        return client.read(f"{session}/alias").decode().strip() or session
    except P9Error:
        return session
