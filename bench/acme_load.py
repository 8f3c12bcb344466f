"""What Assist costs while much happens, and whether acme stays quick: of several trees in one run, turn about.

    python bench/acme_load.py [--seconds 10] [--rounds 2] [TREE ...]

Each tree (by default this one) has its own real acme under Xvfb, a stand-in for the daemon with 200 sessions, and its own Assist.
Measured: Assist's processor time, in percent of a core, at 20 and 200 events a second and while ten logs stream; how long acme takes
to answer for `index`, and to take a key from somebody who types in another window. acme, 9pserve, Xvfb and xdotool must be installed.
"""

from __future__ import annotations

import argparse
import itertools
import os
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
        client = Client(f"{top}/ns/acme", timeout=None)
        try:
            person.sees("/AnviLLM/", ids[-1])
            person.new("/typing")
            typing = f"{person.acme.find('/typing').id}/body"
            states = itertools.cycle((id, state) for state in ("running", "idle") for id in ids)

            def change() -> None:
                id, state = next(states)
                agent.change(id, state=state)

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
            client.close()
            assist.terminate()
            assist.wait(30)
            person.stop()
            agent.stop()


def measured(what: str, pid: int, seconds: float, client: object, typing: str, load: object) -> None:
    """Measure under that load, and print a line."""
    with (
        load as done,  # type: ignore[attr-defined]
        paced(20, lambda: client.read("index")) as asked,  # type: ignore[attr-defined]
        paced(20, lambda: client.write(typing, b"x")) as typed,  # type: ignore[attr-defined]
    ):
        time.sleep(1)
        begun, before, count = time.monotonic(), used(pid), len(done)
        time.sleep(seconds)
        cost, took, count = used(pid) - before, time.monotonic() - begun, len(done) - count
    share = f"{cost / took * 100:.1f} % of a core, {cost / max(1, count) * 1000:.2f} ms for each of {count / took:.0f} a second"
    print(f"  {what}: {share}; index {said(asked)}; a key {said(typed)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("trees", nargs="*", default=[str(ROOT)])
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
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
