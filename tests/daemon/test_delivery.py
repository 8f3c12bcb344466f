"""Honest delivery: every trouble that agents make, played by the scripted agent, against the real daemon."""

import json
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from anvilsrv.agents.delivery import LATE
from anvilsrv.p9.client import P9Error
from tests.conftest import Daemon, Home, wait_until
from tests.scripted import BACKEND, install, script, seen
from tests.session import Session


@pytest.fixture
def home(home: Home) -> Home:
    install(home.config)
    return home


@pytest.fixture
def agent(daemon: Daemon) -> Iterator[Session]:
    yield Session.new(daemon, "scripted")


def turns(daemon: Daemon) -> list[str]:
    """Return the texts that the agent was given, in order."""
    return [one["text"] for one in seen(daemon.home.work, "turn")]


def errors(agent: Session) -> list[str]:
    lines = agent.client.open("events.0").read(65536).decode().splitlines()
    return [one["error"] for one in map(json.loads, lines) if one["type"] == "error"]


def test_a_swallowed_enter_is_pressed_again_and_the_prompt_is_given_once(daemon: Daemon, agent: Session) -> None:
    script(daemon.home.work, swallow_enter=1)
    assert agent.ask("hello") == "hello"
    assert turns(daemon) == ["hello"]


def test_the_next_daemon_gives_its_enter_the_same_time_before_it_presses_it_again(stopped_daemon: Daemon) -> None:
    install(stopped_daemon.home.config, input=BACKEND["input"] | {"settle": 30})
    agent = Session.new(stopped_daemon.start(), "scripted")
    script(stopped_daemon.home.work, swallow_enter=1)
    agent.write("in", "hello")
    wait_until(lambda: "> hello" in agent.screen, "it is pasted")
    stopped_daemon.kill()
    stopped_daemon.start()
    assert agent.again().out() == "hello"
    (first,), (second,) = seen(stopped_daemon.home.work, "enter swallowed"), seen(stopped_daemon.home.work, "turn")
    assert second["ts"] - first["ts"] > BACKEND["input"]["confirm"] / 2


def test_a_prompt_that_is_never_taken_has_failed_and_is_cleared_away_and_the_next_goes(
    daemon: Daemon, agent: Session
) -> None:
    script(daemon.home.work, swallow_enter=100)
    agent.write("in", "hello")
    with pytest.raises(P9Error, match="no response: the agent did not take it within"):
        agent.read("out")
    agent.wait("idle")
    script(daemon.home.work)
    assert agent.ask("second") == "second"
    assert turns(daemon) == ["second"]


@pytest.mark.parametrize("how", ["late", "double"])
def test_a_submit_report_that_is_late_or_doubled_does_no_harm(daemon: Daemon, agent: Session, how: str) -> None:
    script(daemon.home.work, turns=[{"submit": how, "echo": True, "delay": 0.2, "times": 1}], late=0.4)
    assert agent.ask("one") == "one"
    assert agent.ask("two") == "two"
    assert turns(daemon) == ["one", "two"]


@pytest.mark.slow(7)
def test_keys_that_a_person_adds_to_a_prompt_on_its_way_are_seen_before_enter_and_neither_sent_nor_cleared(
    daemon: Daemon, agent: Session
) -> None:
    install(
        daemon.home.config, input={"settle": 5.0, "submit": "Enter", "clear": "C-u", "confirm": 1.0, "empty": "^>$"}
    )
    agent.write("in", "ours")
    wait_until(lambda: "ours" in agent.screen, "it is not typed")
    agent.keys("z")
    wait_until(lambda: "someone is typing" in agent.row["held"], "nobody noticed")
    assert (agent.row["held"], turns(daemon)) == ("someone is typing in the pane: '> oursz'", [])
    agent.keys("BSpace")
    assert agent.read("out") == "ours"
    assert (agent.row["held"], turns(daemon)) == ("", ["ours"])


def test_our_own_text_that_was_left_in_the_input_is_cleared_before_the_next_is_typed(
    daemon: Daemon, agent: Session
) -> None:
    agent.ask("first")
    agent.keys("first")
    agent.write("in", "second")
    assert agent.read("out") == "second"
    assert turns(daemon) == ["first", "second"]


