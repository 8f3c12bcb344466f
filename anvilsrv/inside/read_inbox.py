"""``9p-read-inbox``: read waiting messages as text, oldest first, and mark them as done.

In a session it reads that session's inbox, elsewhere the user's. With ``-w`` it waits for a message, on ``events``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

from anvilsrv import __version__
from anvilsrv.errors import AnvilError
from anvilsrv.p9.client import Client, P9Error, dial


def main() -> None:
    """The program. Exit status 0 with a message, 1 when there is none, 2 when it cannot be read."""
    parser = argparse.ArgumentParser(prog="9p-read-inbox", description="Read waiting messages and mark them as done.")
    parser.add_argument("--version", action="version", version=f"9p-read-inbox {__version__}")
    parser.add_argument("owner", nargs="?", default=os.environ.get("ANVILLM_SESSION") or "user", help="session or user")
    parser.add_argument("-a", "--all", action="store_true", help="all messages, not only the oldest")
    parser.add_argument("-k", "--keep", action="store_true", help="leave them in the inbox")
    parser.add_argument("-j", "--json", action="store_true", help="one JSON object a line")
    parser.add_argument("-w", "--wait", action="store_true", help="wait for a message if there is none")
    chosen = parser.parse_args()
    try:
        with dial() as client:
            shown = 0
            for message in _messages(client, chosen.owner, chosen.wait):
                if not chosen.keep and not _complete(client, chosen.owner, message["id"]):
                    continue
                shown_as = (
                    json.dumps(message, ensure_ascii=False) if chosen.json else as_text(message, _name(client, message))
                )
                print(shown_as, flush=True)
                shown += 1
                if not chosen.all:
                    break
            if not shown:
                print("no messages", file=sys.stderr)
    except AnvilError as error:
        print(f"9p-read-inbox: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0 if shown else 1)


def as_text(message: dict[str, Any], sender: str) -> str:
    """A message as a person reads it: a head, an empty line, the body. ``sender`` is how to call who wrote it."""
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(message["timestamp"]))
    head = {"From": sender, "Date": when, "Type": message["type"], "Subject": message["subject"]}
    head["Id"] = message["id"]
    return "".join(f"{key}: {value}\n" for key, value in head.items() if value) + f"\n{message['body']}\n"


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
    """The sender's id, with its alias before it if it has one and is still there."""
    sender: str = message["from"]
    try:
        alias = client.read(f"{sender}/alias").decode().strip() if sender != "user" else ""
    except P9Error:
        return sender
    return f"{alias} ({sender})" if alias else sender


def _read(client: Client, owner: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(client.read(f"{owner}/inbox"))
    return found


def _complete(client: Client, owner: str, message: str) -> bool:
    """Mark it as done; False if somebody else just did."""
    try:
        client.write(f"{owner}/ctl", f"complete {message}\n".encode())
    except P9Error as error:
        if str(error).startswith("no message"):
            return False
        raise
    return True
