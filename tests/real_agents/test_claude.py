"""The real Claude Code, in tmux, in the sandbox, through the daemon's files; only the model is a stand-in."""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from anvilsrv.errors import AnvilError
from tests.real_agents.conftest import Bench, Benches, wait_until
from tests.real_agents.directives import limit
from tests.real_agents.model import heard, sized
from tests.session import Session

pytestmark = pytest.mark.timeout(300)  # a busy machine starts agents slowly

HAZARDS = {
    "three lines": "one\ntwo\nthree",
    "100 KB": "x" * 100_000,
    "5000 lines": "\n".join(f"line {n} of many" for n in range(5000)),
    "a trailing backslash": "ends with \\",
    "a trailing mention": "look at @file",
    "a command in the second line": "first\n/clear",
    "indentation": "a\n    b\n  c",
    "wide letters": "héllo 日本語 🎉",
    "quotes and dollars": "'\"`$HOME $(id) {a} %s ;",
    "a lone question mark": "?",
}
CHANGED = {
    "a shell command": ("!ls", " !ls"),
    "a command of Claude": ("/nope word", " /nope word"),
    "a tab": ("a\tb", "a    b"),
    "CRLF": ("a\r\nb\r\n", "a\nb"),
    "an escape that would end the paste": ("a\x1b[201~b\rc", "a[201~b\nc"),
    "trailing blanks": ("a   ", "a"),
    "leading newlines": ("\n\n  third line", "  third line"),
}


@pytest.mark.slow(18)
def test_prompts_of_every_shape_arrive_as_meant(claude: Bench) -> None:
    agent = claude.agent()
    for name, text in HAZARDS.items():
        assert agent.ask(text) == heard(text), name
    for name, (text, meant) in CHANGED.items():
        assert agent.ask(text) == heard(meant), name
    assert len(claude.model.prompts()) == len(HAZARDS) + len(CHANGED)


@pytest.mark.slow(9)
def test_twenty_prompts_in_a_row_arrive_once_each_and_in_order(claude: Bench) -> None:
    agent = claude.agent()
    texts = [f"prompt number {n}" for n in range(20)]
    for text in texts:
        agent.prompt(text)
    assert agent.out(timeout=280) == heard(texts[-1])
    assert claude.model.prompts() == texts


def test_the_state_follows_a_slow_turn(claude: Bench) -> None:
    agent = claude.agent()
    agent.prompt("@@hold gate first half | second half")
    claude.model.wait(1)
    assert agent.wait("running") == "running"
    claude.model.release("gate")
    assert agent.out() == "first half | second half"
    agent.wait("idle")


@pytest.mark.slow(9)
def test_usage_counts_every_message_once(claude: Bench) -> None:
    agent = claude.new()
    agent.ask('@@call Bash {"command":"true","description":"x"}')
    agent.ask("again")
    expected = {"input": 300, "output": 21, "cached": 9, "cache_written": 60}
    wait_until(lambda: agent.json("usage").get("output") == 21, f"usage is {agent.read('usage')}")
    assert {key: agent.json("usage")[key] for key in expected} == expected


@pytest.mark.slow(5)
def test_a_command_of_its_own_that_it_refuses_has_failed_with_the_reason_and_the_next_prompt_goes(
    claude: Bench,
) -> None:
    agent = claude.new()
    assert "Not enough messages to compact" in agent.refused("/compact")
    assert agent.ask("next") == heard("next")


@pytest.mark.slow(40)
def test_an_answer_of_megabytes_is_told_whole(claude: Bench) -> None:
    """Claude starts its Stop hook, and writes the payload seconds later."""
    agent = claude.agent()
    agent.patience = 200
    assert agent.ask("@@size 2000000") == sized(2_000_000).rstrip("\n")
    agent.wait("idle")
    assert agent.ask("next") == heard("next")


def older(agent: Session) -> bool:
    """Return whether it is the release of Node 20: it waits for subagents, has a plan with the tool, and shows limits
    in a dialog.
    """
    return "v2.1.197" in agent.screen


