"""Assist with the real daemon and its embedded shell, from the first click to the answer."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

MAIN = "/AnviLLM/"

pytestmark = pytest.mark.skipif(not shutil.which("tmux"), reason="tmux is not installed")


@pytest.fixture
def agent(namespace, monkeypatch):
    """No daemon runs: Assist has to start it. It is stopped at the end."""
    monkeypatch.setenv("ANVILLM_BEADS_PATH", f"{namespace}/beads")
    monkeypatch.delenv("TMUX", raising=False)
    yield None
    stopped = subprocess.run(
        [sys.executable, "-m", "anvilsrv.programs.cli", "stop"], capture_output=True, text=True, timeout=30
    )
    assert stopped.returncode == 0, stopped.stderr


def state(person, alias):
    rows = [line.split() for line in person.body(MAIN).split("\n") if line.startswith(f"{alias}\t")]
    return rows[0][1] if rows else ""


def test_a_session_is_started_prompted_and_answers(person, assist, project):
    assist()
    person.sees(MAIN, "[Shell]")
    person.type_at_end(MAIN, f"Shell {project} alias=sh\n")
    person.execute(MAIN, f"Shell {project} alias=sh", sweep=True)
    person.wait(lambda: state(person, "sh") == "idle", "an idle session", 30)
    person.select(MAIN, project)
    person.execute(MAIN, "Log", tag=True)
    log = f"{project}/+Log.sh"
    person.wait(lambda: person.has(log) and "Send" in person.tag(log), "the log window")
    person.type_at_end(log, "echo $((6*7))")
    person.execute(log, "Send", tag=True)
    person.sees(log, "\t42\n")
    person.execute(MAIN, "Stop", tag=True)
    person.wait(lambda: state(person, "sh") == "stopped", "a stopped session", 30)
    person.execute(MAIN, "Restart", tag=True)
    person.wait(lambda: state(person, "sh") == "idle", "an idle session", 30)
    person.execute(MAIN, "Daemon", tag=True)
    daemon = "/AnviLLM/+Daemon"
    person.wait(lambda: person.has(daemon) and "Restart" in person.tag(daemon), "the daemon's window")
    person.sees(daemon, "serves")
    socket = Path(os.environ["NAMESPACE"], "agent")
    first = socket.stat().st_ctime_ns
    person.execute(daemon, "Restart", tag=True)
    person.type_at_end(log, "echo again")
    person.wait(lambda: socket.exists() and socket.stat().st_ctime_ns != first, "another daemon's socket", 30)
    person.wait(lambda: "serves" in person.body(daemon) and "..." not in person.body(daemon), "the restart", 30)
    person.execute(log, "Send", tag=True)
    person.sees(log, "\tagain\n")
    assert person.body(log).count("\t42\n") == 1
    person.wait(lambda: state(person, "sh") == "idle", "the turn to end", 30)
    person.select(MAIN, project)
    person.execute(MAIN, "Kill", tag=True)
    person.wait(lambda: state(person, "sh") == "", "no session", 30)


def git(where, *words):
    done = subprocess.run(["git", "-C", where, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow(20)
def test_a_session_on_a_branch_is_merged_and_discarded_and_what_refuses_it_is_said(person, assist, project):
    (Path.home() / ".gitconfig").write_text("[user]\n\tname = u\n\temail = u@example.org\n")
    git(project, "init", "-q", "-b", "main")
    git(project, "commit", "-q", "--allow-empty", "-m", "first")
    assist()
    person.sees(MAIN, "[Shell]")
    line = f"Shell {project} alias=sh branch=fix"
    person.type_at_end(MAIN, f"{line}\n")
    person.execute(MAIN, "Put", tag=True)
    person.wait(lambda: state(person, "sh") == "idle", "an idle session", 30)
    tree = f"{project}.fix"
    person.select(MAIN, tree)
    person.execute(MAIN, "Log", tag=True)
    log = f"{tree}/+Log.sh"
    person.wait(lambda: person.has(log) and "Send" in person.tag(log), "the log window")
    person.type_at_end(
        log, "echo x > a; git add a; git -c user.name=a -c user.email=a@b commit -qm 'add a'; echo y > b; echo ok"
    )
    person.execute(log, "Send", tag=True)
    person.sees(log, "\tok\n")
    person.wait(lambda: state(person, "sh") == "idle", "the turn to end", 30)
    person.execute(MAIN, "Kill", tag=True)
    person.sees("/AnviLLM/+Errors", "sh: not all is committed on its branch fix; Kill again removes it for good\n")
    person.type_at_end(MAIN, "Merge sh\n")
    person.execute(MAIN, "Merge sh", sweep=True)
    person.sees("/AnviLLM/+Errors", "the session must commit these first: b\n")
    os.unlink(f"{tree}/b")
    person.sees(MAIN, "Merge sh\n")
    person.execute(MAIN, "Merge sh", sweep=True)
    person.sees("/AnviLLM/+Errors", "Assist: merged fix into main: ")
    assert git(project, "log", "--format=%s") == "add a\nfirst\n"
    person.type_at_end(MAIN, "Discard sh\n")
    person.execute(MAIN, "Discard sh", sweep=True)
    person.sees("/AnviLLM/+Errors", "Assist: discarded fix: refs/anvillm/gone/")
    person.wait(lambda: state(person, "sh") == "", "no session", 30)
