"""A session through its files: prompts, responses, states, the life of its agent."""

import os
import signal

import pytest

from anvilsrv.p9.client import P9Error
from tests import scripted
from tests.conftest import PATIENCE, Daemon, wait_until
from tests.session import Session


def test_a_prompt_is_answered_with_the_exact_output(agent: Session) -> None:
    assert agent.ask("printf 'a\\tb  \\n\\nc'") == "a\tb  \n\nc"
    assert agent.ask("echo $((6 * 7)); false") == "42\nexit 1\n"


def test_the_state_is_running_from_the_moment_a_prompt_is_accepted(agent: Session) -> None:
    agent.write("in", "read line < fifo || sleep 5")
    assert agent.state == "running"


def test_prompts_to_a_busy_agent_are_queued_and_answered_in_order(agent: Session) -> None:
    for number in range(10):
        agent.write("in", f"echo {number}; sleep 0.0{number}")
    assert agent.read("out") == "9\n"
    log = agent.client.open(f"{agent.id}/log").read(65536).decode()
    said = [line.strip() for line in log.splitlines() if line.startswith("\t") and "echo" not in line]
    assert said == [str(number) for number in range(10)]


def test_out_is_the_response_to_the_last_prompt_before_the_open(agent: Session) -> None:
    agent.write("in", "sleep 0.2; echo first")
    first = agent.client.open(f"{agent.id}/out")
    agent.write("in", "echo second")
    assert first.read(100) == b"first\n"
    assert agent.read("out") == "second\n"


def test_the_context_goes_before_every_prompt(agent: Session) -> None:
    agent.write("context", "be\nbrief\n")
    assert agent.read("context") == "be\nbrief\n"
    assert agent.ask("echo ok") == "ok\n"
    agent.write("context", "")
    assert agent.read("context") == ""


@pytest.mark.parametrize("size", [4095, 4096, 4097, 1 << 20])
def test_a_prompt_of_any_size_arrives_whole(agent: Session, size: int) -> None:
    head, tail = "wc -c <<'END'\n", "\nEND"
    text = head + "x" * (size - len(head) - len(tail)) + tail
    assert agent.ask(text).strip() == str(len(text) - len(head) - len(tail) + 1)


@pytest.mark.slow(15)
def test_a_prompt_of_megabytes_is_taken_in_the_time_that_it_has(agent: Session) -> None:
    agent.prompt("wc -c <<'END'\n" + ("x" * 99 + "\n") * 90_000 + "END")
    assert agent.out(timeout=100) == "9000000\n"


@pytest.mark.slow(6)
def test_megabytes_of_any_bytes_are_answered_exactly(agent: Session) -> None:
    (agent.daemon.home.work / "data").write_bytes(data := os.urandom(1 << 20) * 4)
    agent.prompt("cat data")
    assert agent.client.read(f"{agent.id}/out", timeout=100) == data


def test_control_characters_are_taken_out_of_a_prompt(agent: Session) -> None:
    assert agent.ask("echo 'a\x1b[201~\x03\x04b'") == "a[201~b\n"


def test_a_session_is_reached_by_its_alias_too(agent: Session) -> None:
    agent.write("alias", "bob\n")
    assert agent.client.read("bob/state") == b"idle\n"
    assert agent.client.read("list").decode().split("\t")[:3] == [agent.id, "bob", "idle"]
    agent.write("alias", "")
    assert agent.read("alias") == ""


def test_stop_keeps_the_session_and_restart_brings_it_back(agent: Session) -> None:
    agent.write("ctl", "stop")
    agent.wait("stopped")
    assert agent.read("pid") == "0\n"
    with pytest.raises(P9Error, match="is stopped"):
        agent.write("in", "echo hello")
    agent.write("ctl", "restart")
    agent.wait("idle")
    assert agent.ask("echo back") == "back\n"


def test_a_killed_session_leaves_the_tree_and_whoever_waits_is_told(agent: Session) -> None:
    agent.write("in", "sleep 60")
    out = agent.client.open(f"{agent.id}/out")
    agent.write("ctl", "kill")
    with pytest.raises(P9Error, match="killed"):
        out.read(100)
    with pytest.raises(P9Error, match="no such session"):
        agent.read("state")
    assert agent.client.read("list") == b""


def test_every_command_that_an_error_names_is_one(agent: Session) -> None:
    """Also the one whose name an error cannot hold."""
    with pytest.raises(P9Error) as caught:
        agent.write("ctl", "frobnicate")
    named = (
        str(caught.value)
        .split(": ")[1]
        .removesuffix(", forward <port>, unforward <port>, keys <name>…, complete <message-id>")
        .split(", ")
    )
    assert "interrupt" not in named and "stop" in named
    for command in named:
        if command != "kill":
            try:
                agent.write("ctl", command)
            except P9Error as error:
                assert "invalid" not in str(error)


