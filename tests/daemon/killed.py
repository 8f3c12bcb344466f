"""A daemon that kills itself before the n-th step of what is done with branches: ``ANVIL_KILLED`` is n. Run by its path.

Steps are each git, each writing and ending of a journal, and the rows.
"""

import os
import signal
from collections.abc import Callable
from typing import Any

from anvilsrv.agents import begun_with, branch_journal, branches
from anvilsrv.programs import cli
from anvilsrv.sessions import worktrees
from sandbox import git_branch, git_submodules

STEPS = (
    (git_branch, "run"), (git_submodules, "run"), (branches, "run"), (branch_journal, "write"), (branch_journal, "end"),
    (begun_with, "take"), (worktrees, "add"), (worktrees, "forget"),
)  # fmt: skip
left = int(os.environ["ANVIL_KILLED"])


def counted(step: Callable[..., Any]) -> Callable[..., Any]:
    """Return the same, after a look whether this is the one."""

    def call(*args: Any, **fields: Any) -> Any:
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(*args, **fields)

    return call


for module, name in STEPS:
    setattr(module, name, counted(getattr(module, name)))
if __name__ == "__main__":
    cli.main()
