"""What a person has written is never lost: in each window, by each gesture that could."""

import json
import os

import pytest

MAIN = "/AnviLLM/"


def opened(person, name, tag):
    """Wait until the window is there, with its tag."""
    person.wait(lambda: person.has(name) and tag in person.tag(name), f"{name} with {tag}")
    return name


def modified(person, name):
    """Press Del twice: the first one only says that the window is modified."""
    person.execute(name, "Del", tag=True)
    person.sees("+Errors", f"{name} modified\n")
    assert person.has(name)
    person.execute(name, "Del", tag=True)
    person.misses(name)


@pytest.fixture
def rev(agent, project):
    return agent.add("claude", project, alias="rev")


def test_a_second_kill_does_not_mean_the_next_row(person, agent, assist):
    one, two = agent.add(), agent.add()
    assist()
    person.select(MAIN, one)
    person.execute(MAIN, "Kill", tag=True)
    person.wait(lambda: one not in person.body(MAIN), "the row to go")
    person.execute(MAIN, "Kill", tag=True)
    person.sees("/AnviLLM/+Errors", "Kill: which session? put dot on its line, or give its id\n")
    assert list(agent.sessions) == [two]


def test_kill_of_a_running_session_wants_a_second_click(person, agent, assist):
    one = agent.add(state="running", alias="one")
    two = agent.add(state="running", alias="two")
    assist()
    person.select(MAIN, one)
    person.execute(MAIN, "Kill", tag=True)
    person.sees("/AnviLLM/+Errors", "Assist: one: a turn is running; Kill again removes it for good\n")
    person.select(MAIN, two)
    person.execute(MAIN, "Kill", tag=True)
    person.sees("/AnviLLM/+Errors", "Assist: two: a turn is running; Kill again removes it for good\n")
    assert len(agent.sessions) == 2
    person.execute(MAIN, "Kill", tag=True)
    person.wait(lambda: list(agent.sessions) == [one], "two to go")


def test_stop_on_two_rows_stops_both(person, agent, assist):
    one, two = agent.add(), agent.add()
    assist()
    text = person.body(MAIN)
    person.select(MAIN, text[text.index(one) : text.index(two) + 4])
    person.execute(MAIN, "Stop", tag=True)
    person.wait(lambda: {row["state"] for row in agent.sessions.values()} == {"stopped"}, "both to stop")


def test_del_of_a_log_with_a_draft_says_modified(person, agent, assist, rev, project):
    assist("log", rev)
    name = opened(person, f"{project}/+Log.rev", "Send")
    person.type_at_end(name, "a draft")
    agent.logs[rev].add(b"USER 2026-01-01T10:00:00\n\thello\n\n")
    person.sees(name, "hello")
    modified(person, name)


def test_del_of_a_reply_and_of_new_mail_says_modified(person, agent, assist, rev, project):
    id = agent.mail("user", **{"from": rev}, type="QUERY_REQUEST", subject="And?", body="well?")
    assist("compose", f"user/inbox/{id}")
    reply = opened(person, f"/AnviLLM/+Reply.{id[:8]}", "Send")
    person.sees(reply, "Subject")
    person.type_at_end(reply, "so so")
    modified(person, reply)
    assert assist("compose", "rev", wait=False).wait(30) == 0
    mail = opened(person, "/AnviLLM/+Mail.to.rev", "Send")
    person.sees(mail, "Subject")
    person.type_at_end(mail, "hello")
    modified(person, mail)


def test_a_window_without_a_text_of_the_persons_goes_by_one_del(person, agent, assist, rev, project):
    assist("log", rev)
    agent.logs[rev].add(b"USER 2026-01-01T10:00:00\n\thello\n\n")
    name = opened(person, f"{project}/+Log.rev", "Send")
    person.sees(name, "hello")
    person.execute(name, "Del", tag=True)
    person.misses(name)
    assert assist("compose", "rev", wait=False).wait(30) == 0
    mail = opened(person, "/AnviLLM/+Mail.to.rev", "Send")
    person.sees(mail, "Subject")
    person.execute(mail, "Del", tag=True)
    person.misses(mail)


@pytest.mark.parametrize("where", ["top", "middle", "end"])
def test_the_answer_is_what_was_typed_wherever_it_stands(person, agent, assist, rev, project, where):
    ask = {"id": "q1", "text": "Name?\nOf the ship.", "choices": [], "detail": "", "free": True}
    agent.change(rev, ask=ask, asks=[ask])
    assist("ask", rev)
    name = opened(person, f"{project}/+Ask.rev", "Answer")
    person.sees(name, "Of the ship.")
    if where == "end":
        person.type_at_end(name, "Ada Name")
    elif where == "middle":
        person.select(name, "\nOf")
        person.type(name, "\nAda Name\nOf")
    else:
        person.select(name, "Name?")
        person.type(name, "Ada Name\nName?")
    person.execute(name, "Answer", tag=True)
    assert agent.await_written(f"{rev}/answer") == "q1 Ada Name\n"


