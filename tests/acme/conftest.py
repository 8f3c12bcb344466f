"""An acme (a fake one, and the real one where it is installed), an agent tree, and Assist between them."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from fakeacme import FakeAcme
from fakeagent import Agent
from person import AtFake

ROOT = Path(__file__).resolve().parent.parent.parent
REAL = all(map(shutil.which, ("acme", "9pserve", "Xvfb", "xdotool")))


@pytest.fixture
def namespace(monkeypatch):
    """A namespace directory with a short path, a home and no display of the caller's."""
    top = tempfile.mkdtemp(prefix="acme.")
    for name in ("ns", "home", "proj"):
        os.mkdir(f"{top}/{name}", 0o700)
    places = {
        "HOME": "",
        "XDG_STATE_HOME": "/.local/state",
        "XDG_CONFIG_HOME": "/.config",
        "XDG_DATA_HOME": "/.local/share",
    }
    for name, place in places.items():
        monkeypatch.setenv(name, f"{top}/home{place}")
    path = f"{top}/ns"
    monkeypatch.setenv("NAMESPACE", path)
    monkeypatch.delenv("ANVILLM_TERMINAL", raising=False)
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "winid", "tabstop"):
        monkeypatch.delenv(name, raising=False)
    yield path
    shutil.rmtree(top)


@pytest.fixture
def agent(namespace):
    agent = Agent(f"{namespace}/agent").start()
    yield agent
    agent.stop()


def _kinds():
    reason = "acme, Xvfb or xdotool is not installed"
    return [
        pytest.param("fake"),
        pytest.param("real", marks=pytest.mark.skipif(not REAL, reason=reason)),
    ]


@pytest.fixture(params=_kinds())
def person(request, namespace):
    """Somebody at an acme with no windows but those a test makes."""
    if request.param == "fake":
        acme = FakeAcme(f"{namespace}/acme")
        yield AtFake(acme)
        acme.stop()
        assert not acme.died
        return
    from realacme import AtReal

    person = AtReal(namespace)
    yield person
    person.stop()


@pytest.fixture
def project(namespace):
    """A directory that agents work in."""
    return str(Path(namespace).parent / "proj")


@pytest.fixture
def assist(namespace, agent, person):
    """A function that runs Assist and waits for its main window; what still runs at the end is ended."""
    running = []

    def run(*words, wait=True):
        script = [sys.executable, str(ROOT / "acme" / "Assist"), *words]
        with open(f"{namespace}/assist.{len(running)}.err", "wb") as errors:
            process = subprocess.Popen(script, cwd=namespace, stdout=errors, stderr=errors)
        running.append(process)
        person.programs.append(process)
        if wait:
            person.wait(lambda: Path(namespace, "assist").exists(), "Assist's own service")
            person.sees("/AnviLLM/", "alias")
        return process

    yield run
    for process in running:
        process.terminate()
        assert process.wait(30) == 0
    said = "".join(Path(namespace, f"assist.{n}.err").read_text() for n in range(len(running)))
    assert "Traceback" not in said, said
