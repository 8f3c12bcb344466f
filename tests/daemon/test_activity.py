"""``activity``: what agents do while they do it, from a live daemon and the scripted agent."""

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import scripted
from tests.conftest import PATIENCE, Daemon, Home, wait_until
from tests.session import Session

Object = dict[str, Any]


@pytest.fixture(autouse=True)
def backend(home: Home) -> None:
    scripted.install(home.home / ".config" / "anvillm")


def told(agent: Session, path: str = "activity", until: Callable[[Object], bool] | None = None) -> list[Object]:
    """Return what there is until the end of a turn, or what ``until`` holds for."""
    return list(following(agent, path, until or (lambda one: one["kind"] == "end")))


def following(agent: Session, path: str, until: Callable[[Object], bool]) -> Iterator[Object]:
    rest = b""
    with agent.client.open(f"{agent.id}/{path}") as file:
        while data := file.read(timeout=PATIENCE):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                one = json.loads(line)
                yield one
                if until(one):
                    return


def kinds(objects: list[Object]) -> list[str]:
    """Return the kinds of the objects; usage comes when it comes."""
    return [one["kind"] for one in objects if one["kind"] != "usage"]


def grown(objects: list[Object]) -> list[Object]:
    """Return the same, of what grows until it is whole only the first: how many pieces are told at once is chance."""
    found: list[Object] = []
    for one in objects:
        grows = "part" in one or "grows" in one
        if not grows or not found or key(found[-1]) != key(one):
            found.append(one)
    return found


def key(one: Object) -> tuple[str, str, bool]:
    return one["kind"], one.get("id", ""), "part" in one or "grows" in one


def text(objects: list[Object], ident: str, kind: str = "text") -> str:
    """Return what a reader has of a text that grows."""
    found = ""
    for one in objects:
        if (one["kind"], one.get("id")) == (kind, ident):
            found = one["text"] if "text" in one else found + one.get("part", "")
    return found


def script(daemon: Daemon, *turns: Object) -> None:
    scripted.script(daemon.home.work, turns=list(turns))


def test_a_turn_is_told_as_it_happens(daemon: Daemon) -> None:
    lines: list[Object] = [
        {"type": "thinking", "id": "th", "on": True},
        {"type": "thinking", "id": "th", "on": False, "text": "hm"},
        {"type": "text", "id": "m1", "part": "I shall ", "index": 0},
        {"type": "text", "id": "m1", "part": "look\n", "index": 1},
        {"type": "text", "id": "m1", "text": "I shall look\n"},
        {"type": "tool", "id": "t1", "name": "Bash", "input": {"command": "make check"}},
        {"type": "output", "id": "t1", "part": "one\n"},
        {"type": "output", "id": "t1", "part": "two\n"},
        {"type": "output", "id": "t1", "status": "1", "exit": 2},
        {"type": "tool", "id": "t2", "name": "Edit", "input": {"file": "/w/a.py"}},
        {"type": "edit", "id": "t2", "file": "/w/a.py", "diff": "@@ -3,2 +3,3 @@\n a\n-b\n+c\n+d\n"},
        {"type": "retry", "attempt": 3, "of": 10, "reason": "overloaded"},
        {"type": "plan", "steps": [{"step": "one", "state": "done"}, {"step": "two", "state": "doing"}]},
        {"type": "usage", "input": 5, "output": 7},
    ]
    script(daemon, {"tell": [[0.1, one] for one in lines], "say": "done"})
    agent = Session.new(daemon, "scripted")
    agent.prompt("go")
    found = told(agent)
    assert kinds(grown(found)) == [
        "prompt", "thinking", "thinking", "text", "text", "tool", "output", "output", "tool", "edit", "retry", "plan", "text", "end",
    ]  # fmt: skip
    assert [one["seq"] for one in found] == sorted(one["seq"] for one in found)
    assert {one["turn"] for one in found} == {1}
    prompt, end = found[0], found[-1]
    assert (prompt["text"], prompt["origin"], prompt["id"]) == ("go", "queue", "1")
    assert (end["how"], end["background"]) == ("answer", 0)
    assert 1.3 < end["seconds"] < 20
    steps = [one for one in grown(found) if one["kind"] != "usage"]
    tool = next(one for one in found if one["kind"] == "tool")
    assert (tool["type"], tool["title"], tool["input"]) == ("execute", "make check", {"command": "make check"})
    assert text(found, "t1", "output") == "one\ntwo\n"
    assert (steps[7]["end"], steps[7]["exit"]) == ("failed", 2)
    edit = next(one for one in found if one["kind"] == "edit")
    assert (edit["path"], edit["line"], edit["added"], edit["removed"]) == ("/w/a.py", 4, 2, 1)
    assert steps[8]["places"] == [{"path": "/w/a.py"}]
    assert steps[11]["items"] == [{"text": "one", "state": "done"}, {"text": "two", "state": "doing"}]
    assert [one.get("text") for one in found if one["kind"] == "text"][-1] == "done"
    assert any((one.get("input"), one.get("output")) == (5, 7) for one in found if one["kind"] == "usage")
    records = [one for one in found if "part" not in one and "grows" not in one]
    assert told(agent, "turns/1/activity", lambda one: False)[: len(records)] == records


