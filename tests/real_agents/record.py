"""Record the golden screens of installed agents: ``python -m tests.real_agents.record claude codex ...`` (all, if none is named).

Each is started as the tests start it, against the stand-in for its service, brought into every state, and what its terminal shows is
written to ``tests/real_agents/golden/<backend>-<version>/<state>.txt``. Look at them (``git diff``) before you commit: a state in
which a pattern of ``cfg/backends/<backend>.yaml`` does not fit is reported as a failure, and then the pattern must be mended.
Programs are looked for in PATH, ``node_modules/.bin`` and ``$ANVILLM_TEST_AGENTS``. Screens of older versions may be removed.
"""

import os
import subprocess
import sys
from pathlib import Path


def main() -> None:
    """Run the tests that start agents, which then write instead of only comparing."""
    names = sys.argv[1:]
    test = Path(__file__).with_name("test_golden.py")
    wanted = " or ".join(names) or "installed or stand_in"
    argv = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:xdist",
        "-q",
        str(test),
        "-k",
        f"(installed or stand_in) and ({wanted})",
    ]
    sys.exit(subprocess.run(argv, env={**os.environ, "ANVILLM_RECORD": "1"}, check=False).returncode)


if __name__ == "__main__":
    main()