def test_a_form_takes_a_line_for_each_question(person, agent, assist, rev, project):
    ask = {"id": "q1", "text": "Name?\nAge?", "choices": [], "detail": "", "free": True}
    agent.change(rev, ask=ask, asks=[ask])
    assist("ask", rev)
    name = opened(person, f"{project}/+Ask.rev", "Answer")
    person.sees(name, "Age?")
    person.type_at_end(name, "Ada\n36\n")
    person.execute(name, "Answer", tag=True)
    assert agent.await_written(f"{rev}/answer") == "q1 Ada\n36\n"


def test_a_command_that_was_typed_and_swept_is_not_sent(person, agent, assist, rev, project):
    assist("log", rev)
    name = opened(person, f"{project}/+Log.rev", "Send")
    person.type_at_end(name, "make check\nStop\n")
    person.execute(name, "Stop", sweep=True)
    assert agent.await_written(f"{rev}/ctl") == "stop\n"
    person.wait(lambda: person.body(name) == "make check\n", "the command to leave the draft")
    person.type_at_end(name, "Send")
    person.execute(name, "Send", sweep=True)
    assert agent.await_written(f"{rev}/in") == "make check"


def test_a_typed_command_that_is_refused_stays(person, agent, assist):
    agent.add()
    assist()
    person.type_at_end(MAIN, "Stop nobody\n")
    person.execute(MAIN, "Stop nobody", sweep=True)
    person.sees("/AnviLLM/+Errors", "no such session 'nobody'")
    person.wait(lambda: "Stop nobody\n" in person.body(MAIN), "the command")


def test_mail_to_another_session_is_another_window(person, agent, assist):
    agent.add(alias="s1")
    agent.add(alias="s2")
    assist("inbox")
    box = opened(person, "/AnviLLM/+Inbox", "Mail")
    for word in ("s1", "s2"):
        person.type_at_end(box, f"Mail {word}\n")
        person.execute(box, f"Mail {word}", sweep=True)
        person.sees(opened(person, f"/AnviLLM/+Mail.to.{word}", "Send"), f"To: {word}\n")


def test_get_in_a_changed_context_warns_and_put_sees_another_change(person, agent, assist, rev, project):
    agent.texts[f"{rev}/context"] = "You are kind.\n"
    assist("context", rev)
    name = opened(person, f"{project}/+Context.rev", "Put Get")
    person.sees(name, "You are kind.\n")
    person.type_at_end(name, "Be short.\n")
    person.execute(name, "Get", tag=True)
    person.sees(f"{project}/+Errors", f"{name} modified; Get again discards the changes\n")
    assert "Be short." in person.body(name)
    agent.texts[f"{rev}/context"] = "You are strict.\n"
    person.execute(name, "Put", tag=True)
    person.sees(f"{project}/+Errors", f"{name} was changed elsewhere since it was read; Put again overwrites that\n")
    assert agent.texts[f"{rev}/context"] == "You are strict.\n"
    person.execute(name, "Get", tag=True)
    person.wait(lambda: person.body(name) == "You are strict.\n", "the truth")
    person.type_at_end(name, "Be short.\n")
    agent.texts[f"{rev}/context"] = "You are lazy.\n"
    person.execute(name, "Put", tag=True)
    person.wait(lambda: person.body(f"{project}/+Errors").count("changed elsewhere") == 2, "the warning")
    person.execute(name, "Put", tag=True)
    assert agent.await_written(f"{rev}/context") == "You are strict.\nBe short.\n"


@pytest.mark.parametrize("kind", ["prompt", "log", "context", "ask", "compose"])
def test_what_was_typed_is_there_again_after_acme_and_assist_have_gone(person, agent, assist, rev, project, kind):
    ask = {"id": "q1", "text": "Name?", "choices": [], "detail": "", "free": True}
    agent.change(rev, ask=ask, asks=[ask])
    process = assist(kind, rev)
    name = "/AnviLLM/+Mail.to.rev" if kind == "compose" else f"{project}/+{kind.capitalize()}.rev"
    opened(person, name, "Undo")
    if kind in ("ask", "compose"):
        person.wait(lambda: person.body(name), "what it begins with")
    person.type_at_end(name, "unsent größe")
    state = os.path.join(os.environ["XDG_STATE_HOME"], "anvillm")
    kept = person.wait(lambda: list(drafts(state)), "the draft on disk")
    assert any("größe" in text for text in kept)
    process.terminate()
    assert process.wait(30) == 0
    for left in (MAIN, name):
        drop(person, left)
    assist(kind, rev)
    person.sees(name, "unsent größe")
    assert person.body(name).count("unsent") == 1
    modified(person, name)
    assert not list(drafts(state))


