"""How long after its model an agent that speaks the Agent Client Protocol is heard: from the first piece of an answer, as the
stand-in for its service sends it, to the reader of ``activity``.

    python bench/first_piece.py [-n 20] [fake-acp claude-acp ...]

Prints the median, the best and the 95th percentile in ms, beside an echo of one byte over loopback in the same run, and the load of the
machine. Agents that are not installed are left out. Everything runs in a directory of its own and is gone afterwards.
"""

import argparse
import itertools
import json
import os
import socket
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import ended  # noqa: F401
import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.real_agents.conftest import Bench, a_bench  # noqa: E402
from tests.real_agents.model import Say  # noqa: E402

AGENTS = ("fake-acp", "claude-acp")
LIMIT = 100.0  # ms


def echo(count: int) -> list[float]:
    """Return round trips of one byte over loopback, in ms."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as ours:
        theirs, _ = server.accept()
        with theirs:

            def answer() -> None:
                while data := theirs.recv(1):
                    theirs.send(data)

            thread = threading.Thread(target=answer)
            thread.start()
            found = []
            for _ in range(count):
                began = time.perf_counter()
                ours.send(b"x")
                ours.recv(1)
                found.append((time.perf_counter() - began) * 1000)
            ours.shutdown(socket.SHUT_WR)
            thread.join()
    return found


def measure(bench: Bench, count: int) -> list[float]:
    """Return the times from the model's first piece to the reader, in ms."""
    sends = time.perf_counter()
    pieces = bench.model.pieces

    def noted(say: Say) -> Iterator[str]:
        nonlocal sends
        made = pieces(say)
        first = next(made)
        sends = time.perf_counter()
        yield from itertools.chain([first], made)

    bench.model.pieces = noted  # type: ignore[method-assign]
    agent, found = bench.new(), []
    agent.ask("hello")
    with agent.client.open(f"{agent.id}/activity") as file:
        for at in range(count):
            agent.prompt(f"@@hold gate{at} begins-{at} ends")
            told = b""
            while not begins(told, f"begins-{at}"):
                told += file.read(timeout=60)
            found.append((time.perf_counter() - sends) * 1000)
            bench.model.release(f"gate{at}")
            agent.out()
    return found


def begins(told: bytes, words: str) -> bool:
    """Return whether a text that begins so is told."""
    lines = (json.loads(line) for line in told.split(b"\n")[:-1])
    return any(one["kind"] == "text" and str(one.get("part") or one.get("text")).startswith(words) for one in lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-n", type=int, default=20, help="answers of each agent")
    parser.add_argument("agents", nargs="*", default=AGENTS)
    given = parser.parse_args()
    late = []
    for name in given.agents:
        try:
            with a_bench(name) as bench:
                rows = {name: measure(bench, given.n), "echo over loopback": echo(50 * given.n)}
        except pytest.skip.Exception as skipped:
            print(f"{name:20} {skipped}")
            continue
        for row, walls in rows.items():
            walls.sort()
            middle, tail = statistics.median(walls), walls[int(len(walls) * 0.95)]
            print(f"{row:20} {middle:8.2f} ms  best {walls[0]:8.2f}  p95 {tail:8.2f}")
            late += [row] if middle > LIMIT else []
        print(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores", flush=True)
    print(f"limit {LIMIT:g} ms: {'MISSED by ' + ', '.join(late) if late else 'kept'}")


if __name__ == "__main__":
    main()
