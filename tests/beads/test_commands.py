"""Each command of beads/ctl does what it says, once, or refuses in a sentence and changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from anvilsrv import words
from anvilsrv.errors import AnvilError, Conflict, Denied, Invalid, NotFound

from .conftest import Desk


def test_the_commands_of_the_introduction_work_as_written(desk: Desk) -> None:
    """The lines of the README, word for word."""
    for line in ("init", 'new "Implement login" "Add JWT auth"'):
        bead = desk(*words.split(line))
    assert bead.startswith("bd-")
    assert desk.record(bead)["description"] == "Add JWT auth"
    desk(*words.split(f"claim {bead}"))
    desk(*words.split(f"complete {bead}"))
    assert desk.record(bead)["status"] == "closed"


def test_the_child_must_be_closed_before_the_parent_is_ready(desk: Desk) -> None:
    child, parent = desk("new", "child"), desk("new", "parent")
    desk("dep", child, parent)
    row = desk.record(parent)["dependencies"][0]
    assert (row["issue_id"], row["depends_on_id"], row["type"]) == (parent, child, "blocks")
    assert desk.ready() == [child]
    desk("complete", child)
    assert desk.ready() == [parent]


def test_what_failed_keeps_its_reason_and_holds_up_what_waits_for_it(desk: Desk) -> None:
    child, parent = desk("new", "child"), desk("new", "parent")
    desk("dep", child, parent)
    desk("claim", child, actor="a1")
    desk("fail", child, "no network", actor="a1")
    record = desk.record(child)
    assert (record["status"], record["metadata"]) == ("blocked", {"blocked_reason": "no network"})
    assert record["comments"][0]["text"] == "failed: no network"
    assert desk.ready() == []
    desk("reopen", child)
    assert desk.ready() == [child]
    assert "metadata" not in desk.record(child)
    assert "assignee" not in desk.record(child)


def test_a_claim_is_by_the_real_actor_and_only_one_gets_it(desk: Desk) -> None:
    bead = desk("new", "work")
    desk("claim", bead, actor="a1")
    with pytest.raises(Conflict, match=f"^'{bead}' is not open: in_progress by a1$"):
        desk("claim", bead, actor="a2")
    assert desk.record(bead)["assignee"] == "a1"
    assert "started_at" in desk.record(bead)


def test_another_agent_cannot_finish_or_release_what_is_claimed_but_the_user_can(desk: Desk) -> None:
    bead = desk("new", "work")
    desk("claim", bead, actor="a1")
    for command in (["complete", bead], ["fail", bead, "x"], ["unclaim", bead], ["update", bead, "status=open"]):
        with pytest.raises(Denied, match=f"^permission denied: '{bead}' is claimed by a1$"):
            desk(*command, actor="a2")
    desk("unclaim", bead)
    assert desk.record(bead)["status"] == "open"
    desk("claim", bead, actor="a2")


def test_what_waits_cannot_be_claimed(desk: Desk) -> None:
    child, parent = desk("new", "child"), desk("new", "parent")
    desk("dep", child, parent)
    with pytest.raises(Conflict, match=f"^'{parent}' waits for '{child}'$"):
        desk("claim", parent, actor="a1")


def test_a_bead_meant_for_someone_is_claimed_by_nobody_else(desk: Desk) -> None:
    bead = desk("new", "work", "assignee=a1")
    with pytest.raises(Conflict, match="assigned to a1"):
        desk("claim", bead, actor="a2")
    desk("claim", bead, actor="a1")


def test_new_takes_a_description_fields_a_parent_and_what_it_waits_for(desk: Desk) -> None:
    epic = desk("new", "epic", "type=epic")
    first = desk("new", "first", f"parent={epic}")
    second = desk("new", "second", "with a=b in it", f"parent={epic}", f"deps={first}", "priority=P0", "labels=x,y")
    assert (first, second) == (f"{epic}.1", f"{epic}.2")
    record = desk.record(second)
    assert (record["description"], record["priority"], record["labels"]) == ("with a=b in it", 0, ["x", "y"])
    assert {(d["depends_on_id"], d["type"]) for d in record["dependencies"]} == {
        (first, "blocks"),
        (epic, "parent-child"),
    }
    assert desk.ready() == [epic, first]


def test_update_sets_and_clears_fields(desk: Desk) -> None:
    bead = desk("new", "old")
    desk("update", bead, "title=new title", "priority=1", "due=2030-01-01", 'metadata={"a":1}', "acceptance=works")
    record = desk.record(bead)
    assert (record["title"], record["priority"], record["due_at"]) == ("new title", 1, "2030-01-01T00:00:00Z")
    assert (record["metadata"], record["acceptance_criteria"]) == ({"a": 1}, "works")
    desk("update", bead, "due_at=", "metadata=")
    assert not {"due_at", "metadata"} & desk.record(bead).keys()


def test_no_agent_can_put_a_claim_on_another(desk: Desk) -> None:
    bead = desk("new", "x")
    for change in (["status=in_progress"], ["status=in_progress", "assignee=a2"], ["status=hooked", "assignee=a2"]):
        with pytest.raises(Denied, match="claim"):
            desk("update", bead, *change, actor="a1")
    desk("claim", bead, actor="a1")
    with pytest.raises(Denied, match="claim"):
        desk("update", bead, "assignee=a2", actor="a1")
    desk("update", bead, "assignee=a2")


def test_update_keeps_closed_at_true(desk: Desk) -> None:
    bead = desk("new", "x")
    desk("update", bead, "status=closed")
    assert "closed_at" in desk.record(bead)
    desk("update", bead, "status=open")
    assert "closed_at" not in desk.record(bead)


def test_labels_are_added_and_taken_away(desk: Desk) -> None:
    bead = desk("new", "x")
    desk("label", bead, "a", "+b", "a")
    desk("label", bead, "-a", "c")
    assert desk.record(bead)["labels"] == ["b", "c"]


def test_comments_keep_their_author_and_have_ids_of_their_own(desk: Desk) -> None:
    bead = desk("new", "x")
    desk("comment", bead, "one", actor="a1")
    desk("comment", bead, "two\nlines", actor="a2")
    rows = desk.record(bead)["comments"]
    assert [(r["author"], r["text"]) for r in rows] == [("a1", "one"), ("a2", "two\nlines")]
    assert len({r["id"] for r in rows}) == 2


def test_undep_takes_the_edge_away(desk: Desk) -> None:
    child, parent = desk("new", "child"), desk("new", "parent")
    desk("dep", child, parent)
    desk("undep", child, parent)
    assert desk.ready() == [child, parent]
    assert "dependencies" not in desk.record(parent)
    with pytest.raises(NotFound):
        desk("undep", child, parent)


def test_init_gives_the_prefix_and_does_no_harm_twice(desk: Desk) -> None:
    desk("init", "proj")
    desk("init")
    assert desk("new", "x").startswith("proj-")
    with pytest.raises(Conflict, match="prefix 'proj'"):
        desk("init", "other")


def test_ready_is_most_urgent_first_then_oldest(desk: Desk) -> None:
    later, first, urgent = desk("new", "b", "priority=3"), desk("new", "a"), desk("new", "c", "priority=0")
    second = desk("new", "d")
    assert desk.ready() == [urgent, first, second, later]


def test_the_files_of_a_bead_hold_its_fields(desk: Desk) -> None:
    bead = desk("new", "title", "two\nlines")
    beads = desk.beads
    assert [beads.file(bead, name) for name in ("status", "title", "description", "assignee")] == [
        b"open\n",
        b"title\n",
        b"two\nlines\n",
        b"\n",
    ]
    assert json.loads(beads.file(bead, "json")) == desk.record(bead)
    with pytest.raises(NotFound, match="no such bead 'bd-zzz'"):
        beads.file("bd-zzz", "status")
    with pytest.raises(NotFound, match="no such file 'nope'"):
        beads.file(bead, "nope")


def test_nothing_is_made_on_disk_by_looking(desk: Desk) -> None:
    assert (desk.beads.list_json(), desk.beads.ready_json(), desk.beads.ids()) == (b"[]\n", b"[]\n", [])
    assert desk.beads.get("bd-1") is None
    assert desk.beads.version() == 0
    assert not desk.path.exists()


def test_versions_rise_with_changes_of_that_bead_only(desk: Desk) -> None:
    one, two = desk("new", "one"), desk("new", "two")
    before, all_before = desk.beads.version(one), desk.beads.version()
    desk("comment", two, "x")
    assert desk.beads.version(one) == before
    assert desk.beads.version() > all_before
    desk("comment", one, "x")
    assert desk.beads.version(one) == desk.beads.version()


REFUSED: list[tuple[str, type[AnvilError], str]] = [
    ("", Invalid, "invalid beads command ''"),
    ("steal ID", Invalid, "invalid beads command 'steal'"),
    ("new", Invalid, "usage: new 'title'"),
    ("new ''", Invalid, "needs a title"),
    ("new 'two\nlines'", Invalid, "one line"),
    (f"new {'x' * 501}", Invalid, "title of 501 characters: at most 500"),
    ("new t d extra", Invalid, "invalid argument 'extra': must be key=value"),
    ("new t parent=bd-none", NotFound, "no such bead 'bd-none'"),
    ("new t deps=ID,bd-none", NotFound, "no such bead 'bd-none'"),
    ("new t type=tsak", Invalid, "invalid type 'tsak'"),
    ("claim bd-none", NotFound, "no such bead 'bd-none'"),
    ("complete bd-none", NotFound, "no such bead 'bd-none'"),
    ("complete CLOSED", Conflict, "already closed"),
    ("fail CLOSED 'late'", Conflict, "already closed"),
    ("claim CLOSED", Conflict, "is not open: closed"),
    ("unclaim ID", Conflict, "is not claimed: open"),
    ("reopen ID", Conflict, "is not closed, blocked or deferred: open"),
    ("fail ID", Invalid, "usage: fail <id> 'reason'"),
    ("fail ID ' '", Invalid, "needs a reason"),
    ("dep ID ID", Conflict, "cannot depend on itself"),
    ("dep ID bd-none", NotFound, "no such bead 'bd-none'"),
    ("dep bd-none ID", NotFound, "no such bead 'bd-none'"),
    ("dep ID CLOSED ../x", Invalid, "invalid kind of dependency"),
    ("update ID nope=1", Invalid, "invalid argument 'nope=1': must be key=value"),
    ("update ID priority=5", Invalid, "must be 0 to 4"),
    ("update ID status=clsoed", Invalid, "invalid status 'clsoed'"),
    ("update ID title=", Invalid, "needs a title"),
    ("update ID defer=soon", Invalid, "invalid time"),
    ("update ID metadata={", Invalid, "invalid metadata: invalid JSON"),
    ("update ID metadata=NaN", Invalid, "NaN is not a number"),
    ("update ID title=ok priority=9", Invalid, "must be 0 to 4"),
    ("label ID 'a b'", Invalid, "invalid label"),
    ("comment ID ''", Invalid, "needs text"),
    ("init 'a b'", Invalid, "invalid prefix"),
    ("import issues.jsonl", Invalid, "not absolute"),
    ("import /nonexistent/issues.jsonl", NotFound, "no such file /nonexistent/issues.jsonl"),
    ("export /nonexistent/issues.jsonl", AnvilError, "no such file or directory"),
]


@pytest.mark.parametrize(("line", "kind", "sentence"), REFUSED, ids=[line[:30] or "empty" for line, _, _ in REFUSED])
def test_bad_input_is_refused_and_changes_nothing(desk: Desk, line: str, kind: type[AnvilError], sentence: str) -> None:
    bead, closed = desk("new", "open"), desk("new", "closed")
    desk("complete", closed)
    before, told = desk.beads.list_json(), len(desk.told)
    with pytest.raises(kind) as caught:
        desk(*words.split(line.replace("ID", bead).replace("CLOSED", closed)))
    assert sentence in str(caught.value)
    assert desk.beads.list_json() == before
    assert len(desk.told) == told


@pytest.mark.parametrize("command", ["import", "export"])
def test_agents_may_not_read_or_write_the_users_files(desk: Desk, command: str) -> None:
    with pytest.raises(Denied, match=f"^permission denied: only the user may {command}$"):
        desk(command, "/tmp/issues.jsonl", actor="a1")


def test_a_cycle_is_refused_however_long_or_mixed(desk: Desk) -> None:
    a, b, c = desk("new", "a"), desk("new", "b"), desk("new", "c")
    desk("dep", a, b)
    desk("dep", b, c)
    with pytest.raises(Conflict, match=f"^cycle: '{c}' already waits for '{a}'$"):
        desk("dep", c, a)
    below = desk("new", "below", f"parent={a}")
    with pytest.raises(Conflict, match=r"^cycle"):
        desk("dep", below, a)
    with pytest.raises(Conflict, match="dependency already exists"):
        desk("dep", a, b)
    desk("dep", c, a, "related")


def test_every_change_is_told_once_with_its_actor(desk: Desk, open_desk: Callable[[], Desk]) -> None:
    other = open_desk()
    bead = desk("new", "x")
    other.beads.list_json()
    other("claim", bead, actor="a1")
    desk.beads.list_json()
    expected = [("bead", bead, "new", "user", "open"), ("bead", bead, "claim", "a1", "in_progress")]
    for told in (desk.told, other.told):
        assert [(e["type"], e["bead_id"], e["op"], e["actor"], e["status"]) for e in told] == expected
