"""What rows of backend files make of what agents say: times, turns, background work, and what lines of a transcript prove."""

import time
from pathlib import Path
from typing import Any

import pytest

from anvilsrv.backends.registry import Backends
from anvilsrv.backends.rules import WORKS, moment
from anvilsrv.sessions.tasks import kept, read, told
from tests.backends.files import MINIMAL, load
from tests.conftest import ROOT

SHIPPED = Backends(ROOT / "cfg" / "backends")


@pytest.mark.parametrize(
    ("value", "at"),
    [
        ("2026-11-29T00:44:47.786Z", 1795913087.786), ("2026-11-29T01:44:47.786+01:00", 1795913087.786),
        ("2026-11-29T00:44:47.786", 1795913087.786), (1795913087, 1795913087.0), (1795913087786, 1795913087.786),
    ],
)  # fmt: skip
def test_the_time_of_a_line_is_told_on_both_clocks(value: Any, at: float) -> None:
    found = moment(value, wall=lambda: at + 10, monotonic=lambda: 100.0)
    assert found == {"at": pytest.approx(at), "mono": pytest.approx(90.0)}


def test_a_line_that_was_read_is_not_of_the_future() -> None:
    assert moment(2000.0, wall=lambda: 1000.0, monotonic=lambda: 5.0)["mono"] == 5.0


@pytest.mark.parametrize("value", [None, True, "yesterday", "9999-99-99", [], {}, -1, 0, float("nan"), 1e300])
def test_what_is_no_time_is_none(value: Any) -> None:
    assert moment(value) == {}


ROWS = r"""
    Submit: {report: submit, text: text, wake: {text: '\A<task'}, turn: id}
    Stop: {report: stop, pending: [tasks, crons]}
  payload: {turn: turn_id, at: when}
  transcript:
    - {report: taken, when: {type: user}, text: text}
    - {report: active, when: {type: tool}, turn: other}
"""


def test_a_report_tells_its_turn_and_whether_the_agent_began_it(top: Path) -> None:
    backend = load(top, MINIMAL + ROWS)
    mine, woken = backend.report("Submit", {"text": "a", "id": "t1"}), backend.report("Submit", {"text": "<task-1>"})
    assert mine is not None
    assert woken is not None
    assert (mine.fields, woken.fields) == ({"text": "a", "turn": "t1"}, {"text": "<task-1>", "wake": True})
    [taken] = backend.transcript_reports({"type": "user", "text": "b", "turn_id": "t2", "when": time.time() - 60})
    assert (taken.kind, taken.fields["turn"]) == ("taken", "t2")
    assert time.monotonic() - 70 < taken.fields["mono"] < time.monotonic() - 50
    [active] = backend.transcript_reports({"type": "tool", "other": "t3", "turn_id": "t2"})
    assert (active.kind, active.fields) == ("active", {"turn": "t3"})


@pytest.mark.parametrize(
    ("told", "works"),
    [({}, None), ({"tasks": []}, []), ({"tasks": [{"id": 1}, {"id": "b"}, "x"]}, [{"id": "1"}, {"id": "b"}, {}]),
     ({"tasks": 2}, [{}, {}]), ({"tasks": 0}, []), ({"tasks": "x"}, None), ({"tasks": True}, None),
     ({"tasks": 10**9}, [{}] * WORKS), ({"tasks": [], "crons": [{"id": "c", "prompt": "go"}]}, [{"id": "c", "words": "go"}])],
)  # fmt: skip
def test_a_stop_tells_what_goes_on_in_the_background(
    top: Path, told: dict[str, Any], works: list[dict[str, Any]] | None
) -> None:
    stop = load(top, MINIMAL + ROWS).report("Stop", told)
    assert stop is not None
    assert stop.fields.get("pending") == works


