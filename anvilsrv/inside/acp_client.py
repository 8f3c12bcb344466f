"""The client's side of one connection to an agent: requests with their answers and time limits, and how a session is opened.

Threads: everything is called on the thread of the front. Nothing waits: what comes of a request is told to the function that was
given with it, by ``answered`` or, when the time is over, by ``tick``.
"""

import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from anvilsrv import __version__
from anvilsrv.inside import acp_options
from anvilsrv.inside.acp_options import Option
from anvilsrv.inside.acp_process import Process
from anvilsrv.inside.acp_said import word
from anvilsrv.inside.acp_wire import Answer, RpcError

VERSION = 1
NAME = 1000  # characters of the session's id, which is a word of the command line that goes on with it
METHODS = 10  # ways to log in that are named
CAPABILITIES: Mapping[str, Any] = {
    "fs": {"readTextFile": False, "writeTextFile": False}, "terminal": False, "auth": {"terminal": True},
    "session": {"notices": {}, "compaction": {}, "configOptions": {"boolean": {}}},
}  # fmt: skip
NOT_LOGGED_IN = -32000
NOT_OFFERED = {"code": -32601, "message": "not offered by this client"}

Then = Callable[[Answer], None]
LATE = RpcError(-1, "no answer")


@dataclass(frozen=True)
class Wanted:
    """How a session is to be: ``session`` is the conversation to go on with, ``settings`` are options by name, in their order;
    of those in ``needed`` one that cannot be set is an end; ``limit``: seconds for each step; ``login``: what to do to log in."""

    cwd: str
    session: str
    mcp: tuple[Mapping[str, Any], ...]
    meta: Mapping[str, Any]
    settings: tuple[tuple[str, str], ...] = ()
    needed: frozenset[str] = frozenset()
    limit: float = 60.0
    login: str = ""


