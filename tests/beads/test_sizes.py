"""How long ``list`` and ``ready`` are is known without making them."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from anvilsrv.beads import graph
from anvilsrv.beads.beads import Beads


@pytest.fixture
def beads(tmp_path: Path) -> Iterator[Beads]:
    made = Beads(tmp_path / "beads", lambda change: None, print)
    yield made
    made.close()


def test_the_sizes_are_those_of_the_texts_and_follow_changes_and_the_clock(
    beads: Beads, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [time.time_ns()]
    monkeypatch.setattr(time, "time_ns", lambda: clock[0])

    def right() -> tuple[int, int]:
        assert (beads.list_size(), beads.ready_size()) == (len(beads.list_json()), len(beads.ready_json()))
        return beads.list_size(), beads.ready_size()

    assert right() == (3, 3)
    seen = {right()}
    later = datetime.fromtimestamp(clock[0] / 1e9 + 60, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    for command in (["new", "ümlaut"], ["new", "two"], ["new", "later", "", f"defer={later}"]):
        beads.command(command, "user", True)
        seen.add(right())
    clock[0] += 120 * 10**9
    seen.add(right())
    assert len(seen) == 5


def test_a_size_is_measured_once_per_change(beads: Beads, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[int] = []
    real = graph.size
    monkeypatch.setattr(graph, "size", lambda db: (measured.append(1), real(db))[1])
    for _ in range(2):
        beads.command(["new", "one"], "user", True)
        for _ in range(3):
            beads.list_size()
    assert len(measured) == 2
