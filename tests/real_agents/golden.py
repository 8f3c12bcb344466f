"""Golden screens: what each agent's terminal shows in each state, kept as text, and what our patterns make of it.

A file ``golden/<backend>-<version>/<state>.txt`` holds the terminal's title (where the backend looks at it), an empty line, and the
screen: paths, ids and the length of drawn lines normalised, ESC written as ␛. What counts of a screen are its *facts*: what the
patterns of ``cfg/backends`` find in it. They are the same in every version that we can run; how it looks besides may change.
"""

import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from anvilsrv.backends.backend import Backend
from anvilsrv.backends.registry import Backends
from anvilsrv.tmux.screen import Screen
from tests.conftest import ROOT
from tests.real_agents.conftest import Bench, careful, wait_until
from tests.real_agents.directives import command, limit
from tests.session import Session

HERE = Path(__file__).parent / "golden"
SHIPPED = Backends(ROOT / "cfg" / "backends")
DRAFT = "half a thought"
SETTLE = 15.0  # s
RECORDED = 1_700_000_000.0  # the clock of what is kept: limits in it end within the day

# What the patterns are to find. A title is only looked at where the backend has patterns for it; None: it does not matter.
FREE = {"free": True, "title": "idle", "ready": True, "dialog": None, "limit": False}
HELD = {"free": False, "title": "idle", "ready": None, "dialog": None, "limit": False}
ASKS = {"free": False, "title": None, "ready": None, "dialog": None, "limit": False}
EXPECTED: dict[str, dict[str, Any]] = {
    "empty": FREE,
    "half-typed": HELD,
    "busy": {"free": None, "title": "busy", "ready": None, "dialog": None, "limit": False},
    "answered": FREE,
    "failed": FREE,
    "permission": ASKS,
    "limit": {**FREE, "limit": True},
    "trust": {**ASKS, "ready": False, "dialog": "start"},
}
LIMITS: dict[str, dict[str, Any]] = {
    "claude": {**ASKS, "dialog": "prompt", "limit": True},
    "gemini": {**ASKS, "dialog": "turn", "limit": True},
    "opencode": FREE,  # its plugin tells
}
#: What is otherwise from a version on.
SINCE: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {
    ("claude", "limit"): (
        "2.1.332",
        {**FREE, "limit": True},
    ),  # it goes on by itself when the limit ends, and asks nothing
    # It asks for the terminal's graphics by an APC string, which tmux takes as a title until the agent sets its own again.
    ("claude", "half-typed"): ("2.1.332", {**HELD, "title": None}),
}
STATES = {
    "claude": ("empty", "half-typed", "busy", "answered", "failed", "permission", "limit"),
    "codex": (
        "empty",
        "half-typed",
        "busy",
        "answered",
        "failed",
        "limit",
    ),  # no dialog while our hook waits for a permission
    "gemini": ("empty", "half-typed", "busy", "answered", "failed", "limit"),
    "opencode": ("empty", "half-typed", "busy", "answered", "failed", "permission", "limit"),
    "kiro-tui": ("trust", "empty", "half-typed", "busy", "answered"),
}


@dataclass(frozen=True)
class Shot:
    """A pane at one moment; styled where the backend looks at colours."""

    title: str
    lines: tuple[str, ...]

    def text(self) -> str:
        """As it is kept."""
        return "\n".join([self.title, "", *self.lines]).replace("\x1b", "␛") + "\n"

    @classmethod
    def parse(cls, text: str) -> "Shot":
        """Return the inverse of ``text``."""
        title, _, *lines = text.replace("␛", "\x1b").rstrip("\n").split("\n")
        return cls(title, tuple(lines))


def expected(backend: str, version: str, state: str) -> dict[str, Any]:
    """Return the facts that must hold."""
    since, otherwise = SINCE.get((backend, state), ("", {}))
    if since and numbers(version) >= numbers(since):
        return otherwise
    return LIMITS.get(backend, EXPECTED[state]) if state == "limit" else EXPECTED[state]


def numbers(version: str) -> list[int]:
    return [int(one) for one in re.findall(r"\d+", version)]


def facts(backend: Backend, shot: Shot, now: float) -> dict[str, Any]:
    """Return what the backend's patterns find, at that time."""
    screen = Screen(list(shot.lines), 0, max(0, len(shot.lines) - 1), 200, 50)
    text = re.sub(r"\x1b\[[\d;:]*m", "", "\n".join(shot.lines))
    titles = {"busy": backend.titles.busy, "idle": backend.titles.idle}
    found = [name for name, pattern in titles.items() if pattern is not None and pattern.search(shot.title)]
    return {
        "free": backend.free(screen),
        "title": found[0] if found else None,
        "ready": None if backend.ready_screen is None else backend.ready_screen.search(text) is not None,
        "dialog": next((one.at for one in backend.dialogs if one.screen.search(text)), None),
        "limit": any(backend.until(line, now) is not None for line in text.splitlines()),
    }


def wrong(backend: Backend, version: str, state: str, shot: Shot, now: float = RECORDED) -> dict[str, tuple[Any, Any]]:
    """Return facts that are not as they must be: what is found, what should be."""
    found, meant = facts(backend, shot, now), expected(backend.name, version, state)
    skipped = {name for name, value in meant.items() if value is None and name != "dialog"}
    if backend.titles.busy is None:
        skipped.add("title")
    if backend.ready_screen is None:
        skipped.add("ready")
    return {name: (found[name], meant[name]) for name in meant if name not in skipped and found[name] != meant[name]}


