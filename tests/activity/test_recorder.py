"""What is recorded of a session, on a real store: bounded, and nothing of it twice."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from anvilsrv.activity import rows
from anvilsrv.activity.names import Told
from anvilsrv.activity.recorder import BLOCKS, OFTEN, Recorder, says
from anvilsrv.activity.schema import clean
from anvilsrv.allowance import BOUNDS
from anvilsrv.store.effects import Effect, Said
from anvilsrv.store.store import Store, Tx

SMALL = 300_000  # bytes
CWD = "/home/me/project"


class Records:
    """Those of the session ``s``."""

    def __init__(self, path: Path) -> None:
        self.recorder = Recorder(most=SMALL, where=lambda tx, session: CWD)
        self.errors: list[BaseException] = []
        self.store = Store(path / "store.db", self._settled, self.errors.append)
        self.store.start()

    def _settled(self, tx: Tx, touched: set[str], effects: list[Effect]) -> None:
        for one in effects:
            if isinstance(one, Said):
                self.recorder.said(one)

    def tell(self, kind: str, turn: int = 1, **fields: Any) -> None:
        made = clean(kind, fields)
        assert made is not None
        self.store.call(lambda tx: self.recorder.tell(tx, "s", [Told(made, turn)]))

    def end(self, answer: str, how: str = "answer") -> None:
        self.store.call(lambda tx: self.recorder.end(tx, "s", 1, answer, how=how))

    def next_daemon(self) -> None:
        """All that is kept in memory is gone."""
        self.recorder = Recorder(most=SMALL, where=lambda tx, session: CWD)

    def kept(self, kind: str) -> list[dict[str, Any]]:
        found = self.store.call(lambda tx: rows.page(tx, "s", 0, size=1 << 30))
        return [one for record in found if (one := json.loads(record.line))["kind"] == kind]


RED, NONE = "\x1b[31m", "\x1b[0m"


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    made = Records(tmp_path)
    yield made
    made.store.stop()
    assert made.errors == []


def test_the_oldest_outputs_go_and_are_not_told_again_when_their_file_is_repeated(records: Records) -> None:
    records.tell("prompt", id="1", text="go", origin="queue")
    for n in range(OFTEN):
        records.tell("text", id=f"m{n}", part="never a record")  # takes a number, and is none that counts
        records.tell("output", id=f"t{n}", text="x" * 10_000, end="ok")
    left = {one["id"] for one in records.kept("output")}
    assert "t0" not in left
    assert len(records.kept("prompt")) == 1
    for n in range(OFTEN):
        records.tell("output", id=f"t{n}", turn=2, text="x" * 10_000, end="ok")
        records.tell("output", id=f"t{n}", turn=2, part="x")
    assert {one["id"] for one in records.kept("output")} == left
    records.tell("output", id="new", text="y", end="ok")
    assert records.kept("output")[-1]["id"] == "new"


def test_a_text_that_two_files_name_differently_is_one_for_the_next_daemon_too(records: Records) -> None:
    records.tell("text", id="shown", part="Hello there")
    records.end("Hello there")
    records.tell("text", id="written", text="Hello there")
    records.next_daemon()
    records.tell("text", id="written", turn=2, text="Hello there")  # as in the file of a conversation that was forked
    assert [(one["id"], one["turn"]) for one in records.kept("text")] == [("shown", 1)]


def test_a_text_whose_file_is_read_before_the_one_with_its_parts_is_told_once(records: Records) -> None:
    records.tell("text", id="written", text="Hello there\n\nand more")
    records.tell("text", id="shown", part="Hello there\n\n")
    records.tell("text", id="shown", part="and more")
    records.tell("text", id="next", part="Hello")  # that text has its name: this is another, which grows
    records.tell("text", id="next", part=" again")
    records.end("Hello again")
    records.tell("text", id="as written", text="Hello again")
    assert [(one["id"], one["text"]) for one in records.kept("text")] == [
        ("written", "Hello there\n\nand more"),
        ("next", "Hello again"),
    ]


def test_parts_that_only_begin_as_a_whole_text_did_are_lost_in_no_case(records: Records) -> None:
    records.tell("text", id="one", text="Done\nwith the first")
    records.tell("text", id="two", part="Done\n")
    records.tell("text", id="two", text="Done\nwith the second")
    assert [(one["id"], one["text"]) for one in records.kept("text")] == [
        ("one", "Done\nwith the first"),
        ("two", "Done\nwith the second"),
    ]


def test_an_id_of_a_tool_that_is_used_again_in_a_later_turn_means_another_use(records: Records) -> None:
    records.tell("tool", id="1", name="Bash", title="ls")
    records.tell("output", id="1", text="a", end="ok")
    records.tell("tool", turn=2, id="1", name="Bash", title="ls")  # repeated
    assert len(records.kept("tool")) == 1
    records.tell("tool", turn=3, id="1", name="Bash", title="make")
    records.tell("output", turn=3, id="1", part="made")
    records.next_daemon()
    records.tell("output", turn=3, id="1", part="made it")
    records.tell("output", turn=3, id="1", end="failed")
    assert [(one["id"], one["turn"]) for one in records.kept("tool")] == [("1", 1), ("1 (3)", 3)]
    assert [(one["id"], one["turn"], one["text"]) for one in records.kept("output")] == [
        ("1", 1, "a"),
        ("1 (3)", 3, "made it"),
    ]


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("/home/me/project/src/a.py", "src/a.py"),
        ("/home/me/project2/a.py", "/home/me/project2/a.py"),
        ("/home/me/project", "/home/me/project"),
        ("/home/me/project/", "/home/me/project/"),
        ("a.py", "a.py"),
    ],
)
def test_a_file_below_the_directory_is_named_relative_to_it(records: Records, told: str, shown: str) -> None:
    records.tell("tool", id="1", name="Edit", title=told, input={"file": told}, places=[{"path": told}])
    records.tell("edit", id="1", path=told, op="move", to=told)
    tool, edit = records.kept("tool")[0], records.kept("edit")[0]
    assert (tool["title"], edit["path"], edit["to"]) == (shown, shown, shown)
    assert (tool["input"], tool["places"]) == ({"file": told}, [{"path": told}])


def test_a_command_is_shown_as_it_was_given(records: Records) -> None:
    command = f"{CWD}/run --all"
    records.tell("tool", id="1", name="Bash", title=command, input={"command": command})
    assert records.kept("tool")[0]["title"] == command


def test_usage_says_what_compactions_read(records: Records) -> None:
    records.tell("usage", input=3, compacted=7000)
    assert records.kept("usage")[0]["compacted"] == 7000


def test_texts_that_grow_are_bounded_and_the_oldest_is_a_record_that_grows_no_more(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BOUNDS, "growing", BOUNDS["growing"]._replace(most=100_000))
    for n in range(20):
        records.tell("text", id=f"m{n}", part="x" * 20_000)
    channel = records.recorder.live.channel("s")
    assert channel is not None
    assert [name for _, name in channel.blocks] == [f"m{n}" for n in range(15, 20)]
    assert {one["id"]: len(one["text"]) for one in records.kept("text")} == {f"m{n}": 20_000 for n in range(15)}
    records.tell("text", id="m0", part="more")
    assert ("text", "m0") not in channel.blocks
    for n in range(3 * BLOCKS):
        records.tell("text", id=f"s{n}", part="x")
    assert len(channel.blocks) == BLOCKS


def test_of_a_turn_no_more_is_read_than_its_answer_has() -> None:
    asked: list[str] = []

    def said() -> Iterator[str]:
        for text in ("world", "hello ", "never", "asked"):
            asked.append(text)
            yield text

    assert says("hello world", said()) and asked == ["world", "hello "]
    asked.clear()
    assert not says("another", said()) and asked == ["world"]
    assert not says("xworld", iter(["world"])) and not says("more", iter(()))
    assert says("a b", iter(["b", " \n", "a"])) and says("b", iter(["", "b"]))


def test_an_agent_that_says_without_end_fills_no_store(records: Records) -> None:
    for n in range(4 * OFTEN):
        records.tell("text", id=f"m{n}", text="x" * 10_000)
    assert records.store.call(lambda tx: rows.size(tx, "s")) <= (rows.FAR + 3) * SMALL
    assert records.kept("text")[-1]["id"] == f"m{4 * OFTEN - 1}"


@pytest.mark.parametrize(
    ("kind", "field", "more"), [("plan", "items", {}), ("tool", "places", {"id": "t", "name": "x"})]
)
def test_what_is_left_out_of_a_long_list_is_counted(kind: str, field: str, more: dict[str, Any]) -> None:
    rows = [{"text": f"step {at}", "path": f"/a/{at}"} for at in range(210)]
    made = clean(kind, {field: rows, **more})
    assert made is not None and (len(made[field]), made["cut"]) == (
        200,
        len(json.dumps(rows[200:], separators=(",", ":"))),
    )
    whole = clean(kind, {field: rows[:200], **more})
    assert whole is not None and "cut" not in whole


def test_a_text_that_is_told_again_without_colours_has_those_of_nothing_else(records: Records) -> None:
    records.tell("output", id="t", text=f"{RED}red{NONE}")
    records.tell("output", id="t", text="plain")
    assert [(one["text"], one.get("colours")) for one in records.kept("output")] == [
        ("red", [[0, "31"], [3, "0"]]),
        ("plain", None),
    ]


def test_an_answer_that_is_what_has_grown_keeps_its_colours(records: Records) -> None:
    records.tell("text", id="m", part=f"a {RED}b")
    records.tell("text", id="m", part=f"c{NONE} d")
    records.end("a bc d")
    assert [(one["text"], one["colours"]) for one in records.kept("text")] == [("a bc d", [[2, "31"], [4, "0"]])]


def test_what_says_its_colours_itself_is_not_believed(records: Records) -> None:
    records.tell("text", id="m", text="x", colours=[[0, "31"]])
    assert "colours" not in records.kept("text")[0]


def test_the_end_of_a_long_text_has_not_the_colours_of_its_beginning(records: Records) -> None:
    records.tell("output", id="t", part=RED)
    for _ in range(20):
        records.tell("output", id="t", part="x" * 20_000)
    records.end("")
    text, colours = records.kept("output")[-1]["text"], records.kept("output")[-1]["colours"]
    assert colours == [[0, "31"], [text.index("\n["), ""]]
