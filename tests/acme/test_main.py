"""The main window: the table, and every word of its tag and body."""

import re

import pytest

MAIN = "/AnviLLM/"
TAG = (
    "Get Put New Next Sort Attach Stop Restart Kill Alias Context Log Diff Queue Tasks Daemon Inbox Archive "
    "Undo Redo Look"
)


def row(person, id):
    """Return the line of a session, split into columns: id, backend, state, alias, directory, and what is said of it."""
    found = [line for line in person.body(MAIN).split("\n") if f"\t{id}" in line]
    if not found:
        return []
    line, _, behind = found[0].partition(f"\t{id}")
    alias, state, backend, cwd, *notes = [cell.strip() for cell in re.split("\t+", line)]
    return [id, backend, state, alias, cwd, *filter(None, notes), *behind.split()]


def test_the_window_shows_backends_and_sessions(person, agent, assist, project):
    one = agent.add("claude", project, alias="reviewer")
    two = agent.add("shell", "/tmp", state="running")
    assist()
    assert f"| {TAG} " in person.tag(MAIN)
    person.sees(MAIN, "[Claude] [Kiro] [Shell]\n")
    person.sees(MAIN, "not here: Codex\n")
    assert row(person, one) == [one, "claude", "idle", "reviewer", project]
    assert row(person, two) == [two, "shell", "running", "-", "/tmp"]


def test_what_waits_for_the_person_stands_behind_the_directory(person, agent, assist):
    id = agent.add(unread=2, queued=1, sandbox_tier="weak", sandbox_gaps=["sockets stay open"], held="limit")
    assist()
    agent.change(id, ask={"text": "Run rm -rf build?\nreally", "choices": ["yes"], "kind": "permission"})
    person.sees(MAIN, f"weak sandbox: sockets stay open\theld: limit\t2 mail\t1 queued\t{id}\n")
    person.sees(MAIN, f"\t{id} [yes] Run rm -rf build? really\n")
    person.wait(lambda: row(person, id)[2] == "asks", "its state")


def test_a_change_reaches_the_table_by_its_event(person, agent, assist):
    id = agent.add()
    assist()
    agent.change(id, state="running")
    person.wait(lambda: row(person, id)[2] == "running", "the state in the table")
    other = agent.add("shell")
    person.sees(MAIN, other)
    agent.remove(id)
    person.wait(lambda: id not in person.body(MAIN), "the row to go")
    assert row(person, other)[0] == other


@pytest.mark.parametrize("how", ["swept", "chorded", "dot"])
@pytest.mark.parametrize(("word", "state"), [("Stop", "stopped"), ("Restart", "idle"), ("Kill", None)])
def test_a_session_is_controlled(person, agent, assist, how, word, state):
    id = agent.add(alias="one")
    agent.add(alias="two")
    assist()
    if how == "swept":
        person.type_at_end(MAIN, f"\n{word} one")
        person.execute(MAIN, f"{word} one", sweep=True)
    elif how == "chorded":
        person.new("/tmp/notes", f"see {id} there\n")
        person.execute(MAIN, word, tag=True, chord=("/tmp/notes", id))
    else:
        person.select(MAIN, f"{id}")
        person.execute(MAIN, word, tag=True)
    assert agent.await_written(f"{id}/ctl") == f"{word.lower()}\n"
    person.wait(lambda: row(person, id)[2:3] == ([state] if state else []), "the new state")


def test_a_command_without_a_session_says_what_is_missing(person, agent, assist):
    agent.add()
    assist()
    person.select(MAIN, "[Claude]")
    person.execute(MAIN, "Stop", tag=True)
    person.sees("/AnviLLM/+Errors", "Assist: Stop: which session? put dot on its line, or give its id\n")