@pytest.mark.slow(25)
def test_usage_counts_subagents_and_compaction_and_never_goes_back(fresh: Benches) -> None:
    claude = fresh("claude")
    agent = claude.new()

    def used(output: float) -> dict[str, float]:
        wait_until(lambda: agent.json("usage").get("output") == output, f"usage is {agent.read('usage')}")
        found: dict[str, float] = agent.json("usage")
        assert found["input"] == output / 7 * 100
        return found

    task = {"description": "x", "prompt": "work for another", "subagent_type": "general-purpose"}
    agent.ask(f"@@call Task {json.dumps(task)}" if (waits := older(agent)) else "first")
    base = 21 if waits else 7  # the call, what the subagent said, and the answer
    used(base)
    agent.prompt("/compact")
    wait_until(lambda: agent.json("usage").get("compacted"), "the compaction is told")
    agent.ask("after it")
    compacted = used(base + 7)["compacted"]
    agent.prompt("/clear")
    assert agent.ask("in a new conversation") == heard("in a new conversation")
    before = used(base + 14)
    assert before["compacted"] == compacted
    claude.daemon.kill()
    claude.daemon.start()
    agent = agent.again()
    assert agent.json("usage") == before
    agent.ask("after a restart")
    assert used(base + 21)["compacted"] == compacted
    agent.write("ctl", "restart fresh")
    wait_until(lambda: agent.state == "starting", "it does not end")
    agent.wait("idle")
    assert agent.json("usage")["output"] == base + 21


def test_an_interrupt_ends_the_turn_and_the_next_prompt_is_taken(claude: Bench) -> None:
    agent = claude.agent()
    agent.prompt("@@hold gate one two three four")
    claude.model.wait(1)
    wait_until(lambda: "tokens)" in agent.screen, "the answer begins")
    agent.write("ctl", "interrupt")
    agent.wait("idle")
    assert agent.ask("next") == heard("next")


def test_a_person_who_presses_escape_ends_the_turn_too(claude: Bench) -> None:
    agent = claude.agent()
    agent.prompt("@@hold gate one two three four")
    claude.model.wait(1)
    wait_until(lambda: "tokens)" in agent.screen, "the answer begins")
    agent.keys("Escape")
    agent.wait("idle")
    assert agent.ask("next") == heard("next")


@pytest.mark.parametrize(
    "prompt", ["@@mute gate never said", "@@slow 60 one two three", "@@slow 60 one two\n" + "more\n" * 20]
)
def test_an_interrupt_before_the_first_word_ends_the_turn(claude: Bench, prompt: str) -> None:
    agent = claude.agent()
    agent.prompt(prompt)
    claude.model.wait(1)
    agent.wait("running")
    agent.write("ctl", "interrupt")
    agent.wait("idle")
    assert agent.ask("next") == heard("next")  # what Claude put back into its box is taken away
    assert claude.model.prompts()[1:] == ["next"]


def test_an_error_of_the_service_ends_the_turn_with_its_reason(claude: Bench) -> None:
    agent = claude.agent()
    assert "bad thing" in agent.refused("@@fail 400 bad thing")
    assert agent.wait("idle") == "idle"
    assert "bad thing" in agent.row["error"]
    assert agent.ask("after") == heard("after")


@pytest.mark.slow(5)
def test_a_limit_shows_as_such_and_the_queue_waits(claude: Bench) -> None:
    agent = claude.new()
    assert "429" in agent.refused(LIMIT)
    agent.wait("idle")
    assert "429" in agent.row["error"]


@pytest.mark.slow(9)
def test_a_subscriptions_limit_shows_with_its_end_and_the_queue_waits_for_it(fresh: Benches) -> None:
    subscribed = fresh("subscribed")
    agent = subscribed.new()
    end = time.time() + 5 * 3600
    assert re.search("session limit|5-hour limit", agent.refused(limit("claude", time.time(), end)))
    agent.wait("idle")
    agent.prompt("later")
    held = agent.row["held"]
    told = time.mktime(time.strptime(held.rpartition(" resumes at ")[2], "%Y-%m-%d %H:%M:%S"))
    assert 0 < told - end < 70, held
    subscribed.daemon.kill()
    subscribed.daemon.start()
    agent = agent.again()
    assert (agent.row["held"], agent.row["queued"], len(subscribed.model.prompts())) == (held, 1, 1)


