"""What agents tell: of any shape, never an error, and the answer that comes of it."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anvilsrv.inside import acp_ending, acp_options, acp_permission, acp_said, acp_settings, acp_shown
from anvilsrv.inside.acp_said import Diff, Other, Plan, Said, Text, Tool, Usage
from anvilsrv.inside.acp_turn import Turn
from anvilsrv.inside.acp_wire import Answer, RpcError

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=5), inside, max_size=3),
    max_leaves=8,
)
FAILURE = {"sessionFailure": {"title": "Limit reached"}}
NAMES = (
    "content", "messageId", "toolCallId", "title", "status", "rawOutput", "locations", "entries", "availableCommands",
    "configOptions", "used", "size", "cost", "_meta", "description", "error", "currentModeId",
)  # fmt: skip


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(sorted(acp_said.READ)), st.dictionaries(st.sampled_from(NAMES), ANYTHING))
def test_an_update_of_any_shape_is_no_error(kind: str, update: dict[str, Any]) -> None:
    for one in acp_said.news({**update, "sessionUpdate": kind}):
        if isinstance(one, Tool):
            Turn("t", "").use(one)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ANYTHING)
def test_an_answer_of_any_shape_is_no_error(found: Any) -> None:
    result = found if isinstance(found, dict) else {"stopReason": found, "usage": found, "_meta": found}
    assert acp_ending.ending(Answer(1, result), Turn("t", "")).kind in ("Stop", "Fail", "Interrupt")
    acp_options.read({"configOptions": found, "modes": found, "models": {"availableModels": found}})
    acp_permission.options(found)
    acp_said.vendors("_kiro.dev/metadata", {"meteringUsage": found, "contextUsagePercentage": found})


def test_what_is_not_known_has_its_name() -> None:
    assert acp_said.news({"sessionUpdate": "dream"}) == [Other("update 'dream'")]
    assert acp_said.news([1]) == [Other("an update that is not an object")]
    assert acp_said.vendors("qwen/notify/session/x", {}) == [Other("qwen/notify/session/x")]


def test_a_tool_gathers_what_is_told_of_it() -> None:
    turn = Turn("t", "")
    first = {
        "sessionUpdate": "tool_call",
        "toolCallId": "1",
        "title": "Edit",
        "kind": "edit",
        "locations": [{"path": "/a", "line": 3}],
    }
    second = {
        "sessionUpdate": "tool_call_update", "toolCallId": "1", "status": "completed",
        "content": [{"type": "diff", "path": "/a", "oldText": "x", "newText": "y"}, {"type": "terminal", "terminalId": "t"}],
    }  # fmt: skip
    for update in (first, second):
        for one in acp_said.news(update):
            assert isinstance(one, Tool)
            known = turn.use(one)
    assert (known.title, known.kind, known.status, known.places) == ("Edit", "edit", "completed", (("/a", 3),))
    assert known.diffs == (Diff("/a", "x", "y"),)


def test_output_of_a_terminal_of_the_agents_own_is_read() -> None:
    (found,) = acp_said.news(
        {"sessionUpdate": "tool_call_update", "toolCallId": "1", "_meta": {"terminal_output_delta": {"data": "hi"}}}
    )
    assert isinstance(found, Tool) and found.part == "hi"


@pytest.mark.parametrize(
    ("pieces", "answer"),
    [
        ([Text("a", "m1"), Text("b", "m1"), Text("c", "m2")], "c"),
        ([Text("a"), Text("b")], "ab"),
        ([Text("a"), Tool("1"), Text("b")], "b"),
        ([Text("a"), Tool("1")], "a"),
        ([Tool("1"), Text("a", "m"), Tool("1", status="completed"), Text("b", "m")], "ab"),
        ([Text("a", "m"), Tool("2"), Text("b", "m")], "b"),
        ([], ""),
    ],
)
def test_the_answer_is_the_last_message(pieces: list[Text | Tool], answer: str) -> None:
    turn = Turn("t", "")
    for one in pieces:
        turn.say(one) if isinstance(one, Text) else turn.use(one)
    assert turn.answer == answer


def test_an_answer_without_an_end_has_a_bound() -> None:
    turn = Turn("t", "")
    for _ in range(12):
        turn.say(Text("x" * 1_000_000))
    assert (len(turn.answer), turn.left_out) == (5_000_000, 7_000_000)
    assert len(acp_ending.said("é" * 5_000_000)) == 5_000_000
    assert acp_ending.said("a\ud800b") == "a\ufffdb".encode()


@pytest.mark.parametrize(
    ("answer", "kind", "reason"),
    [
        (Answer(1, {"stopReason": "end_turn"}), "Stop", ""),
        (Answer(1, {"stopReason": "never_heard_of"}), "Stop", ""),
        (Answer(1, {"stopReason": "cancelled"}), "Interrupt", ""),
        (Answer(1, {"stopReason": "refusal"}), "Fail", "the agent refused to go on"),
        (Answer(1, {}, RpcError(429, "slow down")), "Fail", "slow down"),
        (Answer(1, {}, RpcError(-32603, "Internal error", {"details": "bad"})), "Fail", "Internal error: bad"),
        (Answer(1, {"stopReason": "end_turn", "_meta": {"v": {"air": FAILURE}}}), "Fail", "Limit reached"),
    ],
)  # fmt: skip
def test_the_end_of_a_turn_is_told_by_its_answer(answer: Answer, kind: str, reason: str) -> None:
    found = acp_ending.ending(answer, Turn("t", ""))
    assert (found.kind, found.fields.get("reason", "")) == (kind, reason)
    turn = Turn("t", "")
    turn.cancel()
    assert acp_ending.ending(answer, turn).kind == "Interrupt"


def test_permissions_are_chosen_by_id_and_by_the_word_of_the_first_of_a_kind() -> None:
    rows = [
        ("once", "allow_once"),
        ("once_and_default", "allow_once"),
        ("always", "allow_always"),
        ("cancel", "reject_once"),
    ]
    options = acp_permission.options([{"optionId": one, "name": one, "kind": kind} for one, kind in rows])
    assert [one.word for one in options] == ["allow", "once_and_default", "always", "deny"]
    for answer, ident in (
        ("allow", "once"),
        ("once", "once"),
        ("once_and_default", "once_and_default"),
        ("deny", "cancel"),
        ("cancel", "cancel"),
    ):
        found = acp_permission.chosen(options, answer)
        assert found is not None and found.id == ident
    assert acp_permission.chosen(options, "nonsense") is None


def test_an_id_that_looks_like_a_word_is_that_id() -> None:
    options = acp_permission.options(
        [{"optionId": "x", "kind": "allow_once"}, {"optionId": "allow", "kind": "reject_once"}]
    )
    assert [(one.id, one.word) for one in options] == [("x", "x"), ("allow", "deny")]


def test_options_come_from_config_or_else_from_modes_and_models() -> None:
    config = {
        "id": "mode",
        "currentValue": "a",
        "options": [{"group": "g", "options": [{"value": "a"}, {"value": "b"}]}],
    }
    flag = {"id": "fast", "type": "boolean", "currentValue": False}
    modes = {"currentModeId": "x", "availableModes": [{"id": "x"}]}
    models = {"currentModelId": "m", "availableModels": [{"modelId": "m"}, {"modelId": "n"}]}
    found = acp_options.read({"configOptions": [config, flag], "modes": modes, "models": models})
    assert {name: (one.value, one.choices, one.how) for name, one in found.items()} == {
        "mode": ("a", ("a", "b"), "config"), "fast": ("false", ("true", "false"), "config"), "model": ("m", ("m", "n"), "model"),
    }  # fmt: skip
    assert acp_options.setting(found["model"], "n", "s") == ("session/set_model", {"sessionId": "s", "modelId": "n"})
    assert acp_options.setting(found["fast"], "true", "s")[1] == {
        "sessionId": "s",
        "configId": "fast",
        "type": "boolean",
        "value": True,
    }
    assert acp_options.refusal(found, "model", "nope") == "unknown model 'nope' (expected m, n)"
    assert acp_options.refusal(found, "colour", "red").startswith("the agent has no option 'colour'")


def test_usage_notices_and_retries_are_read() -> None:
    assert acp_said.news({"sessionUpdate": "usage_update", "used": 5, "size": 10, "cost": {"amount": 1.5}}) == [
        Usage({"context": 5.0, "window": 10.0, "cost": 1.5})
    ]
    assert acp_said.news({"sessionUpdate": "notice", "severity": "warning", "title": "T", "description": "d"}) == [
        Said("T: d")
    ]
    retry = {"sessionUpdate": "session_info_update", "_meta": {"v": {"retry": {"title": "Retrying, attempt 2 of 10."}}}}
    assert acp_said.news(retry) == [Said("Retrying, attempt 2 of 10.", "retry")]


@pytest.mark.parametrize(
    ("text", "context", "given"),
    [
        ("/etc/passwd is a file", "", "> /etc/passwd is a file"),
        ("/compact now", "be brief", "/compact now"),
        ("\n /x", "", "> \n /x"),
        ("hello", "be brief", "be brief\n\nhello"),
        ("a /x", "", "a /x"),
    ],
)
def test_a_text_that_is_no_command_does_not_look_like_one(text: str, context: str, given: str) -> None:
    made = acp_settings.Settings((), {}, "/", "", (), frozenset(), {}, (), True, False)
    assert made.guarded(text, context, {"compact"}) == given


def test_a_long_diff_shows_both_of_its_ends_and_how_much_is_between_and_all_of_it_where_it_is_asked_for() -> None:
    old, new = ("\n".join(f"{word} {at}" for at in range(60)) for word in ("old", "new"))
    short, whole = (list(acp_shown.diff(Diff("/a", old, new), *most)) for most in ((), (acp_shown.ASKED,)))
    assert (len(short), len(whole)) == (42, 122)
    assert "-old 0" in short[2] and "… 81 lines" in short[21] and "+new 59" in short[-1]
    assert "… 5 lines" in list(acp_shown.prompt("x\n" * 44 + "x"))[-1]


def test_an_edit_stands_where_its_text_is_in_the_file_and_has_no_numbers_where_that_is_not_known(
    tmp_path: Path,
) -> None:
    file = tmp_path / "a.py"
    file.write_text("".join(f"line {at}\n" for at in range(1, 31)) + "same\nsame\n")

    def shown(old: str | None, new: str) -> list[str]:
        return list(acp_shown.changes(Diff(str(file), old, new)) or ())

    assert shown("line 20\n", "line twenty\n") == ["@@ -20 +20 @@", "-line 20", "+line twenty"]
    assert shown("twenty\n", "line 20\n")[0] == "@@ -20 +20 @@"  # the edit is done
    assert shown(file.read_text(), file.read_text().replace("line 9\n", ""))[0] == "@@ -7,5 +7,4 @@"
    assert shown("same\n", "other\n")[0] == shown("no such line\n", "x\n")[0] == "@@"
    assert shown(None, "x\n") == ["@@ -0,0 +1 @@", "+x"]
    assert shown("line 5\n-- a\n", "line 5\n++ b\n")[1:] == [" line 5", "--- a", "+++ b"]


@pytest.mark.parametrize(("count", "says"), [(40, None), (41, "… 1 more"), (1500, "… 1460 more")])
def test_of_a_long_plan_the_pane_says_how_many_items_it_does_not_show(count: int, says: str | None) -> None:
    entries = [{"content": f"step {at}", "status": "pending"} for at in range(count)]
    (plan,) = acp_said.news({"sessionUpdate": "plan", "entries": entries})
    assert isinstance(plan, Plan)
    lines = list(acp_shown.plan(plan))
    assert "step 39" in lines[40]
    assert [line.strip() for line in lines[41:]] == ([] if says is None else [acp_shown.note(f"  {says}")])


def test_a_hostile_diff_costs_no_more_than_its_figures() -> None:
    lines = "\n".join(str(at % 7) for at in range(100_000))
    assert len(list(acp_shown.diff(Diff("/a", lines, lines[::-1])))) == 2
    assert list(acp_shown.changes(Diff("/a", "x\ny", "x\nz")) or ())[-2:] == ["-y", "+z"]
    assert "\x1b]" not in "".join(acp_shown.diff(Diff("/a", "", "\x1b]0;title\x07")))