def test_a_reader_that_comes_in_the_middle_gets_what_has_grown_and_then_the_rest(daemon: Daemon) -> None:
    script(
        daemon,
        {"tell": [[0.05, {"type": "text", "id": "m", "part": f"word{n} ", "index": n}] for n in range(40)], "say": "x"},
    )
    agent = Session.new(daemon, "scripted")
    agent.prompt("go")
    first = told(agent, until=lambda one: "word7 " in str(one.get("part")))
    later, resumed = told(agent), told(agent, f"activity.{first[-1]['seq']}")
    whole = "".join(f"word{n} " for n in range(40))
    assert whole.startswith(text(first, "m"))
    assert text(later, "m") == whole
    assert text(first + resumed, "m") == whole
    assert min(one["seq"] for one in resumed) > first[-1]["seq"]


def test_pieces_that_were_written_side_by_side_are_put_in_order(daemon: Daemon) -> None:
    order = [1, 0, 2, 5, 4, 3]
    lines: list[Any] = [[0.02, {"type": "text", "id": "m", "part": f"{n}", "index": n}] for n in order]
    script(daemon, {"tell": [*lines, [0.2, ""]], "say": "x"})
    agent = Session.new(daemon, "scripted")
    agent.prompt("go")
    assert text(told(agent), "m") == "012345"


def test_what_a_text_says_comes_before_the_tools_of_its_message(daemon: Daemon) -> None:
    lines = [
        [0.0, {"type": "tool", "id": "t", "name": "Bash", "input": {}}],
        [0.0, {"type": "text", "id": "m", "text": "I look"}],
    ]
    script(daemon, {"tell": lines, "delay": 0.1, "say": "x"})
    agent = Session.new(daemon, "scripted")
    agent.prompt("go")
    assert kinds(told(agent))[:3] == ["prompt", "text", "tool"]


def test_what_is_told_twice_is_one_object_and_what_says_more_is_told_with_all_of_it(daemon: Daemon) -> None:
    lines: list[Object] = [
        {"type": "tool", "id": "t", "name": "Bash"},
        {"type": "tool", "id": "t", "name": "Bash"},
        {"type": "tool", "id": "t", "input": {"command": "ls"}},
        {"type": "tool", "id": "t", "name": "Bash"},
    ]
    script(daemon, {"tell": [[0.1, one] for one in lines], "say": "x"})
    agent = Session.new(daemon, "scripted")
    agent.prompt("go")
    tools = [one for one in told(agent) if one["kind"] == "tool"]
    assert len(tools) == 2
    assert (tools[1]["name"], tools[1]["input"]) == ("Bash", {"command": "ls"})


def test_kill_9_of_the_daemon_loses_no_record_and_a_text_that_grows_is_given_whole(daemon: Daemon) -> None:
    words = [[0.05, {"type": "text", "id": "m", "part": f"w{n} ", "index": n}] for n in range(40)]
    tool = [0.0, {"type": "tool", "id": "t", "name": "Bash", "input": {"command": "ls"}}]
    script(daemon, {"tell": [tool, *words], "say": "x"})
    agent = Session.new(daemon, "scripted")
    agent.prompt("go")
    before = told(agent, until=lambda one: "w9 " in str(one.get("part")))
    daemon.kill()
    file = daemon.home.state / "sessions" / agent.id / "data" / "told.jsonl"
    told_by_now = len(file.read_bytes())
    wait_until(lambda: len(file.read_bytes()) > told_by_now + 100, "it goes on while nobody follows")
    daemon.start()
    agent = agent.again()
    after, resumed = told(agent), told(agent, f"activity.{before[-1]['seq']}")
    whole = "".join(f"w{n} " for n in range(40))
    assert text(after, "m") == text(before + resumed, "m") == whole
    assert [one["seq"] for one in after if one["kind"] in ("prompt", "tool")] == [
        one["seq"] for one in before if one["kind"] in ("prompt", "tool")
    ]
    assert min(one["seq"] for one in resumed) > before[-1]["seq"]
    assert kinds(after)[-1] == "end"