@pytest.mark.slow(7)
def test_after_a_subscriptions_limit_the_queue_goes_on_though_a_dialog_was_opened(fresh: Benches) -> None:
    subscribed = fresh("subscribed")
    agent = subscribed.new()
    agent.refused(limit("claude", time.time(), time.time() - 60))  # told in minutes: over now, seconds after this
    if older(agent):
        wait_until(lambda: "What do you want to do?" in agent.screen, "the dialog is on the screen")
    assert agent.ask("next") == heard("next")


@pytest.mark.parametrize("status", [500, 529])
def test_a_service_in_trouble_is_waited_for(claude: Bench, status: int) -> None:
    agent = claude.agent()
    text = f"@@fail {status} times=1 busy\n@@say at last"
    assert agent.ask(text) == "at last"


LIMIT = "@@fail 429 retry-after=3600 anthropic-ratelimit-unified-status=rejected limit reached"
ASK = "permissions: ask\n"


def asking(claude: Bench) -> Session:
    roles = claude.daemon.home.config / "roles"
    roles.mkdir(parents=True, exist_ok=True)
    (roles / "careful.yaml").write_text(ASK + 'filesystem: {rwx: ["{CWD}", "{TMPDIR}"]}\n')
    return claude.agent("role=careful")


@pytest.mark.slow(8)
@pytest.mark.parametrize("choice", ["allow", "deny"])
def test_a_permission_is_asked_and_answered(claude: Bench, choice: str) -> None:
    agent = asking(claude)
    file = claude.daemon.home.work / f"made-{choice}"
    agent.prompt(f'@@call Bash {{"command":"touch {file}","description":"x"}}')
    ask = agent.question()
    assert (ask["choices"][:2], str(file) in json.dumps(ask)) == (["allow", "deny"], True)
    assert agent.state == "running"
    agent.write("answer", choice)
    assert agent.out().startswith("tool said:")
    assert file.exists() == (choice == "allow")
    assert agent.read("ask").strip() == ""


def test_an_interrupt_while_something_is_asked_ends_the_turn_and_nothing_is_done(claude: Bench) -> None:
    agent = asking(claude)
    file = claude.daemon.home.work / "made-all-the-same"
    agent.prompt(f'@@call Bash {{"command":"touch {file}","description":"x"}}')
    agent.question()
    agent.write("ctl", "interrupt")
    agent.wait("idle")
    assert (agent.read("ask"), file.exists()) == ("", False)
    assert agent.ask("next") == heard("next")


def test_a_permission_answered_on_the_screen_is_no_question_any_more(claude: Bench) -> None:
    agent = asking(claude)
    agent.prompt(f'@@call Bash {{"command":"touch {claude.daemon.home.work}/made; sleep 1","description":"x"}}')
    agent.question()
    wait_until(lambda: "Do you want to proceed" in agent.screen, "the dialog is on the screen")
    agent.keys("Enter")
    assert agent.out().startswith("tool said:")
    assert agent.read("ask").strip() == ""
    agent.wait("idle")


@pytest.mark.slow(6)
def test_a_question_is_asked_and_answered_with_one_of_its_choices(claude: Bench) -> None:
    agent = claude.agent()
    options = [{"label": "Red", "description": "warm"}, {"label": "Blue", "description": "cold"}]
    asked = {"questions": [{"question": "Which color?", "header": "Color", "multiSelect": False, "options": options}]}
    agent.prompt(f"@@call AskUserQuestion {json.dumps(asked)}")
    ask = agent.question()
    assert ask["choices"] == ["Red", "Blue"]
    assert "Which color?" in ask["text"]
    agent.write("answer", "Blue")
    assert '"Which color?"="Blue"' in agent.out()


@pytest.mark.slow(9)
def test_what_a_subagent_does_is_no_turn_of_ours(claude: Bench) -> None:
    agent = claude.new()
    if not older(agent):
        pytest.skip("this release has subagents work in the background: test_activity.py has them")
    task = {"description": "x", "prompt": "work for another", "subagent_type": "general-purpose"}
    said = agent.ask(f"@@call Task {json.dumps(task)}")
    assert said.startswith(f"tool said: {heard('work for another')}")
    assert agent.ask("next") == heard("next")
    with claude.client.open(f"{agent.id}/log") as log:
        assert log.read(65536).count(b"USER") == 2