def test_a_doubled_stop_report_ends_one_turn(daemon: Daemon, agent: Session) -> None:
    script(daemon.home.work, turns=[{"stop": "double", "echo": True}])
    for number in range(5):
        agent.write("in", f"p{number}")
    assert agent.read("out") == "p4"
    assert turns(daemon) == [f"p{number}" for number in range(5)]


def test_nothing_is_typed_into_a_busy_turn(daemon: Daemon, agent: Session) -> None:
    script(daemon.home.work, turns=[{"match": "first", "until": "go", "echo": True}])
    agent.write("in", "first")
    agent.write("in", "second")
    wait_until(lambda: turns(daemon) == ["first"], "the first turn never began")
    (daemon.home.work / "go").touch()
    assert agent.read("out") == "second"
    assert seen(daemon.home.work, "typed while busy") == []


def test_what_waits_for_a_person_is_no_turn_to_interrupt_and_can_be_dropped(daemon: Daemon, agent: Session) -> None:
    script(daemon.home.work, turns=[{"match": "first", "echo": True, "draft": "my own words"}])
    agent.ask("first")
    agent.write("in", "second")
    wait_until(lambda: agent.row["held"], "the draft was not noticed")
    agent.wait("idle")
    with pytest.raises(P9Error, match="is idle"):
        agent.write("ctl", "interrupt")
    agent.write("turns/2/ctl", "drop")
    agent.write("in", "third")
    wait_until(lambda: agent.row["queued"] == 1, "it does not wait")
    assert "my own words" in agent.row["held"]
    assert seen(daemon.home.work, "interrupted") == []
    assert turns(daemon) == ["first"]


@pytest.mark.parametrize("evidence", ["transcript", "hooks"])
def test_what_was_typed_once_can_be_dropped_and_is_only_said_to_be_withdrawn_where_that_is_certain(
    daemon: Daemon, evidence: str
) -> None:
    """The agent does not heed Enter, and is killed."""
    install(daemon.home.config, evidence=evidence, input={**BACKEND["input"], "confirm": 30.0})
    agent = Session.new(daemon, "scripted")
    agent.ask("first")
    script(daemon.home.work, swallow_enter=1)
    agent.write("in", "second")
    wait_until(lambda: seen(daemon.home.work, "enter swallowed"), "its Enter was not pressed")
    script(daemon.home.work)
    agent.write("ctl", "hold")
    os.kill(agent.pid, signal.SIGKILL)
    wait_until(lambda: len(seen(daemon.home.work, "start")) == 2, "it was not started again")
    agent.wait("idle")
    if evidence == "transcript":
        assert states(agent)[2] == "queued"
        with pytest.raises(P9Error, match="prompt 2 may have been taken: it can be dropped, not edited"):
            agent.write("turns/2/prompt", "other")
        agent.write("turns/2/ctl", "drop")
    assert states(agent)[2] == {"transcript": "withdrawn", "hooks": "failed"}[evidence]
    agent.write("ctl", "go")
    assert agent.ask("third") == "third"
    assert turns(daemon) == ["first", "third"]


def test_a_prompt_that_the_agent_keeps_until_it_has_started_waits_for_that_and_is_taken_once(
    daemon: Daemon, agent: Session
) -> None:
    install(daemon.home.config, input={**BACKEND["input"], "find": "^>", "busy": r"^Waiting for startup\s*\Z"})
    script(daemon.home.work, startup="started")
    agent.write("in", "first")
    wait_until(lambda: agent.row["held"], "it is not told", LATE)
    assert agent.row["held"] == "the agent does not read what is typed: it is stopped, or busy"
    (daemon.home.work / "started").touch()
    assert agent.read("out") == "first"
    assert seen(daemon.home.work, "typed while busy") == []
    assert (turns(daemon), agent.row["held"]) == (["first"], "")


def drawn(agent: Session) -> None:
    """Wait until its empty input is there: it tells that it is ready before it draws that."""
    wait_until(lambda: agent.screen.rstrip().split("\n")[-1] == ">", "it does not draw its input")


def states(agent: Session) -> dict[int, str]:
    """Return the state of each prompt, by its number."""
    rows = [line.split("\t") for line in agent.read("turns/list").splitlines()]
    return {int(row[0]): row[1] for row in rows}


