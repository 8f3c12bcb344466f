"""What a session may have is found out before it is made, also where the kernel gives less than the full tier."""

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from anvilsrv.agents.directories import Directories
from anvilsrv.agents.plans import Plans
from anvilsrv.backends.registry import Backends, default_dirs
from anvilsrv.errors import Unavailable
from sandbox import tiers
from sandbox.errors import SandboxError, SandboxRefused
from sandbox.written import Written
from tests.conftest import Home


@pytest.fixture
def plans(home: Home, monkeypatch: pytest.MonkeyPatch) -> Plans:
    """Of a daemon on a kernel without user namespaces, whose user takes what there is."""
    for name, value in home.env.items():
        monkeypatch.setenv(name, value)
    home.config.mkdir(parents=True)
    (home.config / "global.yaml").write_text("general: {best_effort: true}\n")
    monkeypatch.setattr(tiers, "probe", lambda: tiers.Report("weak", ["no user namespaces"], [], 7))
    return Plans(Backends(*default_dirs()), Directories(home.top / "state"), str(home.namespace))


def test_a_directory_that_holds_what_must_not_be_written_is_refused_at_once(plans: Plans) -> None:
    with pytest.raises(Unavailable, match="must not be: tier weak cannot enforce that"):
        plans.make("shell", "", [], str(Path(os.environ["HOME"])))


def test_another_directory_is_taken_with_its_gaps(plans: Plans, home: Home) -> None:
    plan = plans.make("shell", "", [], str(home.work))
    assert plan.tier == "weak"
    assert plan.gaps


def test_what_could_not_be_found_out_is_said_and_tried_again_for_the_next_session(
    plans: Plans, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy() -> tiers.Report:
        raise SandboxError("too busy")

    able = tiers.probe
    monkeypatch.setattr(tiers, "probe", busy)
    with pytest.raises(Unavailable, match="too busy"):
        plans.make("shell", "", [], str(home.work))
    monkeypatch.setattr(tiers, "probe", able)
    assert plans.make("shell", "", [], str(home.work)).tier == "weak"


def test_a_variable_of_the_users_own_is_named_and_its_value_not_shown(
    plans: Plans, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROVIDER_KEY", "sk-of-the-user")
    plan = plans.make("shell", "", [], str(home.work), env={"PROVIDER_KEY": "sk-of-the-user", "COLOUR": "always"})
    assert "env\tPROVIDER_KEY\t" in plan.text and "env\tCOLOUR=always\t" in plan.text
    assert "sk-of-the-user" not in plan.text


@pytest.fixture
def eager() -> Iterator[None]:
    """Threads that take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("eager")
def test_starts_are_prepared_by_several_threads_at_once(home: Home) -> None:
    """What one may write is known to all the others, each path once, also to another process or a later daemon."""
    path = str(home.top / "state" / "written")
    failed: list[BaseException] = []

    def go_on(first: int) -> None:
        written = Written(path)
        try:
            for turn in range(60):
                mine = f"/work/{(first + turn) % 100}"
                written.add([mine, f"{mine}/beneath"])
                assert mine in written.known()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=go_on, args=(10 * number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    known = Written(path).known()
    assert len(known) == len(set(known)) == 101  # and the directory of the file itself
    assert os.stat(path).st_mode & 0o777 == 0o600


def test_where_agents_wrote_must_be_known_and_remembered(home: Home) -> None:
    """A start that cannot tell, or leave word, is refused."""
    path = home.top / "written"
    path.mkdir()
    with pytest.raises(SandboxRefused, match=f"cannot read {path}: Is a directory"):
        Written(str(path)).known()
    path.rmdir()
    path.symlink_to(home.top / "elsewhere")
    with pytest.raises(SandboxRefused, match=f"cannot write {path}"):
        Written(str(path)).add(["/work"])
