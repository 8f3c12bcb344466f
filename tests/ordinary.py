"""Tests that are run once more by somebody who is not root, where root runs the suite: what is refused and who owns what differ."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import ROOT

USER = 65534
# what setpriv executes is looked up with root's rights, what that executes is not
AGAIN = "import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-c', 'import pytest, yaml']).returncode)"
PYTHONS = (sys.executable, f"/usr/bin/python{sys.version_info[0]}.{sys.version_info[1]}")


@contextmanager
def home_of_user() -> Iterator[Path]:
    """Yield a directory of that user's."""
    made = Path(tempfile.mkdtemp(prefix="av-user-", dir="/tmp"))
    os.chown(made, USER, USER)
    try:
        yield made
    finally:
        shutil.rmtree(made)


def _as_user(*argv: str, timeout: float, **env: str) -> "subprocess.CompletedProcess[str]":
    words = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", *argv]
    kept = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LANG": os.environ.get("LANG", "C.UTF-8"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return subprocess.run(words, env=kept | env, cwd=ROOT, capture_output=True, text=True, check=False, timeout=timeout)


def run_as_user(home: Path, *tests: str, timeout: float = 280.0, **env: str) -> str:
    """Return what pytest says of these when that user runs them, all of which must pass; skips where nobody can become
    that user.
    """
    if os.getuid() or shutil.which("setpriv") is None:
        pytest.skip(
            "only root can become somebody else, by setpriv; whoever is not root runs the other tests as a user"
        )
    packages = next(path for path in map(Path, sys.path) if (path / "pytest").is_dir())
    env = {"HOME": str(home), "PYTHONPATH": f"{ROOT}:{packages}", **env}
    python = next((one for one in PYTHONS if not _as_user(one, "-c", AGAIN, timeout=timeout, **env).returncode), None)
    if python is None:
        pytest.skip("no Python with what the tests need can be run by somebody else")
    done = _as_user(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests, timeout=timeout, **env)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    return done.stdout
