"""A click means what was on the screen when it was clicked, whatever is drawn or typed until it is answered.

Assist runs within the test here, so that it can be held in that moment.
"""

import threading
from contextlib import contextmanager

import pytest
from fakeacme import FakeAcme
from person import AtFake

from acme.lib.acme import Acme
from acme.lib.agent import Agent
from acme.lib.app import App

MAIN, ERRORS, TASKS = "/AnviLLM/", "/AnviLLM/+Errors", "/AnviLLM/+Tasks"
MOVED = "Assist: what was clicked has moved or is gone; nothing was done\n"


class Held(AtFake):
    """A person at an acme with an Assist whose windows can be held."""

    def __init__(self, fake, app):
        super().__init__(fake)
        self.app = app

    def open(self, kind, subject=""):
        self.app.open(kind, subject)

    @contextmanager
    def held(self, kind, subject=""):
        """While the window does something else; what comes meanwhile is done after it, in its order."""
        pane = self.app.pane(kind, subject)
        begun, go = threading.Event(), threading.Event()
        pane.post(lambda: (begun.set(), go.wait(60)))
        assert begun.wait(30)
        try:
            yield pane
        finally:
            go.set()

    def stale(self, pane):
        """Wait until the window is to be drawn."""
        self.wait(lambda: pane.outdated, "news")

    def heard(self, pane, act):
        """Do that, and wait until the window was told."""
        before = pane.waiting
        act()
        self.wait(lambda: pane.waiting > before, "the click to be heard")


@pytest.fixture
def person(namespace, agent):
    fake = FakeAcme(f"{namespace}/acme")
    app = App(Acme.dial(), Agent(), home=namespace, command="Assist", script="")
    app.start()
    yield Held(fake, app)
    app.stop()
    fake.stop()
    assert not fake.died


def ask(id, **more):
    return {"id": id, "text": "Bash", "choices": ["yes", "no"], "detail": f"rm {id}", "free": False} | more


@pytest.fixture
def asking(agent, person):
    """Two sessions that ask, with lines of one length."""
    ids = [agent.add(alias=f"s{n}", ask=ask(f"q00000{n}"), asks=[ask(f"q00000{n}")]) for n in (1, 2)]
    person.open("main")
    person.sees(MAIN, "\tq000002 [yes] [no] Bash: rm q000002\n")
    return ids


def answers(agent):
    return [(path, text) for path, text in agent.written if path.endswith("/answer")]


def test_a_choice_of_a_question_that_has_gone_answers_no_other(person, agent, asking):
    with person.held("main") as pane:
        agent.change(asking[0], ask=None, asks=[])
        person.stale(pane)
        person.execute(MAIN, "yes")
    person.sees(ERRORS, "Assist: q000001: that question is no longer open\n")
    person.wait(lambda: "q000001" not in person.body(MAIN), "its line to go")
    assert answers(agent) == []


def test_a_choice_answers_its_question_though_that_has_moved(person, agent, asking):
    with person.held("main") as pane:
        agent.change(asking[0], ask=None, asks=[])
        person.stale(pane)
        with person.acme.changed:
            window = person.acme.find(MAIN)
            at = window.body.content.index("yes", window.body.content.index("q000002"))
            person.acme.execute(window, window.body, at, at, None, back=False)
    assert agent.await_written(f"{asking[1]}/answer") == "q000002 yes\n"


@pytest.mark.parametrize("how", ["drawn", "typed"])
def test_a_right_click_opens_the_session_of_the_row_that_was_clicked(person, agent, asking, how):
    with person.held("main") as pane:
        if how == "drawn":
            agent.change(asking[0], ask=None, asks=[])
            person.stale(pane)
            person.look(MAIN, asking[1])
        else:  # one rune further on
            person.look(MAIN, asking[1])
            person.acme.find(MAIN).body.q0 = person.acme.find(MAIN).body.q1 = 0
            person.type(MAIN, "x")
    person.wait(lambda: person.has("/tmp/+Prompt.s2"), "the prompt of the second")
    assert not person.has("/tmp/+Prompt.s1")


def test_an_alias_in_a_row_is_the_rows_session_though_another_has_that_name_by_now(person, agent, asking):
    with person.held("main") as pane:
        agent.change(asking[0], alias="old")
        agent.change(asking[1], alias="s1")
        person.wait(lambda: (named := person.app.roster.find("s1")) and named.id == asking[1], "the new names")
        person.heard(pane, lambda: person.look(MAIN, "s1"))
    person.wait(lambda: person.has("/tmp/+Prompt.old"), "the prompt of the first")


