"""In an installed environment too an agent sees of our code what runs inside, and pip may replace all of it under a turn."""

import json
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from anvilsrv.agents import grants
from sandbox import landlock, tiers
from tests.agents.test_grants import READ, TOPS, no_namespaces
from tests.conftest import Home, wait_until
from tests.install.conftest import NEXT, borrow

pytestmark = [pytest.mark.timeout(400), pytest.mark.slow(17)]  # pip on a busy machine

Wheels = tuple[Path, Path]


class Installed:
    """A home with an environment that pip filled, and a daemon of it with one shell session."""

    def __init__(self, home: Home, wheel: Path, tier: str) -> None:
        self.home, self.tier = home, tier
        self.env = home.home / "env"
        borrow(self.env)
        self.pip(wheel)
        home.env["PATH"] = f"{self.env}/bin:{home.env['PATH']}"
        (home.config / "global.yaml").write_text("general: {best_effort: true}\n")
        first = no_namespaces if tier == "no mounts" else None
        done = home.run("anvilsrv", "start", preexec_fn=first)
        assert done.returncode == 0, done.stderr
        assert self.write("ctl", f"new shell {home.work} alias=one\n") == ""
        wait_until(lambda: self.read("one/state") == "idle\n", "the shell is not ready")
        assert self.read("one/sandbox").startswith("tier\tfull\t") == (tier == "mounts")

    def pip(self, wheel: Path) -> None:
        argv = ("-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--force-reinstall", str(wheel))
        done = self.home.run(f"{self.env}/bin/python", *argv, timeout=300)
        assert done.returncode == 0, done.stderr

    def read(self, name: str) -> str:
        return self.home.run("anvil9p", "read", f"agent/{name}").stdout

    def write(self, name: str, text: str) -> str:
        return self.home.run("anvil9p", "write", f"agent/{name}", input=text).stderr

    def ask(self, prompt: str) -> str:
        assert self.write("one/in", prompt) == ""
        return self.read("one/out")


@pytest.fixture(params=["mounts", "no mounts"])
def installed(request: pytest.FixtureRequest, lived_in: Home, wheels: Wheels) -> Iterator[Installed]:
    if landlock.abi() < 1 or (request.param == "mounts" and tiers.probe().tier != "full"):
        pytest.skip("this kernel does not give the tier")
    yield Installed(lived_in, wheels[0], request.param)


def test_an_agent_reads_what_runs_inside_and_the_skills(installed: Installed) -> None:
    site = installed.env / f"lib/python{sysconfig.get_python_version()}/site-packages"
    share = installed.env / "share/anvillm"
    paths = [str(path) for top in TOPS for path in (site / top).rglob("*.py")]
    paths += [str(path) for path in share.rglob("*") if path.is_file()]
    (installed.home.work / "read.py").write_text(READ)
    (installed.home.work / "paths").write_text(json.dumps(paths))
    readable = set(json.loads(installed.ask("python3 -I -S read.py <paths")))
    inside = {str(site / path.relative_to(grants.HERE.parent)) for path in grants.sources()}
    assert readable == inside | {str(path) for path in (share / "skills").rglob("*") if path.is_file()}
    assert {f"{site}/anvilsrv/store/store.py", f"{site}/sandbox/policy.py", f"{share}/cfg/global.yaml"} <= set(paths)


@pytest.mark.slow(6)
def test_a_turn_goes_on_while_pip_replaces_everything(installed: Installed, wheels: Wheels) -> None:
    """Its end is reported by a program that is as it was when the agent was started."""
    assert installed.write("one/in", "echo begun >seen; until test -e end; do sleep 0.1; done; echo done") == ""
    wait_until((installed.home.work / "seen").exists, "the turn has not begun")
    installed.pip(wheels[1])
    done = installed.home.run("anvilsrv", "restart")
    assert done.returncode == 0, done.stderr
    assert NEXT in installed.home.run("anvilsrv", "--version").stdout
    (installed.home.work / "end").touch()
    assert installed.read("one/out") == "done\n"
    assert installed.ask("echo more") == "more\n"
    if installed.tier == "mounts":  # without, rules hold files: the new ones are closed until the next launch
        assert installed.ask("anvil9p read agent/one/alias; echo '{}' | anvillm-hook Note") == "one\n"