def test_claude_names_the_work_that_is_done_and_clips_the_words_of_what_is_to_come() -> None:
    claude = SHIPPED.get("claude")
    woken = claude.report(
        "UserPromptSubmit", {"prompt": "<task-notification>\n<task-id>b1x</task-id>\n</task-notification>"}
    )
    assert woken is not None
    assert (woken.fields["wake"], woken.fields["task"]) == (True, "b1x")
    crons = [{"id": "c1", "prompt": "go on\u2026 [+12 chars]"}, {"id": "c2", "prompt": "go"}]
    stop = claude.report("Stop", {"background_tasks": [{"id": "b2"}], "session_crons": crons})
    assert stop is not None
    works = [{"id": "b2"}, {"id": "c1", "words": "go on", "clipped": True}, {"id": "c2", "words": "go"}]
    assert stop.fields["pending"] == works
    [task, cron, _] = told(stop.fields["pending"])
    assert (task.says(""), cron.says("go on and on"), cron.says("go")) == (False, True, False)


@pytest.mark.parametrize(
    ("prompt", "own"),
    [
        ("Your claude.ai usage limit has reset. Continue the task you were working on when the limit was reached; do not", True),
        ("Your claude.ai usage limit has reset. Tell me when.", False), ("go on <task-notification>", False),
    ],
)  # fmt: skip
def test_what_claude_goes_on_with_by_itself_after_a_limit_is_no_prompt_of_a_person(prompt: str, own: bool) -> None:
    said = SHIPPED.get("claude").report("UserPromptSubmit", {"prompt": prompt})
    assert said is not None
    assert bool(said.fields.get("wake")) is own


TICK = "Preamble\n\n---\n\n# Autonomous loop tick (dynamic pacing)\n\nRun the autonomous check"


@pytest.mark.parametrize(
    ("words", "text", "says"),
    [
        ("<<autonomous-loop-dynamic>>", TICK, True), ("<<autonomous-loop-dynamic>>", "<<autonomous-loop-dynamic>>", True),
        ("<<autonomous-loop-dynamic>>", TICK.replace(" (dynamic pacing)", ""), False), ("<<autonomous-loop>>", TICK, False),
        ("<<loop.md>>", "# /loop tick \u2014 loop.md tasks\n\nWork", True), ("<<other>>", TICK, False),
    ],
)  # fmt: skip
def test_what_stands_for_a_prompt_of_claudes_loops_is_known_for_the_prompt_that_it_becomes(
    words: str, text: str, says: bool
) -> None:
    stop = SHIPPED.get("claude").report("Stop", {"session_crons": [{"id": "c1", "prompt": words}]})
    assert stop is not None
    assert [one.says(text) for one in read(kept(told(stop.fields["pending"])))] == [says]


def test_what_gemini_tells_itself_after_an_empty_answer_is_no_persons_prompt() -> None:
    itself = (
        "[System: You successfully executed a tool but returned an empty response. Please analyze the tool output.]"
    )
    told = [SHIPPED.get("gemini").report("BeforeAgent", {"prompt": text}) for text in (itself, "[System: hello]")]
    assert [bool(one.fields.get("wake")) for one in told if one is not None] == [True, False]


def claude(**line: Any) -> dict[str, Any]:
    return {"timestamp": "2026-11-29T00:44:47.786Z", "isSidechain": False, **line}


def prompt(text: Any, kind: str = "human", **more: Any) -> dict[str, Any]:
    return claude(type="user", message={"role": "user", "content": text}, promptId="p1", origin={"kind": kind}, **more)


def codex(kind: str, **payload: Any) -> dict[str, Any]:
    payload = {"type": kind, "turn_id": "t1", **payload}
    return {"timestamp": "2026-11-29T00:45:12.616Z", "type": "event_msg", "payload": payload}


def item(kind: str, text: str) -> dict[str, Any]:
    return codex("item_completed", item={"type": kind, "content": [{"type": "text", "text": text}]})


