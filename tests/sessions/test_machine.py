"""The table of what is done when something happens to a prompt, held against the one that people read (docs/architecture.md)."""

import pytest

from anvilsrv.sessions.machine import ACTIVE, ON_ITS_WAY, TABLE, Act, Event, Status, step

# Rows: what happens. Columns: what is so of the prompt that is on its way or runs. A dash: nothing is done.
TODAY = """
          | none      | chosen            | pasted                | sent                   | taken
same      | person    | begin             | begin                 | begin                  | -
other     | person    | requeue person    | requeue person        | requeue person         | failed person
stop      | next      | -                 | -                     | begin done next        | done next
fail      | hold idle | hold              | hold                  | begin failed hold idle | failed hold idle
told      | -         | -                 | -                     | -                      | failed idle
interrupt | -         | failed idle       | failed idle keys tidy | failed idle keys tidy  | keys
died      | -         | requeue           | requeue               | requeue                | failed
gave up   | -         | requeue hold idle | requeue hold idle     | requeue hold idle      | -
started   | start     | -                 | -                     | -                      | -
ready     | -         | -                 | -                     | begin done next        | -
"""


def cells(text: str) -> dict[tuple[Status | None, Event], tuple[Act, ...]]:
    """The table in words, read."""
    header, *rows = [[cell.strip() for cell in line.split("|")] for line in text.strip("\n").splitlines()]
    return {
        (None if name == "none" else Status(name), Event[event.upper().replace(" ", "_")]): tuple(
            Act[word.upper()] for word in cell.split() if word != "-"
        )
        for event, *found in rows
        for name, cell in zip(header[1:], found, strict=True)
    }


CELLS = cells(TODAY)


def test_the_table_that_people_read_has_every_status_and_every_event() -> None:
    assert set(CELLS) == {(status, event) for status in (None, *ACTIVE) for event in Event}
    assert set(TABLE) == {None, *ACTIVE}


@pytest.mark.parametrize(("now", "event"), CELLS, ids=[f"{now or 'none'}-{event.name.lower()}" for now, event in CELLS])
def test_each_cell_is_what_the_machine_does(now: Status | None, event: Event) -> None:
    assert step(now, event) == CELLS[now, event]


@pytest.mark.parametrize(("now", "event"), CELLS, ids=[f"{now or 'none'}-{event.name.lower()}" for now, event in CELLS])
def test_no_cell_names_what_cannot_be_done_there(now: Status | None, event: Event) -> None:
    """Played through: which prompt there is after each act, and what each act needs."""
    done: list[Act] = []
    for act in step(now, event):
        match act:
            case Act.BEGIN:
                assert now in ON_ITS_WAY, "nothing on its way can begin"
                now = Status.TAKEN
            case Act.REQUEUE:
                assert now in ON_ITS_WAY, "nothing on its way can go back"
                now = None
            case Act.DONE:
                assert now == Status.TAKEN, "what was not taken has no answer"
                now = None
            case Act.FAILED:
                assert now is not None, "nothing there can fail"
                now = None
            case Act.PERSON:
                assert now is None, "two turns would be open"
                now = Status.TAKEN
            case Act.NEXT | Act.IDLE | Act.START:
                assert now is None, "idle with a prompt that is on its way or runs"
            case Act.TIDY:
                assert Act.KEYS in done, "only keys put something back"
            case Act.KEYS:
                assert event == Event.INTERRUPT, "keys that nobody asked for"
            case Act.HOLD:
                assert event in (Event.FAIL, Event.GAVE_UP), "held without a reason"
        done.append(act)


def test_every_act_and_every_event_is_used() -> None:
    assert {act for acts in CELLS.values() for act in acts} == set(Act)
    assert {event for (_, event), acts in CELLS.items() if acts} == set(Event)


def test_what_ended_is_never_touched_again() -> None:
    assert not {Status.QUEUED, Status.DONE, Status.FAILED, Status.WITHDRAWN} & set(TABLE)
