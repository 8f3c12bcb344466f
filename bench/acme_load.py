"""What Assist costs while much happens, and whether acme stays quick: of several trees in one run, turn about.

    python bench/acme_load.py [--seconds 10] [--rounds 2] [TREE ...]

Each tree (by default this one) has its own real acme under Xvfb, a stand-in for the daemon with 200 sessions, and its own Assist.
Measured: Assist's processor time, in percent of a core, at 20 and 200 events a second and while ten logs stream; how long acme takes
to answer for `index`, and to take a key from somebody who types in another window; all of it also while nothing happens, which shows
what the machine is worth. acme, 9pserve, Xvfb and xdotool must be on PATH.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import ended  # noqa: F401

ROOT = Path(__file__).resolve().parent.parent
SESSIONS, LOGS = 200, 10


def used(pid: int) -> float:
    """Return the seconds of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def paced(rate: float, act: Callable[[], None]) -> Iterator[list[float]]:
    """Do that so many times a second; how long each took, in ms."""
    times: list[float] = []
    end = threading.Event()

    def go() -> None:
        due = time.monotonic()
        while not end.wait(max(0.0, due - time.monotonic())):
            due += 1 / rate
            began = time.perf_counter()
            act()
            times.append((time.perf_counter() - began) * 1000)

    thread = threading.Thread(target=go)
    thread.start()
    try:
        yield times
    finally:
        end.set()
        thread.join()


def said(times: list[float]) -> str:
    ordered = sorted(times)
    p95 = ordered[int(len(ordered) * 0.95)]
    return f"median {statistics.median(ordered):.1f}, p95 {p95:.1f}, worst {ordered[-1]:.1f} ms"


def one(tree: str, seconds: float) -> None:
    """Run one round of one tree, in a process of its own: it imports that tree."""
    sys.path[:0] = [tree, f"{tree}/tests/acme"]
    from fakeagent import Agent
    from realacme import AtReal

    from anvilsrv.p9.client import Client

    with tempfile.TemporaryDirectory(prefix="acme.") as top:
        for name in ("ns", "home"):
            os.mkdir(f"{top}/{name}", 0o700)
        os.environ |= {"HOME": f"{top}/home", "NAMESPACE": f"{top}/ns"}
        for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "WAYLAND_DISPLAY"):
            os.environ.pop(name, None)
        agent = Agent(f"{top}/ns/agent").start()
        ids = [agent.add("shell", "/tmp", alias=f"s{n}") for n in range(SESSIONS)]
        person = AtReal(f"{top}/ns")
        with open(f"{top}/assist", "wb") as errors:
            assist = subprocess.Popen([sys.executable, f"{tree}/acme/Assist"], cwd=top, stdout=errors, stderr=errors)
        client = f"{top}/ns/acme"
        try:
            person.sees("/AnviLLM/", ids[-1])
            person.new("/typing")
            typing = person.acme.find("/typing").id
            states = itertools.cycle((id, state) for state in ("running", "idle") for id in ids)

            def change() -> None:
                id, state = next(states)
                agent.change(id, state=state)

            measured("nothing happens", assist.pid, seconds / 2, client, typing, paced(1, lambda: None))
            for rate in (20, 200):
                measured(f"{rate} events a second", assist.pid, seconds, client, typing, paced(rate, change))
            for id in ids[:LOGS]:
                with Client(f"{top}/ns/assist") as asked:
                    asked.write("ctl", f"log {id}\n".encode())
            person.wait(lambda: sum("+Log." in name for name in person.names()) == LOGS, "the logs")
            pieces = itertools.cycle(ids[:LOGS])
            grown = paced(10 * LOGS, lambda: agent.logs[next(pieces)].add(b"\tsome words of an answer as it comes\n"))
            measured(f"{LOGS} logs that stream", assist.pid, seconds, client, typing, grown)
        finally:
            assist.terminate()
            assist.wait(30)
            person.stop()
            agent.stop()


@contextmanager
def probed(client: object, window: int) -> Iterator[Callable[[], list[list[float]]]]:
    """Ask for `index` and type, in a process of its own: in this one the stand-in for the daemon would be in the way. What is yielded
    returns how long each took."""
    words = [sys.executable, __file__, "--probe", str(client), str(window)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield lambda: json.loads(process.communicate("")[0])


def probe(socket: str, window: int) -> None:
    """Measure until the end of standard input, and print the times."""
    from anvilsrv.p9.client import Client

    with (
        Client(socket, timeout=None) as client,
        paced(20, lambda: client.read("index")) as asked,
        paced(20, lambda: client.write(f"{window}/body", b"x")) as typed,
    ):
        sys.stdin.read()
        print(json.dumps([asked, typed]), flush=True)


def measured(what: str, pid: int, seconds: float, client: str, typing: int, load: object) -> None:
    """Measure under that load, and print a line."""
    with load as done, probed(client, typing) as times:  # type: ignore[attr-defined]
        time.sleep(1)
        begun, before, count = time.monotonic(), used(pid), len(done)
        time.sleep(seconds)
        cost, took, count = used(pid) - before, time.monotonic() - begun, len(done) - count
        asked, typed = times()
    share = f"{cost / took * 100:.1f} % of a core, {cost / max(1, count) * 1000:.2f} ms for each of {count / took:.0f} a second"
    print(f"  {what}: {share}; index {said(asked)}; a key {said(typed)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("trees", nargs="*", default=[str(ROOT)])
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--probe", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.probe:
        probe(given.probe[0], int(given.probe[1]))
        return
    if missing := [name for name in ("acme", "9pserve", "Xvfb", "xdotool") if shutil.which(name) is None]:
        parser.error(f"not on PATH: {', '.join(missing)}")
    if given.one:
        one(given.trees[0], given.seconds)
        return
    for _ in range(given.rounds):
        for tree in given.trees:
            print(f"{tree} (load {os.getloadavg()[0]:.1f})", flush=True)
            line = [sys.executable, __file__, "--one", "--seconds", str(given.seconds), tree]
            subprocess.run(line, check=True, env=os.environ | {"PYTHONPATH": tree})


if __name__ == "__main__":
    main()