def test_kill_is_about_the_row_that_was_selected_when_it_was_clicked(person, agent, asking):
    person.select(MAIN, asking[1])
    with person.held("main") as pane:
        person.heard(pane, lambda: person.execute(MAIN, "Kill", tag=True))
        person.select(MAIN, asking[0])
    assert agent.await_written(f"{asking[1]}/ctl") == "kill\n"
    assert list(agent.sessions) == [asking[0]]


def test_kill_of_a_row_that_goes_meanwhile_kills_no_other(person, agent, asking):
    person.select(MAIN, asking[0])
    with person.held("main") as pane:
        agent.remove(asking[0])
        person.stale(pane)
        person.heard(pane, lambda: person.execute(MAIN, "Kill", tag=True))
    person.sees(ERRORS, "Assist: Kill: which session?")
    assert list(agent.sessions) == [asking[1]]


def test_a_row_that_goes_while_it_is_drawn_leaves_dot_on_none(person, agent, asking):
    gone, window = [asking[0]], person.acme.find(MAIN)
    really = window.cut

    def cut(who, q0, q1):
        if gone and asking[0] in window.body.content[q0:q1]:
            person.select(MAIN, gone.pop())  # the moment before
        really(who, q0, q1)

    window.cut = cut
    agent.remove(asking[0])
    person.wait(lambda: asking[0] not in person.body(MAIN), "the row to go")
    person.execute(MAIN, "Stop", tag=True)
    person.sees(ERRORS, "Assist: Stop: which session?")
    assert not gone


def test_a_command_that_was_typed_leaves_from_where_it_stands_by_now(person, agent, asking):
    person.type_at_end(MAIN, "Stop s2\na note\n")
    with person.held("main") as pane:
        agent.change(asking[0], ask=None, asks=[])
        person.stale(pane)
        person.execute(MAIN, "Stop s2", sweep=True)
    assert agent.await_written(f"{asking[1]}/ctl") == "stop\n"
    person.wait(lambda: "Stop" not in person.body(MAIN), "the command to go")
    assert person.body(MAIN).endswith("\na note\n")


def test_what_is_left_to_acme_is_what_was_clicked(person, agent, asking):
    person.type_at_end(MAIN, "date\nother\n")
    with person.held("main") as pane:
        agent.change(asking[0], ask=None, asks=[])
        person.stale(pane)
        person.execute(MAIN, "date")
    person.wait(lambda: ("run", "date") in person.acme.did, "the command to run")
    with person.held("main"):
        person.execute(MAIN, "other")
        person.select(MAIN, "other")
        person.cut(MAIN)
    person.sees(ERRORS, MOVED)
    assert person.acme.did == [("run", "date")]


@pytest.mark.parametrize("answer", ["yes", "well"])
def test_what_is_answered_in_a_question_window_names_the_question_that_stood_there(person, agent, asking, answer):
    person.open("ask", asking[0])
    name = "/tmp/+Ask.s1"
    person.sees(name, "[yes]\n")
    if answer == "well":
        person.type_at_end(name, "well")
    later = ask("q000009")
    with person.held("ask", asking[0]) as pane:
        agent.change(asking[0], ask=later, asks=[later])
        person.stale(pane)
        person.execute(name, "yes" if answer == "yes" else "Answer", tag=answer != "yes")
    assert agent.await_written(f"{asking[0]}/answer") == f"q000001 {answer}\n"


def test_a_choice_without_an_id_is_not_given_to_the_next_question(person, agent):
    one, two = ask("", text="Read"), ask("", text="Write")
    id = agent.add(alias="s1", ask=one, asks=[one])
    person.wait(lambda: person.app.roster.find(id), "the session")
    person.open("ask", id)
    name = "/tmp/+Ask.s1"
    person.sees(name, "[yes]\n")
    with person.held("ask", id) as pane:
        agent.change(id, ask=two, asks=[two])
        person.stale(pane)
        person.execute(name, "yes")
    person.sees("/tmp/+Errors", "Assist: that question is no longer open; nothing was answered\n")
    person.sees(name, "Write")
    assert answers(agent) == []


def test_a_choice_below_a_log_answers_its_own_question(person, agent, asking):
    person.open("log", asking[0])
    name = "/tmp/+Log.s1"
    agent.logs[asking[0]].add(b"USER 2026-01-01T10:00:00\n\thello\n\n")
    person.sees(name, "\tq000001 [yes]")
    later = ask("q000009")
    with person.held("log", asking[0]) as pane:
        agent.change(asking[0], ask=later, asks=[later])
        person.stale(pane)
        person.execute(name, "yes")
    person.sees("/tmp/+Errors", "Assist: q000001: that question is no longer open\n")
    person.sees(name, "\tq000009 [yes]")
    assert answers(agent) == []


