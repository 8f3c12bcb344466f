"""Tasks: their list, one of them, and a chord that gives one to a session."""

import pytest

from acme.lib import task_lines
from anvilsrv.errors import Invalid

MAIN, TASKS, ERRORS = "/AnviLLM/", "/AnviLLM/+Tasks", "/AnviLLM/+Errors"


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
    person.sees_its_top(TASKS, "Mend the lexer\n")


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
    person.type_at_end(TASKS, "Dep bd-a1b bd-c2d\n")
    person.execute(TASKS, "Dep bd-a1b bd-c2d", sweep=True)
    assert agent.await_written("beads/ctl") == "dep bd-c2d bd-a1b\n"
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
    drawn = "Then test it\n\n\n\n---\nbd-c2d blocked priority 2 -\nwaits for: bd-a1b open Mend the lexer\n"
    person.sees_its_top(name, drawn)
    person.rewrite(name, "Then test it", "Test it\nin the evening")
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


def test_put_does_what_was_edited_in_the_list(person, agent, tasks):
    person.execute(TASKS, "[all]")
    person.sees(TASKS, "Done long ago\n")
    person.rewrite(TASKS, "Mend the lexer", "Mend the parser")
    row = next(line for line in person.body(TASKS).split("\n") if line.startswith("bd-c2d"))
    person.rewrite(TASKS, row, "")
    person.type_at_end(TASKS, "New Write it down\n- bd-e3f\na note\n")
    agent.emit("bead", "beads")
    person.execute(TASKS, "Put", tag=True)
    done = [agent.await_written("beads/ctl") for _ in range(4)]
    assert done == [
        "update bd-a1b 'title=Mend the parser'\n",
        "complete bd-c2d\n",
        "new 'Write it down'\n",
        "complete bd-e3f\n",
    ]
    person.wait(lambda: person.body(TASKS).endswith("Done long ago\na note\n"), "the list to be drawn again")


def test_what_put_is_refused_stands_behind_its_line_and_is_tried_again(person, agent, tasks):
    agent.refuse["beads/ctl"] = "bd-a1b is claimed"
    person.rewrite(TASKS, "Mend the lexer", "Mend all")
    person.type_at_end(TASKS, "New Another\n")
    person.execute(TASKS, "[all]")
    person.sees(ERRORS, "Assist: /AnviLLM/+Tasks modified: Put or Get first\n")
    person.execute(TASKS, "Put", tag=True)
    person.sees(TASKS, "Mend all\t! busy: bd-a1b is claimed\n")
    person.sees(TASKS, "New Another\t! busy: bd-a1b is claimed\n")
    del agent.refuse["beads/ctl"]
    person.execute(TASKS, "Put", tag=True)
    assert agent.await_written("beads/ctl") == "update bd-a1b 'title=Mend all'\n"
    assert agent.await_written("beads/ctl") == "new Another\n"
    person.wait(lambda: "!" not in person.body(TASKS), "the refusals to go")


def test_cells_are_changed_and_an_id_that_was_spoilt_ends_no_task():
    rows = ["bd-1\t2\topen\t-\tOne", "bd-2 \t2\topen\t-\tTwo", "bd-3\t2\topen\t-\tThree"]
    body = "bd-1\t1\tclosed\trev\tOne\t! no\nxbd-2 \t2\topen\t-\tTwo\nbd-3 2 open - Three\n"
    one, two, three = task_lines.todo(body, rows, {"rev": "a0000001"}.get)
    assert one.commands() == [["update", "bd-1", "priority=1", "assignee=a0000001"], ["complete", "bd-1"]]
    for refused, why in ((two, "'- bd-2'"), (three, "expected five tab-separated columns")):
        with pytest.raises(Invalid, match=why):
            refused.commands()