def test_an_agent_that_is_killed_in_the_middle_of_a_sentence_leaves_it(daemon: Daemon) -> None:
    script(
        daemon,
        {
            "tell": [[0.0, {"type": "text", "id": "m", "part": "I was just", "index": 0}], [0.3, ""]],
            "crash": -9,
            "times": 1,
        },
    )
    agent = Session.new(daemon, "scripted")
    agent.prompt("go")
    found = told(agent)
    assert (found[-1]["how"], text(found, "m")) == ("interrupted", "I was just")
    agent.wait("idle")
    assert text(told(agent), "m") == "I was just"


def test_an_interrupt_ends_the_turn_as_interrupted(daemon: Daemon) -> None:
    script(daemon, {"tell": [[0.0, {"type": "text", "id": "m", "part": "I was just", "index": 0}], [20, {}]]})
    agent = Session.new(daemon, "scripted")
    agent.prompt("go")
    told(agent, until=lambda one: one["kind"] == "text")
    agent.write("ctl", "interrupt")
    end = told(agent)[-1]
    assert (end["kind"], end["how"]) == ("end", "interrupted")


def test_a_hostile_agent_tells_what_is_harmless_or_nothing(daemon: Daemon) -> None:
    lines: list[Any] = [
        "no json", "[1]", "{" * 5000, '{"type":"text","id":"m","text":NaN}',
        {"type": "text", "id": "m" * 5000, "text": "\x1b[31mred\x1b]0;title\x07\u202e"},
        {"type": "text", "id": {"a": 1}, "text": ["x"]},
        {"type": "output", "id": "t", "text": "x" * 900_000},
        {"type": "plan", "steps": {"step": 3}},
        {"type": "tool", "id": "z", "name": 3, "input": [[[[[[[[[[[[[["deep"]]]]]]]]]]]]]]},
        {"type": "usage", "input": 1e300, "output": True},
    ]  # fmt: skip
    script(daemon, {"tell": [[0.0, one] for one in lines], "delay": 0.1, "say": "fine"})
    agent = Session.new(daemon, "scripted")
    agent.prompt("go")
    found = told(agent)
    assert found[-1]["how"] == "answer"
    raw = agent.client.read(f"{agent.id}/turns/1/activity")
    assert b"\x1b" not in raw
    assert "\u202e" not in raw.decode()
    output = next(one for one in found if one["kind"] == "output")
    assert output["cut"] > 600_000
    assert "bytes left out" in output["text"]
    assert all(len(str(one.get("id", ""))) <= 200 for one in found)
    assert not any("error" in row for row in [daemon.words()] if "internal" in row)


@pytest.fixture
def little(home: Home) -> None:
    (home.home / ".config/anvillm/global.yaml").write_text("general: {activity: 1M}\n")


def test_global_yaml_says_how_much_of_it_is_kept(little: None, daemon: Daemon) -> None:
    lines = [[0.0, {"type": "output", "id": f"t{n}", "text": "x" * 30_000, "status": "0"}] for n in range(70)]
    script(daemon, {"tell": [*lines, [0.3, ""]], "say": "done"})
    agent = Session.new(daemon, "scripted")
    agent.prompt("go")
    told(agent)
    kept = told(agent, "turns/1/activity", lambda one: False)
    assert sum(one["kind"] == "output" for one in kept) < 40
    assert [one["kind"] for one in kept if one["kind"] in ("prompt", "text", "end")] == ["prompt", "text", "end"]


def test_a_fork_does_not_tell_what_was_told_before_it_began(home: Home, daemon: Daemon) -> None:
    scripted.install(home.home / ".config" / "anvillm", name="forks", fork=scripted.BACKEND["command"])
    words = {"type": "text", "id": "m", "text": "old words", "at": time.time()}
    script(daemon, {"tell": [[0.0, words], [0.2, ""]], "say": "x", "times": 1}, {"say": "y"})
    agent = Session.new(daemon, "forks")
    agent.ask("go")
    other = Session(daemon, agent.client.write_read(f"{agent.id}/ctl", b"fork").decode().strip())
    other.wait("idle")
    other.ask("go on")
    assert (daemon.home.state / "sessions" / other.id / "data/told.jsonl").exists()
    assert [one.get("text") for one in told(other) if one["kind"] in ("prompt", "text")] == ["go on", "y"]