@pytest.mark.slow(11)
def test_an_agent_killed_in_a_turn_comes_back_with_its_conversation(claude: Bench) -> None:
    agent = claude.new()
    agent.ask("remember 42")
    agent.prompt("@@hold gate one two")
    claude.model.wait(2)
    os.kill(agent.pid, signal.SIGKILL)
    with pytest.raises(AnvilError, match="no response"):
        agent.out()
    agent.wait("idle")
    assert agent.ask("what was it?") == heard("what was it?")
    history = json.dumps(claude.model.last.raw["messages"])
    assert "remember 42" in history
    told = [json.loads(line) for n in (1, 2, 3) for line in agent.read(f"turns/{n}/activity").splitlines()]
    said = {one["id"]: one["text"] for one in told if one["kind"] == "text" and "part" not in one}
    assert list(said.values()) == [heard("remember 42"), heard("what was it?")], "nothing that the program says itself"


def saved(claude: Bench, words: str) -> None:
    """Wait until a conversation that Claude can resume has these words; what its hooks write does not count."""
    home = claude.daemon.home.home
    wait_until(
        lambda: any(words in one.read_text() for one in home.rglob("claude/projects/*/*.jsonl")), "Claude saves it"
    )


@pytest.mark.slow(16)
def test_a_session_stopped_before_its_first_prompt_starts_again(claude: Bench) -> None:
    agent = claude.new()
    agent.write("ctl", "stop")
    agent.wait("stopped")
    agent.write("ctl", "restart")
    agent.wait("idle")
    assert agent.ask("hello") == heard("hello")
    saved(claude, heard("hello"))
    agent.write("ctl", "restart")
    wait_until(lambda: agent.state != "running" and agent.row["pid"], "it runs again")
    assert agent.ask("again") == heard("again")
    assert "hello" in json.dumps(claude.model.last.raw["messages"])


@pytest.mark.slow(12)
def test_clear_is_followed_into_the_new_conversation(claude: Bench) -> None:
    agent = claude.new()
    agent.ask("parrots")
    agent.prompt("/clear")
    assert agent.ask("later on") == heard("later on")
    assert "parrots" not in json.dumps(claude.model.last.raw["messages"])
    saved(claude, heard("later on"))
    os.kill(agent.pid, signal.SIGKILL)
    wait_until(lambda: agent.state != "idle", "it died")
    agent.wait("idle")
    agent.ask("and now")
    history = json.dumps(claude.model.last.raw["messages"])
    assert "later on" in history and "parrots" not in history


@pytest.mark.slow(12)
@pytest.mark.parametrize("kind", ["claude", "claude-beside"])
def test_another_model_is_chosen_while_it_runs_and_stays_chosen(at: Benches, kind: str) -> None:
    bench = at(kind)
    agent = bench.new()
    assert agent.ask("before") == heard("before")
    wait_until(lambda: "claude" in agent.row["model"], f"nothing was chosen, and it tells {agent.row['model']!r}")
    for model in ("sonnet", "haiku"):  # once the conversation has begun it asks whether that is meant
        agent.write("options", f"model {model}")
        assert agent.ask(model) == heard(model)
        assert model in bench.model.last.raw["model"]
        assert agent.read("options").startswith(f"model\t{model}\n")
        assert agent.row["model"] == model
    agent.write("ctl", "restart")
    wait_until(lambda: agent.state == "starting", "it does not end")
    agent.wait("idle")
    assert agent.ask("after") == heard("after")
    assert "haiku" in bench.model.last.raw["model"]


@pytest.mark.slow(4)
def test_an_answer_given_while_the_daemon_was_dead_is_not_lost(fresh: Benches) -> None:
    claude = fresh("claude")
    agent = claude.new()
    agent.prompt("@@hold gate one two")
    claude.model.wait(1)
    agent.wait("running")
    pid = agent.pid
    claude.daemon.kill()
    claude.model.release("gate")
    spool = next(claude.daemon.home.home.glob(".local/state/anvillm/*/sessions/*/ns/spool"))
    wait_until(lambda: list(spool.glob("*.json")), "the hook left its report")
    claude.daemon.start()
    agent = agent.again()
    assert agent.out() == "one two"
    assert agent.pid == pid
    assert agent.ask("next") == heard("next")


