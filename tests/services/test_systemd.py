"""The systemd units: that systemd accepts them, and that they keep what the daemon promises."""

import configparser
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox import delegation
from tests.conftest import ROOT, Home, some

UNITS = sorted((ROOT / "services/systemd").glob("*.service"))
# Each of these takes away what the agents' sandbox is made of, or what the daemon and its clients share.
HARMFUL = {
    "InaccessiblePaths", "MemoryDenyWriteExecute", "PrivateNetwork", "PrivateTmp", "PrivateUsers", "ProcSubset", "ProtectHome",
    "ProtectKernelLogs", "ProtectKernelTunables", "ProtectProc", "RestrictAddressFamilies", "RestrictNamespaces", "SystemCallFilter",
}  # fmt: skip


def service(unit: Path) -> configparser.SectionProxy:
    parsed = configparser.RawConfigParser(strict=False, interpolation=None)
    parsed.optionxform = str  # type: ignore[assignment,method-assign]
    parsed.read(unit)
    return parsed["Service"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze: apt-get install systemd")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_accepts_the_unit(unit: Path, home: Home) -> None:
    if "@" in unit.name:
        copy = home.work / unit.name.replace("@", "@root")
        shutil.copy(unit, copy)
        unit = copy
    user = ["--user"] if "user" in unit.name else []
    home.env["XDG_RUNTIME_DIR"] = str(home.work)
    done = home.run("systemd-analyze", "verify", "--man=no", *user, str(unit))
    told = [line for line in (done.stdout + done.stderr).splitlines() if unit.name in line]
    words = [line for line in told if "'DelegateSubgroup'" not in line]  # unknown to systemd before 254, and left out
    assert (done.returncode, words) == (0, []), done.stderr


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_crash_of_the_daemon_does_not_end_the_agents(unit: Path) -> None:
    found = service(unit)
    assert found["KillMode"] == "process"
    assert found["OOMPolicy"] == "continue"
    assert found["Restart"] == "on-failure"
    assert found.get("RuntimeDirectoryPreserve", "yes") == "yes", "the namespace outlives the daemon"


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_the_daemon_has_control_groups_to_divide_and_is_in_one_beside_those_of_the_agents(unit: Path) -> None:
    found = service(unit)
    assert (found["Delegate"], found["DelegateSubgroup"]) == ("yes", delegation.LEAF)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_readiness_is_told_and_the_end_has_the_time_it_needs(unit: Path) -> None:
    from anvilsrv.programs.control import STOP_PATIENCE

    found = service(unit)
    assert found["Type"] == "notify"
    assert float(found["TimeoutStopSec"]) > STOP_PATIENCE
    assert "anvilsrv fgstart" in found["ExecStart"]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_reload_is_over_when_the_new_daemon_serves_and_the_journal_knows_the_name(unit: Path) -> None:
    found = service(unit)
    assert "anvilsrv restart" in found["ExecReload"], "a signal alone would not be waited for"
    assert found["SyslogIdentifier"] == "anvilsrv"


def test_the_journal_notes_the_time_itself(home: Home) -> None:
    lines = []
    for more in ({}, {"JOURNAL_STREAM": "8:1"}):
        home.env |= more
        with subprocess.Popen(
            [sys.executable, "-m", "anvilsrv.programs.cli", "fgstart"], env=home.env, stderr=subprocess.PIPE, text=True
        ) as daemon:
            assert daemon.stderr is not None
            lines.append(daemon.stderr.readline())
            daemon.terminate()
            daemon.stderr.read()
    assert lines[0].startswith("20") and f"serves {home.socket}" in lines[0]
    assert lines[1].startswith("INFO anvilsrv ") and f"serves {home.socket}" in lines[1]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_hardening_leaves_the_agents_their_own_sandbox(unit: Path) -> None:
    assert HARMFUL.isdisjoint(service(unit))


def test_the_readme_names_every_unit() -> None:
    text = (ROOT / "services/systemd/README.md").read_text()
    assert all(unit.name in text for unit in some(UNITS))
