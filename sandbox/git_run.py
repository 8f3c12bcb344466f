"""Git outside, in a repository that no agent can write: without hooks, without any configuration but the repository's, bounded in time.

Threads: any.
"""

from __future__ import annotations

import subprocess

from sandbox import outside
from sandbox.errors import SandboxRefused

PATIENCE = 120  # s for one git
ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "GIT_NO_LAZY_FETCH": "1", "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_ALLOW_PROTOCOL": "file", "GIT_TERMINAL_PROMPT": "0", "GIT_COMMITTER_NAME": "anvillm", "LC_ALL": "C",
    "GIT_COMMITTER_EMAIL": "anvillm@localhost", "GIT_OPTIONAL_LOCKS": "0",
}  # fmt: skip


class Killed(SandboxRefused):
    """A git that did not end by itself: what it had locked is locked still."""


#: Of these nothing is set where the user's own configuration counts: who they are, which filters they have, where they push.
_USERS = ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL")


def run(
    *words: str, data: bytes = b"", limits: str = "", cwd: str = "/", keep: tuple[int, ...] = (), index: str = "",
    users: bool = False, protocol: str = "file", fine: tuple[int, ...] = (0,),
) -> bytes:  # fmt: skip
    """Return the output of git outside, with nothing of the user's that could run something. Raises SandboxRefused with
    what it said.

    Killed is one that was ended by a signal, or by us after two minutes. ``keep`` are descriptors that stay open as long as it lives;
    ``index`` is another than the repository's. With ``users`` the user's own configuration counts too, but no hooks; ``protocol`` is
    what it may fetch and push by; ``fine`` are statuses that are no errors.
    """
    program = outside.which("git")
    if program is None:
        raise SandboxRefused("git is not installed")
    argv = [program]
    for setting in ("core.fsmonitor=false", "core.hooksPath=/dev/null", "gc.auto=0", "maintenance.auto=false"):
        argv += ["-c", setting]
    argv += words
    if limits:
        argv = ["/bin/sh", "-c", f'{limits}; exec "$@"', "sh", *argv]
    environment = outside.environment() | ENVIRONMENT
    environment = {key: value for key, value in environment.items() if not key.startswith("GIT_") or key in ENVIRONMENT}
    environment = {key: value for key, value in environment.items() if not (users and key in _USERS)}
    environment |= {"GIT_ALLOW_PROTOCOL": protocol} | ({"GIT_INDEX_FILE": index} if index else {})
    try:
        result = subprocess.run(
            argv, input=data, capture_output=True, timeout=PATIENCE, check=False, cwd=cwd, env=environment, pass_fds=keep
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise Killed(f"git {words[0]}: not done within {PATIENCE} seconds") from None
    except OSError as error:
        raise SandboxRefused(f"git {words[0]}: {error}") from None
    if result.returncode < 0:
        raise Killed(f"git {words[0]}: killed by signal {-result.returncode}")
    if result.returncode not in fine:
        lines = result.stderr.decode("utf-8", "replace").strip().splitlines() or [f"status {result.returncode}"]
        starts = (" ! [", "fatal: ", "error: ")  # the first one says of a push which ref was refused, and why
        said = next((line for start in starts for line in lines if line.startswith(start)), lines[-1])
        raise SandboxRefused(f"git: {said.removeprefix('fatal: ').removeprefix('error: ').removeprefix(' ! ')[:300]}")
    return result.stdout
