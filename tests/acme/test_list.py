"""The list of sessions as text: what needs the person, questions to click, edits that Put does."""

import json
import re

import pytest

from acme.lib import rows
from acme.lib.agent import Ask

MAIN = "/AnviLLM/"
ERRORS = "/AnviLLM/+Errors"


def order(person, *ids):
    """Return the ids in the order of their rows."""
    return re.findall("|".join(ids), person.body(MAIN))


def ask(id="q000001", **more):
    return {"id": id, "text": "Bash", "choices": ["allow", "deny"], "detail": "make check", "free": False} | more


def test_no_window_opens_when_something_is_asked(person, agent, assist):
    id = agent.add(alias="rev")
    assist()
    person.sees(MAIN, id)
    agent.change(id, ask=ask(), asks=[ask()])
    person.sees(MAIN, "\tq000001 [allow] [deny] Bash: make check\n")
    assert person.names() == [MAIN]
    person.execute(MAIN, "deny")
    assert agent.await_written(f"{id}/answer") == "q000001 deny\n"
    person.wait(lambda: "q000001" not in person.body(MAIN), "the question to go")


def test_the_first_line_says_what_needs_the_person_and_its_words_show_it(person, agent, assist):
    one = agent.add(alias="one", needs="done")
    two = agent.add(alias="two", needs="ask", ask=ask(), asks=[ask()])
    agent.mail("user", **{"from": one}, subject="hello")
    assist()
    person.sees(MAIN, "1 ask · 1 mail · 1 done\n")
    assert order(person, one, two) == [two, one]
    person.execute(MAIN, "Next", tag=True)
    person.wait(lambda: person.has("/tmp/+Ask.two"), "the question")
    person.execute(MAIN, "Next", tag=True)
    person.wait(lambda: person.has("/tmp/+Log.one"), "the answer")
    person.execute(MAIN, "mail")
    person.wait(lambda: person.has("/AnviLLM/+Inbox"), "the inbox")
    agent.mail("user", **{"from": one}, subject="again")
    person.sees(MAIN, "1 ask · 2 mail · 1 done\n")


def test_a_word_in_the_tag_says_who_comes_first(person, agent, assist):
    one, two, three = agent.add(), agent.add(needs="done"), agent.add(needs="error", state="error")
    assist()
    person.sees(MAIN, three)
    assert order(person, one, two, three) == [three, two, one]
    person.select(MAIN, two)
    person.execute(MAIN, "Sort", tag=True)
    person.wait(lambda: order(person, one, two, three) == [one, two, three], "oldest first")
    person.wait(lambda: person.selection(MAIN) == two, "the selection on its row")


def test_the_state_says_what_the_agent_does_and_how_long(person, agent, assist):
    import time

    id = agent.add(alias="rev", state="running", doing="make check", since=time.time() - 134)
    assist()
    person.wait(
        lambda: re.search(rf"rev\t+running [2-4]:\d\d make check *\t.*\t{id}\n", person.body(MAIN)), "the state"
    )


def test_put_names_ends_and_starts_sessions_by_the_text_of_the_list(person, agent, assist, project):
    one, two = agent.add(alias="one"), agent.add(alias="two", cwd="/usr")
    assist()
    person.rewrite(MAIN, "one", "uno")
    row = next(line for line in person.body(MAIN).split("\n") if two in line)
    person.rewrite(MAIN, row, "")
    agent.change(one, state="stopped")
    person.sees(MAIN, "stopped")
    assert "uno\t" in person.body(MAIN)
    assert two not in person.body(MAIN)
    person.type_at_end(MAIN, f"Claude {project} role=y alias=neu\n")
    person.execute(MAIN, "Put", tag=True)
    assert agent.await_written(f"{one}/alias") == "uno\n"
    assert agent.await_written(f"{two}/ctl") == "kill\n"
    assert agent.await_written("ctl") == f"new claude {project} role=y alias=neu\n"
    person.wait(lambda: re.search(r"^neu\t", person.body(MAIN), re.MULTILINE), "the new row")
    person.wait(lambda: "Claude /" not in person.body(MAIN), "the line to go")
    assert "\n\n" not in person.body(MAIN)