def test_a_session_that_is_killed_ends_its_activity(daemon: Daemon) -> None:
    agent = Session.new(daemon, "scripted")
    agent.ask("go")
    with agent.client.open(f"{agent.id}/activity") as file:
        lines = file.lines()
        while json.loads(next(lines))["kind"] != "end":
            pass
        agent.write("ctl", "kill")
        with pytest.raises(Exception, match="no such session"):
            list(lines)


def test_what_a_person_types_and_what_mail_says_are_prompts_of_their_origin(daemon: Daemon) -> None:
    agent = Session.new(daemon, "scripted")
    agent.keys("-l", "typed by hand")
    agent.keys("Enter")
    wait_until(lambda: "typed" in agent.read("turns/list"), "it is a turn")
    assert next(one for one in told(agent) if one["kind"] == "prompt")["origin"] == "typed"
    agent.client.write(
        "user/mail", json.dumps({"to": agent.id, "type": "PROMPT_REQUEST", "subject": "s", "body": "b"}).encode()
    )
    found = told(agent, until=lambda one: one["kind"] == "prompt" and one["turn"] == 2)
    assert found[-1]["origin"] == "mail"


def test_sessions_say_what_an_agent_does_and_what_it_needs(daemon: Daemon) -> None:
    lines = [
        [0.1, {"type": "tool", "id": "t", "name": "Bash", "input": {"command": "make check"}}],
        [1.5, {"type": "output", "id": "t", "status": "0"}],
        [0.5, {"type": "retry", "attempt": 7, "of": 10, "reason": "overloaded"}],
        [1.5, ""],
    ]
    script(daemon, {"tell": lines, "say": "x"})
    agent = Session.new(daemon, "scripted")
    assert (agent.row["doing"], agent.row["needs"]) == ("", "")
    began = time.time()
    agent.prompt("go")
    for words in ("waiting for the model", "Bash: make check", "retrying 7 of 10: overloaded"):
        wait_until(lambda words=words: agent.row["doing"] == words, words)  # type: ignore[misc]
    agent.out()
    agent.wait("idle")
    ended = agent.row["since"]
    assert agent.row["doing"] == ""
    assert agent.row["needs"] == "done"
    assert began < ended <= time.time()
    agent.write("seen", "1")
    assert (agent.row["needs"], agent.read("seen")) == ("", "1\n")
    with pytest.raises(Exception, match="invalid seen: must be the number of a prompt, at most 1"):
        agent.write("seen", "2")
    agent.write("ctl", "stop")
    agent.wait("stopped")
    assert ended < (stopped := agent.row["since"])
    agent.write("alias", "other")
    assert agent.row["since"] == stopped, "since then it is stopped, whatever else has changed"


def test_of_a_shell_that_runs_a_command_no_model_is_waited_for(daemon: Daemon) -> None:
    agent = Session.new(daemon)
    gate = Path(agent.row["cwd"]) / "gate"
    agent.prompt(f"printf 'be%s\\n' gun; until [ -e {gate} ]; do sleep 0.05; done; echo over")
    wait_until(lambda: "begun" in agent.screen, "it runs")
    agent.wait("running")
    wait_until(lambda: agent.row["doing"] == "running", f"it does {agent.row['doing']!r}")
    gate.touch()
    assert agent.out() == "begun\nover\n"
    agent.wait("idle")
    assert agent.row["doing"] == ""


def test_the_colours_of_what_a_command_prints_stand_beside_the_text(daemon: Daemon) -> None:
    agent = Session.new(daemon)
    gate, parts = Path(agent.row["cwd"]) / "gate", list[Object]()
    agent.prompt(f"printf 'one \\033[1;31mred'; until [ -e {gate} ]; do sleep 0.05; done; printf ' on\\033[0m off'")
    for one in following(agent, "activity", lambda one: one["kind"] == "end"):
        parts.append(one)
        if "grows" in one:
            gate.touch()
    texts = [one for one in parts if one["kind"] == "text"]
    assert (texts[0]["text"], texts[0]["colours"]) == ("one red", [[4, "1;31"]])
    assert (texts[1]["part"], texts[1]["colours"]) == (" on off", [[3, "0"]])
    assert (texts[-1]["text"].strip(), texts[-1]["colours"]) == ("one red on off", [[4, "1;31"], [10, "0"]])


