"""What a session may have is found out before it is made, also where the kernel gives less than the full tier."""

import os
from pathlib import Path

import pytest

from anvilsrv.agents.launch import Launch
from anvilsrv.backends.registry import Backends, default_dirs
from anvilsrv.errors import Unavailable
from sandbox import tiers
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
