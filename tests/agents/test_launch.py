"""What a session may have is found out before it is made, also where the kernel gives less than the full tier."""

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from anvilsrv.agents.launch import Launch
from anvilsrv.backends.registry import Backends, default_dirs
from anvilsrv.errors import Unavailable
from sandbox import policy, tiers
from sandbox.policy import Policy
from tests.conftest import Home


@pytest.fixture
def launch(home: Home, monkeypatch: pytest.MonkeyPatch) -> Launch:
    """Of a daemon on a kernel without user namespaces, whose user takes what there is."""
    for name, value in home.env.items():
        monkeypatch.setenv(name, value)
    home.config.mkdir(parents=True)
    (home.config / "global.yaml").write_text("general: {best_effort: true}\n")
    monkeypatch.setattr(tiers, "probe", lambda: tiers.Report("weak", ["no user namespaces"], [], 7))
    return Launch(Backends(*default_dirs()), home.top / "state", str(home.namespace))


def test_a_directory_that_holds_what_must_not_be_written_is_refused_at_once(launch: Launch) -> None:
    with pytest.raises(Unavailable, match="must not be: tier weak cannot hold that"):
        launch.plan("shell", "", [], str(Path(os.environ["HOME"])))


def test_another_directory_is_taken_with_its_gaps(launch: Launch, home: Home) -> None:
    plan = launch.plan("shell", "", [], str(home.work))
    assert plan.tier == "weak"
    assert plan.gaps


@pytest.fixture
def eager() -> Iterator[None]:
    """Threads that take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("eager")
def test_starts_are_prepared_by_several_threads_at_once(
    launch: Launch, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers plan sessions while others are started and forgotten; what one may write is known to all the others."""
    made = launch.plan("shell", "", [], str(home.work)).policy
    known: list[int] = []

    def load(**given: Any) -> Policy:
        known.append(len(given["untrusted"]))
        return made

    monkeypatch.setattr(policy, "load", load)  # reading the layers takes a hundred times longer than what is tried here
    failed: list[BaseException] = []

    def go_on(first: str) -> None:
        try:
            for turn in range(60):
                launch.plan("shell", "", [], str(home.work), f"{first}{turn % 20:02}")
                launch.forget(f"{first}{(turn + 7) % 20:02}")
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=go_on, args=(f"{number:06x}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert max(known) > 50 * len(made.writable)
