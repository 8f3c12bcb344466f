"""Beads in a directory of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from anvilsrv.beads.beads import Beads


class Desk:
    """Beads, everything they told, and the commands of one actor as plain words."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.told: list[dict[str, Any]] = []
        self.errors: list[BaseException] = []
        self.beads = Beads(path, self.told.append, self.errors.append)

    def __call__(self, *words: str, actor: str = "user") -> str:
        """Run a command; as the user unless another actor is named."""
        return self.beads.command(list(words), actor, actor == "user") or ""

    def ready(self) -> list[str]:
        return [record["id"] for record in _json(self.beads.ready_json())]

    def record(self, bead_id: str) -> dict[str, Any]:
        found = self.beads.get(bead_id)
        assert found is not None
        return found


def _json(data: bytes) -> Any:
    import json

    return json.loads(data)


@pytest.fixture
def open_desk(tmp_path: Path) -> Iterator[Callable[[], Desk]]:
    """Opens the same beads as often as wanted, each time as another daemon would."""
    desks: list[Desk] = []

    def opened() -> Desk:
        desks.append(Desk(tmp_path / "beads"))
        return desks[-1]

    yield opened
    for desk in desks:
        desk.beads.close()
        assert desk.errors == []


@pytest.fixture
def desk(open_desk: Callable[[], Desk]) -> Desk:
    return open_desk()
