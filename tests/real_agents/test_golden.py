"""The words on the agents' screens that our patterns depend on: as they were recorded, and as the installed versions show them now."""

import difflib
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import some
from tests.real_agents import golden
from tests.real_agents.conftest import Bench, Benches, program
from tests.real_agents.golden import SHIPPED, STATES, Shot

RECORD = bool(os.environ.get("ANVILLM_RECORD"))


@pytest.mark.parametrize(("name", "version", "state"), golden.stored())
def test_the_patterns_fit_what_was_recorded(name: str, version: str, state: str) -> None:
    shot = Shot.parse(golden.path(name, version, state).read_text())
    assert golden.wrong(SHIPPED.get(name), version, state, shot) == {}, shot.text()


@pytest.mark.parametrize("name", STATES)
def test_every_state_of_every_agent_is_recorded(name: str) -> None:
    versions = {version for backend, version, _ in golden.stored() if backend == name}
    assert versions, f"no golden screens of {name}: {how(name)}"
    for version in versions:
        assert {s for n, v, s in golden.stored() if (n, v) == (name, version)} == set(STATES[name])


@pytest.mark.parametrize("name", STATES)
def test_a_changed_word_is_noticed(name: str) -> None:
    version = max((v for backend, v, _ in golden.stored() if backend == name), key=golden.numbers)
    shot = Shot.parse(golden.path(name, version, "empty").read_text())
    other = Shot(shot.title, tuple(re.sub(r"[❯›>┃*]", "»", line) for line in shot.lines))
    assert golden.wrong(SHIPPED.get(name), version, "empty", other)


def how(name: str) -> str:
    return f"look at the screens and record them with `python -m tests.real_agents.record {name}`"


def version_of(name: str) -> str:
    done = subprocess.run([program(name), "--version"], capture_output=True, text=True, timeout=60, check=True)
    found = re.search(r"\d+\.\d+\.\d+", done.stdout)
    assert found, done.stdout
    return found[0]


def compare(name: str, version: str, state: str, shot: Shot) -> list[str]:
    """Store the screen, or say how it differs from the recorded one where a pattern does not fit any more."""
    if RECORD:
        path = golden.path(name, version, state)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(shot.text())
    faults = golden.wrong(SHIPPED.get(name), version, state, shot, time.time())
    if not faults:
        return []
    known = max((v for n, v, s in golden.stored() if (n, s) == (name, state)), default="none")
    before = golden.path(name, known, state)
    diff = difflib.unified_diff(
        before.read_text().splitlines() if before.exists() else [],
        shot.text().splitlines(),
        known,
        version,
        lineterm="",
    )
    wrong = ", ".join(f"{fact} is {found!r}, not {meant!r}" for fact, (found, meant) in faults.items())
    return [f"{name} {version}, {state}: {wrong}", *diff, f"new version {version}: {how(name)}"]


def look(bench: Bench, request: pytest.FixtureRequest, version: str, shots: Iterator[tuple[str, Shot]]) -> None:
    words = [line for state, shot in some(shots) for line in compare(bench.backend, version, state, shot)]
    known = {v for n, v, _ in golden.stored() if n == bench.backend}
    if version not in known and not words:
        note = f"{bench.backend} {version} has no golden screens yet; those of {max(known, default='none')} fit: {how(bench.backend)}"
        request.node.user_properties.append(("told", note))
    assert not words, "\n".join(words)


OPENCODE = pytest.param("opencode", marks=pytest.mark.slow(20))


@pytest.mark.slow(14)
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["claude", "codex", "gemini", OPENCODE])
def test_the_installed_version_shows_what_the_patterns_look_for(
    name: str, fresh: Benches, request: pytest.FixtureRequest
) -> None:
    version = version_of(name)
    bench = fresh(name)
    look(bench, request, version, golden.drive(bench, version))


@pytest.mark.slow(12)
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["claude", "codex", "gemini", OPENCODE])
def test_the_installed_version_shows_a_limit_as_it_was_recorded(
    name: str, fresh: Benches, request: pytest.FixtureRequest
) -> None:
    version = version_of(name)
    bench = fresh("subscribed" if name == "claude" else name)
    look(bench, request, version, iter([golden.drive_limit(bench, version)]))


@pytest.mark.slow(5)
def test_the_stand_in_for_kiro_shows_what_was_recorded(fresh: Benches, request: pytest.FixtureRequest) -> None:
    bench = fresh("kiro-tui")
    look(bench, request, "standin", golden.drive_kiro(bench, "standin"))


def test_recorded_screens_hold_nothing_of_the_machine_they_were_made_on() -> None:
    for name, version, state in some(golden.stored()):
        text = golden.path(name, version, state).read_text()
        assert not re.search(rf"/tmp/|{re.escape(str(Path.home()))}/|av-\w{{8}}", text), (name, version, state)
