"""One command each for what a shell wants: ``anvilsrv ask``, ``run``, ``ls``, ``status --short``, ``attach``."""

import select
import signal
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

from anvilsrv.programs import talk
from tests.conftest import PATIENCE, ROOT, Daemon, Home, wait_until
from tests.daemon.test_silence import sockets
from tests.scripted import install, script, seen
from tests.session import Session

ANVILSRV = [str(Path(sys.prefix) / "bin/anvilsrv")]


def anvilsrv(home: Home, *words: str, input: str = "") -> "subprocess.CompletedProcess[str]":
    return home.run(*ANVILSRV, *words, input=input)


def begun(home: Home, *words: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*ANVILSRV, *words], env=home.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )  # fmt: skip


def ended(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err


@pytest.fixture
def agent(home: Home, daemon: Daemon) -> Session:
    install(home.config)
    return Session.new(daemon, "scripted", "alias=bob")


@pytest.mark.parametrize(("words", "given"), [(("echo", "one", "two"), ""), ((), "echo one two")])
def test_ask_prints_the_answer_and_nothing_else(home: Home, daemon: Daemon, words: tuple[str, ...], given: str) -> None:
    agent = Session.new(daemon, "shell", "alias=sh")
    done = anvilsrv(home, "ask", "sh", *words, input=given)
    assert (done.returncode, done.stdout, done.stderr) == (0, "one two\n", "")
    assert (agent.row["seen"], agent.row["needs"]) == (1, "")  # it has been looked at


def test_on_a_terminal_an_answer_has_no_control_characters(home: Home, daemon: Daemon, agent: Session) -> None:
    script(home.work, turns=[{"match": "", "say": "a\x1b[31mb\x1b]0;x\x07\u202ec"}])
    child = pexpect.spawn(ANVILSRV[0], ["ask", "bob", "go"], env=home.env, timeout=PATIENCE, encoding="utf-8")
    assert child.read() == "ab\u241b]0;x\u2407\ufffdc\r\n"


def test_ask_gives_the_bytes_of_its_own_prompt_not_of_a_later_one(home: Home, daemon: Daemon, agent: Session) -> None:
    script(home.work, turns=[{"match": "first", "say": "no newline", "until": "go"}])
    first = begun(home, "ask", "bob", "first")
    agent.wait("running")
    second = begun(home, "ask", agent.id, "second")
    wait_until(lambda: agent.row["queued"], "the second waits")
    (home.work / "go").touch()
    assert ended(first) == (0, "no newline", "")
    assert ended(second) == (0, "second", "")


def test_what_cannot_be_asked_is_said_in_a_sentence(home: Home, daemon: Daemon, agent: Session) -> None:
    script(home.work, turns=[{"fail": "the service is away"}])
    for words, said in (
        (("nobody", "x"), "no such session 'nobody'; there are: bob"),
        (("bob", " "), "invalid prompt: it is empty"),
        (("bob", "x"), "no response: the service is away"),
    ):
        done = anvilsrv(home, "ask", *words)
        assert (done.returncode, done.stdout, done.stderr) == (1, "", f"anvilsrv: {said}\n")


def test_who_asks_a_session_that_does_not_run_is_told_how_to_restart_it(
    home: Home, daemon: Daemon, agent: Session
) -> None:
    agent.write("ctl", "stop")
    agent.wait("stopped")
    said = "'bob' takes no prompt: it is stopped; to restart it: echo restart | anvil9p write agent/bob/ctl"
    done = anvilsrv(home, "ask", "bob", "x")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"anvilsrv: {said}\n")


def test_without_a_daemon_the_status_is_3(home: Home) -> None:
    for words in (("ask", "bob", "x"), ("run", "shell", "x"), ("ls",), ("attach", "bob")):
        done = anvilsrv(home, *words)
        assert (done.returncode, done.stdout) == (3, "")
        assert "not running in namespace" in done.stderr
    done = anvilsrv(home, "status", "--short")
    assert (done.returncode, done.stdout) == (3, "off\n")