@pytest.mark.slow(11)
def test_after_a_reboot_everyone_has_the_conversation_that_was_theirs(fresh: Benches) -> None:
    claude = fresh("claude")
    agents = [claude.launch(), claude.launch()]  # in one directory
    for agent, word in zip(agents, ("parrots", "herons"), strict=True):
        agent.wait("idle")
        agent.ask(f"think of {word}")
    claude.daemon.kill()
    socket = claude.daemon.home.namespace / "anvillm.tmux"
    subprocess.run(["tmux", "-S", str(socket), "kill-server"], check=True)
    wait_until(lambda: not pids(claude), "the agents are gone")
    claude.daemon.start()
    for agent, mine, other in zip(agents, ("parrots", "herons"), ("herons", "parrots"), strict=True):
        again = agent.again()
        again.wait("idle")
        again.ask("what was it?")
        history = json.dumps(claude.model.last.raw["messages"])
        assert (mine in history, other in history) == (True, False)


def pids(claude: Bench) -> list[int]:
    """Return the processes of Claude Code that work in this test's directory."""
    work = str(claude.daemon.home.work)
    found = []
    for one in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(one / "cwd") == work and b"session-id" in (one / "cmdline").read_bytes():
                found.append(int(one.name))
        except OSError:
            continue
    return found


def answers(claude: Bench) -> list[str]:
    return [message["body"] for message in json.loads(claude.client.read("user/inbox"))]


@pytest.mark.slow(5)
def test_mail_at_the_end_of_a_turn_is_handed_over_without_typing(claude: Bench) -> None:
    agent = claude.agent()
    before = len(answers(claude))
    agent.prompt("@@hold gate first")
    claude.model.wait(1)
    for n in (1, 2):
        body = {"to": agent.id, "type": "PROMPT_REQUEST", "subject": f"s{n}", "body": f"body {n}"}
        claude.client.write("user/mail", json.dumps(body).encode())
    claude.model.release("gate")
    prompts = claude.model.wait(3)
    assert ["body 1" in prompts[1], "body 2" in prompts[2]] == [True, True]
    assert prompts[1].startswith("Stop hook feedback:")
    agent.wait("idle")

    wait_until(lambda: len(answers(claude)) == before + 2, "both are answered")
    assert answers(claude)[before:] == [heard(prompt) for prompt in prompts[1:3]]


@pytest.mark.slow(5)
def test_agents_mail_each_other_through_the_tools(claude: Bench) -> None:
    alice, bob = claude.new("alias=alice"), claude.new("alias=bob")
    message = {"to": bob.id, "type": "QUERY_REQUEST", "subject": "color", "body": "which color?\n@@say blue, surely"}
    said = alice.ask(f"@@call mcp__anvillm__send_message {json.dumps(message)}")
    assert said.startswith("tool said:")
    prompts = claude.model.wait(3)
    assert any("which color?" in one for one in prompts)
    wait_until(lambda: any("blue, surely" in one for one in claude.model.prompts()), "the answer reaches alice")
    archive = wait_until(lambda: alice.json("archive"), "alice's archive")
    assert isinstance(archive, list)
    assert (archive[0]["type"], archive[0]["from"]) == ("QUERY_RESPONSE", bob.id)


def test_what_a_person_has_half_typed_is_left_alone(claude: Bench) -> None:
    agent = claude.agent()
    agent.keys("-l", "half a thought")
    wait_until(lambda: "half a thought" in agent.screen, "the draft is on the screen")
    agent.prompt("waits")
    wait_until(lambda: agent.row["held"], "the prompt waits for the person")
    assert claude.model.prompts() == []
    agent.keys("C-u")
    assert agent.out() == heard("waits")
    assert claude.model.prompts() == ["waits"]


def test_a_search_in_what_was_typed_before_is_waited_for(claude: Bench) -> None:
    """What is pasted then would be searched for."""
    agent = claude.agent()
    agent.ask("before")
    agent.keys("C-r")
    wait_until(lambda: "search prompts" in agent.screen.lower(), "the search is open")
    agent.prompt("after the search")
    wait_until(lambda: agent.row["held"], "the prompt waits")
    assert "before" not in agent.row["held"]  # that is the prompt that was, and nobody types it
    agent.keys("Escape")
    assert agent.out() == heard("after the search")
    assert not agent.row["held"]