def test_what_put_is_refused_stands_in_its_place(person, agent, assist):
    one, two = agent.add(alias="one"), agent.add(alias="two", state="running")
    agent.refuse[f"{one}/alias"] = "alias: already exists"
    assist()
    person.rewrite(MAIN, "one", "two")
    person.wait(lambda: row(person, one).startswith("two"), "what was typed")
    person.type_at_end(MAIN, "- two\nShell /no/such/place\na note\n")
    person.execute(MAIN, "Put", tag=True)
    person.wait(
        lambda: re.search(rf"^two\t.*\t! busy: alias: already exists\t{one}$", person.body(MAIN), re.M), "the refusal"
    )
    person.sees(MAIN, "- two\t! two: a turn is running; Kill again removes it for good\n")
    person.sees(MAIN, "Shell /no/such/place\t! no directory '/no/such/place'\na note\n")
    person.execute(MAIN, "Put", tag=True)
    assert agent.await_written(f"{two}/ctl") == "kill\n"
    person.wait(lambda: "- two" not in person.body(MAIN), "the line to go")
    assert "a note\n" in person.body(MAIN)


def test_get_throws_edits_away_when_it_is_clicked_again(person, agent, assist):
    agent.add(alias="one")
    assist()
    person.rewrite(MAIN, "one", "uno")
    person.execute(MAIN, "Get", tag=True)
    person.sees(ERRORS, "Assist: /AnviLLM/ modified; Get again discards the changes\n")
    person.execute(MAIN, "Get", tag=True)
    person.wait(lambda: "\none\t" in person.body(MAIN), "the truth")


def test_attach_of_a_stopped_session_says_so(person, agent, assist):
    id = agent.add(alias="rev", state="stopped")
    assist()
    person.execute(MAIN, id)
    person.sees(ERRORS, "Assist: rev is stopped: Restart it first\n")


def row(person, id):
    return next(line for line in person.body(MAIN).split("\n") if id in line)


def test_an_alias_that_is_cut_away_and_written_anew_ends_no_session(person, agent, assist):
    one, two = agent.add(alias="one"), agent.add(alias="two")
    assist()
    person.rewrite(MAIN, "one", "")
    agent.change(two, state="running")
    person.wait(lambda: "running" in row(person, two), "the list to be drawn meanwhile")
    person.type(MAIN, "uno")
    person.execute(MAIN, "Put", tag=True)
    assert agent.await_written(f"{one}/alias") == "uno\n"
    assert set(agent.sessions) == {one, two}


def test_an_alias_that_is_written_back_is_not_changed(person, agent, assist):
    one = agent.add(alias="one")
    assist()
    person.rewrite(MAIN, "one", "other")
    person.wait(lambda: row(person, one).startswith("other"), "what was typed")
    person.rewrite(MAIN, "other", "one")
    person.execute(MAIN, "Put", tag=True)
    agent.change(one, state="running")
    person.wait(lambda: "running" in row(person, one), "the list to be drawn")
    assert row(person, one).startswith("one")
    assert not [path for path, _ in agent.written if path == f"{one}/alias"]


def test_one_put_asks_once_however_many_lines_are_about_a_session(person, agent, assist):
    one = agent.add(alias="one", state="running")
    assist()
    person.type_at_end(MAIN, f"- one\n- one\n- {one}\n")
    person.execute(MAIN, "Put", tag=True)
    refusal = "one: a turn is running; Kill again removes it for good"
    person.sees(MAIN, f"- {one}\t! {refusal}\n")
    person.sees(MAIN, f"- one\t! {refusal}\n")
    assert set(agent.sessions) == {one}