def test_ask_tells_what_the_agent_asks_and_waits_for_the_answer(home: Home, daemon: Daemon, agent: Session) -> None:
    script(home.work, turns=[{"ask": "really?\x1b[31m", "say": ""}])
    process = begun(home, "ask", "bob", "do it")
    assert process.stderr is not None
    assert process.stderr.readline() == "anvilsrv: bob asks: really?␛[31m (yes, no)\n"
    line = process.stderr.readline()
    words = line.removeprefix("anvilsrv: answer by: echo '").split()
    agent.write("answer", f"{words[0]} yes")
    assert ended(process)[:2] == (0, "answer: yes\n")


def test_ask_says_once_what_its_prompt_waits_for(home: Home, daemon: Daemon, agent: Session) -> None:
    script(home.work, turns=[{"match": "first", "until": "go"}, {"match": "second", "say": "done"}])
    agent.prompt("first")
    wait_until(lambda: seen(home.work, "turn"), "the turn begins")  # what is held before its Enter stays in the input
    agent.write("ctl", "hold")
    process = begun(home, "ask", "bob", "second")
    assert process.stderr is not None
    assert select.select([process.stderr], [], [], PATIENCE)[0]
    (home.work / "go").touch()
    agent.wait("idle")
    agent.write("ctl", "go")
    assert ended(process) == (0, "done", "anvilsrv: the prompt waits: bob is held: by the user\n")


def test_what_holds_a_later_prompt_is_not_said_of_one_that_runs(home: Home, daemon: Daemon, agent: Session) -> None:
    script(home.work, turns=[{"until": "go", "say": "done"}])
    process = begun(home, "ask", "bob", "wait")
    wait_until(lambda: seen(home.work, "turn"), "the turn begins")
    agent.write("ctl", "hold")
    (home.work / "go").touch()
    assert ended(process) == (0, "done", "")


def test_an_answer_is_waited_for_over_a_restart_of_the_daemon(home: Home, daemon: Daemon, agent: Session) -> None:
    script(home.work, turns=[{"until": "go", "say": "done"}])
    process = begun(home, "ask", "bob", "wait")
    agent.wait("running")
    assert anvilsrv(home, "restart").returncode == 0
    (home.work / "go").touch()
    assert ended(process) == (0, "done", "")


def test_interrupted_the_prompt_stays_with_the_agent(home: Home, daemon: Daemon, agent: Session) -> None:
    script(home.work, turns=[{"until": "go", "say": "done"}])
    process = begun(home, "ask", "bob", "wait")
    agent.wait("running")
    # it has its number, and waits: for the answer on one connection, for questions on another
    wait_until(lambda: len(sockets(process.pid)) == 2, "it does not wait for the answer")
    process.send_signal(signal.SIGINT)
    status, out, err = ended(process)
    assert (status, out, err) == (
        130,
        "",
        "anvilsrv: not waited for; the answer will be in agent/bob/turns/1/out\n",
    )
    (home.work / "go").touch()
    assert agent.read("turns/1/out") == "done"


def test_run_has_a_session_of_its_own_that_is_gone_afterwards(home: Home, daemon: Daemon) -> None:
    where = home.work / "sub"
    where.mkdir()
    done = anvilsrv(home, "run", "shell", str(where), "pwd")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{where}\n", "")
    done = home.run(*ANVILSRV, "run", "shell", input="pwd", cwd=where)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{where}\n", "")
    assert anvilsrv(home, "ls").stdout == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_that_is_ended_ends_its_session(home: Home, daemon: Daemon, number: int) -> None:
    install(home.config)
    script(home.work, turns=[{"until": "never"}])
    process = begun(home, "run", "scripted", str(home.work), "wait")
    wait_until(lambda: seen(home.work, "turn"), "the turn begins")
    process.send_signal(number)
    assert ended(process)[:2] == (128 + number, "")
    assert anvilsrv(home, "ls").stdout == ""


def test_run_does_not_take_a_misspelt_directory_for_the_prompt(home: Home) -> None:
    done = anvilsrv(home, "run", "shell", "/no/where", "ls")
    assert done.returncode == 1 and done.stderr.startswith("anvilsrv: no such directory '/no/where' (")


