"""A user's repository and a session with a git directory of its own over it."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from sandbox_world import World

from sandbox.git_cover import Cover, cover
from sandbox.git_trust import Trusted
from sandbox.plan import specification
from sandbox.policy import Policy
from sandbox.written import Written

LAYER: dict[str, Any] = {"filesystem": {"rwx": ["{CWD}", "{TMPDIR}"]}}
IDENTITY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "u"), ("EMAIL", "u@example.org"))
}


class GitWorld:
    """The repository lies in ``proj``; ``user`` runs a script as the user, ``agent`` as an agent."""

    def __init__(self, world: World) -> None:
        program = shutil.which("git")
        if not program or not shutil.which("git", path="/usr/bin:/bin"):
            pytest.skip("no git")
        self.world, self.proj = world, world.proj
        self.env = world.env | IDENTITY | {"GIT_CONFIG_NOSYSTEM": "1", "GIT_EDITOR": "true"}
        self.env["PATH"] = f"{os.path.dirname(program)}:/usr/bin:/bin"  # another git than the agent's can be tried
        self.layer, self.cwd = LAYER, self.proj
        self.state = world.home / ".local/state/anvillm"
        self.written = Written(str(self.state / "written"))
        self.user(
            "git init -q -b main . && echo one > file && mkdir d && echo d > d/file && git add . && git commit -qm one"
        )

    def user(self, script: str, cwd: Path | None = None, check: bool = True) -> str:
        """Return what it printed, errors too."""
        result = subprocess.run(
            ["sh", "-euc", script], env=self.env, cwd=cwd or self.proj, text=True, timeout=60, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, **self.world.identity,
        )  # fmt: skip
        assert result.returncode == 0 or not check, result.stdout
        return result.stdout

    def policy(self, layer: Mapping[str, Any] | None = None, **more: Any) -> Policy:
        """Return the policy of a session."""
        return self.world.policy(layer or self.layer, cwd=str(self.cwd), **more)

    def cover(self, layer: Mapping[str, Any] | None = None, place: str = "s1", **more: Any) -> Cover:
        """Return what a session gets; made anew only where it is not there yet."""
        policy = self.policy(layer, **more)
        where, home = place and str(self.state / place), str(self.world.home)
        made = cover(policy, Trusted(self.written), place=where, session=place, home=home)
        self.written.add(policy.writable)
        self.world.own()
        return made

    def agent(self, script: str, covered: Cover | None = None, check: bool = True, **more: Any) -> str:
        """Return what a script prints inside, errors too; without ``covered`` there is nothing over the repository."""
        spec = specification(
            self.policy(self.with_identity(), **more), ["sh", "-euc", f"exec 2>&1; {script}"], tier="full",
            namespace_source=str(self.world.sess), tmpdir="", env=self.env, cover=covered,
        )  # fmt: skip
        result = self.world.start(spec, timeout=60)
        assert result.returncode == 0 or not check, result.stdout + result.stderr
        return result.stdout + result.stderr

    def with_identity(self) -> dict[str, Any]:
        """Return the layer of an agent that may commit."""
        return self.layer | {
            "env": [*self.layer.get("env", ()), *(f"{name}={value}" for name, value in IDENTITY.items())]
        }

    def snapshot(self, git: Path | None = None) -> dict[str, tuple[int, bytes]]:
        """Return every file of the user's git directory, byte for byte; what we hold there aside."""
        top = git or self.proj / ".git"
        found = {}
        for path in sorted(top.rglob("*")):
            name = str(path.relative_to(top))
            if path.is_file() and "refs/anvillm/" not in name and not name.startswith("reftable/"):
                found[name] = (os.lstat(path).st_mode, path.read_bytes())
        return found
