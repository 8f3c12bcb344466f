"""The typist follows the rows: what is on its way is being typed, whatever came between."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from anvilsrv.agents.typist import Typist
from anvilsrv.errors import Unavailable
from anvilsrv.sessions.machine import Status
from anvilsrv.store.store import Tx
from tests.conftest import PATIENCE
from tests.desk.parts import Parts


class NoPane:
    """A tmux that cannot show the pane, from the moment that it may say so."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.looks = threading.Semaphore(0)

    def screen(self, pane: str, styled: bool = False) -> Any:
        self.looks.release()
        assert self.go.wait(PATIENCE)
        raise Unavailable("no such pane")


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    made = Parts(tmp_path).start()
    yield made
    made.close()


def test_a_prompt_that_is_given_up_and_chosen_again_in_one_commit_is_typed_again(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent, tmux = parts.idle(), NoPane()
    typist = Typist(
        parts.store, parts.registry, parts.turns, parts.post, parts.life, tmux, parts.backends, parts.errors.append,  # type: ignore[arg-type]
    )  # fmt: skip
    refresh, about = parts.registry.refresh, parts.life.about
    gave_up, commit = threading.Event(), threading.Event()

    def followed(tx: Tx, ids: set[str]) -> Any:
        touched = refresh(tx, ids)
        for one in touched:
            typist.follow(one.before, one.after)
        return touched

    def seen(session: str, job: Any) -> None:
        about(session, job)
        gave_up.set()

    monkeypatch.setattr(parts.registry, "refresh", followed)
    monkeypatch.setattr(parts.life, "about", seen)
    number = parts.prompt(agent)
    assert tmux.looks.acquire(timeout=PATIENCE)
    parts.store.post(lambda tx: commit.wait(PATIENCE))  # whatever is posted meanwhile is in its commit
    tmux.go.set()
    assert gave_up.wait(PATIENCE)
    parts.store.post(lambda tx: parts.life.release(tx, agent))
    tmux.go.clear()
    commit.set()
    try:
        parts.quiet()
        assert parts.status(number) == Status.CHOSEN
        assert tmux.looks.acquire(timeout=5), "nobody types it"
    finally:
        tmux.go.set()
        typist.close()