def stored() -> list[tuple[str, str, str]]:
    """Return backend, version, and state of every golden screen."""
    names = sorted(SHIPPED.names(), key=len, reverse=True)
    found = []
    for path in sorted(HERE.glob("*/*.txt")):
        name = next(one for one in names if path.parent.name.startswith(f"{one}-"))
        found.append((name, path.parent.name.removeprefix(f"{name}-"), path.stem))
    return found


def path(backend: str, version: str, state: str) -> Path:
    return HERE / f"{backend}-{version}" / f"{state}.txt"


def normal(text: str, bench: Bench, version: str) -> str:
    """Return the text without what differs from run to run; what was drawn over the whole width is made short."""
    text = re.sub(r"^WARNING: proceeding, even though .*?\)\)\n", "", text, flags=re.DOTALL)  # of Codex, about /tmp
    text = text.replace(str(bench.daemon.home.work), "/project").replace(str(bench.daemon.home.top), "/home")
    text = re.sub(r"av-[a-z0-9_]{8}(_ns(-[0-9a-z]{8})?)?", "av", text).replace(version, "VERSION")
    text = re.sub(r"\b[0-9a-f]{8}\b", "a1b2c3d4", re.sub(r"\b1\d{9}\b", "1700000000", text))
    text = re.sub(r"([─▀▄━═])\1{9,}", r"\1" * 10, text)
    return re.sub(r"\n{4,}", "\n\n\n", "\n".join(line.rstrip() for line in text.splitlines()).strip("\n"))


def shot(agent: Session, bench: Bench, version: str) -> Shot:
    """Return what the pane of ``agent`` shows now."""
    styled = ["-e"] if SHIPPED.get(bench.backend).input.styled else []
    screen = agent.tmux("capture-pane", "-p", *styled, "-t", agent.id)
    title = agent.tmux("display-message", "-p", "-t", agent.id, "#{pane_title}").strip()
    told = normal(title, bench, version) if SHIPPED.get(bench.backend).titles.busy else ""
    return Shot(told, tuple(normal(screen, bench, version).split("\n")))


def settled(agent: Session, bench: Bench, version: str, state: str) -> tuple[str, Shot]:
    """The screen once it is as it must be, or what it came to when it never is: who compares tells what is wrong."""
    deadline = time.monotonic() + SETTLE
    while True:
        taken = shot(agent, bench, version)
        if not wrong(SHIPPED.get(bench.backend), version, state, taken, time.time()) or time.monotonic() > deadline:
            return state, taken
        threading.Event().wait(0.1)


def drive(bench: Bench, version: str) -> Iterator[tuple[str, Shot]]:
    """Bring agents into every state that needs no other service, and take what they show."""
    agent = bench.new()
    yield settled(agent, bench, version, "empty")
    agent.keys("-l", DRAFT)
    wait_until(lambda: DRAFT in agent.screen, "the draft is on the screen")
    yield settled(agent, bench, version, "half-typed")
    agent.keys("C-u")
    agent.prompt("@@hold gate one two three four")
    bench.model.wait(1)
    yield settled(agent, bench, version, "busy")
    bench.model.release("gate")
    agent.out()
    agent.wait("idle")
    yield settled(agent, bench, version, "answered")
    agent.refused("@@fail 400 bad thing")
    agent.wait("idle")
    yield settled(agent, bench, version, "failed")
    if "permission" in STATES[bench.backend]:
        agent = asking(bench)
        yield settled(agent, bench, version, "permission")
        agent.write("answer", "deny")
        wait_until(lambda: agent.state == "idle", "the turn ends")


def asking(bench: Bench) -> Session:
    """An agent that waits for a permission."""
    agent = bench.new(careful(bench.daemon.home))
    agent.prompt(command(bench.backend, "touch made", ask=True))
    agent.question()
    return agent


def without_dialogs(bench: Bench) -> None:
    """Let the daemon leave dialogs as they are, so that they can be seen."""
    directory = bench.daemon.home.config / "backends"
    directory.mkdir(parents=True, exist_ok=True)
    source = ROOT / "cfg" / "backends" / f"{bench.backend}.yaml"
    found = yaml.safe_load(source.read_text())
    found["backend"].pop("dialogs", None)
    (directory / source.name).write_text(yaml.safe_dump(found, sort_keys=False, allow_unicode=True))
    for beside in source.parent.glob("*.py"):
        (directory / beside.name).write_text(beside.read_text())


def drive_limit(bench: Bench, version: str) -> tuple[str, Shot]:
    """A session whose limit is reached. No other may have been started."""
    backend = SHIPPED.get(bench.backend)
    if any(one.at != "start" for one in backend.dialogs):
        without_dialogs(bench)
    agent = bench.new()
    agent.prompt(limit(bench.backend, time.time(), time.time() + 7200))
    return settled(agent, bench, version, "limit")


def drive_kiro(bench: Bench, version: str) -> Iterator[tuple[str, Shot]]:
    """Drive the stand-in for Kiro CLI, which has no service."""
    without_dialogs(bench)
    agent = bench.launch()
    yield settled(agent, bench, version, "trust")
    agent.keys("Down", "Enter")
    agent.wait("idle")
    yield settled(agent, bench, version, "empty")
    agent.keys("-l", DRAFT)
    yield settled(agent, bench, version, "half-typed")
    agent.keys("C-u")
    agent.prompt("wait 3")
    agent.wait("running")
    yield settled(agent, bench, version, "busy")
    agent.out()
    agent.wait("idle")
    yield settled(agent, bench, version, "answered")
