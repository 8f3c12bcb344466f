"""Files of bd come in and go out again with everything that was in them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anvilsrv.beads import jsonl
from anvilsrv.errors import AnvilError, Conflict, Invalid

from .conftest import Desk
from .test_graph_against_model import fresh_desk

FULL: dict[str, Any] = {
    "_type": "issue",
    "id": "bd-a1b2",
    "title": "Ünïcode ☃ title",
    "description": "several\nlines\t",
    "design": "d",
    "acceptance_criteria": "ac",
    "notes": "n",
    "spec_id": "s",
    "status": "closed",
    "priority": 0,
    "issue_type": "bug",
    "assignee": "ann",
    "owner": "ann@example.org",
    "estimated_minutes": 90,
    "created_at": "2024-01-02T03:04:05.006Z",
    "created_by": "jira-import",
    "updated_at": "2024-02-02T03:04:05.123456789+02:00",
    "started_at": "2024-01-03T00:00:00Z",
    "closed_at": "2024-02-02T01:04:05Z",
    "close_reason": "done",
    "closed_by_session": "s1",
    "due_at": "2024-03-01T00:00:00Z",
    "defer_until": "2024-01-02T04:00:00Z",
    "external_ref": "gh-9",
    "source_system": "gh",
    "metadata": {"nested": {"list": [1, 2.5, None, True, {"deep": "ok"}]}, "big": 12345678901234567890},
    "labels": ["z", "a", "ü"],
    "dependencies": [
        {
            "issue_id": "bd-a1b2",
            "depends_on_id": "bd-gone",
            "type": "discovered-from",
            "created_at": "2024-01-02T03:04:05Z",
            "created_by": "ann",
            "metadata": "{}",
            "thread_id": "t1",
        }
    ],
    "comments": [
        {"id": "c1", "issue_id": "bd-a1b2", "author": "bob", "text": "hm\n", "created_at": "2024-01-02T03:04:05Z"},
        {"id": 7, "issue_id": "bd-a1b2", "author": "bob", "text": "old", "created_at": "2024-01-02T03:04:05Z"},
    ],
    "pinned": True,
    "waiters": ["x"],
    "a_key_of_tomorrow": {"kept": ["as", "it", "is", 0, False, ""]},
    "dependency_count": 0,
    "dependent_count": 0,
    "comment_count": 2,
}


def lines(*records: object) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def exported(desk: Desk, folder: Path) -> list[dict[str, Any]]:
    desk("export", str(folder / "out.jsonl"))
    return [json.loads(line) for line in (folder / "out.jsonl").read_text().split("\n") if line]


def imported(desk: Desk, folder: Path, text: str | bytes) -> None:
    (folder / "in.jsonl").write_bytes(text.encode() if isinstance(text, str) else text)
    desk("import", str(folder / "in.jsonl"))


def test_every_field_of_bd_and_unknown_ones_survive_the_round_trip(desk: Desk, tmp_path: Path) -> None:
    imported(desk, tmp_path, lines(FULL))
    assert exported(desk, tmp_path) == [FULL]


def test_an_export_taken_in_elsewhere_gives_the_same_beads(desk: Desk, tmp_path: Path) -> None:
    one, two = desk("new", "one", "text"), desk("new", "two", "labels=a")
    desk("dep", one, two)
    desk("comment", one, "said")
    desk("complete", one)
    desk("export", str(tmp_path / "issues.jsonl"))
    with fresh_desk() as other:
        other("import", str(tmp_path / "issues.jsonl"))
        assert other.beads.list_json() == desk.beads.list_json()
        assert other.ready() == desk.ready() == [two]


def test_counts_that_came_with_a_file_leave_it_true(desk: Desk, tmp_path: Path) -> None:
    imported(desk, tmp_path, lines(FULL))
    waiting = desk("new", "waits", "deps=bd-a1b2")
    desk("comment", "bd-a1b2", "more")
    by_id = {record["id"]: record for record in exported(desk, tmp_path)}
    first = by_id["bd-a1b2"]
    assert (first["dependency_count"], first["dependent_count"], first["comment_count"]) == (0, 1, 3)
    assert "comment_count" not in by_id[waiting]


def test_headers_memories_tombstones_and_empty_lines_are_passed_over(desk: Desk, tmp_path: Path) -> None:
    header = {"_schema": "beads-jsonl/1", "_sort": "stable-v1"}
    memory = {"_type": "memory", "key": "k", "value": "v"}
    gone = {"id": "bd-dead", "title": "x", "status": "tombstone"}
    text = (
        "\ufeff" + lines(header, memory, gone) + "\r\n  \n" + lines({"id": "bd-1", "title": "kept"}).rstrip() + "\r\n"
    )
    imported(desk, tmp_path, text)
    assert desk.beads.ids() == ["bd-1"]


def test_the_newer_of_two_versions_is_kept(desk: Desk, tmp_path: Path) -> None:
    old = {"id": "bd-1", "title": "old", "updated_at": "2024-01-01T00:00:00Z"}
    new = {"id": "bd-1", "title": "new", "updated_at": "2024-01-01T00:00:00.5Z"}
    imported(desk, tmp_path, lines(new))
    imported(desk, tmp_path, lines(old))
    assert desk.record("bd-1")["title"] == "new"
    imported(desk, tmp_path, lines(old | {"updated_at": "2024-01-01T02:00:00+01:00", "title": "newest"}))
    assert desk.record("bd-1")["title"] == "newest"


def test_an_import_is_one_change_and_says_how_many_beads(desk: Desk, tmp_path: Path) -> None:
    imported(desk, tmp_path, lines(FULL, {"id": "bd-1", "title": "x", "updated_at": "2024-01-01T00:00:00Z"}))
    assert [(e["op"], e["count"]) for e in desk.told] == [("import", 2)]
    desk("import", str(tmp_path / "in.jsonl"))
    assert desk.told[-1]["count"] == 0


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("{", "in.jsonl line 2: "),
        ("[1]", "line 2: not a JSON object"),
        ('{"title":"no id"}', "line 2: invalid bead id null"),
        ('{"id":"bd-2"}', "line 2: a bead needs a title"),
        ('{"id":"../../etc","title":"x"}', "line 2: invalid bead id"),
        ('{"id":"bd-2","title":"%s"}' % ("x" * 501), "line 2: title of 501"),
        ('{"id":"bd-2","title":"x","priority":9}', "line 2: invalid priority 9: must be 0 to 4"),
        ('{"id":"bd-2","title":"x","n":NaN}', "line 2: invalid JSON: NaN is not a number"),
        ('{"id":"bd-2","title":"x","n":1e999}', "line 2: invalid JSON: a number is too large"),
        ('{"id":"bd-2","title":"\\ud800"}', "line 2: invalid JSON: unpaired surrogate"),
        ('{"id":"bd-2","title":"x","created_at":"tuesday"}', "line 2: invalid time 'tuesday'"),
        ('{"id":"bd-2","title":"two\\nlines"}', "line 2: a title must be one line of text"),
        ("<<<<<<< HEAD", "line 2: a conflict marker of git: resolve the merge first"),
        ("=======", "line 2: a conflict marker of git"),
        (">>>>>>> theirs", "line 2: a conflict marker of git"),
        ("[" * 100_000, "line 2: "),
    ],
)
def test_a_damaged_line_is_named_and_nothing_is_imported(desk: Desk, tmp_path: Path, line: str, sentence: str) -> None:
    kept = desk("new", "kept")
    with pytest.raises(Invalid) as caught:
        imported(desk, tmp_path, lines({"id": "bd-1", "title": "fine"}) + line + "\n")
    assert sentence in str(caught.value)
    assert desk.beads.ids() == [kept]


def test_bytes_that_are_not_utf_8_are_refused(desk: Desk, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="line 1: invalid UTF-8"):
        imported(desk, tmp_path, b'{"id":"bd-1","title":"\xff"}\n')


@pytest.mark.parametrize("kind", ["blocks", "parent-child"])
def test_a_file_with_a_cycle_is_refused_whole(desk: Desk, tmp_path: Path, kind: str) -> None:
    edge = {"type": kind}
    one = {"id": "bd-1", "title": "x", "dependencies": [edge | {"depends_on_id": "bd-2"}]}
    two = {"id": "bd-2", "title": "y", "dependencies": [edge | {"depends_on_id": "bd-1"}]}
    with pytest.raises(Conflict, match="nothing imported: a cycle through"):
        imported(desk, tmp_path, lines(one, two))
    assert desk.beads.ids() == []


def test_an_export_replaces_the_file_whole_or_leaves_it(desk: Desk, tmp_path: Path) -> None:
    desk("new", "x")
    target = tmp_path / "out" / "issues.jsonl"
    target.parent.mkdir()
    target.write_text("old")
    desk("export", str(target))
    assert json.loads(target.read_text())["title"] == "x"
    assert [p.name for p in target.parent.iterdir()] == ["issues.jsonl"]
    with pytest.raises(AnvilError, match="directory"):
        desk("export", str(target.parent))


def test_an_export_of_nothing_is_an_empty_file(open_desk: Callable[[], Desk], tmp_path: Path) -> None:
    assert exported(open_desk(), tmp_path) == []


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=500).filter(str.strip),
    st.dictionaries(st.text(min_size=1).map("x_".__add__), VALUES.filter(lambda v: v is not None), max_size=4),
)
def test_any_title_and_any_unknown_value_survive(title: str, unknown: dict[str, Any]) -> None:
    record = {"_type": "issue", "id": "bd-1", "title": title, "status": "open", "priority": 1, "issue_type": "task"}
    record |= {"created_at": "2024-01-01T00:00:00Z", "updated_at": "2024-01-01T00:00:00Z"} | unknown
    with fresh_desk() as desk:
        folder = desk.path
        imported(desk, folder, lines(record))
        assert exported(desk, folder) == [record]


def test_what_a_client_names_for_an_import_keeps_nobody_waiting_and_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(AnvilError):
            list(jsonl.read(name))
    monkeypatch.setattr(jsonl, "LARGEST", 10)
    (tmp_path / "large").write_text('{"id": "a-1", "title": "t"}\n')
    with pytest.raises(Invalid, match=r"invalid file: .*large has more than"):
        list(jsonl.read(tmp_path / "large"))


@pytest.mark.parametrize(
    ("odd", "key", "value", "note"),
    [
        ({"due_at": ""}, "due_at", None, "due_at is empty, and left out"),
        ({"updated_at": " "}, "due_at", None, "updated_at is empty, and left out"),
        ({"estimated_minutes": 1.0}, "estimated_minutes", 1, "estimated_minutes 1.0 is taken as 1"),
        ({"estimated_minutes": "90"}, "estimated_minutes", 90, "estimated_minutes '90' is taken as 90"),
        ({"priority": "2"}, "priority", 2, "priority '2' is taken as 2"),
        ({"priority": "P0"}, "priority", 0, "priority 'P0' is taken as 0"),
        ({"priority": 3.0}, "priority", 3, "priority 3.0 is taken as 3"),
        (
            {"dependencies": [{"issue_id": "bd-1", "depends_on_id": "bd-1", "type": "blocks"}]},
            "dependencies", None, "it depends on itself, which is left out",
        ),
    ],
)  # fmt: skip
def test_what_is_odd_and_can_be_kept_is_kept_with_a_note_on_its_line(
    desk: Desk, tmp_path: Path, odd: dict[str, Any], key: str, value: object, note: str
) -> None:
    imported(desk, tmp_path, lines({"id": "bd-0", "title": "fine"}, {"id": "bd-1", "title": "odd", **odd}))
    assert sorted(desk.beads.ids()) == ["bd-0", "bd-1"]
    assert desk.record("bd-1").get(key) == value
    assert desk.told[-1]["notes"] == [f"in.jsonl line 2: bd-1: {note}"]


def test_rows_under_the_id_that_a_bead_had_before_are_its_own(desk: Desk, tmp_path: Path) -> None:
    comment = {"id": 1, "issue_id": "old-1", "author": "ann", "text": "hello"}
    edge = {"issue_id": "old-1", "depends_on_id": "bd-0", "type": "blocks"}
    imported(desk, tmp_path, lines({"id": "bd-1", "title": "renamed", "comments": [comment], "dependencies": [edge]}))
    record = desk.record("bd-1")
    assert record["comments"] == [comment | {"issue_id": "bd-1"}]
    assert record["dependencies"] == [edge | {"issue_id": "bd-1"}]
    assert len(desk.told[-1]["notes"]) == 2


def test_a_file_without_anything_odd_has_no_notes(desk: Desk, tmp_path: Path) -> None:
    imported(desk, tmp_path, lines({"id": "bd-0", "title": "fine"}))
    assert "notes" not in desk.told[-1]
