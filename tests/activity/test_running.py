"""Output that stands in a file without the id of its tool, and uses of tools that are told before they have an id."""

import json

from anvilsrv.activity import rows
from anvilsrv.activity.names import Told
from anvilsrv.activity.running import NAMELESS
from anvilsrv.activity.schema import clean
from tests.activity.test_recorder import Records, records

__all__ = ["records"]


def prints(records: Records, name: str, part: str) -> None:
    """There is more in a file with the output of a command."""
    made = clean("output", {"id": name, "part": part})
    assert made is not None
    told = Told(made, 1, rows.Begun(name, 0), of_tool="Bash")
    records.store.call(lambda tx: records.recorder.tell(tx, "s", [told]))


def says(records: Records, of_tool: str, text: str) -> None:
    """That is the whole output of such a tool."""
    made = clean("output", {"id": NAMELESS, "text": text, "end": "ok"})
    assert made is not None
    records.store.call(lambda tx: records.recorder.tell(tx, "s", [Told(made, 1, of_tool=of_tool)]))


def growing(records: Records) -> dict[str, str]:
    """Return the outputs that grow just now, by the ids of their tools."""
    channel = records.recorder.live.channel("s")
    assert channel is not None
    return {ident: one.grown.text for (kind, ident), one in channel.blocks.items() if kind == "output"}


def begins(records: Records, ident: str, **fields: object) -> None:
    records.tell("tool", id=ident, **{"name": "Bash", "input": {"command": "x"}, **fields})


def ends(records: Records, ident: str, **fields: object) -> None:
    records.tell("output", id=ident, text="whole", end="ok", **fields)


def test_what_a_file_says_is_the_output_of_the_one_command_that_runs(records: Records) -> None:
    begins(records, "read", name="Read")
    begins(records, "t1", parent="sub")
    prints(records, "a", "one\n")
    prints(records, "a", "two\n")
    assert growing(records) == {"t1": "one\ntwo\n"}
    channel = records.recorder.live.channel("s")
    assert channel is not None and [one.parent for one in channel.blocks.values()] == ["sub"]
    ends(records, "t1", parent="sub")
    prints(records, "a", "late\n")
    assert growing(records) == {}
    assert [(one["id"], one["text"]) for one in records.kept("output")] == [("t1", "whole")]


def test_it_waits_for_the_hook_that_tells_of_the_command(records: Records) -> None:
    prints(records, "a", "one\n")
    assert growing(records) == {}
    begins(records, "t1")
    assert growing(records) == {"t1": "one\n"}


def test_of_two_commands_it_is_not_told_until_one_has_ended_and_the_other_says_more(records: Records) -> None:
    begins(records, "t1")
    begins(records, "t2")
    prints(records, "a", "of t1\n")
    prints(records, "b", "of t2\n")
    ends(records, "t1")
    assert growing(records) == {}
    prints(records, "b", "more\n")
    assert growing(records) == {"t2": "of t2\nmore\n"}


def test_a_file_of_a_command_that_has_ended_is_not_that_of_the_next(records: Records) -> None:
    prints(records, "a", "of t1\n")
    ends(records, "t1")
    begins(records, "t1")  # its hook was late
    begins(records, "t2")
    assert growing(records) == {}
    prints(records, "b", "of t2\n")
    assert growing(records) == {"t2": "of t2\n"}


def test_what_waits_has_an_end_and_goes_with_the_next_prompt(records: Records) -> None:
    for _ in range(20):
        prints(records, "a", "x" * 10_000)
    for n in range(300):
        prints(records, f"file {n}", "x")
    records.tell("prompt", turn=2, id="2", text="next", origin="queue")
    begins(records, "t2")
    assert growing(records) == {}


def test_the_next_daemon_knows_which_commands_run(records: Records) -> None:
    begins(records, "t0")
    ends(records, "t0")
    begins(records, "t1")
    prints(records, "a", "one\n")
    records.next_daemon()
    prints(records, "a", "one\n")
    assert growing(records) == {"t1": "one\n"}


def test_a_use_that_is_told_without_an_id_is_the_one_that_has_one_later(records: Records) -> None:
    for command in ("ls", "make", "make"):
        begins(records, NAMELESS, input={"command": command})
    says(records, "Bash " + json.dumps({"command": "make"}), "of c2")
    ids = [one["id"] for one in records.kept("tool")]
    assert len({*ids}) == 3
    assert NAMELESS not in ids
    for ident, command in (("c2", "make"), ("c1", "ls"), ("c3", "make")):
        begins(records, ident, input={"command": command})
        records.tell("output", id=ident, text=f"of {ident}", end="ok")
    assert [one["id"] for one in records.kept("tool")] == ids
    said = {one["id"]: one["text"] for one in records.kept("output")}
    assert said == dict(zip(ids, ("of c1", "of c2", "of c3"), strict=True))
    records.next_daemon()
    begins(records, "c1", input={"command": "ls"})  # the agent repeats all that it has told
    records.tell("output", id="c1", text="of c1", end="ok")
    assert len(records.kept("tool")) == len(records.kept("output")) == 3


def test_a_use_that_has_its_id_is_the_one_that_a_slow_hook_tells_without(records: Records) -> None:
    for ident in ("c1", "c2"):
        begins(records, ident, input={"command": "make"})
        records.tell("output", id=ident, text=f"of {ident}", end="ok")
    for _ in range(2):
        begins(records, NAMELESS, input={"command": "make"})
        says(records, "Bash " + json.dumps({"command": "make"}), "of it")
    assert [one["id"] for one in records.kept("tool")] == ["c1", "c2"]
    assert [one["text"] for one in records.kept("output")] == ["of c1", "of c2"]
    begins(records, NAMELESS, input={"command": "make"})
    assert len(records.kept("tool")) == 3


def test_a_file_that_is_gone_is_not_remembered(records: Records) -> None:
    mark = rows.Mark(1, 2, 3)
    records.store.call(lambda tx: records.recorder.tell(tx, "s", [], {"a": mark, "b": mark}))
    records.next_daemon()
    records.store.call(lambda tx: records.recorder.tell(tx, "s", [], {"a": None}))
    assert records.store.call(lambda tx: rows.followed(tx, "s")) == {"b": mark}


def test_an_interrupt_ends_what_runs_but_for_what_goes_on(records: Records) -> None:
    begins(records, "done")
    ends(records, "done")
    begins(records, "t1")
    prints(records, "a", "one\n")
    begins(records, "behind", background=True)
    begins(records, "of another", parent="sub")
    records.end("", how="interrupted")
    told = {one["id"]: (one["text"], one.get("end")) for one in records.kept("output")}
    assert told == {"done": ("whole", "ok"), "t1": ("one\n", "interrupted")}


def test_what_runs_in_the_background_goes_on_after_its_turn_until_its_end_or_that_of_its_agent(
    records: Records,
) -> None:
    for ident, name in (("t1", "a"), ("t2", "b")):
        begins(records, ident, background=True)
        prints(records, name, "one\n")
    records.end("")
    records.tell("prompt", turn=2, id="2", text="next", origin="queue")
    prints(records, "a", "two\n")
    assert growing(records) == {"t1": "one\ntwo\n", "t2": "one\n"}
    records.tell("output", turn=2, id="t1", end="ok")
    records.tell("session", turn=0, what="resumed")
    told = [(one["id"], one["turn"], one["text"], one["end"]) for one in records.kept("output")]
    assert told == [("t1", 1, "one\ntwo\n", "ok"), ("t2", 1, "one\n", "interrupted")]
