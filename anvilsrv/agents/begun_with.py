"""What a work tree of a branch begins with besides its commit: what the user has not committed, and what ``.worktreeinclude`` lists.

Both are found and copied in the sandbox: what an agent has written in the user's work tree is read by no git outside.

Threads: any.
"""

import json
import os

from anvilsrv.agents.aside import Aside
from anvilsrv.display import one_line
from anvilsrv.errors import Invalid
from anvilsrv.strict_json import loads_object
from sandbox.errors import SandboxRefused

LIST = ".worktreeinclude"
ANSWER = 1 << 20  # bytes
SHOWN = 20  # of what was left out


def take(aside: Aside, top: str, path: str, working: bool) -> list[str]:
    """Take it from the work tree ``top`` to ``path``; what was left out, in lines. Raises SandboxError where the rest cannot be had."""
    if not working and not os.path.lexists(f"{top}/{LIST}"):
        return []
    asked = json.dumps({"top": top, "target": path, "working": working}).encode()
    try:
        found = loads_object(aside.output("git_copy", asked, [path], ANSWER))
    except Invalid as error:
        raise SandboxRefused(f"git in its sandbox: {error}") from None
    if "taken" not in found:
        raise SandboxRefused(f"what is not committed cannot be copied: {one_line(str(found.get('refused')))[:300]}")
    left = [one_line(str(line))[:500] for line in found.get("left", [])]
    more = [f"{len(left) - SHOWN} more"] if len(left) > SHOWN else []
    return [*left[:SHOWN], *more]