@pytest.mark.slow(50)
def test_prompts_of_an_agent_that_is_stopped_for_long_wait_for_it(claude: Bench) -> None:
    agent = claude.agent()
    agent.ask("before")
    agent.freeze()
    agent.prompt("while it is stopped")
    agent.prompt("and another")
    wait_until(lambda: "does not read what is typed" in agent.row["held"], "it is not told")
    time.sleep(35)
    assert agent.row["queued"] == 1
    agent.freeze(signal.SIGCONT)
    assert agent.out() == heard("and another")
    assert not agent.row["held"]
    assert claude.model.prompts() == ["before", "while it is stopped", "and another"]


@pytest.mark.slow(7)
def test_six_agents_work_at_once(claude: Bench) -> None:
    agents = [claude.launch(f"alias=a{n}") for n in range(6)]
    for agent in agents:
        agent.wait("idle")
    for n, agent in enumerate(agents):
        agent.prompt(f"I am {n}")
    assert [agent.out() for agent in agents] == [heard(f"I am {n}") for n in range(6)]


@pytest.mark.slow(5)
def test_nothing_of_the_users_own_configuration_is_changed(fresh: Benches) -> None:
    claude = fresh("claude")
    user = claude.daemon.home.home / ".claude"
    user.mkdir()
    (user / "settings.json").write_text('{"includeCoAuthoredBy": false}')
    agent = claude.new()
    agent.ask(
        '@@call Bash {"command":"echo x > ~/.claude/settings.json; touch ~/.claude/CLAUDE.md ~/.claude.json","description":"x"}'
    )
    assert (user / "settings.json").read_text() == '{"includeCoAuthoredBy": false}'
    assert sorted(one.name for one in user.iterdir()) == ["settings.json"]
    assert not (claude.daemon.home.home / ".claude.json").exists()


@pytest.mark.slow(6)
def test_a_conversation_is_begun_anew_where_that_is_asked_and_its_loss_is_told(claude: Bench) -> None:
    agent = claude.new()
    agent.ask("remember 42")
    events = claude.daemon.client()
    agent.write("ctl", "restart fresh")
    wait_until(lambda: agent.state == "starting", "it does not end")
    agent.wait("idle")
    agent.ask("what was it?")
    assert "remember 42" not in json.dumps(claude.model.last.raw)
    data = claude.daemon.home.state / "sessions" / agent.id / "data"
    projects = data / "claude/projects"
    wait_until(
        lambda: len(list(projects.glob("*/*.jsonl"))) == 2,
        "the old one is kept, and Claude writes the new one when it can",
    )
    files = sorted(projects.glob("*/*.jsonl"), key=lambda path: path.stat().st_mtime)
    agent.write("ctl", "stop")
    agent.wait("stopped")
    files[-1].unlink()  # not before its end: it may write it again
    told = events.open("events").lines()
    agent.write("ctl", "restart")
    assert next(line for line in told if b"the conversation is gone, with its file" in line)
    agent.wait("idle")
    agent.ask("and then?")
    assert "\n    what was it?\n" in claude.model.prompts()[-1].replace("\t", "    ")  # from the log
    assert agent.ask("still there?") == heard("still there?")


def test_two_subagents_ask_at_once_and_each_gets_its_own_answer(claude: Bench) -> None:
    agent = asking(claude)
    files = [claude.daemon.home.work / f"by-{name}" for name in ("one", "two")]
    calls = [f'@@call Bash {{"command":"touch {file}","description":"x"}}' for file in files]
    for call in calls:
        task = {"description": "x", "prompt": call, "subagent_type": "general-purpose", "run_in_background": True}
        agent.prompt(f"@@call Task {json.dumps(task)}")
        agent.out()
    wait_until(lambda: len(agent.read("ask").splitlines()) == 2, "two questions")
    asks = [json.loads(line) for line in agent.read("ask").splitlines()]
    second = next(one for one in asks if str(files[1]) in json.dumps(one))
    agent.write("answer", f"{second['id']} 1")
    wait_until(files[1].exists, "the second may")
    [left] = [json.loads(line) for line in agent.read("ask").splitlines()]
    assert str(files[0]) in json.dumps(left)
    agent.write("answer", f"{left['id']} deny")
    wait_until(lambda: agent.read("ask") == "", "no question is left")
    assert not files[0].exists()