def test_what_was_typed_in_a_list_is_there_again_after_acme_and_assist_have_gone(person, agent, assist, rev, project):
    agent.wait(rev, (2, "queue", "run the tests"), (3, "queue", "tidy"))
    agent.mail(rev, **{"from": "user"}, subject="Look")
    process = assist("queue", rev)
    queue, inbox = f"{project}/+Queue.rev", f"{project}/+Inbox.rev"
    assert assist("inbox", rev, wait=False).wait(10) == 0
    person.sees_its_top(queue, "tidy\n")
    person.sees_its_top(inbox, "Look\n")
    person.rewrite(queue, "tests", "linter")
    person.type_at_end(queue, "a note\n")
    person.type_at_end(inbox, "one more\n")
    state = os.path.join(os.environ["XDG_STATE_HOME"], "anvillm")
    person.wait(
        lambda: len([text for text in drafts(state) if text.endswith(("a note", "one more"))]) == 2, "the drafts"
    )
    process.terminate()
    assert process.wait(30) == 0
    for left in (MAIN, queue, inbox):
        drop(person, left)
    assist("queue", rev)
    assert assist("inbox", rev, wait=False).wait(10) == 0
    person.sees(queue, "run the linter\n")
    person.sees(queue, "tidy\na note\n")
    person.sees(inbox, "Look\none more\n")
    person.execute(queue, "Put", tag=True)
    person.wait(lambda: agent.queues[rev][0] == (2, "queue", "run the linter"), "the change")
    person.sees(queue, "a note\n")
    for name in (queue, inbox):
        modified(person, name)
    assert not list(drafts(state))


@pytest.fixture
def log(person, agent, assist, rev, project):
    """A log that says hello, where Undo is acme's own."""
    if not person.real:
        pytest.skip("only acme itself can Undo")
    agent.logs[rev].add(b"USER 2026-01-01T10:00:00\n\thello\n\n")
    assist("log", rev)
    name = opened(person, f"{project}/+Log.rev", "Undo")
    person.sees(name, "hello")
    return name


def test_undo_takes_back_what_was_typed_in_a_log_step_by_step(person, log):
    before = person.body(log)
    person.type_at_end(log, "one ")
    person.type_at_end(log, "two")
    for _ in range(len("one two")):
        if person.body(log) != before:
            was = person.body(log)
            person.execute(log, "Undo", tag=True)
            person.wait(lambda was=was: person.body(log) != was, "another step")
    assert person.body(log) == before


@pytest.mark.parametrize("by", ["news", "Get"])
def test_undo_takes_back_what_was_typed_in_a_log_also_when_something_was_drawn_since(person, agent, rev, log, by):
    person.type_at_end(log, "one")
    if by == "Get":
        person.execute(log, "Get", tag=True)
    agent.logs[rev].add(b"ASSISTANT 2026-01-01T10:00:01\n\tyes\n\n")
    person.sees(log, "\tyes\n\none")
    before = person.body(log).removesuffix("one")
    for _ in "one":  # as many steps as acme makes of it
        was = person.body(log)
        if was != before:
            person.execute(log, "Undo", tag=True)
            shorter = [before + "one"[:count] for count in range(len(was) - len(before))]
            person.wait(lambda shorter=shorter: person.body(log) in shorter, "a step back")
    assert person.body(log) == before


def drafts(state):
    for top, _, names in os.walk(state):
        for name in names:
            if os.path.basename(top) == "assist" and not name.endswith(".new"):
                with open(os.path.join(top, name)) as file:
                    yield file.read()


def drop(person, name):
    """Take a window of no program away, as a crash of acme does."""
    from acme.lib.acme import Acme

    acme = Acme.dial()
    acme.find(name).delete()
    acme.close()


def test_a_sent_draft_is_kept_no_more(person, agent, assist, rev, project):
    assist("prompt", rev)
    name = opened(person, f"{project}/+Prompt.rev", "Send")
    person.type(name, "do it")
    state = os.path.join(os.environ["XDG_STATE_HOME"], "anvillm")
    person.wait(lambda: list(drafts(state)) == ["do it"], "the draft on disk")
    person.execute(name, "Send", tag=True)
    assert agent.await_written(f"{rev}/in") == "do it"
    person.misses(name)
    assert not list(drafts(state))


def test_a_reply_whose_recipient_was_typed_goes_to_that_one(person, agent, assist, rev):
    assist("inbox")
    box = opened(person, "/AnviLLM/+Inbox", "Mail")
    person.execute(box, "Mail", tag=True)
    mail = opened(person, "/AnviLLM/+Mail", "Send")
    person.sees(mail, "To: \n")
    person.rewrite(mail, "To: ", "To: rev")
    person.type_at_end(mail, "hello")
    person.execute(mail, "Send", tag=True)
    assert json.loads(agent.await_written("user/mail"))["to"] == rev