def test_a_hex_word_that_is_no_session_is_left_to_acme(person, agent, assist):
    agent.add()
    assist()
    person.type_at_end(MAIN, "\ndeadbeef\n")
    person.look(MAIN, "deadbeef")
    person.execute(MAIN, "Stop", tag=True, chord=(MAIN, "deadbeef"))
    person.sees("/AnviLLM/+Errors", "Assist: no such session 'deadbeef'\n")
    assert not any("Prompt" in name for name in person.names())


def test_alias_names_a_session_by_dot_or_by_id(person, agent, assist):
    one, two = agent.add(), agent.add()
    assist()
    person.type_at_end(MAIN, f"\nAlias {one} first\n")
    person.execute(MAIN, f"Alias {one} first", sweep=True)
    person.wait(lambda: row(person, one)[3] == "first", "the alias")
    person.new("/tmp/notes", "second\n")
    person.select(MAIN, two)
    person.execute(MAIN, "Alias", tag=True, chord=("/tmp/notes", "second"))
    person.wait(lambda: row(person, two)[3] == "second", "the alias")


def test_keys_are_pressed_in_the_session_that_is_named(person, agent, assist):
    one = agent.add()
    assist()
    person.type_at_end(MAIN, f"\nKeys {one} Down Enter\n")
    person.execute(MAIN, f"Keys {one} Down Enter", sweep=True)
    assert agent.await_written(f"{one}/ctl") == "keys Down Enter\n"
    person.wait(lambda: "Keys" not in person.body(MAIN), "the command to go")
    person.type_at_end(MAIN, "Keys\n")
    person.execute(MAIN, "Keys", sweep=True)
    person.sees("/AnviLLM/+Errors", "Assist: usage: Keys <id> <name of a key> ...\n")


def test_a_backend_starts_in_the_directory_that_is_swept(person, agent, assist, project):
    assist()
    person.type_at_end(MAIN, f"\nClaude {project} role=reviewer alias=rev\n")
    person.execute(MAIN, f"Claude {project} role=reviewer alias=rev", sweep=True)
    assert agent.await_written("ctl") == f"new claude {project} role=reviewer alias=rev\n"
    person.sees(MAIN, "rev")


def test_a_backend_starts_in_the_directory_that_is_chorded_onto_it(person, agent, assist, project):
    assist()
    person.new("/tmp/notes", f"look in {project} please\n")
    person.execute(MAIN, "Kiro", chord=("/tmp/notes", project))
    assert agent.await_written("ctl") == f"new kiro-cli {project}\n"


def test_a_backend_without_a_directory_or_that_cannot_run_says_so(person, agent, assist, project):
    assist()
    person.execute(MAIN, "Shell")
    person.sees("/AnviLLM/+Errors", "Assist: Shell: which directory?")
    person.new("/tmp/notes", f"{project}\n")
    person.execute(MAIN, "Codex", chord=("/tmp/notes", project))
    person.sees("/AnviLLM/+Errors", "Assist: Codex cannot run here: no program 'codex'\n")
    person.type_at_end(MAIN, "\nClaude /no/such/dir\n")
    person.execute(MAIN, "Claude /no/such/dir", sweep=True)
    person.sees("/AnviLLM/+Errors", "Assist: no directory '/no/such/dir'\n")


def test_get_draws_the_table_again(person, agent, assist):
    id = agent.add()
    assist()
    agent.sessions[id]["state"] = "error"
    person.execute(MAIN, "Get", tag=True)
    person.wait(lambda: row(person, id)[2] == "error", "the state in the table")


def test_del_closes_the_window_and_ends_assist(person, agent, assist):
    process = assist()
    person.execute(MAIN, "Del", tag=True)
    person.misses(MAIN)
    assert process.wait(30) == 0


def test_words_of_acme_are_left_to_acme(person, agent, assist):
    id = agent.add()
    assist()
    person.look(MAIN, "backend")
    person.wait(lambda: person.selection(MAIN) != "" if person.real else person.acme.did, "acme to search")
    assert row(person, id)[0] == id