BLOCKED = "UserPromptSubmit operation blocked by hook:\n[guard.sh]: no such\nwords\n\nOriginal prompt: a\n\nb"
REFUSED = [("refused", {"text": "a\n\nb", "reason": "refused by the hook [guard.sh]: no such words"})]
NOTHING = "<local-command-stdout>Not enough messages to compact.</local-command-stdout>"
COMPACT = [("refused", {"text": "/compact", "reason": "Not enough messages to compact."})]
CHOSEN = "<local-command-stdout>Set model to `Sonnet 5.5`</local-command-stdout>"
TASK = "<task-notification>"
QUEUED = {"type": "queued_command", "prompt": "a", "commandMode": "prompt"}
NOTICE = {**QUEUED, "prompt": f"{TASK}\n<task-id>b1x</task-id>\n", "commandMode": "task-notification"}


@pytest.mark.parametrize(
    ("backend", "line", "found"),
    [
        ("claude", prompt("a"), [("taken", {"text": "a", "turn": "p1"})]),
        ("claude", prompt([{"type": "text", "text": "a"}, {"type": "image"}]), [("taken", {"text": "a", "turn": "p1"})]),
        ("claude", prompt(TASK, "task-notification"), [("taken", {"text": TASK, "turn": "p1", "wake": True})]),
        ("claude", prompt("a", isSidechain=True), []),
        ("claude", prompt("a", "other"), []),
        ("claude", claude(type="user", message={"content": [{"type": "tool_result", "content": "x"}]}), []),
        ("claude", claude(type="queue-operation", operation="enqueue", content="a"), [("queued", {"text": "a"})]),
        ("claude", claude(type="queue-operation", operation="enqueue", content=TASK), []),
        ("claude", claude(type="queue-operation", operation="remove"), []),
        ("claude", claude(type="attachment", attachment=QUEUED), [("joined", {"text": "a"})]),
        ("claude", claude(type="attachment", attachment=NOTICE), [("noticed", {"text": NOTICE["prompt"], "task": "b1x"})]),
        ("claude", claude(type="system", content=BLOCKED), REFUSED),
        ("claude", claude(type="system", content=BLOCKED[:42]), [("refused", {"reason": "refused by a hook"})]),
        ("claude", claude(type="system", subtype="local_command", content=NOTHING), COMPACT),
        ("claude", claude(type="user", message={"content": CHOSEN}), [("done", {})]),
        ("claude", claude(type="assistant", message={"content": [{"type": "text", "text": "w"}]}), [("note", {"text": "w"})]),
        ("claude", claude(type="assistant", message={"content": [{"type": "text", "text": "w"}]}, isApiErrorMessage=True), []),
        ("codex", item("UserMessage", "a"), [("taken", {"text": "a", "turn": "t1"})]),
        ("codex", item("AgentMessage", "w"), [("note", {"text": "w", "turn": "t1"})]),
        ("codex", codex("turn_aborted"), [("interrupt", {"turn": "t1"})]),
        ("gemini", {"type": "user", "content": [{"text": "a"}]}, [("taken", {"text": "a"})]),
        ("gemini", {"type": "user", "content": [{"text": "<session_context>\nx"}]}, []),
        ("gemini", {"type": "user", "content": [{"functionResponse": {"id": "x"}}]}, []),
        ("gemini", {"type": "info", "content": "Request cancelled."}, [("interrupt", {})]),
        ("gemini", {"$set": {"messages": [{"type": "user", "content": [{"text": "a"}]}]}}, []),
    ],
)  # fmt: skip
def test_lines_of_transcripts_prove_what_became_of_a_prompt(
    backend: str, line: dict[str, Any], found: list[tuple[str, dict[str, Any]]]
) -> None:
    reports = SHIPPED.get(backend).transcript_reports(line)
    times = {"at", "mono"}
    assert [(one.kind, {k: v for k, v in one.fields.items() if k not in times}) for one in reports] == found
    assert all(times <= set(one.fields) for one in reports if "timestamp" in line)
