"""A branch goes out to a remote of the user's, with their credentials and without hooks; a request is made of it by gh or glab.

Threads: any, one for each session at a time.
"""

import subprocess
from collections.abc import Iterable
from typing import NamedTuple

from anvilsrv.display import one_line
from anvilsrv.sessions.prompt import Prompt
from sandbox import git_submodules, outside
from sandbox.errors import SandboxRefused
from sandbox.git_branch import Branch
from sandbox.git_run import run

REMOTE = "https:http:ssh:git:file"
PATIENCE = 120  # s for a request


class Words(NamedTuple):
    """Of a request."""

    title: str
    body: str


def push(on: Branch, source: str, remote: str) -> str:
    """Push that commit to the remote, or to the one that the user's configuration names; what was done. Raises SandboxRefused."""
    name = _remote(on, remote)
    run(
        "-c", "push.followTags=false", "-c", "push.recurseSubmodules=no", on.at, "push", "-q", name,
        f"{source}:refs/heads/{on.branch}",
        cwd=on.top, users=True, protocol=REMOTE,
    )  # fmt: skip
    before = set(git_submodules.links(on.directory, on.base))
    inner = [link.path for link in git_submodules.links(on.directory, source) if link not in before]
    more = f"; not pushed are commits of submodules: {one_line(', '.join(inner))[:200]}" if inner else ""
    return f"pushed {on.branch} to {name}: {source[:12]}{more}"


def _remote(on: Branch, wanted: str) -> str:
    remotes = run(on.at, "remote").decode().split()
    asked = (f"branch.{on.branch}.pushRemote", "remote.pushDefault", f"branch.{on.branch}.remote")
    said = (run(on.at, "config", "--get", key, users=True, fine=(0, 1)).decode().strip() for key in asked)
    name = wanted or next(filter(None, said), "origin" if "origin" in remotes else (remotes or [""])[0])
    if name not in remotes:
        raise SandboxRefused(f"no remote '{name[:100]}' in {on.top}" if name else f"no remote in {on.top}")
    return name


def request(on: Branch, into: str, pushed: str, words: Words) -> str:
    """Have gh or glab make a request of what was ``pushed``; its address. Raises SandboxRefused."""
    url = run(on.at, "remote", "get-url", pushed.split(" to ")[1].partition(":")[0], users=True).decode()
    program = "glab" if "gitlab" in url else "gh"
    path = outside.which(program)
    if path is None:
        raise SandboxRefused(f"{pushed}; there is no {program} to make a request")
    argv = (
        [path, "pr", "create", "--head", on.branch, "--base", into, "--title", words.title, "--body", words.body]
        if program == "gh"
        else [path, "mr", "create", "--yes", "--source-branch", on.branch, "--target-branch", into, "--title", words.title,
              "--description", words.body]
    )  # fmt: skip
    try:
        result = subprocess.run(
            argv, cwd=on.top, env=outside.environment(), stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE,
            check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SandboxRefused(f"{program}: {error}") from None
    told = result.stdout if not result.returncode else result.stderr
    lines = told.decode("utf-8", "replace").strip().splitlines()
    if result.returncode:
        raise SandboxRefused(f"{pushed}; {program}: {one_line(' '.join(lines[-3:]))[:300]}")
    return one_line(lines[-1]) if lines else pushed


def words(branch: str, there: Iterable[Prompt]) -> Words:
    """Return title and body of a request, from the turns."""
    taken = [one for one in there if one.turn]
    title = next((line.strip() for one in taken for line in one.text.splitlines() if line.strip()), branch)
    last = next((one.response for one in reversed(taken) if one.response), b"") or b""
    asked = "".join(f"- {one_line(one.text)[:200]}\n" for one in taken[:50])
    body = f"{last.decode('utf-8', 'replace')[:20_000].strip()}\n\nAsked for:\n\n{asked}"
    return Words(one_line(title)[:100], body)
