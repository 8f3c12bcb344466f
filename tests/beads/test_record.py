"""Ids, times and the form of a record agree with bd."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anvilsrv.beads.record import hash_id, id_length, normal, parse_time, time_text, unix_ns
from anvilsrv.errors import Invalid


@pytest.mark.parametrize(
    ("length", "digits"), [(3, "vju"), (4, "8d8e"), (5, "bi3tk"), (6, "8bi3tk"), (7, "r5sr6bm"), (8, "8r5sr6bm")]
)
def test_an_id_is_the_one_that_bd_gives(length: int, digits: str) -> None:
    ns = unix_ns("2024-01-02T03:04:05.006Z")
    assert hash_id("bd", "Fix login", "Details", "jira-import", ns, length, 0) == f"bd-{digits}"


def test_ids_grow_with_the_number_of_beads() -> None:
    assert [id_length(n) for n in (0, 163, 164, 983, 984, 5898, 5899, 10**9)] == [3, 3, 4, 4, 5, 5, 6, 8]


@given(st.integers(min_value=0, max_value=4_000_000_000_000_000_000))
def test_a_time_written_reads_back_to_the_nanosecond(ns: int) -> None:
    assert unix_ns(time_text(ns)) == ns


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2024-01-02T03:04:05Z", "2024-01-02T05:04:05+02:00"),
        ("2024-01-02T03:04:05Z", "2024-01-02 03:04:05"),
        ("2024-01-02T03:04:05.5Z", "2024-01-02t03:04:05.500000000z"),
    ],
)
def test_the_same_moment_may_be_written_in_several_ways(text: str, same: str) -> None:
    assert unix_ns(text) == unix_ns(same)


@pytest.mark.parametrize("text", ["", "soon", "2024-13-01T00:00:00Z", "2024-01-01", "2024-01-02T03:04:05+99:99"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        unix_ns(text)


def test_a_person_may_write_a_day_or_a_time_ahead() -> None:
    assert parse_time("2026-01-31") == "2026-01-31T00:00:00Z"
    assert unix_ns(parse_time("+2h")) - unix_ns(parse_time("+1h")) == pytest.approx(3600e9, abs=1e9)


def test_a_record_is_completed_as_bd_would_and_keeps_unknown_keys_last() -> None:
    record = normal({"zzz": [1], "title": "T", "id": "x-1", "created_at": "2024-01-02T03:04:05Z", "labels": []})
    assert list(record) == ["id", "title", "status", "priority", "issue_type", "created_at", "updated_at", "zzz"]
    assert (record["status"], record["priority"], record["issue_type"]) == ("open", 2, "task")


def test_closed_at_is_there_if_and_only_if_the_bead_is_closed() -> None:
    base = {"id": "x-1", "title": "T", "updated_at": "2024-01-02T03:04:05Z"}
    assert normal(base | {"status": "closed"})["closed_at"] == "2024-01-02T03:04:05Z"
    assert "closed_at" not in normal(base | {"status": "open", "closed_at": "2024-01-02T03:04:05Z"})


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": "../x"},
        {"id": "ready"},
        {"id": "a/b"},
        {"id": 7},
        {"title": ""},
        {"title": "x" * 501},
        {"priority": 5},
        {"priority": True},
        {"priority": "1"},
        {"status": "Not One"},
        {"created_at": "yesterday"},
        {"due_at": 12},
        {"labels": "a"},
        {"dependencies": [{"type": "blocks"}]},
        {"dependencies": [{"issue_id": "other", "depends_on_id": "y", "type": "blocks"}]},
        {"comments": ["text"]},
        {"estimated_minutes": -1},
        {"assignee": 3},
    ],
)
def test_a_record_that_bd_could_not_read_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(Invalid):
        normal({"id": "x-1", "title": "T"} | wrong)