class Client:
    """One connection. ``failed(why, permanent)``: no session can be had; ``opened(resumed)``: there is one; ``say``: for a person."""

    def __init__(
        self, process: Process, wanted: Wanted, opened: Callable[[bool], None], failed: Callable[[str, bool], None],
        say: Callable[[str], None],
    ) -> None:  # fmt: skip
        self.process = process
        self.wanted = wanted
        self.session = ""
        self.options: dict[str, Option] = {}
        self.capabilities: Mapping[str, Any] = {}
        self.hung = False  # it did not answer a load: the process is of no use any more
        self._opened, self._failed, self._say = opened, failed, say
        self._calls: dict[int, tuple[str, Then, float]] = {}
        self._numbers = itertools.count(1)
        self._methods: tuple[str, ...] = ()

    # -- requests

    def call(self, method: str, params: Mapping[str, Any], then: Then, limit: float | None = None) -> None:
        """Send a request; after ``limit`` s without an answer it has failed."""
        number = next(self._numbers)
        self._calls[number] = (method, then, time.monotonic() + limit if limit is not None else float("inf"))
        self.process.send({"id": number, "method": method, "params": params})

    def answered(self, answer: Answer) -> bool:
        """Take an answer. Returns whether it was one to a request that is open."""
        known = isinstance(answer.id, int) and not isinstance(answer.id, bool)
        found = self._calls.pop(answer.id, None) if known else None
        if found is not None:
            found[1](answer)
        return found is not None

    @property
    def deadline(self) -> float:
        """When the next request is late (monotonic, s)."""
        return min((one[2] for one in self._calls.values()), default=float("inf"))

    def tick(self, now: float) -> None:
        """Fail what is late."""
        for number, (_, then, deadline) in list(self._calls.items()):
            if deadline <= now:
                del self._calls[number]
                then(Answer(number, error=LATE))

    def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Tell something."""
        self.process.send({"method": method, "params": params})

    def reply(self, ident: Any, result: Mapping[str, Any] | None) -> None:
        """Answer a request of the agent's; None: it is not offered."""
        self.process.send({"id": ident, **({"error": NOT_OFFERED} if result is None else {"result": result})})

    # -- a session

    def start(self) -> None:
        """Shake hands, then open the session."""
        given = {**CAPABILITIES, **({"_meta": self.wanted.meta} if self.wanted.meta else {})}
        info = {"name": "anvillm", "title": "AnviLLM", "version": __version__}
        params = {"protocolVersion": VERSION, "clientCapabilities": given, "clientInfo": info}
        self.call("initialize", params, self._met, self.wanted.limit)

    def _met(self, answer: Answer) -> None:
        if answer.error is not None:
            self._failed(self._why("initialize", answer.error), answer.error is not LATE)
            return
        version = answer.result.get("protocolVersion")
        if version != VERSION or isinstance(version, bool):
            self._failed(
                f"the agent speaks version {str(version)[:80]} of the protocol, and this program {VERSION}", True
            )
            return
        found, methods = answer.result.get("agentCapabilities"), answer.result.get("authMethods")
        self.capabilities = found if isinstance(found, dict) else {}
        rows = [one for one in methods if isinstance(one, dict)] if isinstance(methods, list) else []
        self._methods = tuple(_method(one) for one in rows[:METHODS])
        self._open()

    def _open(self) -> None:
        """Go on with the conversation, where the agent can; else begin a new one."""
        more = self.capabilities.get("sessionCapabilities")
        resume = isinstance(more, dict) and more.get("resume") is not None
        load = self.capabilities.get("loadSession") is True
        if self.wanted.session and resume:
            self.call("session/resume", self._where(), self._load if load else self._loaded, self.wanted.limit)
            return
        if self.wanted.session and load:
            self.call("session/load", self._where(), self._loaded, self.wanted.limit)
            return
        if self.wanted.session:
            self._say("the agent cannot go on with a conversation: a new one begins")
        self.renew()

    def renew(self) -> None:
        """Begin a new conversation."""
        self.call("session/new", self._place(), self._made, self.wanted.limit)

    def _place(self) -> dict[str, Any]:
        return {"cwd": self.wanted.cwd, "mcpServers": list(self.wanted.mcp)}

    def _where(self) -> dict[str, Any]:
        return {"sessionId": self.wanted.session, **self._place()}

    def _load(self, answer: Answer) -> None:
        """Load the conversation if the agent does not know how to resume it: some announce that and do not."""
        if answer.error is not None and answer.error.code == NOT_OFFERED["code"]:
            self.call("session/load", self._where(), self._loaded, self.wanted.limit)
        else:
            self._loaded(answer)

    def _loaded(self, answer: Answer) -> None:
        if answer.error is None:
            self.session = self.wanted.session
            self._settle(answer, True)
            return
        self._say(f"{self._why('load', answer.error)}: the conversation cannot be resumed, a new one begins")
        self.hung = answer.error is LATE
        if self.hung:
            self._failed("the agent hangs", False)
        else:
            self.renew()

    def _made(self, answer: Answer) -> None:
        if answer.error is not None:
            why = self._why("session/new", answer.error)
            self._failed(why + self.login(answer.error), answer.error is not LATE)
            return
        self.session = word(answer.result.get("sessionId"))
        if not self.session or len(self.session) > NAME or not self.session.isprintable():
            self._failed(f"session/new: the agent gave the session no id of at most {NAME} characters", True)
        else:
            self._settle(answer, False)

    def login(self, error: RpcError) -> str:
        """Return how to log in, if that is why it failed; nothing is done about it unasked."""
        ways = [self.wanted.login] if self.wanted.login else list(self._methods)
        return f"; to log in: {', '.join(ways)}" if error.code == NOT_LOGGED_IN and ways else ""

    def _settle(self, answer: Answer, resumed: bool) -> None:
        """Set what is wanted, one after the other."""
        self.options = acp_options.read(answer.result) or self.options
        self.set(list(self.wanted.settings), lambda: self._opened(resumed), self.wanted.needed)

    def set(self, left: list[tuple[str, str]], then: Callable[[], None], needed: frozenset[str] = frozenset()) -> None:
        """Set these, one after the other, then go on. One that cannot be set is said; of those in ``needed`` it is an end."""
        while left:
            name, value = left.pop(0)
            why = acp_options.refusal(self.options, name, value)
            if not why:
                self.choose(name, value, lambda why, name=name: self._was_set(left, then, needed, name, why))  # type: ignore[misc]
                return
            if not self._unset(name, why, needed):
                return
        then()

    def _was_set(
        self, left: list[tuple[str, str]], then: Callable[[], None], needed: frozenset[str], name: str, why: str
    ) -> None:
        if not why or self._unset(name, why, needed):
            self.set(left, then, needed)

    def _unset(self, name: str, why: str, needed: frozenset[str]) -> bool:
        """Handle a failure to set it. Returns whether that is acceptable."""
        if name in needed:
            self._failed(why, True)
            return False
        self._say(why)
        return True

    def choose(self, name: str, value: str, then: Callable[[str], None]) -> None:
        """Set an option that can be set; ``then`` gets why that failed, or nothing."""
        method, params = acp_options.setting(self.options[name], value, self.session)

        def told(answer: Answer) -> None:
            if answer.error is None:
                self.now(name, value)
                self.take(answer.result)
            then("" if answer.error is None else self._why(f"{name} {value}", answer.error))

        self.call(method, params, told, self.wanted.limit)

    def take(self, result: Mapping[str, Any]) -> None:
        """Take the options that the agent has sent again."""
        self.options = acp_options.united(self.options, acp_options.read(result))

    def now(self, name: str, value: str) -> None:
        """Record that an option has that value now."""
        before = self.options.get(name)
        if before is not None:
            self.options[name] = Option(name, value, before.choices, before.how, before.flag)

    def _why(self, what: str, error: RpcError) -> str:
        return f"{what}: no answer within {self.wanted.limit:g} s" if error is LATE else f"{what}: {error.words}"


def _method(found: Mapping[str, Any]) -> str:
    """Return a way to log in, with what to run if that is given."""
    name, text = word(found.get("name")) or word(found.get("id")), word(found.get("description"))
    name, text, given = name[:NAME], text[:NAME], found.get("args")
    args = " ".join(filter(None, map(word, given)))[:NAME] if isinstance(given, list) else ""
    run = f"the agent's program with {args}" if args else ""
    more = ", ".join(one for one in (text if text != name else "", run) if one)
    return f"{name} ({more})" if more else name