def test_a_refresh_leaves_selection_and_typed_text_alone(person, agent, assist):
    ids = [agent.add() for _ in range(3)]
    assist()
    person.sees(MAIN, ids[2])
    person.type_at_end(MAIN, "Stop a note of mine\n")
    person.select(MAIN, "note of")
    for id in ids:
        agent.change(id, state="running")
    more = agent.add()
    person.sees(MAIN, more)
    person.wait(lambda: all(row(person, id)[2] == "running" for id in ids), "all states")
    assert person.selection(MAIN) == "note of"
    assert person.body(MAIN).endswith("Stop a note of mine\n")
    person.select(MAIN, "running")
    agent.change(ids[0], state="idle")
    agent.change(ids[2], state="stopped")
    person.wait(lambda: row(person, ids[2])[2] == "stopped", "the state")
    assert len(person.selection(MAIN)) <= len("running")


def test_when_every_row_changes_the_view_selection_and_clicks_do_not_wait(person, agent, assist, project):
    ids = [agent.add("shell", project) for _ in range(200)]
    assist()
    person.sees(MAIN, ids[-1])
    person.type_at_end(MAIN, "a note of mine\n")
    person.select(MAIN, ids[120])
    for id in ids:
        agent.sessions[id]["state"] = "stopped"
    agent.change(ids[0], state="stopped")
    person.execute(MAIN, "Log", tag=True)
    person.wait(lambda: person.has(f"{project}/+Log.{ids[120]}"), "the log window")
    person.wait(lambda: all(row(person, id)[2] == "stopped" for id in ids), "all states")
    assert person.selection(MAIN) == ids[120]
    assert person.body(MAIN).endswith("a note of mine\n")


def test_text_typed_behind_a_row_stays(person, agent, assist):
    ids = [agent.add(cwd="/tmp"), agent.add(cwd="/usr")]
    assist()
    person.rewrite(MAIN, ids[0], f"{ids[0]}  mine")
    agent.change(ids[0], state="running")
    person.wait(lambda: row(person, ids[0])[2] == "running", "the state")
    assert row(person, ids[0])[-1] == "mine"
    assert person.body(MAIN).count(ids[1]) == 1


def test_the_view_does_not_move(person, agent, assist, project):
    if not person.real:
        pytest.skip("the fake has no screen")
    ids = [agent.add("shell", project) for _ in range(100)]
    assist()
    person.sees(MAIN, ids[-1])
    person.scroll_to(MAIN, ids[-1])
    before = person.picture()
    agent.change(ids[3], state="running")
    agent.remove(ids[4])
    agent.add("shell", project)
    person.wait(lambda: ids[4] not in person.body(MAIN), "the changes above")
    person.sees(MAIN, "running")
    person.wait(lambda: person.changed_lines(before) == 1, "a new line at the end, and nothing else")
    agent.change(ids[71], state="running")
    person.wait(lambda: person.changed_lines(before) == 2, "one line to change")


def test_in_a_narrow_column_a_row_is_still_a_line_and_its_directory_opens(person, agent, assist, project):
    if person.real:
        pytest.skip("its columns are moved by the mouse")
    id = agent.add("claude", project, alias="rev")
    assist()
    person.sees(MAIN, id)
    assert f"\nrev idle claude {project} {id}\n" in re.sub(r"[ \t]+", " ", person.body(MAIN))
    person.acme.wide = 400
    person.execute(MAIN, "Sort", tag=True)
    narrow = f"\nrev idle \u2026/proj {id}\n"
    person.wait(lambda: narrow in re.sub(r"[ \t]+", " ", person.body(MAIN)), "a narrow row")
    person.look(MAIN, "proj")
    person.wait(lambda: person.has(f"{project}/"), "the directory")
    person.look(MAIN, id)
    person.wait(lambda: person.has(f"{project}/+Prompt.rev"), "the prompt")
