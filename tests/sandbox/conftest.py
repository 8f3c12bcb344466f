"""The worlds of the tests in this directory (see ``sandbox_world``): root's, where the tests run as root, and a user's."""

import compileall
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from door_world import DoorWorld, with_h11
from sandbox_world import ORDINARY, PYTHON, World

import sandbox
from sandbox import tiers
from tests.authority import Authority, authority

PACKAGE = Path(sandbox.__file__).parent


@pytest.fixture(scope="session")
def library() -> Iterator[Path]:
    """A copy of the package where every user can read it, as an installed one would be."""
    top = Path(tempfile.mkdtemp(prefix="asb-lib-", dir="/var/tmp"))
    top.chmod(0o755)
    shutil.copytree(PACKAGE, top / "sandbox", ignore=shutil.ignore_patterns("__pycache__"))
    compileall.compile_dir(top, quiet=1)
    yield top
    shutil.rmtree(top)


@pytest.fixture(scope="session")
def report() -> tiers.Report:
    """What this kernel gives."""
    return tiers.probe()


def _make(uid: int, library: Path) -> World:
    top = Path(tempfile.mkdtemp(prefix="asb-", dir="/var/tmp"))
    top.chmod(0o755)
    world = World(uid, top)
    (top / "lib").symlink_to(library)
    return world


@pytest.fixture(params=["root", "user"])
def world(request: pytest.FixtureRequest, library: Path, report: tiers.Report) -> Iterator[World]:
    """The world of root, then that of an ordinary user."""
    if request.param == "root" and os.geteuid() != 0:
        pytest.skip("these tests do not run as root")
    made = _make(0 if request.param == "root" else _ordinary(), library)
    yield from _use(made, report)


@pytest.fixture
def user_world(library: Path, report: tiers.Report) -> Iterator[World]:
    """The world of an ordinary user, where it makes no difference who it is."""
    yield from _use(_make(_ordinary(), library), report)


@pytest.fixture(scope="session")
def issuer() -> Iterator[Authority]:
    """A certificate authority of the tests."""
    yield from authority()


@pytest.fixture
def doors(world: World, library: Path, issuer: Authority) -> Iterator[DoorWorld]:
    """The world of root, then of an ordinary user, with a door."""
    with_h11(library)
    made = DoorWorld(world, issuer)
    yield made
    made.close()


@pytest.fixture
def door(user_world: World, library: Path, issuer: Authority) -> Iterator[DoorWorld]:
    """A door of an ordinary user."""
    with_h11(library)
    made = DoorWorld(user_world, issuer)
    yield made
    made.close()


def _ordinary() -> int:
    return ORDINARY if os.geteuid() == 0 else os.geteuid()


def _use(made: World, report: tiers.Report) -> Iterator[World]:
    try:
        if not os.path.exists(PYTHON):
            pytest.skip(f"no {PYTHON}")
        if report.tier != "full":
            pytest.skip(f"this kernel gives tier {report.tier}: {'; '.join(report.reasons)}")
        yield made
    finally:
        made.close()
        shutil.rmtree(made.top)
