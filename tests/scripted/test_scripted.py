"""The scripted agent does what its script says: checked alone, with a stand-in for the daemon."""

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from anvilsrv.backends.backend import Backend
from anvilsrv.backends.place import Place
from anvilsrv.backends.registry import Backends
from anvilsrv.tmux.tmux import Tmux
from tests.conftest import wait_until
from tests.panes import SESSION, Daemon, daemon, shows, wait_screen
from tests.scripted import install, script, seen

__all__ = ["daemon"]  # a fixture


class Player:
    def __init__(self, tmux: Tmux, daemon: Daemon, top: Path, **changes: Any) -> None:
        install(top / "config", **changes)
        self.tmux, self.daemon, self.work = tmux, daemon, top / "work"
        self.work.mkdir(exist_ok=True)
        self.backend: Backend = Backends(top / "config" / "backends").get("scripted")
        self.place = Place(
            SESSION, str(self.work), str(top / "run"), str(self.work), str(top), conversation=str(uuid.uuid4())
        )

    def start(self, ready: bool = True) -> "Player":
        made = self.backend.launch(self.place, resume=False)
        self.pane = self.tmux.new_window(SESSION, made.argv, cwd=str(self.work), env={**made.env, **self.daemon.env}).id
        if ready:
            self.said("ready")
        return self

    def prompt(self, text: str) -> None:
        self.tmux.paste(self.pane, self.backend.prompt_text(text).encode())
        self.tmux.keys(self.pane, "Enter")

    def said(self, kind: str) -> dict[str, Any]:
        report = self.daemon.reports.get(timeout=20)
        meaning = self.backend.report(report["hook"], report["payload"])
        assert meaning is not None, report
        assert meaning.kind == kind, report
        return meaning.fields


@pytest.fixture
def agent(tmux: Tmux, daemon: Daemon, top: Path) -> Player:
    return Player(tmux, daemon, top)


def test_without_a_script_it_echoes_and_reports(agent: Player) -> None:
    agent.start()
    agent.prompt("hello\nthere")
    assert agent.said("submit")["text"] == "hello\nthere"
    stop = agent.said("stop")
    assert (stop["text"], stop["continued"], stop["conversation"]) == ("hello\nthere", False, agent.place.conversation)


def test_a_stop_can_be_answered_with_the_next_prompt(agent: Player) -> None:
    agent.start()
    handed = agent.backend.reply("stop", 'go {on} "now"')
    assert handed is not None
    replies = [{"stdout": handed.stdout, "exit": handed.exit}]
    agent.daemon.answer = lambda report: replies.pop() if report["hook"] == "Stop" and replies else {}
    agent.prompt("first")
    agent.said("submit")
    assert agent.said("stop")["text"] == "first"
    stop = agent.said("stop")
    assert (stop["text"], stop["continued"]) == ('go {on} "now"', True)


@pytest.mark.parametrize("choice", ["yes", "no", "something else"])
def test_it_asks_and_waits_for_the_answer(agent: Player, choice: str) -> None:
    script(agent.work, turns=[{"ask": "really?", "say": ""}])
    agent.start()
    agent.daemon.answer = lambda report: None if report["hook"] == "Ask" else {}
    agent.prompt("do it")
    agent.said("submit")
    report = agent.daemon.reports.get(timeout=20)
    asked = agent.backend.report(report["hook"], report["payload"])
    assert asked is not None
    assert (asked.kind, asked.fields["question"]) == ("ask", "really?")
    assert (asked.fields["choices"], asked.fields["free"]) == (["yes", "no"], True)
    reply = agent.backend.reply("ask", choice, asked)
    assert reply is not None
    agent.daemon.release({"stdout": reply.stdout})
    assert agent.said("stop")["text"] == f"answer: {choice}\n"


def test_an_enter_and_a_paste_can_be_lost(agent: Player) -> None:
    script(agent.work, swallow_enter=1, swallow_paste=1)
    agent.start()
    agent.prompt("lost")
    agent.prompt("kept")
    agent.tmux.keys(agent.pane, "Enter")
    assert agent.said("submit")["text"] == "kept"
    events = [one["event"] for one in seen(agent.work)]
    played = [event for event in events if event not in ("hook", "turn")]
    assert played[:3] == ["start", "paste lost", "enter swallowed"]  # the last Enter may have been swallowed too by now


def test_a_split_prompt_comes_in_two_turns(agent: Player) -> None:
    script(agent.work, split=1)
    agent.start()
    agent.prompt("abcdef")
    assert agent.said("submit")["text"] == "abc"
    assert agent.said("stop")["text"] == "abc"
    assert agent.said("submit")["text"] == "def"


def test_hooks_can_be_missing_and_doubled_and_of_subagents(agent: Player) -> None:
    script(agent.work, turns=[{"submit": "missing", "stop": "double", "subagent": True}])
    agent.start()
    agent.prompt("x")
    sub = agent.daemon.reports.get(timeout=20)
    assert agent.backend.report(sub["hook"], sub["payload"]) is None
    agent.said("stop")
    agent.said("stop")


def test_an_api_failure_tells_when_the_limit_ends(agent: Player) -> None:
    script(agent.work, turns=[{"fail": "limit reached, resets in 100 s"}])
    agent.start()
    agent.prompt("x")
    agent.said("submit")
    fields = agent.said("fail")
    assert fields["reason"].startswith("limit reached")
    assert fields["until"] > 0


def test_escape_ends_a_turn_without_a_hook_and_the_transcript_tells(agent: Player) -> None:
    script(agent.work, turns=[{"delay": 1000}])
    agent.start()
    agent.prompt("x")
    agent.said("submit")
    agent.tmux.keys(agent.pane, *agent.backend.interrupt)
    wait_screen(agent.tmux, agent.pane, shows("interrupted"))
    lines = [json.loads(line) for line in next(agent.work.glob("*.jsonl")).read_text().splitlines()]
    assert [meaning.kind for line in lines for meaning in agent.backend.transcript_reports(line)] == ["interrupt"]


def test_a_crash_happens_only_so_many_times(agent: Player) -> None:
    script(agent.work, turns=[{"match": "boom", "crash": -9, "times": 1}])
    agent.start()
    agent.prompt("boom")
    agent.said("submit")
    wait_until(lambda: agent.tmux.panes()[0].signal == 9, "the agent does not crash")
    made = agent.backend.launch(agent.place, resume=True)
    agent.tmux.respawn(agent.pane, made.argv, cwd=str(agent.work), env={**made.env, **agent.daemon.env})
    agent.said("ready")
    agent.prompt("boom")
    agent.said("submit")
    assert agent.said("stop")["text"] == "boom"
    assert ["--resume" in one["argv"] for one in seen(agent.work, "start")] == [False, True]


def test_a_large_response_is_said_whole(agent: Player) -> None:
    script(agent.work, turns=[{"size": 1_000_000}])
    agent.start()
    agent.prompt("x")
    agent.said("submit")
    assert len(agent.said("stop")["text"]) == 1_000_000


def test_a_persons_draft_stands_in_the_line(agent: Player) -> None:
    script(agent.work, turns=[{"draft": "half a thou"}])
    agent.start()
    wait_screen(agent.tmux, agent.pane, agent.backend.free)
    agent.prompt("x")
    agent.said("submit")
    agent.said("stop")
    screen = wait_screen(agent.tmux, agent.pane, lambda screen: screen.line == "> half a thou")
    assert not agent.backend.free(screen)
