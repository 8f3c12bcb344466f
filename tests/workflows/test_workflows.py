"""Each workflow starts its team, goes through a whole loop of work and review, and leaves nothing behind when it fails."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, Daemon, Home, wait_until

WORKFLOWS = {
    "DevReview": ["dev", "review"],
    "DevReviewQA": ["dev", "review", "qa"],
    "Planning": ["eng", "research", "editor"],
    "Research": ["research", "check"],
    "Docs": ["write", "edit"],
}
TEAM = """
backend:
  title: A team that plays its parts
  command: ["{{PYTHON}}", "-I", "-S", "{agent}"]
  env: {{ANVIL_SOURCES: "{sources}"}}
  ready: {{timeout: 20}}
  hooks:
    Ready:  {{report: ready}}
    Submit: {{report: submit, text: text}}
    Stop:   {{report: stop, text: text}}
  input: {{settle: 0, submit: Enter, clear: C-u, confirm: 3}}
  stop: {{keys: [C-u, C-d], grace: 2}}
filesystem:
  rwx: ["{{CWD}}"]
  rox: ["{here}"]
"""


@pytest.fixture(autouse=True)
def team(home: Home) -> None:
    """The backend `team`, and anvil9p as the only 9P program."""
    (home.top / "bin").mkdir()
    program = home.top / "bin/anvil9p"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m anvilsrv.inside.anvil9p "$@"\n')
    program.chmod(0o755)
    others = [part for part in home.env["PATH"].split(":") if not os.path.exists(f"{part}/9p")]
    home.env["PATH"] = ":".join([str(home.top / "bin"), *others])
    here = ROOT / "tests/workflows"
    backends = home.config / "backends"
    backends.mkdir(parents=True)
    (backends / "team.yaml").write_text(TEAM.format(agent=here / "team_agent.py", sources=ROOT, here=here))


def workflow(home: Home, name: str, *words: str) -> subprocess.CompletedProcess[str]:
    return home.run(str(ROOT / "workflows" / name), *words, timeout=90)


def sessions(daemon: Daemon) -> dict[str, str]:
    """Return alias to state."""
    with_columns = [line.split("\t") for line in daemon.client().read("list").decode().splitlines()]
    return {line[1]: line[2] for line in with_columns}


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_team_works_until_all_agree_and_tells_the_user(home: Home, daemon: Daemon, name: str) -> None:
    done = workflow(home, name, "team", str(home.work), "it's the ‘task’\nin two lines")
    assert done.returncode == 0, done.stderr + daemon.words()
    assert list(sessions(daemon)) == [f"work-{part}" for part in WORKFLOWS[name]]
    user = daemon.client()
    wait_until(lambda: json.loads(user.read("user/inbox")), "the user is told nothing")
    (message,) = json.loads(user.read("user/inbox"))
    assert (message["type"], message["body"]) == ("PROMPT_RESPONSE", "all have agreed: see work.txt")
    text = (home.work / "work.txt").read_text()
    assert "_RESPONSE: 1. work.txt:1 is not enough" in text
    (bead,) = json.loads(user.read("beads/list"))
    assert (bead["title"], bead["status"]) == ("it's the ‘task’", "closed")
    assert f"write agent/work-{WORKFLOWS[name][0]}/in" in done.stdout


def test_a_review_on_a_branch_ends_in_a_merge(home: Home, daemon: Daemon) -> None:
    for words in ("init -q -b main", "commit -q --allow-empty -m one"):
        git = ["git", "-c", "user.name=u", "-c", "user.email=u@x", *words.split()]
        subprocess.run(git, cwd=home.work, check=True, env=home.env)
    (home.home / ".gitconfig").write_text("[user]\n\tname = u\n\temail = u@x\n")
    done = workflow(home, "DevReview", "-b", "it", "team", str(home.work), "the task")
    assert done.returncode == 0, done.stdout + done.stderr + daemon.words()
    assert "work-review: work.txt:1: is not enough\n" in done.stdout and "merged it into main: " in done.stdout
    assert (home.work / "work.txt").read_text() == "done\nbetter\n"
    dev = daemon.client()
    assert b"work.txt:1" in dev.read("work-dev/git/review")
    assert b"work.txt:1:\n    +done\nis not enough" in dev.read("work-dev/turns/2/prompt")


def test_attempts_are_made_on_branches_of_their_own_and_one_can_be_merged(home: Home, daemon: Daemon) -> None:
    (home.home / ".gitconfig").write_text("[user]\n\tname = u\n\temail = u@example.org\n")
    for words in (["init", "-q", "-b", "main"], ["commit", "-q", "--allow-empty", "-m", "one"]):
        subprocess.run(["git", *words], cwd=home.work, env=home.env, check=True)
    done = workflow(home, "Attempts", "-n", "2", "team", str(home.work), "do it")
    assert done.returncode == 0, done.stderr + daemon.words()
    for number in (1, 2):
        assert f"  work-{number}  done: 1 files  +1 -0\n" in done.stdout
    client = daemon.client()
    assert b"merged work-1 into main" in client.write_read("work-1/git/ctl", b"merge")
    assert (home.work / "work.txt").read_text() == "done\n"
    for number in (1, 2):
        assert "discard anyway" in done.stdout
        client.write(f"work-{number}/git/ctl", b"discard anyway")
    wait_until(lambda: sessions(daemon) == {}, "agents are left")
    done = workflow(home, "Attempts", "-n", "0", "team", str(home.work), "do it")
    assert done.returncode == 2 and "usage: Attempts [-n number]" in done.stderr
    assert workflow(home, "DevReview", "-n", "2", "team", str(home.work)).returncode == 2


def test_a_team_works_with_the_9p_of_plan9port_too(home: Home, daemon: Daemon) -> None:
    """Its directory comes first in PATH, with its own sed, tr and awk."""
    found = shutil.which("9p")
    if found is None:
        pytest.skip("plan9port's 9p is not installed")
    home.env["PATH"] = f"{Path(found).parent}:{home.env['PATH']}"
    test_a_team_works_until_all_agree_and_tells_the_user(home, daemon, "DevReviewQA")


def test_a_workflow_without_a_task_starts_an_idle_team_with_aliases_of_its_own(home: Home, daemon: Daemon) -> None:
    for tag in ("work", "work2"):
        done = workflow(home, "DevReview", "team", str(home.work))
        assert done.returncode == 0, done.stderr
        assert f"{tag}-dev" in done.stdout
    assert list(sessions(daemon)) == ["work-dev", "work-review", "work2-dev", "work2-review"]
    assert json.loads(daemon.client().read("beads/list")) == []


def test_a_backend_that_does_not_exist_starts_nothing(home: Home, daemon: Daemon) -> None:
    done = workflow(home, "DevReview", "nosuch", str(home.work))
    assert done.returncode == 1
    assert "nosuch" in done.stderr
    assert sessions(daemon) == {}


@pytest.mark.slow(11)
def test_when_one_agent_cannot_start_the_others_are_stopped_again(home: Home, daemon: Daemon) -> None:
    broken = home.config / "backends/team.yaml"
    broken.write_text(broken.read_text().replace("team_agent.py", "no_such_agent.py"))
    done = workflow(home, "DevReviewQA", "team", str(home.work), "task")
    assert done.returncode == 1
    assert "could not start" in done.stderr
    assert "stopped what was started" in done.stderr
    wait_until(lambda: sessions(daemon) == {}, "agents are left")
    assert json.loads(daemon.client().read("beads/list")) == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "usage: DevReview"),
        (["team"], "usage"),
        (["team", "/no/such"], "no directory '/no/such'"),
        (["-x"], "usage"),
    ],
)
def test_wrong_use_is_said_before_anything_is_started(home: Home, words: list[str], sentence: str) -> None:
    done = workflow(home, "DevReview", *words)
    assert done.returncode in (1, 2)
    assert sentence in done.stderr


def test_without_a_daemon_it_says_how_to_start_one(home: Home) -> None:
    done = workflow(home, "DevReview", "team", str(home.work))
    assert done.returncode == 1
    assert "anvilsrv start" in done.stderr
