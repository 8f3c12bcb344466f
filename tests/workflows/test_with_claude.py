"""DevReview with the real Claude Code: the task goes to the developer, its work to the reviewer, the verdict back; or it is merged.

The models are stand-ins that do what their prompts say (``tests.real_agents.model``); everything between is real: Claude Code, its
hooks, its MCP connection to ``anvilmcp``, the mail, the workflow script.
"""

from __future__ import annotations

import json
import sys

import pytest

from tests.conftest import ROOT, Home, wait_until
from tests.daemon.test_git import git
from tests.real_agents import directives
from tests.real_agents.conftest import Bench, a_bench

READY = "@@call WaitForMcpServers {}"  # Claude takes its first prompt before its MCP servers are connected


def say(text: str) -> str:
    return "@@say " + text.replace("\n", "\\n")


def call(tool: str, **arguments: object) -> str:
    return f"@@call mcp__anvillm__{tool} {json.dumps(arguments)}"


@pytest.mark.slow(6)
@pytest.mark.timeout(240)
def test_claude_as_developer_and_reviewer_come_to_an_agreement() -> None:
    with a_bench("claude") as claude:
        agree(claude)


def with_9p(home: Home) -> None:
    """The program that workflows are made of."""
    (home.top / "bin").mkdir()
    program = home.top / "bin/anvil9p"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m anvilsrv.inside.anvil9p "$@"\n')
    program.chmod(0o755)
    home.env["PATH"] = f"{program.parent}:{home.env['PATH']}"


def agree(claude: Bench) -> None:
    home = claude.daemon.home
    with_9p(home)
    # What the developer does once it has the verdict travels, like a verdict, in the reviewer's words.
    report = call("send_message", to="user", type="PROMPT_RESPONSE", subject="done", body="agreed")
    review = say(f"LGTM\n{report}\n{say('reported')}")
    ask = call("send_message", to="work-review", type="REVIEW_REQUEST", subject="please", body=review)
    done = home.run(
        str(ROOT / "workflows/DevReview"), "claude", str(home.work), f"{READY}\n{ask}\n{say('asked')}", timeout=120
    )
    assert done.returncode == 0, done.stderr + claude.daemon.words()
    user = claude.client
    wait_until(lambda: json.loads(user.read("user/inbox")), "the user is told nothing", 60)
    (message,) = json.loads(user.read("user/inbox"))
    dev = user.read("list").decode().split("\t")[0]
    assert (message["from"], message["type"], message["body"]) == (dev, "PROMPT_RESPONSE", "agreed")
    wait_until(lambda: user.read("work-dev/out") == b"reported", "the developer does not end its turn")
    verdict = [one for one in json.loads(user.read("work-dev/archive")) if one["type"] == "REVIEW_RESPONSE"]
    assert [one["body"].split("\n")[0] for one in verdict] == ["LGTM"]
    assert any(ask.prompt.startswith("You are the reviewer") for ask in claude.model.asks)


@pytest.mark.slow(20)
@pytest.mark.timeout(300)
def test_a_review_of_each_turn_on_a_branch_ends_in_a_merge() -> None:
    """What the reviewer's model says stands in the file, as lines that the diff shows around the change."""
    kind = "claude"
    with a_bench(kind) as bench:
        home = bench.daemon.home
        with_9p(home)
        (home.home / ".gitconfig").write_text("[user]\n\tname = u\n\temail = u@x\n")
        commit = "git -c user.name=d -c user.email=d@x commit -qam"
        better = directives.command(kind, f"sed -i 1d work.txt; echo better >> work.txt; {commit} better")
        git(home.work, "init", "-q", "-b", "main")
        (home.work / "work.txt").write_text(f"@@say work.txt:3: {better}\n@@say LGTM\n")
        git(home.work, "add", "work.txt")
        git(home.work, "commit", "-qm", "one")
        task = f"{directives.command(kind, f'echo done >> work.txt; {commit} done')}\n@@say committed"
        review = [str(ROOT / "workflows/DevReview"), "-b", "it", kind, str(home.work), task]
        done = home.run(*review, timeout=240)
        assert done.returncode == 0, done.stdout + done.stderr + bench.daemon.words()
        assert f"work-review: work.txt:3: {better}\nwork-review: LGTM\nmerged it into main: " in done.stdout
        assert (home.work / "work.txt").read_text() == "@@say LGTM\ndone\nbetter\n"
        assert (
            git(home.work, "log", "--format=%s") == "better\ndone\none\n" and git(home.work, "status", "--short") == ""
        )
        assert bench.client.read("work-dev/git/review").decode().split("\t")[1:3] == ["moved", "work.txt:2"]
