"""``9p-read-inbox``: read waiting messages as text, oldest first, and mark them as done.

In a session it reads that session's inbox, elsewhere the user's. With ``-w`` it waits for a message, on ``events``.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import click

from anvilsrv import __version__
from anvilsrv.display import one_line, quoted
from anvilsrv.errors import AnvilError
from anvilsrv.p9.client import Client, P9Error, dial
from anvilsrv.strict_json import dumps
from anvilsrv.words import USER


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="9p-read-inbox", message="%(prog)s %(version)s")
@click.argument("owner", default=lambda: os.environ.get("ANVILLM_SESSION") or USER)
@click.option("-a", "--all", "everything", is_flag=True, help="All messages, not only the oldest.")
@click.option("-k", "--keep", is_flag=True, help="Leave them in the inbox.")
@click.option("-j", "--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option("-w", "--wait", is_flag=True, help="Wait for a message if there is none.")
def command(owner: str, everything: bool, keep: bool, as_json: bool, wait: bool) -> None:
    """Read waiting messages and mark them as done.

    OWNER is a session or `user`; by default the session that this runs in.
    """
    try:
        with dial() as client:
            shown = 0
            for message in _messages(client, owner, wait):
                if not keep and not complete(client, owner, message["id"]):
                    continue
                text = dumps(message) if as_json else as_text(message, _name(client, message))
                print(text, flush=True)
                shown += 1
                if not everything:
                    break
            if not shown:
                print("no messages", file=sys.stderr)
    except AnvilError as error:
        print(f"9p-read-inbox: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0 if shown else 1)


def main() -> None:
    """Run the program. Exit status 0 with a message, 1 when there is none, 2 when it cannot be read."""
    command(prog_name="9p-read-inbox")


def as_text(message: dict[str, Any], sender: str) -> str:
    """Return a message as a person reads it: a head, an empty line, the body. ``sender`` is the name of its writer."""
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(message["timestamp"]))
    head = {"From": sender, "Date": when, "Type": message["type"], "Subject": one_line(message["subject"])}
    head["Id"] = message["id"]
    return "".join(f"{key}: {value}\n" for key, value in head.items() if value) + f"\n{quoted(message['body'])}\n"


def _messages(client: Client, owner: str, wait: bool) -> Iterator[dict[str, Any]]:
    # Opened before the inbox is read, so that no message falls between.
    with client.open("events") as events:
        found = _read(client, owner)
        lines = events.lines()
        while wait and not found:
            if json.loads(next(lines))["type"] in ("message", "overflow"):
                found = _read(client, owner)
        yield from found


def _name(client: Client, message: dict[str, Any]) -> str:
    """Return the sender's id, with its alias before it if it has one and still exists."""
    sender: str = message["from"]
    try:
        alias = client.read(f"{sender}/alias").decode().strip() if sender != USER else ""
    except P9Error:
        return sender
    return f"{alias} ({sender})" if alias else sender


def _read(client: Client, owner: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(client.read(f"{owner}/inbox"))
    return found


def complete(client: Client, owner: str, message: str) -> bool:
    """Mark it as done; False if another reader just did."""
    try:
        client.write(f"{owner}/ctl", f"complete {message}\n".encode())
    except P9Error as error:
        if str(error).startswith("no such message"):
            return False
        raise
    return True