def test_an_event_says_what_a_session_needs_when_that_changes(daemon: Daemon) -> None:
    script(daemon, {"ask": "really?", "say": "x"})
    agent = Session.new(daemon, "scripted")

    def needed(until: str) -> list[str]:
        found, rest = list[str](), b""
        while until not in found[-1:]:
            *lines, rest = (rest + events.read(timeout=PATIENCE)).split(b"\n")
            found += [one["needs"] for line in lines if "needs" in (one := json.loads(line))]
        return found

    with agent.client.open("events") as events:
        agent.prompt("go")
        assert needed("ask") == ["ask"]
        agent.write("answer", "yes")
        assert needed("done")[-1] == "done"  # what lasts no time may be left out
        agent.write("seen", "1")
        assert needed("") == [""]
        daemon.client(agent.id).write(f"{agent.id}/mail", b'{"to":"user","type":"QUERY_REQUEST","body":"?"}')
        assert needed("mail") == ["mail"]
        (message,) = json.loads(agent.client.read("user/inbox"))
        agent.client.write("user/ctl", f"complete {message['id']}".encode())
        assert needed("") == [""]
    assert (agent.row["needs"], agent.row["answered"]) == ("", 1)


def test_the_log_has_a_line_for_each_step_between_a_prompt_and_its_answer(daemon: Daemon) -> None:
    work = daemon.home.work
    lines = [
        {"type": "tool", "id": "t", "name": "Bash", "input": {"command": "make check"}},
        {"type": "tool", "id": "t", "name": "Bash", "input": {"command": "make check"}},
        {"type": "tool", "id": "e", "name": "Edit", "input": {"file": f"{work}/a.py"}},
        {"type": "edit", "id": "e", "file": f"{work}/a.py", "diff": "@@ -3,1 +3,2 @@\n-b\n+c\n+d\n"},
        {"type": "edit", "id": "n", "file": f"{work}/src/new.py", "op": "add", "content": "one\ntwo\n"},
        {"type": "edit", "id": "o", "file": f"{work}2/a.py", "diff": "@@ -1 +1 @@\n-b\n+c\n"},
    ]
    script(daemon, {"tell": [*([0.1, one] for one in lines), [0.3, ""]], "say": "done"})
    agent = Session.new(daemon, "scripted")
    agent.prompt("go")
    found = b""
    with agent.client.open(f"{agent.id}/log") as file:
        while b"\tdone\n" not in found:
            found += file.read(timeout=PATIENCE)
    told = [line for line in found.decode().splitlines() if not line.startswith(("USER", "ASSISTANT"))]
    edits = ["\t· Edit a.py:3 +2 −1", "\t· Edit src/new.py:1 +2 −0", f"\t· Edit {work}2/a.py:1 +1 −1"]
    assert told == ["\tgo", "", "\t· Bash make check", *edits, "", "\tdone", ""]


def log_until(agent: Session, end: bytes) -> str:
    found = b""
    with agent.client.open(f"{agent.id}/log") as file:
        while end not in found:
            found += file.read(timeout=PATIENCE)
    return re.sub(r"(USER|ASSISTANT) \S+", r"\1", found.decode())


@pytest.mark.slow(4)
def test_the_last_block_of_the_log_grows_while_the_agent_speaks_and_reads_the_same_later(daemon: Daemon) -> None:
    turn = {
        "tell": [
            [0.1, {"type": "text", "id": "m1", "part": "I shall look\nat ", "index": 0}],
            [0.1, {"type": "text", "id": "m1", "part": "it.\n\n", "index": 1}],
            [0.1, {"type": "text", "id": "m1", "text": "I shall look\nat it.\n"}],
            [0.2, {"type": "tool", "id": "t", "name": "Bash", "input": {"command": "ls"}}],
            [0.2, {"type": "text", "id": "m2", "part": "There is\n", "index": 0}],
            [0.1, {"type": "text", "id": "m2", "part": "\nnothing", "index": 1}],
            [4.0, ""],
        ],
        "say": "There is\n\nnothing at all",
    }
    script(daemon, turn)
    agent = Session.new(daemon, "scripted")
    agent.prompt("go")
    found = log_until(agent, b"nothing")
    begun = "USER\n\tgo\n\nASSISTANT\n\tI shall look\n\tat it.\n\n\t· Bash ls\n\nASSISTANT\n\tThere is\n\n\tnothing"
    assert found == begun
    assert agent.state == "running"
    whole = f"{begun} at all\n\n"
    assert log_until(agent, b"all\n\n") == whole
    agent.wait("idle")
    daemon.kill()
    daemon.start()
    assert log_until(agent.again(), b"all\n\n") == whole