def test_several_questions_in_a_dialog_take_a_line_each_and_a_number_is_a_choice(claude: Bench) -> None:
    agent = claude.agent()
    options = [{"label": "Red", "description": "warm"}, {"label": "Blue", "description": "cold"}]
    asked = {
        "questions": [
            {"question": f"Which {what}?", "header": what, "multiSelect": many, "options": options}
            for what, many in (("color", False), ("colors", True))
        ]
    }
    agent.prompt(f"@@call AskUserQuestion {json.dumps(asked)}")
    ask = agent.question()
    agent.write("answer", f"{ask['id']} 2\n1,2\n")
    said = agent.out()
    assert '"Which color?"="Blue"' in said
    assert '"Which colors?"="Red, Blue"' in said


@pytest.mark.slow(8)
def test_a_plan_is_shown_with_the_question_about_it(claude: Bench) -> None:
    agent = claude.new("role=careful") if asking(claude) else claude.new()
    agent.prompt("@@call EnterPlanMode {}")
    wait_until(lambda: agent.read("ask") or agent.state == "idle", "it may plan")
    if agent.read("ask"):
        agent.write("answer", "allow")
    agent.out()
    if not older(agent):
        pytest.skip("this release has its plan in a file: test_a_plan_is_asked_with_the_text_of_its_file")
    plan = {"plan": "# The plan\n\nPaint it."}
    agent.prompt(f"@@call ExitPlanMode {json.dumps(plan)}")
    try:
        assert "Paint it." in agent.question()["text"]
    finally:
        agent.write("ctl", "interrupt")
    agent.wait("idle")
    assert agent.read("ask") == ""


@pytest.mark.slow(8)
def test_what_work_in_the_background_comes_to_is_mailed_again_to_the_one_who_asked(claude: Bench) -> None:
    agent, peer = claude.agent(), Session.new(claude.daemon)
    body = {"to": agent.id, "type": "QUERY_REQUEST", "subject": "the build", "body": in_background("build")}
    claude.daemon.client(peer.id).write(f"{peer.id}/mail", json.dumps(body).encode())

    def mailed() -> list[dict[str, Any]]:
        """Return what has come; one on its way from ``inbox`` to ``archive`` may be missing."""
        return [*peer.json("archive"), *peer.json("inbox")]

    wait_until(lambda: len(mailed()) == 1, "the first words are mailed")
    wait_until(lambda: agent.row["background"] == 1 and "background" in agent.row["notes"], "it goes on")
    assert agent.ask("meanwhile") == heard("meanwhile")
    (Path(agent.row["cwd"]) / "build").touch()
    first, second = wait_until(lambda: len(found := mailed()) == 2 and found, "the final words are mailed")
    assert claude.model.prompts()[-1].startswith("<task-notification>")
    assert [first["body"], second["body"]] == ["build started", heard(claude.model.prompts()[-1])]
    assert first["type"] == second["type"] == "QUERY_RESPONSE"
    assert first["metadata"]["in_reply_to"] == second["metadata"]["in_reply_to"]
    wait_until(lambda: (agent.row["background"], agent.state) == (0, "idle"), "it has nothing left to do")


def in_background(name: str) -> str:
    """Directives: a command goes on in the background until there is a file of its name, and the turn ends."""
    command = f"until [ -e {name} ]; do sleep 0.1; done; echo {name}"
    call = {"command": command, "description": name, "run_in_background": True}
    return f"@@call Bash {json.dumps(call)}\n@@say {name} started"


def until_told(agent: Session, name: str) -> str:
    """Run a turn of which a command goes on in the background until there is a file of its name. Returns the turn's
    number.
    """
    assert agent.ask(in_background(name)) == f"{name} started"
    return agent.read("turns/list").splitlines()[-1].split("\t")[0]


def notified(claude: Bench) -> list[str]:
    return [one for one in claude.model.prompts() if one.startswith("<task-notification>")]


@pytest.mark.slow(5)
def test_work_of_two_turns_comes_to_each_of_them_whichever_is_done_first(claude: Bench) -> None:
    agent = claude.agent()
    turns = {name: until_told(agent, name) for name in ("slow", "fast")}
    for at, name in enumerate(("fast", "slow")):
        (Path(agent.row["cwd"]) / name).touch()
        wait_until(lambda: agent.read(f"turns/{turns[name]}/out").startswith("heard"), f"{name} has woken it")  # noqa: B023
        assert agent.read(f"turns/{turns[name]}/out") == heard(notified(claude)[at])
        assert name in notified(claude)[at]
        agent.wait("idle")
    assert (agent.row["background"], len(notified(claude))) == (0, 2)


