"""A small agent tree for Assist's tests: what a test says, the files say; what was written is kept to be looked at."""

from __future__ import annotations

import itertools
import json
import threading
import time
from typing import Any

from anvilsrv.errors import Conflict, Invalid, NotFound
from anvilsrv.mail.message import reply_type
from anvilsrv.p9.server import Server
from anvilsrv.p9.tree import LATER, Dir, File, Handle, Later, Node, Request, SnapshotHandle, StaticDir, TextFile
from anvilsrv.p9.wire import Qid
from anvilsrv.sessions.notes import notes
from anvilsrv.store.events import TYPES

BACKENDS = (
    "claude\tClaude Code\tok\nkiro-cli\tKiro CLI\tok\nshell\tShell\tok\ncodex\tOpenAI Codex\tno program 'codex'\n"
)


class Agent:
    """The state. Every change of a session is followed by an event."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.sessions: dict[str, dict[str, Any]] = {}
        self.boxes: dict[str, list[dict[str, Any]]] = {"user/inbox": [], "user/archive": []}
        self.queues: dict[str, list[tuple[int, str, str]]] = {}  # of a session: number, origin, text
        self.texts: dict[str, str] = {}
        self.beads: list[dict[str, Any]] = []
        self.logs: dict[str, Stream] = {}
        self.activities: dict[str, Stream] = {}
        self.events = Stream("events", fresh=True)
        self.written: list[tuple[str, str]] = []
        self.reads = 0
        self.attached = 0  # how often somebody has connected
        self.frozen = threading.Event()  # while it is set, a write is not answered, and nothing after it
        self.slow = threading.Event()  # while it is set, a session is being started, and only who asked for that waits
        self.starting = threading.Event()
        self.quiet = False  # nothing is told of what happens
        self.refuse: dict[str, str] = {}  # path -> the error of the next writes
        self._seq = 0
        self._numbers = itertools.count(0xA0000001)
        self._wrote = threading.Condition()
        self.server = Server()

    def start(self) -> Agent:
        self.server = Server()
        self.server.listen(self.path, Root(self))
        self.server.start()
        return self

    def stop(self) -> None:
        self.server.stop()

    def add(self, backend: str = "claude", cwd: str = "/tmp", **known: Any) -> str:
        id = known.pop("id", None) or f"{next(self._numbers):08x}"
        row = {"id": id, "alias": "", "backend": backend, "cwd": cwd, "state": "idle", "pid": 1, "role": "default"}
        row |= {
            "tasks": [],
            "parent": "",
            "tmux": "",
            "ask": None,
            "unread": 0,
            "queued": 0,
            "background": 0,
            "error": "",
        }
        row |= {
            "usage": {},
            "held": "",
            "sandbox_tier": "full",
            "sandbox_gaps": [],
            "created": time.time(),
            "changed": time.time(),
        }
        self.sessions[id] = row | known
        self.logs[id] = Stream("log")
        self.activities[id] = Stream("activity")
        self.queues[id] = []
        self.boxes |= {f"{id}/inbox": [], f"{id}/archive": []}
        self.texts |= {f"{id}/context": "", f"{id}/tmux": f"echo attached {id}\n"}
        self.emit("session_new", id)
        return id

    def wait(self, id: str, *prompts: tuple[int, str, str]) -> None:
        """Set the prompts that wait for a session: number, origin, text."""
        self.queues[id] = list(prompts)
        self.texts |= {f"{id}/turns/{n}/prompt": text for n, _, text in prompts}
        self.change(id, queued=len(prompts))

    def change(self, id: str, **new: Any) -> None:
        self.sessions[id] |= new
        self.emit("state_change", id)

    def remove(self, id: str) -> None:
        del self.sessions[id]
        self.emit("session_end", id)

    def emit(self, kind: str, id: str) -> None:
        if self.quiet:
            return
        self._seq += 1
        line = {"seq": self._seq, "ts": time.time(), "type": kind, "session_id": id, "changes": TYPES[kind]}
        self.events.add((json.dumps(line) + "\n").encode())

    def mail(self, owner: str, **message: Any) -> str:
        message = {"id": f"{next(self._numbers):08x}-0000-4000-8000-000000000000", "to": owner} | message
        message = {
            "type": "PROMPT_REQUEST",
            "subject": "",
            "body": "",
            "timestamp": time.time(),
            "metadata": {},
        } | message
        message["reply_type"] = reply_type(message["type"])
        self.boxes[f"{owner}/inbox"].append(message)
        if owner in self.sessions:
            self.sessions[owner]["unread"] += 1
        self.emit("message", owner)
        return str(message["id"])

    def took(self, path: str, text: str) -> None:
        """A file was written and closed."""
        while self.frozen.is_set():
            threading.Event().wait(0.01)
        if path in self.refuse:
            raise Conflict(self.refuse[path])
        name, _, file = path.partition("/")
        if name == "beads":
            self.emit("bead", name)
        elif file == "ctl":
            self._control(name, text.split())
        elif path.endswith("/git/ctl") and text == "discard\n":
            self.remove(name)
        elif file.startswith("turns/") and file.endswith("/prompt"):
            n = int(file.split("/")[1])
            self.wait(name, *((one[0], one[1], text) if one[0] == n else one for one in self.queues[name]))
        elif file.startswith("turns/"):
            self._move(name, int(file.split("/")[1]), text.strip())
        elif file == "alias":
            self.change(name, alias=text.strip())
        elif file == "answer":
            if self.sessions[name]["ask"] is None:
                raise Conflict("no question is open any more")
            asks = self.sessions[name].get("asks", [])
            left = [one for one in asks if one.get("id") != text.split(None, 1)[0]]
            left = left if len(left) < len(asks) else []  # it named none: it was the only one
            self.change(name, ask=left[0] if left else None, asks=left)
        elif file == "context":
            self.texts[path] = text
        self.note(path, text)

    def note(self, path: str, text: str) -> None:
        """Keep what was written, for who waits for it."""
        with self._wrote:
            self.written.append((path, text))
            self._wrote.notify_all()

    def rows(self) -> list[dict[str, Any]]:
        """Return the content of `sessions`."""
        return [row | {"notes": notes(row)} for row in self.sessions.values()]

    def _control(self, name: str, words: list[str]) -> None:
        if words[0] == "complete":
            found = [m for m in self.boxes[f"{name}/inbox"] if m["id"] == words[1]]
            if not found:
                raise NotFound(f"no such message '{words[1]}'")
            self.boxes[f"{name}/inbox"].remove(found[0])
            self.boxes[f"{name}/archive"].append(found[0])
            if name != "user":  # of the user's own mail the daemon tells nothing here
                self.emit("state_change", name)
        elif words[0] == "kill":
            self.remove(name)
        elif words[0] in ("hold", "go"):
            self.change(name, held="by the user" if words[0] == "hold" else "")
        elif words[0] in ("stop", "restart", "interrupt"):
            self.change(name, state={"stop": "stopped", "restart": "idle", "interrupt": "idle"}[words[0]])
        elif words[0] == "keys":
            pass  # no pane is here
        else:
            raise Invalid(f"invalid command '{words[0]}'")

    def _move(self, name: str, n: int, word: str) -> None:
        found = [one for one in self.queues[name] if one[0] == n]
        if not found:
            raise NotFound(f"no such prompt {n} in session '{name}'")
        rest = [one for one in self.queues[name] if one[0] != n]
        self.wait(name, *(found + rest if word == "first" else rest))

    def await_written(self, path: str, timeout: float = 30.0) -> str:
        """Return the text of the first write to `path` that nobody has waited for yet."""
        deadline = time.monotonic() + timeout
        with self._wrote:
            while True:
                for found in [each for each in self.written if each[0] == path]:
                    self.written.remove(found)
                    return found[1]
                left = deadline - time.monotonic()
                if left <= 0 or not self._wrote.wait(left):
                    raise AssertionError(f"nothing was written to {path}; only {self.written}")


class Root(Dir):
    def __init__(self, agent: Agent) -> None:
        super().__init__("/")
        self.agent = agent

    def qid(self, who: Any) -> Qid:
        self.agent.attached += 1
        return super().qid(who)

    def lookup(self, who: Any, name: str) -> Node | None:
        agent = self.agent
        if name == "sessions":
            agent.reads += 1
            return TextFile(name, lambda _: json.dumps(agent.rows()).encode())
        if name == "roles":
            return TextFile(name, lambda _: b"reviewer\tReads only\t/etc/roles/reviewer.yaml\ntester\tRuns tests\t-\n")
        if name == "backends":
            return TextFile(name, lambda _: BACKENDS.encode())
        if name.partition(".")[0] == "events":
            return agent.events
        if name == "ctl":
            return New(agent)
        if name == "beads":
            return Beads(agent)
        if name == "user" or name in agent.sessions:
            return One(agent, name)
        return None


class One(Dir):
    def __init__(self, agent: Agent, id: str) -> None:
        super().__init__(id)
        self.agent = agent

    def lookup(self, who: Any, name: str) -> Node | None:
        path = f"{self.name}/{name}"
        if path in self.agent.boxes:
            return TextFile(name, lambda _: json.dumps(self.agent.boxes[path]).encode())
        if name == "log":
            return self.agent.logs[self.name]
        if name.partition(".")[0] == "activity":
            return self.agent.activities[self.name]
        if name == "git":
            files = [Written(self.agent, one, f"{path}/{one}") for one in ("diff", "status", "review", "apply")]
            return StaticDir(name, [*files, Asked(self.agent, "ctl", f"{path}/ctl")])
        if name == "turns":
            return Turns(self.agent, self.name)
        if name in ("in", "ctl", "alias", "answer", "mail", "context", "tmux", "seen"):
            return Written(self.agent, name, path)
        return None


class Beads(Dir):
    def __init__(self, agent: Agent) -> None:
        super().__init__("beads")
        self.agent = agent

    def lookup(self, who: Any, name: str) -> Node | None:
        beads = self.agent.beads
        if name == "ctl":
            return Written(self.agent, name, "beads/ctl")
        if name in ("list", "ready"):
            shown = [bead for bead in beads if name == "list" or bead["status"] == "open"]
            return TextFile(name, lambda _: json.dumps(shown).encode())
        found = [bead for bead in beads if bead["id"] == name]
        return StaticDir(name, [TextFile("json", lambda _: json.dumps(found[0]).encode())]) if found else None


class Turns(Dir):
    def __init__(self, agent: Agent, id: str) -> None:
        super().__init__("turns")
        self.agent = agent
        self.id = id

    def lookup(self, who: Any, name: str) -> Node | None:
        if name == "list":
            return TextFile(name, lambda _: self._list())
        path = f"{self.id}/turns/{name}"
        if name == "1":  # is over
            end = {"seq": 1, "ts": 0, "turn": 1, "kind": "end", "how": "answer"}
            return StaticDir(name, [TextFile("activity", lambda _: f"{json.dumps(end)}\n".encode())])
        return (
            StaticDir(name, [Written(self.agent, one, f"{path}/{one}") for one in ("ctl", "prompt")])
            if name.isdecimal() and int(name) < 90
            else None
        )

    def _list(self) -> bytes:
        done = "1\tdone\tqueue\t2026-01-01T09:00:00+0000\t1.5\t-\t-\tlong ago\n"
        rows = (
            f"{n}\tqueued\t{origin}\t2026-01-01T10:00:0{n}+0000\t-\t-\t-\t{' '.join(text.split())[:60]}\n"
            for n, origin, text in self.agent.queues[self.id]
        )
        return (done + "".join(rows)).encode()


class Written(File):
    mode = 0o600

    def __init__(self, agent: Agent, name: str, path: str) -> None:
        super().__init__(name)
        self.agent = agent
        self.at = path

    def open(self, who: Any, mode: int, req: Request) -> Handle:
        return Draft(self.agent, self.at)


class Draft(SnapshotHandle):
    def __init__(self, agent: Agent, path: str) -> None:
        super().__init__(agent.texts.get(path, "").encode())
        self.agent = agent
        self.at = path
        self.data: bytes | None = None

    def write(self, offset: int, data: bytes, req: Request) -> int:
        self.data = (self.data or b"") + data
        return len(data)

    def clunk(self, req: Request) -> None:
        if self.data is not None:
            self.agent.took(self.at, self.data.decode())


class Asked(Written):
    """A command that is answered, or refused, when it is written."""

    def open(self, who: Any, mode: int, req: Request) -> Handle:
        return Answered(self.agent, self.at)


class Answered(Draft):
    def write(self, offset: int, data: bytes, req: Request) -> int:
        self.agent.took(self.at, data.decode())
        return len(data)


class New(File):
    mode = 0o600
    slow = True

    def __init__(self, agent: Agent) -> None:
        super().__init__("ctl")
        self.agent = agent

    def open(self, who: Any, mode: int, req: Request) -> Handle:
        return Newborn(self.agent)


class Newborn(Handle):
    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.id = ""

    def write(self, offset: int, data: bytes, req: Request) -> int:
        command, backend, cwd, *more = data.decode().split()
        if command != "new":
            raise Invalid(f"invalid command '{command}'")
        self.agent.starting.set()
        while self.agent.slow.is_set():
            threading.Event().wait(0.01)
        self.id = self.agent.add(backend, cwd, **dict(word.split("=", 1) for word in more))
        self.agent.note("ctl", data.decode())
        return len(data)

    def read(self, offset: int, count: int, req: Request) -> bytes:
        return f"{self.id}\n".encode()[offset : offset + count]


class Stream(File):
    """A file that grows, and whose readers wait at the end. `fresh`: an open starts at the end."""

    def __init__(self, name: str, fresh: bool = False) -> None:
        super().__init__(name)
        self.fresh = fresh
        self.data = b""
        self._waiting: list[tuple[StreamHandle, int, Request]] = []
        self._lock = threading.Lock()

    def open(self, who: Any, mode: int, req: Request) -> Handle:
        return StreamHandle(self, len(self.data) if self.fresh else 0)

    def add(self, data: bytes) -> None:
        with self._lock:
            self.data += data
            waiting, self._waiting = self._waiting, []
            for handle, offset, req in waiting:
                req.done(handle.take(offset, 8192))

    def read(self, handle: StreamHandle, offset: int, count: int, req: Request) -> bytes | Later:
        """Return what there is for a reader; at the end it waits."""
        with self._lock:
            if data := handle.take(offset, count):
                return data
            self._waiting.append((handle, offset, req))
            return LATER

    def cancel(self, req: Request) -> None:
        """Whose read it was waits no more."""
        with self._lock:
            self._waiting = [each for each in self._waiting if each[2] is not req]


class StreamHandle(Handle):
    def __init__(self, stream: Stream, at: int) -> None:
        self.stream = stream
        self.at = at

    def take(self, offset: int, count: int) -> bytes:
        if not self.stream.fresh:
            return self.stream.data[offset : offset + count]
        data = self.stream.data[self.at : self.at + count]
        self.at += len(data)
        return data

    def read(self, offset: int, count: int, req: Request) -> bytes | Later:
        return self.stream.read(self, offset, count, req)

    def cancel(self, req: Request) -> None:
        self.stream.cancel(req)
