"""Which daemon is meant depends on the namespace: those that run in others are named."""

import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from anvilsrv import paths
from tests.conftest import Home


@pytest.fixture
def other(home: Home) -> Iterator[str]:
    """A daemon of the same user in another namespace of the default form."""
    path = Path(f"/tmp/ns.{paths.user()}.test{secrets.token_hex(4)}")
    here, home.env["NAMESPACE"] = home.env["NAMESPACE"], str(path)
    try:
        assert home.anvilsrv("start").returncode == 0
        home.env["NAMESPACE"] = here
        yield str(path)
    finally:
        home.env["NAMESPACE"] = str(path)
        home.anvilsrv("stop")
        shutil.rmtree(path, ignore_errors=True)
        home.env["NAMESPACE"] = here


def test_status_names_the_daemons_that_run_in_other_namespaces(home: Home, other: str) -> None:
    done = home.anvilsrv("status")
    assert done.returncode == 3
    first, second = done.stdout.splitlines()
    assert first == f"anvilsrv is not running in namespace '{home.namespace}'"
    assert second.startswith("another anvilsrv ")
    assert second.endswith(f" serves {other}/agent (NAMESPACE={other})")
    assert f"serves {other}/agent" in home.anvilsrv("ls").stderr
    try:
        assert home.anvilsrv("start").returncode == 0
        assert second in home.anvilsrv("status").stdout.splitlines()
    finally:
        home.anvilsrv("stop")