def test_a_click_under_which_the_list_moves_opens_no_other_task(person, agent):
    agent.beads += [{"id": f"bd-{id}", "title": f"Do {id}", "status": "open", "priority": 2} for id in ("a1b", "c2d")]
    person.open("tasks")
    person.sees(TASKS, "Do c2d\n")
    with person.held("tasks") as pane:
        agent.beads[:] = agent.beads[1:]
        agent.emit("bead", "beads")
        person.stale(pane)
        person.look(TASKS, "a1b")
        person.select(TASKS, "Do a1b")
        person.heard(pane, lambda: person.execute(TASKS, "Claim", tag=True))
    assert agent.await_written("beads/ctl") == "claim bd-a1b\n"
    assert not person.has("/AnviLLM/+Task.bd-c2d")


def test_a_click_under_which_a_queue_moves_is_about_the_prompt_that_stood_there(person, agent, project):
    id = agent.add(alias="s1", cwd=project)
    agent.wait(id, (3, "user", "first"), (4, "user", "later"))
    person.open("queue", id)
    name = f"{project}/+Queue.s1"
    person.sees(name, "later")
    person.select(name, "first")
    with person.held("queue", id) as pane:
        agent.wait(id, (4, "user", "later"))
        person.stale(pane)
        person.heard(pane, lambda: person.look(name, "3"))
        person.heard(pane, lambda: person.execute(name, "Drop", tag=True))
    person.sees(f"{project}/+Errors", "Assist: prompt 3 is no longer queued\n")
    person.sees(f"{project}/+Errors", "Assist: Drop: which prompt?")
    assert [one[0] for one in agent.queues[id]] == [4]


def test_a_file_in_a_log_is_opened_by_acme_though_the_log_has_grown_before_it(person, agent, project):
    id = agent.add(alias="s1", cwd=project)
    open(f"{project}/lex.py", "w").close()
    person.open("log", id)
    name = f"{project}/+Log.s1"
    agent.logs[id].add(b"USER 2026-01-01T10:00:00\n\tsee lex.py:4 there\n\n")
    person.sees(name, "there")
    with person.held("log", id):
        person.look(name, "lex.py:4")
        person.acme.find(name).body.q0 = person.acme.find(name).body.q1 = 0
        person.type(name, "x\n")
    person.wait(lambda: person.acme.did, "acme to look")
    assert person.acme.did == [("look", f"{project}/lex.py:4")]


@pytest.mark.parametrize("kind", ["prompt", "compose"])
def test_what_is_typed_while_a_text_is_sent_stays(person, agent, project, kind):
    id = agent.add(alias="s1", cwd=project)
    person.open(kind, id)
    name = f"{project}/+Prompt.s1" if kind == "prompt" else "/AnviLLM/+Mail.to.s1"
    person.wait(lambda: person.has(name) and "Send" in person.tag(name), "the window")
    if kind == "compose":
        person.sees(name, "Subject: \n\n")
    person.type_at_end(name, "hello")
    agent.frozen.set()
    person.execute(name, "Send", tag=True)
    pane = person.app.pane(kind, id)
    person.wait(lambda: pane.delayed > 0, "it to be sent")
    person.type_at_end(name, " and more")
    agent.frozen.clear()
    assert "hello" in agent.await_written(f"{id}/in" if kind == "prompt" else "user/mail")
    person.wait(lambda: person.body(name) == " and more", "the rest to stay")


def test_what_is_typed_in_a_task_while_it_is_drawn_again_stays(person, agent, monkeypatch):
    agent.beads.append({"id": "bd-a1b", "title": "Mend", "status": "open", "priority": 2, "issue_type": "task"})
    name, listed = "/AnviLLM/+Task.bd-a1b", person.app.agent.beads
    person.open("task", "bd-a1b")
    person.sees_its_top(name, "Mend\n")

    def while_typing(which):
        if "and more" not in person.body(name):
            person.type_at_end(name, "and more\n")
        return listed(which)

    monkeypatch.setattr(person.app.agent, "beads", while_typing)
    agent.beads[0]["title"] = "Mend it"
    person.app.pane("task", "bd-a1b").stale()
    person.wait(lambda: "and more" in person.body(name), "the words")
    with person.held("task", "bd-a1b"):
        assert person.body(name).endswith("and more\n")
