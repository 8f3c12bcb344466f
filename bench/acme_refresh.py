"""How long Assist's table of 500 sessions takes to follow a change, and what it touches.

    python bench/acme_refresh.py            with an acme of its own (the fake one of the tests)
    python bench/acme_refresh.py --here     with the acme of this namespace, in a window of its own

One line a measurement: what changed, the median and the worst time of a refresh in milliseconds, how many refreshes it
took (many changes are written in steps, so that clicks are served in between), the time of all, writes to the window.
The window's events are read meanwhile, as Assist does.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import ended  # noqa: F401

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "acme")]

from fakeacme import FakeAcme  # noqa: E402

from acme.lib import main  # noqa: E402
from acme.lib.acme import Acme  # noqa: E402
from acme.lib.agent import Backend, Roster, Session  # noqa: E402
from acme.lib.window import Window  # noqa: E402
from anvilsrv.p9.client import Client  # noqa: E402

SESSIONS, ROUNDS = 500, 20


class Counted(Window):
    """A window that counts what is written to its body."""

    writes = 0

    def replace(self, q0: int, q1: int, text: str) -> int:
        self.writes += 1
        return super().replace(q0, q1, text)


class App:
    """As much of Assist as the main window needs to draw itself."""

    online = True
    mail, tick, trouble = 0, 0, ""
    command, home = "Assist", "/"

    def __init__(self, roster: Roster) -> None:
        self.roster = roster


class Table(main.Main):
    """The main window, with its refreshes done here."""

    again = False

    def stale(self) -> None:
        self.again = True

    def timed(self) -> list[float]:
        """Refresh until nothing is left to do; how long each refresh took, in milliseconds."""
        times, self.again = [], True
        while self.again:
            self.again = False
            started = time.perf_counter()
            self.refresh()
            times.append((time.perf_counter() - started) * 1000)
        return times


def measure(window: Counted) -> None:
    sessions = [
        Session(f"{n + 0xA0000000:08x}", f"s{n}", f"s{n}", "claude", "idle", f"/home/user/{n}") for n in range(SESSIONS)
    ]
    app = App(Roster(tuple(sessions), (Backend("claude", "Claude Code", "", "Claude"),)))
    pane = Table(app)  # type: ignore[arg-type]
    pane.window, pane.adopted = window, False
    window.listen()
    reader = threading.Thread(target=lambda: sum(1 for _ in window.gestures()))
    reader.start()
    try:
        refreshed(pane, app, sessions, window)
    finally:
        window.delete()
        reader.join()


def refreshed(pane: Table, app: App, sessions: list[Session], window: Counted) -> None:
    started = time.perf_counter()
    pane.open()
    print(f"{SESSIONS} rows drawn: {(time.perf_counter() - started) * 1000:.1f} ms")
    for what, count in (("nothing", 0), ("one state", 1), ("ten states", 10), ("every state", SESSIONS)):
        rounds = []
        window.writes = 0
        for turn in range(ROUNDS):
            state = ("running", "idle")[turn % 2]
            for n in range(0, SESSIONS, SESSIONS // count if count else SESSIONS + 1):
                if count:
                    sessions[n] = replace(sessions[n], state=state)
            app.roster = Roster(tuple(sessions), app.roster.backends)
            rounds.append(pane.timed())
        times = [each for steps in rounds for each in steps]
        steps, whole = len(times) // ROUNDS, statistics.median(map(sum, rounds))
        said = f"{what}: {statistics.median(times):.1f} ms, worst {max(times):.1f} ms"
        print(f"{said}, {steps} refreshes in {whole:.1f} ms, {window.writes // ROUNDS} writes")
    body = window.body()
    assert all(row in body for row in pane.shown)


def run() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--here", action="store_true", help="with the acme of this namespace, in a window of its own")
    if parser.parse_args().here:
        acme = Acme.dial()
        made = acme.new()
        made.name("/AnviLLM/bench")
        measure(Counted(acme.client, made.id))
        made.close()
        acme.close()
        return
    with tempfile.TemporaryDirectory(prefix="acme.") as directory:
        fake = FakeAcme(f"{directory}/acme")
        with Client(fake.path, timeout=None) as client:
            measure(Counted(client, fake.new("/AnviLLM/bench").id))
        fake.stop()


if __name__ == "__main__":
    run()