@pytest.mark.slow(5)
def test_an_input_that_the_backend_cannot_see_is_told_and_a_corrected_file_is_taken_at_once(daemon: Daemon) -> None:
    install(daemon.home.config, input={"settle": 0.05, "clear": "C-u", "confirm": 3, "find": "^│ ", "empty": "^│ $"})
    agent = Session.new(daemon, "scripted")
    agent.write("in", "hello")
    wait_until(lambda: agent.row["held"], "nobody noticed")
    assert agent.row["held"] == "the pane shows no input line of scripted, but '>'"
    install(daemon.home.config)
    assert agent.read("out") == "hello"
    assert agent.row["held"] == ""


@pytest.mark.slow(35)
def test_prompts_of_an_agent_that_is_stopped_wait_for_it_and_are_taken_once_each_when_it_goes_on(
    daemon: Daemon, agent: Session
) -> None:
    agent.ask("first")
    drawn(agent)
    agent.freeze()
    agent.write("in", "second")
    agent.write("in", "third")
    wait_until(lambda: agent.row["held"], "it is not told")
    assert agent.row["held"] == "the agent does not read what is typed: it is stopped, or busy"
    agent.write("ctl", "hold")  # what was typed stays, and is not sent
    time.sleep(LATE + 2)  # longer than a text may take to show
    assert (states(agent)[2], states(agent)[3]) == ("sending", "queued")
    agent.write("ctl", "go")
    agent.freeze(signal.SIGCONT)
    assert agent.read("out") == "third"
    assert (turns(daemon), agent.row["held"]) == (["first", "second", "third"], "")


@pytest.mark.slow(5)
def test_an_agent_that_is_stopped_can_be_killed_or_interrupted_and_its_prompt_has_an_end(
    daemon: Daemon, agent: Session
) -> None:
    drawn(agent)
    agent.freeze()
    agent.write("in", "first")
    wait_until(lambda: agent.row["held"], "it is not told")
    agent.write("ctl", "interrupt")
    wait_until(lambda: states(agent)[1] == "failed", "it was not given up")
    agent.write("in", "second")
    wait_until(lambda: agent.row["held"], "the next is not held up")
    agent.freeze(signal.SIGKILL)
    wait_until(lambda: len(seen(daemon.home.work, "start")) == 2, "it was not started again")
    assert agent.ask("third") == "third"
    assert states(agent)[2] in ("done", "failed")  # it may have had it


def test_what_a_person_has_half_typed_is_never_overwritten(daemon: Daemon, agent: Session) -> None:
    script(daemon.home.work, turns=[{"match": "first", "echo": True, "draft": "my own words"}])
    agent.ask("first")
    agent.write("in", "second")
    wait_until(lambda: agent.row["held"], "the draft was not noticed")
    assert agent.row["held"] == "someone is typing in the pane: '> my own words'"
    assert turns(daemon) == ["first"]
    agent.keys("Enter")
    assert agent.read("out") == "second"
    assert turns(daemon) == ["first", "my own words", "second"]


def test_a_failure_of_the_agents_service_ends_the_turn_with_its_reason_and_the_queue_waits(
    daemon: Daemon, agent: Session
) -> None:
    script(daemon.home.work, turns=[{"match": "first", "fail": "API Error: 500", "delay": 0.3}])
    agent.write("in", "first")
    out = agent.client.open(f"{agent.id}/out")
    agent.write("in", "second")
    with pytest.raises(P9Error, match="no response: API Error: 500"):
        out.read(100)
    agent.wait("idle")
    shown = agent.row
    held = "API Error: 500; the next prompt or 'go' lets the queue go on"
    assert (shown["queued"], shown["error"], shown["held"]) == (1, "API Error: 500", held)
    assert "API Error: 500" in errors(agent)
    assert turns(daemon) == ["first"]


@pytest.mark.slow(5)
def test_when_the_agent_says_when_its_limit_ends_the_queue_goes_on_then(daemon: Daemon, agent: Session) -> None:
    script(daemon.home.work, turns=[{"match": "first", "fail": "limit reached, resets in 2 s", "delay": 0.3}])
    agent.write("in", "first")
    agent.write("in", "second")
    assert agent.read("out") == "second"
    first, second = seen(daemon.home.work, "turn")
    assert second["ts"] - first["ts"] > 1.5