def test_an_interrupt_ends_the_turn_and_not_the_agent(agent: Session) -> None:
    agent.write("in", "echo begun; sleep 60")
    wait_until(lambda: "USER" in agent.client.open(f"{agent.id}/log").read(4096).decode(), "the turn never began")
    pid = agent.read("pid")
    agent.write("ctl", "interrupt")
    agent.wait("idle")
    assert agent.read("pid") == pid
    assert agent.ask("echo alive") == "alive\n"


def test_a_crash_is_seen_at_once_and_the_agent_comes_back_with_its_queue(agent: Session) -> None:
    agent.write("alias", "bob")
    agent.write("context", "keep")
    agent.write("in", "sleep 60")
    agent.write("in", "echo queued")
    wait_until(lambda: "USER" in agent.client.open(f"{agent.id}/log").read(4096).decode(), "the turn never began")
    os.kill(int(agent.read("pid")), signal.SIGKILL)
    assert agent.read("out") == "queued\n"
    assert (agent.read("alias"), agent.read("context")) == ("bob\n", "keep")


@pytest.mark.slow(7)
def test_a_crash_loop_ends_in_error_and_a_restart_clears_it(daemon: Daemon) -> None:
    config = daemon.home.config / "backends"
    config.mkdir(parents=True)
    (config / "broken.yaml").write_text(
        "backend:\n  title: Broken\n  command: [/bin/false]\n  ready: {screen: never}\n"
    )
    made = Session.starting(daemon, "broken")
    made.write("in", "hello")
    with pytest.raises(P9Error, match="no response now: the session has failed: crashed 6 times in a row"):
        made.read("out")
    made.wait("error")
    assert "crashed 6 times in a row" in made.row["error"]
    made.write("ctl", "restart")
    assert made.state == "starting"


def test_an_agent_that_ends_by_itself_is_stopped(agent: Session) -> None:
    agent.write("in", "exit 0")
    agent.wait("stopped")


def test_the_newest_session_is_the_last_line_of_list(daemon: Daemon) -> None:
    first, second = Session.new(daemon), Session.new(daemon, "shell", "alias=second")
    assert [line.split("\t")[0] for line in daemon.client().read("list").decode().splitlines()] == [first.id, second.id]


def test_a_response_in_bytes_that_are_no_text_comes_out_exactly(agent: Session) -> None:
    agent.write("in", "printf '\\377\\000\\200x'")
    assert agent.client.read(f"{agent.id}/out") == b"\xff\x00\x80x"


def test_a_session_that_is_stopped_or_killed_while_it_starts_leaves_no_agent_behind(daemon: Daemon) -> None:
    killed, stopped = Session.starting(daemon), Session.starting(daemon)
    killed.write("ctl", "kill")
    stopped.write("ctl", "stop")
    stopped.wait("stopped")

    def gone() -> bool:
        found = stopped.tmux("list-panes", "-a", "-F", "#{window_name} #{pane_dead}")
        return f"{killed.id} " not in found and f"{stopped.id} 0" not in found

    wait_until(gone, "an agent is left")


@pytest.mark.slow(5)
def test_a_daemon_with_another_home_leaves_the_agents_of_the_first_alone(daemon: Daemon) -> None:
    """The same namespace, another store: what it does not know is not its own to end."""
    first = Session.new(daemon)
    pid = first.pid
    daemon.kill()
    home = daemon.home.env["HOME"], daemon.home.env["XDG_STATE_HOME"]
    daemon.home.env |= {"HOME": str(daemon.home.top / "other"), "XDG_STATE_HOME": str(daemon.home.top / "other/state")}
    daemon.start()
    assert Session.new(daemon).ask("echo second") == "second\n"
    assert daemon.process is not None
    daemon.process.terminate()
    assert daemon.process.wait(PATIENCE) == 0
    daemon.home.env |= {"HOME": home[0], "XDG_STATE_HOME": home[1]}
    daemon.start()
    again = first.again()
    assert again.ask("echo first") == "first\n"
    assert again.pid == pid


@pytest.mark.parametrize("end", ["exit 127", "kill -9 $$"])
def test_the_last_words_of_an_agent_are_told_although_they_have_scrolled_away(daemon: Daemon, end: str) -> None:
    blank = "\n" * 40
    scripted.install(
        daemon.home.config,
        name="dying",
        command=["/bin/sh", "-c", f"echo out of cheese; echo '{blank}'; echo 'Resume this session with:'; {end}"],
    )
    agent = Session.starting(daemon, "dying")
    wait_until(lambda: "out of cheese" in agent.row["error"], f"its words are lost: {agent.row['error']}")
    assert ("'anvilsrv doctor'" in agent.row["error"]) == (end == "exit 127")
