"""A tree like the daemon's, small and steered: for what the real one cannot be made to do (a thousand sessions, freezing).

    python fake_tree.py <socket> <number of sessions>

Lines on standard input are events (JSON without seq and ts); each is published, and a ``state_change`` also changes the
session. ``log <id> <text>`` appends to a log, ``activity <id> <file>`` what the file has to an activity, which a session has from
then on. A line ``ready`` on standard output says that the socket is there.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

from anvilsrv.p9.server import Server
from anvilsrv.p9.tree import LATER, Dir, File, Handle, Later, Node, Request, StaticDir, TextFile
from anvilsrv.sessions.notes import notes
from anvilsrv.store.events import TYPES

STATES = ("idle", "running", "stopped", "starting")


class Feed(File):
    """A blocking file: everything from a point on, then what comes."""

    def __init__(self, name: str, from_now: bool) -> None:
        super().__init__(name)
        self.data = b""
        self.from_now = from_now
        self.readers: set[_FeedHandle] = set()

    def open(self, who: Any, mode: int, req: Request) -> Handle:
        handle = _FeedHandle(self, len(self.data) if self.from_now else 0)
        self.readers.add(handle)
        return handle

    def add(self, data: bytes) -> None:
        self.data += data
        for reader in list(self.readers):
            reader.wake()


class _FeedHandle(Handle):
    def __init__(self, feed: Feed, at: int) -> None:
        self.feed = feed
        self.at = at
        self.parked: list[tuple[Request, int]] = []

    def read(self, offset: int, count: int, req: Request) -> bytes | Later:
        self.parked.append((req, count))
        self.wake()
        return LATER

    def wake(self) -> None:
        while self.parked and self.at < len(self.feed.data):
            req, count = self.parked.pop(0)
            piece = self.feed.data[self.at : self.at + count]
            if req.done(piece):
                self.at += len(piece)

    def cancel(self, req: Request) -> None:
        self.parked = [one for one in self.parked if one[0] is not req]

    def hangup(self) -> None:
        self.feed.readers.discard(self)

    def clunk(self, req: Request) -> None:
        self.feed.readers.discard(self)


def session(number: int) -> dict[str, Any]:
    """Return one object of ``sessions``."""
    return {
        "id": f"{number:08x}", "alias": f"agent-{number}" if number % 3 else "", "backend": ("claude", "shell", "kiro-cli")[number % 3],
        "cwd": f"/home/somebody/src/project-{number % 40}", "state": STATES[number % 4], "pid": 1000 + number, "role": "", "tasks": [],
        "parent": None, "tmux": "", "ask": None, "unread": number % 5, "queued": number % 2, "background": 0,
        "held": "", "usage": {}, "model": "", "mode": "", "context_left": None, "error": "",
        "sandbox_tier": "full", "sandbox_gaps": [], "context": "", "created": time.time() - 5000 + number,
        "changed": time.time() - number,
    }  # fmt: skip


class Root(Dir):
    def __init__(self, count: int) -> None:
        super().__init__("/")
        self.sessions = {one["id"]: one for one in map(session, range(1, count + 1))}
        self.events = Feed("events", True)
        self.logs = {one: Feed("log", False) for one in self.sessions}
        self.activities: dict[str, Feed] = {}
        self.seq = 0
        fixed: list[Node] = [
            TextFile("sessions", lambda who: json.dumps(self.rows()).encode()),
            TextFile("backends", lambda who: b"shell\tA shell\tok\n"),
            self.events,
            StaticDir("user", [TextFile("inbox", lambda who: b"[]\n")]),
        ]
        self.fixed = {node.name: node for node in fixed}

    def lookup(self, who: Any, name: str) -> Node | None:
        if name.startswith("events."):
            return self.events
        if name not in self.sessions:
            return self.fixed.get(name)
        files: list[Node] = [self.logs[name]]
        if activity := self.activities.get(name):
            files += [activity, StaticDir("turns", [TextFile("list", lambda who: b"")])]
        return StaticDir(name, files)

    def rows(self) -> list[dict[str, Any]]:
        """Return the content of ``sessions``."""
        return [one | {"notes": notes(one)} for one in self.sessions.values()]

    def command(self, line: str) -> None:
        if line.startswith("log "):
            _, one, text = line.split(" ", 2)
            self.logs[one].add(f"{text}\n".encode())
            return
        if line.startswith("activity "):
            _, one, path = line.split(" ", 2)
            self.activities.setdefault(one, Feed("activity", False)).add(Path(path).read_bytes())
            return
        event = json.loads(line)
        self.seq += 1
        known = self.sessions.get(event.get("session_id") or "")
        if event["type"] == "state_change" and known:
            known["state"] = event["state"]
        for key in ("alias", "ask", "asks", "error", "held", "sandbox_tier", "model", "mode", "context_left", "queued"):
            if known and key in event:
                known[key] = event[key]
        if event["type"] == "session_new":
            made = session(int(event["session_id"], 16))
            self.sessions[made["id"]] = made
            self.logs[made["id"]] = Feed("log", False)
        if event["type"] == "session_end":
            self.sessions.pop(event["session_id"], None)
        self.events.add(
            json.dumps({"seq": self.seq, "ts": time.time(), **event, "changes": TYPES[event["type"]]}).encode() + b"\n"
        )


def main() -> None:
    server = Server()
    root = Root(int(sys.argv[2]))
    server.listen(sys.argv[1], root)
    server.start()
    print("ready", flush=True)
    for line in sys.stdin:
        server.post(root.command, line.rstrip("\n"))
    server.stop()


if __name__ == "__main__":
    main()
