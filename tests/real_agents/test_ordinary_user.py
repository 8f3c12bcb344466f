"""The real agents for somebody who is not root: what they read and trust depends on who owns it."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.real_agents.conftest import program

USER = 65534
HERE = "tests/real_agents"
OTHERS = f"{HERE}/test_others.py::test_it_starts_takes_prompts_and_can_be_interrupted"
WHAT = {
    "claude": f"{HERE}/test_claude.py::test_the_state_follows_a_slow_turn",
    **{name: f"{OTHERS}[{name}]" for name in ("codex", "gemini", "opencode")},
}
# what setpriv executes is looked up with root's rights, what that executes is not
AGAIN = "import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-c', 'import pytest, yaml']).returncode)"
PYTHONS = (sys.executable, f"/usr/bin/python{sys.version_info[0]}.{sys.version_info[1]}")


def as_user(*argv: str, **env: str) -> "subprocess.CompletedProcess[str]":
    words = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", *argv]
    kept = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LANG": os.environ.get("LANG", "C.UTF-8"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return subprocess.run(words, env=kept | env, cwd=ROOT, capture_output=True, text=True, check=False, timeout=280)


@pytest.fixture
def own_home() -> Iterator[Path]:
    """A directory of that user's."""
    made = Path(tempfile.mkdtemp(prefix="av-user-", dir="/tmp"))
    os.chown(made, USER, USER)
    try:
        yield made
    finally:
        shutil.rmtree(made)


@pytest.mark.timeout(300)
@pytest.mark.slow(60)
@pytest.mark.parametrize("name", sorted(WHAT))
def test_an_agent_of_an_ordinary_user_takes_prompts_too(own_home: Path, name: str) -> None:
    if os.getuid() or shutil.which("setpriv") is None:
        pytest.skip(
            "only root can become somebody else, by setpriv; whoever is not root runs the other tests as a user"
        )
    bin = os.path.dirname(program(name))
    packages = next(path for path in map(Path, sys.path) if (path / "pytest").is_dir())
    env = {"HOME": str(own_home), "PYTHONPATH": f"{ROOT}:{packages}", "ANVILLM_TEST_AGENTS": bin}
    python = next((one for one in PYTHONS if not as_user(one, "-c", AGAIN, **env).returncode), None)
    if python is None:
        pytest.skip("no Python with what the tests need can be run by somebody else")
    done = as_user(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", WHAT[name], **env)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert "1 passed" in done.stdout, done.stdout[-1000:]