def test_run_says_why_nothing_could_be_started(home: Home, daemon: Daemon) -> None:
    done = anvilsrv(home, "run", "nothing", "x")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("anvilsrv: no such backend 'nothing'")


def test_ls_and_the_short_status_say_who_is_there_and_what_they_need(
    home: Home, daemon: Daemon, agent: Session
) -> None:
    assert anvilsrv(home, "status", "--short").stdout == "\n"
    assert anvilsrv(home, "ls").stdout == f"bob  idle  -  scripted  {home.work}\n"
    script(home.work, turns=[{"ask": "really?"}])
    agent.prompt("x")
    agent.question()
    assert anvilsrv(home, "status", "--short").stdout == "1 ask\n"
    assert anvilsrv(home, "ls").stdout == f"bob  running  asks  scripted  {home.work}\n"
    assert anvilsrv(home, "ls", "bob").stdout == f"bob  running  asks  scripted  {home.work}\n  asks: really?\n"


def test_a_list_shows_what_is_behind_its_notes_as_far_as_there_is_room() -> None:
    rows = [
        {
            "id": "1",
            "alias": name,
            "state": "idle",
            "backend": "shell",
            "cwd": "/x",
            "notes": notes,
            "held": "the limit is reached",
        }
        for name, notes in (("a", ["held"]), ("b", []))
    ]
    assert talk.table(rows) == ["a  idle  held  shell  /x", "b  idle  -     shell  /x"]
    assert talk.table(rows, 30) == ["a  idle  held: the…  shell  /x", "b  idle  -           shell  /x"]
    assert talk.table(rows, 99)[0] == "a  idle  held: the limit is reached  shell  /x"


def test_the_short_status_counts_each_session_once_by_what_is_most_urgent() -> None:
    def row(state: str, needs: str = "") -> talk.Row:
        return {"state": state, "needs": needs}

    rows = [
        row("running"),
        row("running", "ask"),
        row("idle", "held"),
        row("idle"),
        row("error", "error"),
        row("idle", "done"),
    ]
    assert talk.short([*rows, row("idle", "mail")]) == "1 ask · 1 error · 1 held · 1 mail · 1 running"
    assert talk.short([]) == ""


def test_attach_shows_the_agents_terminal_also_inside_another_tmux(home: Home, daemon: Daemon, agent: Session) -> None:
    env = home.env | {"TERM": "xterm-256color", "TMUX": "/tmp/nobody,1,0"}
    person = pexpect.spawn(
        ANVILSRV[0], ["attach", "bob"], env=env, dimensions=(24, 100), encoding="utf-8", timeout=PATIENCE
    )
    try:
        person.expect_exact("leaves")
        person.send("half a line")
        wait_until(lambda: "half a line" in agent.screen, "what is typed arrives")
        person.send("\x02d")
        person.expect(pexpect.EOF)
    finally:
        person.close(force=True)
    assert person.exitstatus == 0


def test_attach_without_a_terminal_opens_one(home: Home, daemon: Daemon, agent: Session) -> None:
    made = home.top / "term"
    made.write_text(f'#!/bin/sh\necho "$@" >{home.top}/said\n')
    made.chmod(0o755)
    home.env["ANVILLM_TERMINAL"] = str(made)
    done = anvilsrv(home, "attach", "bob")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert "new-session -t =anvillm" in (home.top / "said").read_text().replace("'", "")


def test_the_workflows_are_listed_with_what_they_do(home: Home) -> None:
    done = anvilsrv(home, "workflows")
    found = dict(line.split("\t") for line in done.stdout.splitlines())
    assert [Path(path).name for path in found] == [
        "Attempts",
        "DevReview",
        "DevReviewQA",
        "Docs",
        "Planning",
        "Research",
    ]
    assert all(Path(path).is_file() for path in found)
    assert found[str(ROOT / "workflows/Docs")] == "a writer, and an editor who tries what is written."
