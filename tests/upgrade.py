"""Version 0.1 as it was, in a tree that can be replaced by this one while its daemon and its agents run.

``anvillm-0.1.tar.xz`` is that version: ``git archive e9884b2 anvilsrv sandbox cfg | xz -9e``. Its modules lie flat, and the paths
of its hook.py and shellagent.py are what its agents were started with.
"""

import os
import shutil
import subprocess
import sys
import tarfile

from anvilsrv.p9.client import Client
from tests.conftest import PATIENCE, ROOT, Home, wait_until

OLD = ROOT / "tests/anvillm-0.1.tar.xz"
TOPS = ("anvilsrv", "sandbox", "cfg", "skills")


class Tree:
    """A source tree and what runs from it."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.top = home.top / "tree"
        with tarfile.open(OLD) as old:
            old.extractall(self.top, filter="data")
        home.env["PYTHONPATH"] = str(self.top)

    def run(self, module: str, *argv: str) -> None:
        done = self.home.run(sys.executable, "-m", module, *argv)
        assert done.returncode == 0, done.stderr

    def replace(self) -> None:
        """Replace the tree as a checkout of this version does it: files come by rename, others go, directories stay
        where something is in them.
        """
        names = {path.relative_to(ROOT) for top in TOPS for path in (ROOT / top).rglob("*") if path.suffix != ".pyc"}
        for path in sorted(self.top.rglob("*"), reverse=True):
            if path.is_dir() and not path.is_symlink():
                if not any(path.iterdir()):
                    path.rmdir()
            elif path.relative_to(self.top) not in names:
                path.unlink()
        for name in sorted(names):
            target = self.top / name
            if (ROOT / name).is_dir():
                target.mkdir(parents=True, exist_ok=True)
            else:
                shutil.copy(ROOT / name, fresh := target.with_name(f".{name.name}"))
                os.replace(fresh, target)

    def new(self, backend: str) -> str:
        """Start a session and wait until it is ready."""
        with self.client() as client:
            made = client.write_read("ctl", f"new {backend} {self.home.work}\n".encode()).decode().strip()
            wait_until(lambda: client.read(f"{made}/state") == b"idle\n", "the agent is not ready")
        return made

    def close(self) -> None:
        """End the daemon, whichever version runs, and the agents."""
        for module in ("anvilsrv.programs.cli", "anvilsrv.cli"):
            self.home.run(sys.executable, "-m", module, "stop")
        tmux = ["tmux", "-S", f"{self.home.namespace}/anvillm.tmux", "kill-server"]
        subprocess.run(tmux, capture_output=True, check=False)

    def client(self) -> Client:
        return Client(str(self.home.socket), timeout=PATIENCE)