@pytest.mark.slow(6)
def test_words_about_work_of_two_turns_that_is_done_at_once_come_to_both(claude: Bench) -> None:
    agent = claude.agent()
    turns = [until_told(agent, name) for name in ("left", "right")]
    agent.prompt("@@hold busy for a while")
    claude.model.wait(3)
    for name in ("left", "right"):
        (Path(agent.row["cwd"]) / name).touch()
    data = claude.daemon.home.state / "sessions" / agent.id / "data"
    lines = lambda: "".join(one.read_text() for one in data.glob("claude/projects/*/*.jsonl"))  # noqa: E731
    wait_until(
        lambda: all(f'<summary>Background command \\"{name}' in lines() for name in ("left", "right")),
        "both are queued",
    )
    claude.model.release("busy")
    wait_until(lambda: all(agent.read(f"turns/{n}/out").startswith("heard") for n in turns), "both are told")
    assert [agent.read(f"turns/{n}/out") for n in turns] == [heard(notified(claude)[-1])] * 2
    agent.wait("idle")
    assert (agent.row["background"], agent.read(f"turns/{int(turns[1]) + 1}/out")) == (0, "for a while")


@pytest.mark.slow(7)
def test_work_that_is_done_in_the_middle_of_another_turn_is_told_there_and_the_words_of_that_come_to_both(
    claude: Bench,
) -> None:
    agent = claude.agent()
    turn = until_told(agent, "early")
    cwd, data = Path(agent.row["cwd"]), claude.daemon.home.state / "sessions" / agent.id / "data"
    call = {"command": "touch early; until [ -e go ]; do sleep 0.1; done", "description": "x"}
    agent.prompt(f"@@call Bash {json.dumps(call)}\n@@say both are done")
    lines = lambda: "".join(one.read_text() for one in data.glob("claude/projects/*/*.jsonl"))  # noqa: E731
    wait_until(lambda: '<summary>Background command \\"early' in lines(), "it is queued")
    (cwd / "go").touch()
    said = agent.out()
    wait_until(lambda: agent.read(f"turns/{turn}/out") == said, "the words come to the turn that began the work")
    assert "task-notification" in json.dumps(claude.model.last.raw["messages"][-1])  # in the turn, not after it
    wait_until(lambda: (agent.row["background"], agent.state) == (0, "idle"), "it has nothing left to do")


@pytest.mark.slow(70)
def test_what_the_agent_does_at_a_time_that_it_has_set_belongs_to_the_turn_that_set_it(claude: Bench) -> None:
    agent = claude.agent()
    cron = {"cron": "* * * * *", "prompt": "@@say it is time", "recurring": False}
    assert agent.ask(f"@@call CronCreate {json.dumps(cron)}\n@@say set") == "set"
    n = agent.read("turns/list").splitlines()[-1].split("\t")[0]
    assert agent.row["background"] == 1
    wait_until(lambda: agent.read(f"turns/{n}/out") == "it is time", "a minute passes")
    assert (agent.row["background"], agent.read("turns/list").splitlines()[-1].split("\t")[0]) == (0, n)


@pytest.mark.slow(10)
def test_a_plan_is_asked_with_the_text_of_its_file(at: Benches) -> None:
    bench = at("claude")
    agent = bench.new("mode=plan")
    agent.ask("@@say hello")
    data = bench.daemon.home.state / "sessions" / agent.id / "data"

    def files() -> list[str]:  # its model would write it
        written = "".join(one.read_text() for one in (data / "claude/projects").glob("*/*.jsonl"))
        attached = [json.loads(line).get("attachment") or {} for line in written.splitlines()]
        return [one["planFilePath"] for one in attached if "planFilePath" in one]

    wait_until(files, "it says where a plan belongs")
    path = files()[-1]
    Path(path).parent.mkdir(exist_ok=True)
    Path(path).write_text("1. look\n2. leap\n")
    agent.prompt("@@call ExitPlanMode {}\n@@say done")
    asked = agent.question()
    assert (asked["what"], asked["text"]) == ("plan", "Go on with this plan?\n\n1. look\n2. leap\n")
    agent.write("answer", "deny")
    agent.out()
