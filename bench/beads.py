"""How fast beads are with many of them: python bench/beads.py [how many]. Prints milliseconds, median and worst.

A tenth is closed, a hundredth ready, everything else waits: half of it by a dependency, half below a parent that waits.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import ended  # noqa: F401
from arguments import numbers

from anvilsrv.beads.beads import Beads
from anvilsrv.p9.client import Client
from anvilsrv.p9.server import Server
from anvilsrv.tree.access import Who
from anvilsrv.tree.domain import Domain
from anvilsrv.tree.table import Tree


def main() -> None:
    count = int(numbers(__doc__, count=100_000)[0])
    with tempfile.TemporaryDirectory() as folder:
        beads = Beads(Path(folder) / "beads", lambda change: None, print)
        file = Path(folder) / "issues.jsonl"
        file.write_text("".join(json.dumps(record(n, count)) + "\n" for n in range(count)))
        measure("import of all", 1, lambda _: beads.command(["import", str(file)], "user", True))
        ready = [found["id"] for found in json.loads(beads.ready_json())]
        print(f"{count} beads, {len(ready)} ready")
        measure("ready", 20, lambda _: beads.ready_json())
        measure("claim", 200, lambda n: beads.command(["claim", ready[n]], "a1", False))
        measure("complete", 200, lambda n: beads.command(["complete", ready[n]], "a1", False))
        measure("new", 200, lambda n: beads.command(["new", f"fresh {n}", "text"], "user", True))
        measure("get", 200, lambda n: beads.get(ready[n]))
        measure("list", 5, lambda _: beads.list_json())
        measure(
            "its size after a change",
            5,
            lambda n: (beads.command(["comment", "b-10", f"{n}"], "user", True), beads.list_size()),
        )
        measure("its size again", 20, lambda _: beads.list_size())
        measure(
            "size of ready",
            5,
            lambda n: (beads.command(["comment", "b-10", f"{n}"], "user", True), beads.ready_size()),
        )
        listing(beads)
        measure("complete what most wait for", 1, lambda _: beads.command(["complete", "b-gate"], "user", True))
        measure("ready then", 5, lambda _: beads.ready_json())
        measure("export of all", 1, lambda _: beads.command(["export", str(file)], "user", True))
        beads.close()


def listing(beads: Beads) -> None:
    """Measure ``ls -l beads`` of a served tree, after a change each time, and what a client that asks for something
    else waits meanwhile.
    """
    with tempfile.TemporaryDirectory() as folder:
        server, path = Server(on_error=print), f"{folder}/agent"
        server.listen(
            path, Tree(cast(Domain, SimpleNamespace(beads=beads, descends=lambda child, ancestor: False))), Who()
        )
        server.start()
        done, waits = threading.Event(), []

        def other() -> None:
            with Client(path) as client:
                while not done.is_set():
                    began = time.perf_counter()
                    client.stat("beads/ctl")
                    waits.append((time.perf_counter() - began) * 1000)

        thread = threading.Thread(target=other)
        thread.start()
        with Client(path, timeout=60) as client:
            for n in range(3):
                beads.command(["comment", "b-10", f"again {n}"], "user", True)
                began = time.perf_counter()
                count = len(client.ls("beads"))
                took = (time.perf_counter() - began) * 1000
        done.set()
        thread.join()
        server.stop()
    print(f"{f'listing of {count}':30} {took:10.2f}")
    print(f"{'what others waited meanwhile':30} {statistics.median(waits):10.2f} {max(waits):10.2f}")


def record(n: int, count: int) -> dict[str, object]:
    one: dict[str, object] = {
        "id": f"b-{n}",
        "title": f"bead {n}",
        "description": "what to do\n" * 10,
        "priority": n % 5,
    }
    one |= {"created_at": f"2024-01-{1 + n % 28:02}T03:04:05Z", "labels": ["one", "two"]}
    one["status"] = "closed" if n % 10 == 0 else "open"
    edge = None
    if n == 1:
        one |= {"id": "b-gate", "status": "in_progress"}
    elif n == 2:
        one |= {"id": "b-top", "issue_type": "epic"}
        edge = ("b-gate", "blocks")
    elif n % 100 != 99:
        edge = ("b-gate", "blocks") if n % 2 else ("b-top", "parent-child")
    if edge:
        one["dependencies"] = [{"issue_id": one["id"], "depends_on_id": edge[0], "type": edge[1]}]
    return one


def measure(what: str, times: int, run: Callable[[int], object]) -> None:
    took = []
    for n in range(times):
        began = time.perf_counter()
        run(n)
        took.append((time.perf_counter() - began) * 1000)
    print(f"{what:30} {statistics.median(took):10.2f} {max(took):10.2f}")


if __name__ == "__main__":
    main()
