# ruff: noqa: E501  # tables are read by columns
"""The tables of what is done to a prompt and to a turn, held against the ones that people read (docs/architecture.md)."""

from collections.abc import Iterable
from enum import Enum
from itertools import combinations
from typing import TypeVar

import pytest

from anvilsrv.sessions import turn_machine
from anvilsrv.sessions.facts import contains
from anvilsrv.sessions.machine import ACTIVE, ON_ITS_WAY, TABLE, Act, Event, Fact, Status, asks, may_again, step
from anvilsrv.sessions.turn_machine import TURNS, Do, Heard, TurnStatus, When

E = TypeVar("E", bound=Enum)

# Rows: what happens. Columns: what is so of the prompt that is on its way or taken. Each cell: "facts: acts; facts: acts; acts".
PROMPTS = """
          | none | chosen | pasted | sent | taken
same      | tried: take; turn | requeue turn | early: turn; owed: turn; ours: turn; take | early: turn; owed: turn; message: turn; later: take; ours: turn; take | turn
other     | turn | requeue turn | early: turn; ours: turn; contains: fail turn; turn | early: turn; message: turn; ours contains later: doubt turn; ours: turn; proved: take turn; contains: doubt turn; turn | turn
wake      | turn | requeue turn | turn | turn | turn
joined    | tried: take | - | early: -; ours: -; take | early: -; later: take; ours: -; take | tried: take
active    | turn | requeue turn | turn | turn | turn
fail      | turn | requeue turn | turn | turn | turn
refused   | tried: fail | - | early: -; ours: -; fail | early: -; fail | end
interrupt | turn: keys; refuse | fail | turn: keys clear fail; clear fail | message: fail; keys clear fail | keys
died      | - | requeue | unpasted: unpaste; quit: fail; proved: fail; again: requeue; doubt | message: unpaste; quit: fail; proved: fail; again: requeue; doubt | -
obstacle  | - | requeue obstruct | - | - | -
not taken | - | again: -; unread: requeue obstruct; doubt | unread: obstruct; ours: send; only ours: clear requeue; mixed: obstruct; proved: take; doubt | proved: take; unread: obstruct; ours few: send; ours: clear fail; free again: requeue; doubt | -
withdraw  | never: withdraw; again: withdraw; doubt | never: withdraw; again: withdraw; doubt | refuse | refuse | refuse
edit      | never: allow; refuse | never: allow; refuse | refuse | refuse | refuse
hold      | - | requeue | - | - | -
gone      | - | - | - | message: unpaste | -
daemon    | - | requeue | unpasted: unpaste | message: unpaste | -
moved     | - | - | - | unsend | -
ready     | - | - | - | command later: take answer | -
"""

TURN = """
       | none | open | pending | closed
submit | old: over; open | again: -; old: over; older: over; replace open | again: - | again: -
wake   | old: over; meant: reopen; open | again: -; old: over; older meant: name; older: over; together meant: share reopen; together: share open; meant: replace reopen; replace open | again: - | again: -
joined | old: over; busy: replace open; open | join note | busy: join; reopen join | old: join; newer busy: join; newer: reopen join; join
end    | keep | older: -; work: wait; close | newer: words | newer: words; work: begun
active | keep | note | old: -; newer busy: -; newer: reopen | old: -; newer busy: -; newer: reopen
died   | - | close | close | -
"""


def cells(table: str) -> dict[tuple[str, str], str]:
    header, *rows = ([cell.strip() for cell in line.split("|")] for line in table.strip().splitlines())
    return {(name, event): cell for event, *found in rows for name, cell in zip(header[1:], found, strict=True)}


def read(cell: str, facts: type[Enum], acts: type[Enum]) -> tuple[tuple[set[Enum], tuple[Enum, ...]], ...]:
    """Return a cell as alternatives. Two words that are one name are one: "only ours"."""
    found = []
    for case in cell.split("; ") if cell != "-" else []:
        needs, colon, done = case.rpartition(":")
        words = needs.replace("only ours", "only_ours").split() if colon else []
        found.append(
            ({facts[one.upper()] for one in words}, tuple(acts[one.upper()] for one in done.split() if one != "-"))
        )
    return tuple(found)


def same(
    mine: Iterable[tuple[Iterable[Enum], Iterable[Enum]]], theirs: Iterable[tuple[Iterable[Enum], Iterable[Enum]]]
) -> bool:
    return [(set(needs), tuple(acts)) for needs, acts in mine] == [(set(needs), tuple(acts)) for needs, acts in theirs]


def event_of(word: str) -> Event:
    return Event[word.replace(" ", "_").upper()]


CELLS = cells(PROMPTS)
TURN_CELLS = cells(TURN)


def test_the_tables_that_people_read_have_every_status_and_every_event() -> None:
    statuses = {None if name == "none" else Status(name) for name, _ in CELLS}
    assert statuses == {None, *ACTIVE} == set(TABLE)
    assert {event_of(event) for _, event in CELLS} == set(Event)
    assert {None if name == "none" else TurnStatus(name) for name, _ in TURN_CELLS} == {None, *TurnStatus} == set(TURNS)
    assert {Heard[event.upper()] for _, event in TURN_CELLS} == set(Heard)