def test_a_crash_in_a_turn_fails_that_prompt_and_the_rest_is_answered(daemon: Daemon, agent: Session) -> None:
    script(daemon.home.work, turns=[{"match": "boom", "crash": -9}])
    agent.write("in", "boom")
    out = agent.client.open(f"{agent.id}/out")
    agent.write("in", "after")
    with pytest.raises(P9Error, match="no response: agent ended: killed by SIGKILL"):
        out.read(100)
    assert agent.read("out") == "after"


def test_a_question_is_shown_and_answered(daemon: Daemon, agent: Session) -> None:
    script(daemon.home.work, turns=[{"ask": "really?", "say": "so: "}])
    agent.write("in", "do it")
    asked = wait_until(lambda: agent.read("ask"), "nothing was asked")
    assert json.loads(str(asked))["text"] == "really?"
    assert agent.state == "running"
    agent.write("answer", "yes")
    assert "yes" in agent.read("out")
    assert agent.read("ask") == ""
    with pytest.raises(P9Error, match="has no open question"):
        agent.write("answer", "yes")


def test_a_question_outlives_the_daemon(daemon: Daemon, agent: Session) -> None:
    script(daemon.home.work, turns=[{"ask": "really?", "say": "so: "}])
    agent.write("in", "do it")
    wait_until(lambda: agent.read("ask"), "nothing was asked")
    daemon.kill()
    daemon.start()
    after = agent.again()

    def answered() -> bool:
        try:
            after.write("answer", "no")
        except P9Error:
            return False
        return True

    wait_until(answered, "the question was lost")
    assert "no" in after.read("out")


def test_mail_is_handed_over_at_the_end_of_a_turn_without_typing(daemon: Daemon, agent: Session) -> None:
    script(daemon.home.work, turns=[{"match": "first", "until": "go", "echo": True}])
    agent.write("in", "first")
    wait_until(lambda: turns(daemon) == ["first"], "the turn never began")
    for number in range(2):
        body = {"to": agent.id, "type": "QUERY_REQUEST", "subject": f"q{number}", "body": f"mail {number}"}
        agent.client.write("user/mail", json.dumps(body).encode())
    (daemon.home.work / "go").touch()

    def answers() -> list[Any]:
        found: list[Any] = json.loads(agent.client.read("user/inbox"))
        return found if len(found) == 2 else []

    both: Any = wait_until(answers, "the mail was not answered")
    assert [one["subject"] for one in both] == ["Re: q0", "Re: q1"]
    continued = [one["continued"] for one in seen(daemon.home.work, "turn")]
    assert continued == [False, True, True]


def test_an_interrupt_that_no_hook_reports_is_seen_in_the_transcript(daemon: Daemon, agent: Session) -> None:
    script(daemon.home.work, turns=[{"match": "long", "delay": 60}])
    agent.write("in", "long")
    wait_until(lambda: turns(daemon) == ["long"], "the turn never began")
    agent.write("ctl", "interrupt")
    with pytest.raises(P9Error, match="no response: cancelled"):
        agent.read("out")
    agent.wait("idle")
    assert agent.ask("next") == "next"


def test_a_person_who_types_starts_a_turn_of_the_same_kind(daemon: Daemon, agent: Session) -> None:
    agent.keys("by hand", "Enter")
    wait_until(lambda: turns(daemon) == ["by hand"], "nothing was typed")
    wait_until(lambda: agent.read("out") == "by hand", "its turn was not seen")
    agent.wait("idle")


def test_a_slow_start_and_a_dialog_delay_the_first_prompt_and_lose_nothing(daemon: Daemon) -> None:
    script(daemon.home.work, start={"delay": 0.3, "ready": "late"}, late=0.3)
    assert Session.starting(daemon, "scripted").ask("early") == "early"


def test_fifty_prompts_in_a_row_are_neither_lost_doubled_nor_merged(daemon: Daemon, agent: Session) -> None:
    for number in range(50):
        agent.write("in", f"prompt {number}")
    assert agent.out(timeout=100) == "prompt 49"  # on a machine that has much to do
    assert turns(daemon) == [f"prompt {number}" for number in range(50)]


def test_a_restart_goes_on_with_the_same_conversation(daemon: Daemon, agent: Session) -> None:
    agent.ask("remember")
    agent.write("ctl", "restart")
    agent.wait("starting", "stopped")
    agent.wait("idle")
    starts = seen(daemon.home.work, "start")
    assert ["--resume" in one["argv"] for one in starts] == [False, True]