def test_an_alias_that_is_refused_stays_as_it_was_written(person, agent, assist):
    one, two = agent.add(alias="one"), agent.add(alias="two")
    agent.refuse[f"{one}/alias"] = "alias: already exists"
    assist()
    person.rewrite(MAIN, "one", "due")
    person.wait(lambda: row(person, one).startswith("due"), "what was typed")
    agent.change(two, state="running")
    person.wait(lambda: "running" in row(person, two), "the list to be drawn meanwhile")
    person.execute(MAIN, "Put", tag=True)
    person.wait(lambda: re.match(r"due\t.*! busy: alias: already exists", row(person, one)), "the refusal")


def test_kill_of_a_session_whose_branch_has_changes_wants_a_second_click(person, agent, assist, project):
    one = agent.add(alias="one", cwd=project, branch="fix/one")
    agent.texts |= {f"{one}/git/status": "", f"{one}/git/diff": "diff --git a/x b/x\n"}
    assist()
    person.wait(lambda: "\tbranch fix/one\t" in row(person, one), "its branch")
    person.select(MAIN, one)
    person.execute(MAIN, "Kill", tag=True)
    person.sees(
        ERRORS,
        "one: its branch fix/one has changes, which Merge or Push brings elsewhere; Kill again removes it for good\n",
    )
    agent.texts[f"{one}/git/status"] = " M x\n"
    person.execute(MAIN, "Stop", tag=True)
    person.execute(MAIN, "Kill", tag=True)
    person.sees(ERRORS, "one: not all is committed on its branch fix/one; Kill again removes it for good\n")
    assert set(agent.sessions) == {one}
    person.execute(MAIN, "Kill", tag=True)
    person.wait(lambda: not agent.sessions, "the session to go")


def test_a_branch_is_merged_pushed_and_discarded_by_words(person, agent, assist, project):
    one = agent.add(alias="one", cwd=project)
    agent.texts[f"{one}/git/ctl"] = "done: as asked"
    assist()
    person.type_at_end(MAIN, "Merge one squash\nPush one\nDiscard one\n")
    person.execute(MAIN, "Merge one squash", sweep=True)
    assert agent.await_written(f"{one}/git/ctl") == "merge squash\n"
    person.sees(ERRORS, "Assist: done: as asked\n")
    person.execute(MAIN, "Push one", sweep=True)
    assert agent.await_written(f"{one}/git/ctl") == "push\n"
    agent.refuse[f"{one}/git/ctl"] = "these were never merged or pushed: a1b2c3d Mend the lexer"
    person.execute(MAIN, "Discard one", sweep=True)
    person.sees(ERRORS, "these were never merged or pushed: a1b2c3d Mend the lexer\n")
    person.sees(MAIN, "Discard one\n")
    del agent.refuse[f"{one}/git/ctl"]
    person.execute(MAIN, "Discard one", sweep=True)
    person.wait(lambda: not agent.sessions, "the session to go")


def test_undo_of_a_turn_names_what_is_not_there(person, agent, assist, project):
    id = agent.add("claude", project, alias="rev")
    agent.wait(id, (3, "queue", "tidy"))
    assist()
    for words, said in (
        ("Undo rev", "rev: no turn yet"),
        ("Undo rev 99", "rev: no such turn '99'"),
        ("Undo rev x", "usage: Undo <id> [number of a turn]"),
        ("Undo ref", "no such session 'ref'"),
    ):
        person.type_at_end(MAIN, f"{words}\n")
        person.execute(MAIN, words, sweep=True)
        person.sees("/AnviLLM/+Errors", f"Assist: {said}\n")
    person.type_at_end(MAIN, "Undo rev 3\n")
    person.execute(MAIN, "Undo rev 3", sweep=True)
    assert agent.await_written(f"{id}/turns/3/ctl") == "undo\n"


