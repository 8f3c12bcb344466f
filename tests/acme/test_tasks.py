"""Tasks: their list, one of them, and a chord that gives one to a session."""

import pytest

MAIN, TASKS = "/AnviLLM/", "/AnviLLM/+Tasks"


def bead(id, title, status="open", **more):
    return {"id": id, "title": title, "status": status, "priority": 2, "issue_type": "task"} | more


@pytest.fixture
def tasks(person, agent, assist):
    agent.beads += [
        bead("bd-a1b", "Mend the lexer", description="It loses a line."),
        bead("bd-c2d", "Then test it", "blocked", dependencies=[{"depends_on_id": "bd-a1b", "type": "blocks"}]),
        bead("bd-e3f", "Done long ago", "closed"),
    ]
    assist("tasks")
    person.sees(TASKS, "Mend the lexer\n")


def test_the_list_shows_what_is_ready_and_other_views_by_a_click(person, tasks):
    assert "Then test it" not in person.body(TASKS)
    person.execute(TASKS, "blocked")
    person.sees(TASKS, "Then test it\n")
    person.wait(lambda: "Mend" not in person.body(TASKS), "what is not blocked to go")
    person.execute(TASKS, "[all]")
    person.sees(TASKS, "Done long ago\n")
    person.sees(TASKS, "Mend the lexer\n")


def test_the_words_act_on_the_line_of_dot_or_on_an_id(person, agent, tasks):
    person.select(TASKS, "Mend")
    person.execute(TASKS, "Claim", tag=True)
    assert agent.await_written("beads/ctl") == "claim bd-a1b\n"
    person.type_at_end(TASKS, "Fail bd-a1b no time\n")
    person.execute(TASKS, "Fail bd-a1b no time", sweep=True)
    assert agent.await_written("beads/ctl") == "fail bd-a1b 'no time'\n"
    person.select(TASKS, "Mend")
    person.execute(TASKS, "Done", tag=True)
    assert agent.await_written("beads/ctl") == "complete bd-a1b\n"


def test_a_task_is_opened_edited_and_commented(person, agent, tasks):
    person.execute(TASKS, "[all]")
    person.sees(TASKS, "Then test it\n")
    person.look(TASKS, "c2d")
    name = "/AnviLLM/+Task.bd-c2d"
    person.sees(name, "Then test it\n\n\n\n---\nbd-c2d blocked priority 2 -\nblocks: bd-a1b open Mend the lexer\n")
    person.select(name, "Then test it")
    person.type(name, "Test it\nin the evening")
    person.execute(name, "Put", tag=True)
    assert agent.await_written("beads/ctl") == "update bd-c2d 'title=Test it' 'description=in the evening'\n"
    person.type_at_end(name, "Comment looks good\n")
    person.execute(name, "Comment looks good", sweep=True)
    assert agent.await_written("beads/ctl") == "comment bd-c2d 'looks good'\n"


def test_a_chord_of_a_task_onto_a_session_gives_it_the_work(person, agent, tasks):
    id = agent.add(alias="rev")
    person.sees(MAIN, id)
    person.execute(MAIN, id, chord=(TASKS, "bd-a1b"))
    assert agent.await_written(f"{id}/in") == "Work on bd-a1b: Mend the lexer\n\nIt loses a line."