@pytest.mark.parametrize(("now", "event"), CELLS, ids=" ".join)
def test_each_cell_of_prompts_is_what_the_machine_does(now: str, event: str) -> None:
    found = TABLE[None if now == "none" else Status(now)].get(event_of(event), ())
    assert same(found, read(CELLS[now, event], Fact, Act))


@pytest.mark.parametrize(("now", "event"), TURN_CELLS, ids=" ".join)
def test_each_cell_of_turns_is_what_the_machine_does(now: str, event: str) -> None:
    found = TURNS[None if now == "none" else TurnStatus(now)].get(Heard[event.upper()], ())
    assert same(found, read(TURN_CELLS[now, event], When, Do))


@pytest.mark.parametrize(("now", "event"), CELLS, ids=" ".join)
def test_no_alternative_names_what_cannot_be_done_there(now: str, event: str) -> None:
    """Played through: whether there is a prompt on its way after each act, and what each act needs."""
    status = None if now == "none" else Status(now)
    for needs, acts in TABLE[status].get(event_of(event), ()):
        going = status in ON_ITS_WAY or event == "withdraw"  # of one that is queued
        for act in acts:
            match act:
                case Act.REQUEUE | Act.UNPASTE | Act.SEND | Act.DOUBT:
                    assert going, "nothing is on its way"
                    going = act == Act.SEND
                case Act.UNSEND:
                    assert status == Status.SENT
                case Act.FAIL | Act.TAKE:
                    assert going or Fact.TRIED in needs, "nothing there can be taken or fail"
                    going = False
                case Act.END:
                    assert status == Status.TAKEN
                case Act.ANSWER:
                    assert Act.TAKE in acts
                case Act.OBSTRUCT:
                    assert event in ("obstacle", "not taken")
                case Act.WITHDRAW:
                    assert going and event == "withdraw"
                case Act.KEYS | Act.REFUSE | Act.ALLOW:
                    assert event in ("interrupt", "withdraw", "edit")


def test_of_two_alternatives_the_second_is_not_hidden_by_the_first() -> None:
    for row in TABLE.values():
        for cases in row.values():
            for (first, _), (second, _) in combinations(cases, 2):
                assert not set(first) <= set(second), (first, second)


def test_every_act_event_and_fact_is_used() -> None:
    cases = [case for row in TABLE.values() for found in row.values() for case in found]
    assert {act for _, acts in cases for act in acts} == set(Act)
    assert {fact for needs, _ in cases for fact in needs} == set(Fact)
    turns = [case for row in TURNS.values() for found in row.values() for case in found]
    assert {do for _, done in turns for do in done} == set(Do)
    assert {fact for needs, _ in turns for fact in needs} == set(When)


def test_what_ended_is_never_touched_again() -> None:
    assert not {Status.QUEUED, Status.DONE, Status.FAILED, Status.WITHDRAWN} & set(TABLE)


def test_the_first_alternative_counts_whose_facts_all_hold() -> None:
    assert step(Status.SENT, Event.SAME, frozenset({Fact.LATER, Fact.OURS})) == (Act.TAKE,)
    assert step(Status.SENT, Event.SAME, frozenset({Fact.EARLY, Fact.LATER})) == (Act.TURN,)
    assert turn_machine.step(TurnStatus.OPEN, Heard.END, frozenset({When.OLDER, When.WORK})) == ()


def test_a_look_is_asked_for_only_where_it_decides() -> None:
    looks = frozenset({Fact.OURS, Fact.PROVED})
    assert not asks(Status.SENT, Event.SAME, frozenset({Fact.LATER}), looks)
    assert asks(Status.SENT, Event.SAME, frozenset(), looks)
    assert not asks(Status.SENT, Event.OTHER, frozenset({Fact.EARLY}), looks)
    assert not asks(Status.CHOSEN, Event.OTHER, frozenset(), looks)


@pytest.mark.parametrize(
    ("reported", "ours", "has"),
    [("zgo on", "go on", True), ("go off", "go on", False), ("zwrite a test for the parse", "write a test for the parser", True),
     ("write a zztest for the parser", "write a test for the parser", True), ("read the parser", "write a test for the parser", False),
     ("anything", "", False)],
)  # fmt: skip
def test_other_words_have_ours_among_them_also_where_a_person_took_some_away(
    reported: str, ours: str, has: bool
) -> None:
    assert contains(reported, ours) == has


@pytest.mark.parametrize(
    ("trusted", "free", "silent", "pastes", "may"),
    [(True, True, True, 1, True), (False, True, True, 1, False), (True, False, True, 1, False), (True, True, False, 1, False),
     (True, True, True, 2, False)],
)  # fmt: skip
def test_a_prompt_is_typed_again_only_by_the_one_rule(
    trusted: bool, free: bool, silent: bool, pastes: int, may: bool
) -> None:
    assert may_again(trusted, free, silent, pastes) == may