def test_merge_in_a_window_is_about_its_session(person, agent, assist, project):
    one = agent.add(alias="one", cwd=project)
    agent.texts |= {f"{one}/git/ctl": "merged b into main: a1b2c3d", f"{one}/git/diff": ""}
    assist()
    person.select(MAIN, one)
    person.execute(MAIN, "Diff", tag=True)
    name = f"{project}/+Diff.one"
    person.sees(name, "nothing was changed\n")
    person.execute(name, "Merge", tag=True)
    assert agent.await_written(f"{one}/git/ctl") == "merge\n"
    person.sees(f"{project}/+Errors", "Assist: merged b into main: a1b2c3d\n")


def test_rows_that_were_joined_or_changed_give_no_session_another_alias(person, agent, assist):
    one, two = agent.add(alias="one"), agent.add(alias="two")
    assist()
    before = person.body(MAIN)
    for text, new, id in (("\ntwo", "dos", two), ("idle", "busy", one)):
        person.select(MAIN, text)
        person.type(MAIN, new)
        person.execute(MAIN, "Put", tag=True)
        refusal = f"\t! of a row only the alias can be changed\t{id}\n"
        whole = r"\none\t+idle\t.*\ntwo\t+idle\t"
        person.wait(lambda: re.search(whole, person.body(MAIN)) and refusal in person.body(MAIN), "the refusal")  # noqa: B023
    assert [agent.sessions[id]["alias"] for id in (one, two)] == ["one", "two"]
    person.execute(MAIN, "Get", tag=True)
    person.wait(lambda: person.body(MAIN) == before, "the truth")


def test_rows_that_are_selected_are_not_run_by_a_click_on_one(person, agent, assist):
    agent.add(alias="one")
    agent.add(alias="two", state="stopped")
    assist()
    person.sees(MAIN, "two\t")
    rows = person.body(MAIN).split("\n", 3)[3]
    person.execute(MAIN, rows, sweep=True)
    person.sees(ERRORS, "Assist: these are rows, and no command")
    assert "two: " not in person.body(ERRORS)


def test_the_line_of_a_question_says_once_what_it_is_about():
    asked = {"command": "make check", "description": "run the tests", "timeout": 5}
    tool = Ask("Bash: make check", ("allow", "deny"), json.dumps(asked), "q1")
    assert rows.asked(tool, "rev") == "\tq1 [allow] [deny] Bash: make check: run the tests: 5"
    assert rows.asked(Ask("Bash", ("allow",), "make  check", "q1"), "rev") == "\tq1 [allow] Bash: make check"
    assert rows.asked(Ask("Which?", (), "", "q1"), "rev") == "\tq1 [answer] Which?"
    edit = Ask("Edit", ("allow",), '{"file": "a.go", "replace_all": false, "limit": null}', "q1")
    assert rows.asked(edit, "rev") == "\tq1 [allow] Edit: a.go"
    assert rows.asked(Ask("x" * 200, ("allow",), "", "q1"), "rev") == f"\tq1 [allow] {'x' * rows.EXCERPT}\u2026"


def test_undo_takes_an_edit_of_a_row_back_also_when_rows_have_changed_since(person, agent, assist, project):
    if not person.real:
        pytest.skip("only acme itself can Undo")
    id, other = (agent.add("claude", project, alias=alias) for alias in ("rev", "docs"))
    assist()
    person.sees(MAIN, other)
    person.rewrite(MAIN, "rev", "lexer")
    agent.change(other, state="stopped")
    person.sees(MAIN, "stopped")
    for _ in "lexer+":  # as many steps as acme makes of it
        if "rev" not in person.body(MAIN):
            was = person.body(MAIN)
            person.execute(MAIN, "Undo", tag=True)
            person.wait(lambda was=was: person.body(MAIN) != was, "a step back")
            person.sees(MAIN, "stopped")
    assert "rev" in person.body(MAIN)
    person.execute(MAIN, "Put", tag=True)
    agent.change(other, state="idle")
    person.wait(lambda: "stopped" not in person.body(MAIN), "the other row to follow")
    assert not [one for one in agent.written if one[0] == f"{id}/alias"]
