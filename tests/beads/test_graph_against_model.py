"""Whatever is done to the graph, in whatever order, what is ready is what the plain model says."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anvilsrv.beads.graph import find_cycle
from anvilsrv.errors import AnvilError, Conflict

from . import model
from .conftest import Desk

BEADS = 5
BEAD = st.integers(0, BEADS - 1)
KIND = st.sampled_from(
    ["blocks", "blocks", "conditional-blocks", "parent-child", "parent-child", "waits-for", "related"]
)
STATUS = st.sampled_from(["open", "open", "in_progress", "blocked", "deferred", "closed", "pinned"])
DEFER = st.sampled_from(["", "2020-01-01", "2999-01-01"])
EDGE = st.tuples(st.sampled_from(["dep", "dep", "undep"]), BEAD, BEAD, KIND)
CHANGE = st.one_of(
    EDGE,
    EDGE,
    st.tuples(st.sampled_from(["claim", "complete", "fail", "reopen", "unclaim"]), BEAD),
    st.tuples(st.just("status"), BEAD, STATUS),
    st.tuples(st.just("defer"), BEAD, DEFER),
)


@contextmanager
def fresh_desk() -> Iterator[Desk]:
    # in memory where there is such a place: hundreds of stores, and nothing here is about the disk
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as folder:
        desk = Desk(Path(folder))
        try:
            yield desk
        finally:
            desk.beads.close()


def run(desk: Desk, ids: list[str], change: tuple) -> None:
    op, first, *rest = change
    bead = ids[first]
    if op in ("dep", "undep"):
        desk(op, bead, ids[rest[0]], rest[1])
    elif op in ("status", "defer"):
        desk("update", bead, f"{op}={rest[0]}")
    else:
        desk(op, bead, *(["why"] if op == "fail" else []), actor="a1")


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.just("dep"), BEAD, BEAD, KIND), max_size=12), st.lists(CHANGE, max_size=30))
def test_ready_is_what_the_model_says_after_every_change(edges: list[tuple], changes: list[tuple]) -> None:
    with fresh_desk() as desk:
        ids = [desk("new", f"bead {n}", f"priority={n % 3}") for n in range(BEADS)]
        for change in edges + changes:
            before = {r["id"]: r for r in json.loads(desk.beads.list_json())}
            if change[0] == "dep":
                # a parent waits for its child, but a parent-child edge stands at the child
                child, parent = ids[change[1]], ids[change[2]]
                bead, target = (child, parent) if change[3] == "parent-child" else (parent, child)
                closes = bead == target or (change[3] != "related" and model.waits(before, target, bead))
            try:
                run(desk, ids, change)
            except AnvilError as error:
                assert {r["id"]: r for r in json.loads(desk.beads.list_json())} == before
                if change[0] == "dep":
                    assert isinstance(error, Conflict)
                    assert closes or "dependency already exists" in str(error)
            else:
                assert change[0] != "dep" or not closes
            records = {r["id"]: r for r in json.loads(desk.beads.list_json())}
            assert desk.ready() == model.ready(records, time.time_ns()), change


def agree(desk: Desk) -> list[str]:
    """Return what is ready, once the model has said the same."""
    records = {r["id"]: r for r in json.loads(desk.beads.list_json())}
    assert desk.ready() == model.ready(records, time.time_ns())
    return desk.ready()


def test_a_whole_family_is_held_up_by_what_its_head_waits_for_and_let_go_with_it() -> None:
    with fresh_desk() as desk:
        gate, head = desk("new", "gate"), desk("new", "head")
        child = desk("new", "child", f"parent={head}")
        grandchild = desk("new", "grandchild", f"parent={child}")
        desk("dep", gate, head)
        assert agree(desk) == [gate]
        desk("complete", gate)
        assert agree(desk) == [head, child, grandchild]
        for status in ("blocked", "deferred"):
            desk("update", head, f"status={status}")
            assert agree(desk) == []
            desk("update", head, "status=open")
        desk("update", head, "defer=2999-01-01")
        assert agree(desk) == []
        # Who has closed parents is not below anything any more.
        desk("complete", child)
        assert agree(desk) == [grandchild]


def test_who_waits_for_the_children_of_another_is_let_go_by_the_last_of_them() -> None:
    with fresh_desk() as desk:
        spawner, waiter = desk("new", "spawner"), desk("new", "waiter")
        one, two = (desk("new", name, f"parent={spawner}") for name in ("one", "two"))
        desk("dep", spawner, waiter, "waits-for")
        desk("complete", one)
        assert agree(desk) == [spawner, two]
        desk("undep", two, spawner, "parent-child")
        assert agree(desk) == [spawner, waiter, two]
        desk("dep", two, spawner, "parent-child")
        desk("update", two, "status=pinned")
        assert agree(desk) == [spawner, waiter]


@st.composite
def _records(draw: st.DrawFn) -> list[dict]:
    records = []
    for n in range(draw(st.integers(1, 8))):
        record = {"id": f"x-{n}", "title": f"bead {n}", "status": draw(STATUS), "priority": draw(st.integers(0, 4))}
        record |= {"issue_type": draw(st.sampled_from(["task", "epic", "gate"])), "created_at": "2024-01-02T03:04:05Z"}
        record |= draw(st.sampled_from([{}, {}, {}, {"pinned": True}, {"ephemeral": True}]))
        if defer := draw(st.sampled_from(["", "", "2020-01-01T00:00:00Z", "2999-01-01T00:00:00Z"])):
            record["defer_until"] = defer
        # only towards earlier beads, and one that is not there: no cycles
        edges = draw(st.lists(st.tuples(KIND, st.sampled_from([*range(n), 99])), max_size=3, unique=True))
        record["dependencies"] = [
            {"issue_id": record["id"], "depends_on_id": f"x-{target}", "type": kind} for kind, target in edges
        ]
        records.append(record)
    return draw(st.permutations(records))


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(_records())
def test_ready_is_what_the_model_says_after_an_import(records: list[dict]) -> None:
    with fresh_desk() as desk:
        file = desk.path / "in.jsonl"
        file.write_text("".join(json.dumps(r) + "\n" for r in records))
        desk("import", str(file))
        by_id = {r["id"]: r for r in json.loads(desk.beads.list_json())}
        assert len(by_id) == len(records)
        assert desk.ready() == model.ready(by_id, time.time_ns())


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(BEAD, BEAD), max_size=12))
def test_a_cycle_is_found_if_and_only_if_there_is_one(edges: list[tuple[int, int]]) -> None:
    named = [(str(a), str(b)) for a, b in edges]
    reach = {(a, b) for a, b in named}
    while more := {(a, d) for a, b in reach for c, d in reach if b == c} - reach:
        reach |= more
    found = find_cycle(named)
    assert (found is not None) == any(a == b for a, b in reach)
    if found:
        assert found in named
        assert (found[1], found[0]) in reach or found[0] == found[1]
