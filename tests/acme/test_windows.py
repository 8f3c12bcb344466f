"""Conversation, question, mail, context and daemon windows."""

import json
import re
import stat
from pathlib import Path

import pytest

from acme.lib.times import when

MAIN = "/AnviLLM/"


def opened(person, name, tag):
    """Wait until the window is there, with its tag."""
    person.wait(lambda: person.has(name) and tag in person.tag(name), f"{name} with {tag}")
    return name


@pytest.fixture
def log(person, agent, assist, project):
    """The log window of a session whose log has one exchange."""
    id = agent.add("claude", project, alias="rev")
    agent.logs[id].add("USER 2026-01-01T10:00:00\n\thällo\n\nASSISTANT 2026-01-01T10:00:05\n\tyes\n".encode())
    assist()
    person.select(MAIN, id)
    person.execute(MAIN, "Log", tag=True)
    name = opened(person, f"{project}/+Log.rev", "Send Stop Interrupt Answer")
    person.sees(name, "\tyes\n")
    return id, name


def test_the_log_window_follows_the_conversation_before_what_is_typed(person, agent, log):
    id, name = log
    person.type_at_end(name, "my draft")
    agent.logs[id].add(b"\nUSER 2026-01-01T10:01:00\n\tmore\n")
    person.sees(name, "\tmore\n")
    assert person.body(name).endswith("\tyes\n\nUSER 2026-01-01 10:01\n\tmore\nmy draft")
    person.execute(name, "Send", tag=True)
    assert agent.await_written(f"{id}/in") == "my draft"
    person.wait(lambda: person.body(name).endswith("\tmore\n"), "the draft to go")


def test_edits_in_the_log_do_not_confuse_where_it_ends(person, agent, log):
    id, name = log
    person.rewrite(name, "hällo", "hi")
    person.type_at_end(name, "draft")
    person.wait(lambda: "\thi\n" in person.body(name), "the edit")
    agent.logs[id].add(b"\nUSER t\n\tmore\n")
    person.sees(name, "\tyes\n\nUSER t\n\tmore\ndraft")


def test_send_stop_and_answer_work_in_the_log_window(person, agent, log):
    id, name = log
    person.execute(name, "Stop", tag=True)
    assert agent.await_written(f"{id}/ctl") == "stop\n"
    agent.change(id, ask={"text": "Sure?", "choices": ["yes", "no"], "kind": "permission"})
    person.new("/tmp/notes", "no\n")
    person.sees(MAIN, "[yes] [no] Sure?\n")
    person.execute(name, "Answer", tag=True, chord=("/tmp/notes", "no"))
    assert agent.await_written(f"{id}/answer") == "no\n"


def test_a_new_alias_renames_the_windows(person, agent, log):
    id, name = log
    agent.change(id, alias="other")
    person.wait(lambda: person.has(name.replace(".rev", ".other")), "the new name")


def test_a_question_is_opened_and_answered_by_a_click(person, agent, assist, project):
    id = agent.add("claude", project, alias="rev")
    assist()
    choices = ["Yes", "Yes, and don't ask again", "Edit"]
    ask = {"id": "1", "text": "Run make?\nIt may take long.", "choices": choices, "detail": "make all", "free": False}
    agent.change(id, ask=ask)
    person.sees(MAIN, "\t1 [Yes]")
    person.look(MAIN, "\t1 [")
    name = opened(person, f"{project}/+Ask.rev", "Answer")
    person.sees(name, "Run make?\nIt may take long.\n\n\tmake all\n\n[Yes]\n[Yes, and don't ask again]\n[Edit]\n")
    person.execute(name, "again")
    assert agent.await_written(f"{id}/answer") == "1 Yes, and don't ask again\n"
    person.misses(name)
    agent.change(id, ask=ask | {"id": "2"})  # the same again
    person.sees(MAIN, "\t2 [Yes]")
    person.look(MAIN, "\t2 [")
    person.sees(name, "Run make?")
    person.execute(name, "Edit")  # a word of acme's own too
    assert agent.await_written(f"{id}/answer") == "2 Edit\n"
    person.misses(name)


def test_of_several_questions_each_choice_names_the_one_that_it_answers(person, agent, assist, project):
    id = agent.add("claude", project, alias="rev")
    assist()
    first = {"id": "q000001", "text": "Run make?", "choices": ["allow", "deny"], "detail": "", "free": False}
    second = {**first, "id": "q000002", "text": "Remove it?", "free": True}
    agent.change(id, ask=first, asks=[first, second])
    person.sees(MAIN, "\tq000002 [allow]")
    person.look(MAIN, "q000002")
    name = opened(person, f"{project}/+Ask.rev", "Answer")
    drawn = [f"{one['id']}: {one['text']}\n\n[{one['id']} allow]\n[{one['id']} deny]\n" for one in (first, second)]
    person.sees(name, "\n".join(drawn))
    person.execute(name, "q000002 deny")
    assert agent.await_written(f"{id}/answer") == "q000002 deny\n"
    person.wait(lambda: "Remove it?" not in person.body(name), "the one that was answered goes")
    person.sees(name, "Run make?\n\n[allow]\n[deny]\n")
    person.execute(name, "allow")
    assert agent.await_written(f"{id}/answer") == "q000001 allow\n"
    person.misses(name)


def test_a_question_that_is_over_takes_its_window_away(person, agent, assist, project):
    id = agent.add("claude", project, alias="rev")
    ask = {"text": "Name?", "choices": [], "kind": "question"}
    agent.change(id, ask=ask)
    assist()
    person.sees(MAIN, "\trev [answer] Name?")
    person.execute(MAIN, "answer")
    name = opened(person, f"{project}/+Ask.rev", "Answer")
    person.sees(name, "Name?")
    agent.change(id, ask=None)
    person.misses(name)
    person.wait(lambda: "[answer]" not in person.body(MAIN), "its line to go")
    agent.change(id, ask=ask)
    person.sees(MAIN, "\trev [answer] Name?")
    person.execute(MAIN, "answer")
    person.sees(name, "Name?")
    person.type_at_end(name, "Ada")
    person.execute(name, "Answer", tag=True)
    assert agent.await_written(f"{id}/answer") == "Ada\n"


def test_mail_is_listed_read_answered_and_archived(person, agent, assist):
    id = agent.add(alias="rev")
    first = agent.mail("user", **{"from": id}, type="REVIEW_REQUEST", subject="Look at this", body="It is\nready.\n")
    agent.mail("user", **{"from": id}, type="QUERY_REQUEST", subject="And?", body="well?")
    assist()
    person.execute(MAIN, "Inbox", tag=True)
    box = opened(person, "/AnviLLM/+Inbox", "Get Put Mail")
    person.sees(box, "Look at this\n")
    lines = [line.split() for line in person.body(box).splitlines()]
    assert [line[:3] for line in lines] == [["2/", "rev", "QUERY_REQUEST"], ["1/", "rev", "REVIEW_REQUEST"]]
    person.look(box, "1/")
    message = opened(person, f"/tmp/+Mail.{first[:8]}", "Reply Archive Next")
    person.sees(message, "Subject: Look at this\n\nIt is\nready.\n")
    person.execute(message, "Reply", tag=True)
    reply = opened(person, f"/AnviLLM/+Reply.{first[:8]}", "Send Put")
    person.sees(reply, "To: rev\nType: REVIEW_RESPONSE\nSubject: Re: Look at this\n\n")
    person.type_at_end(reply, "Fine.")
    person.execute(reply, "Send", tag=True)
    sent = json.loads(agent.await_written("user/mail"))
    assert sent == {
        "to": id,
        "type": "REVIEW_RESPONSE",
        "subject": "Re: Look at this",
        "body": "Fine.",
        "in_reply_to": first,
    }
    person.misses(reply)
    person.execute(message, "Archive", tag=True)
    assert agent.await_written("user/ctl") == f"complete {first}\n"
    person.wait(lambda: "Look at this" not in person.body(box), "the line to go")
    person.misses(message)
    person.wait(lambda: any("Mail." in name for name in person.names()), "the next message")


def test_what_a_shell_answered_is_not_answered_with_a_prompt_that_it_would_run(person, agent, assist):
    id = agent.add("shell", alias="sh")
    first = agent.mail("user", **{"from": id}, type="PROMPT_RESPONSE", subject="Re: sum", body="2\n")
    assist()
    person.execute(MAIN, "Inbox", tag=True)
    box = opened(person, "/AnviLLM/+Inbox", "Get Put Mail")
    person.sees(box, "Re: sum")
    person.look(box, "1/")
    person.execute(opened(person, f"/tmp/+Mail.{first[:8]}", "Reply Archive Next"), "Reply", tag=True)
    reply = opened(person, f"/AnviLLM/+Reply.{first[:8]}", "Send Put")
    person.sees(reply, "To: sh\nType: QUERY_REQUEST\nSubject: Re: sum\n\n")


def test_choices_in_a_message_answer_it_by_a_click(person, agent, assist):
    id = agent.add(alias="rev")
    metadata = {"choices": ["left", "right turn"]}
    first = agent.mail("user", **{"from": id}, type="QUERY_REQUEST", subject="Where?", body="Which?", metadata=metadata)
    assist()
    person.execute(MAIN, "Inbox", tag=True)
    box = opened(person, "/AnviLLM/+Inbox", "Get Put Mail")
    person.sees(box, "Where?")
    person.execute(box, "1/")
    message = opened(person, f"/tmp/+Mail.{first[:8]}", "Reply Archive Next")
    person.sees(message, "Which?\n\n[left]\n[right turn]\n")
    person.execute(message, "turn")
    sent = json.loads(agent.await_written("user/mail"))
    assert (sent["to"], sent["type"], sent["body"], sent["in_reply_to"]) == (id, "QUERY_RESPONSE", "right turn", first)
    assert agent.await_written("user/ctl") == f"complete {first}\n"
    person.misses(message)


def test_new_mail_comes_into_an_open_list_and_next_goes_on(person, agent, assist):
    id = agent.add(alias="rev")
    first = agent.mail("user", **{"from": id}, subject="one")
    assist()
    person.execute(MAIN, "Inbox", tag=True)
    box = opened(person, "/AnviLLM/+Inbox", "Get Put Mail")
    person.sees(box, "one\n")
    second = agent.mail("user", **{"from": id}, subject="two")
    person.sees(box, "two\n")
    person.look(box, "1/")
    name = opened(person, f"/tmp/+Mail.{first[:8]}", "Next")
    person.execute(name, "Next", tag=True)
    opened(person, f"/tmp/+Mail.{second[:8]}", "Next")


def test_a_sessions_boxes_open_by_its_id(person, agent, assist, project):
    id = agent.add("claude", project, alias="rev")
    agent.mail(id, **{"from": "user"}, subject="for the agent")
    assist()
    person.type_at_end(MAIN, "Inbox rev\n")
    person.execute(MAIN, "Inbox rev", sweep=True)
    person.sees(opened(person, f"{project}/+Inbox.rev", "Get"), "for the agent\n")
    person.type_at_end(MAIN, f"Archive {id}\n")
    person.execute(MAIN, f"Archive {id}", sweep=True)
    opened(person, f"{project}/+Archive.rev", "Get")
    person.execute(MAIN, "Archive", tag=True)
    opened(person, "/AnviLLM/+Archive", "Get")


def test_context_is_edited_and_put(person, agent, assist, project):
    id = agent.add("claude", project, alias="rev")
    agent.texts[f"{id}/context"] = "You are kind.\n"
    assist()
    person.type_at_end(MAIN, "Context rev\n")
    person.execute(MAIN, "Context rev", sweep=True)
    name = opened(person, f"{project}/+Context.rev", "Put Get")
    person.sees(name, "You are kind.\n")
    person.rewrite(name, "kind", "precise")
    person.execute(name, "Put", tag=True)
    assert agent.await_written(f"{id}/context") == "You are precise.\n"


@pytest.fixture
def anvilsrv(namespace, monkeypatch):
    """A program `anvilsrv` on PATH that says what it was told."""
    path = Path(namespace, "bin")
    path.mkdir()
    program = path / "anvilsrv"
    program.write_text(f'#!/bin/sh\necho "$1" >> {namespace}/told\necho "daemon says $1"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    import os

    monkeypatch.setenv("PATH", f"{path}:{os.environ['PATH']}")
    return Path(namespace, "told")


def test_the_daemon_window_shows_status_and_runs_its_words(person, agent, assist, anvilsrv):
    assist()
    person.execute(MAIN, "Daemon", tag=True)
    name = opened(person, "/AnviLLM/+Daemon", "Get Start Stop Restart Log")
    person.sees(name, "daemon says status\n")
    person.sees(name, "/agent answers\n")
    person.sees(name, "\tno program 'codex'\n")
    person.execute(name, "Restart", tag=True)
    person.sees(name, "daemon says restart\n")
    assert anvilsrv.read_text().split()[-2:] == ["restart", "status"]


def test_assist_starts_the_daemon_if_it_must(person, agent, assist, anvilsrv):
    agent.stop()
    assist()
    assert anvilsrv.read_text() == "start\n"
    person.sees(MAIN, "daemon is away: middle-click Daemon\n")
    agent.add("shell")
    agent.start()
    person.sees(MAIN, "[Claude] [Kiro] [Shell]\n")
    person.sees(MAIN, "\tshell")
    person.wait(lambda: "away" not in person.body(MAIN), "the mark to go")


def test_assist_outlives_a_restart_of_the_daemon(person, agent, log, anvilsrv):
    id, name = log
    agent.stop()
    person.sees(MAIN, "daemon is away")
    assert id in person.body(MAIN)
    agent.logs[id].add(b"\nwhile away\n")
    other = agent.add("shell")
    agent.start()
    person.sees(MAIN, other)
    person.wait(lambda: "away" not in person.body(MAIN), "the mark to go")
    person.sees(name, "\tyes\n\nwhile away\n")
    assert person.body(name).count("while away") == 1
    agent.change(other, state="running")
    person.sees(MAIN, "running")


def queued(person, name):
    """Return the lines of a queue's window, split into columns."""
    return [line.split(None, 4) for line in person.body(name).splitlines()]


def came(n):
    """Return when the fake's prompt of that number came, as it is shown here."""
    return when(f"2026-01-01T10:00:0{n}+0000").split()


def test_what_waits_is_listed_put_first_and_dropped_by_its_lines(person, agent, assist, project):
    id = agent.add("claude", project, alias="rev", state="running")
    agent.wait(
        id, (2, "queue", "run the tests"), (3, "mail", "QUERY_REQUEST"), (4, "queue", "commit"), (5, "queue", "x")
    )
    assist()
    person.select(MAIN, id)
    person.execute(MAIN, "Queue", tag=True)
    name = opened(person, f"{project}/+Queue.rev", "Put Drop First Hold Go Get Log")
    person.sees(name, "commit\n")
    assert queued(person, name)[:2] == [
        ["2", "prompt", *came(2), "run the tests"],
        ["3", "mail", *came(3), "QUERY_REQUEST"],
    ]
    person.select(name, "commit")
    person.execute(name, "First", tag=True)
    person.wait(lambda: [line[0] for line in queued(person, name)] == ["4", "2", "3", "5"], "4 to be the first")
    start = person.body(name)
    person.select(name, start[start.index("run the") : start.index("QUERY") + 2])
    person.execute(name, "Drop", tag=True)
    person.wait(lambda: [line[0] for line in queued(person, name)] == ["4", "5"], "2 and 3 to go")
    person.type_at_end(name, "\nDrop 5")
    person.execute(name, "Drop 5", sweep=True)
    person.wait(lambda: queued(person, name)[0][0] == "4" and agent.queues[id] == [(4, "queue", "commit")], "5 to go")
    person.select(name, "Drop 5")
    person.execute(name, "Drop", tag=True)
    person.sees(f"{project}/+Errors", "Assist: Drop: which prompt? put dot on its line, or give its number\n")


def test_a_queue_is_held_and_goes_on_and_follows_what_happens(person, agent, assist, project):
    id = agent.add("claude", project, alias="rev")
    assist()
    person.select(MAIN, id)
    person.execute(MAIN, "Queue", tag=True)
    name = opened(person, f"{project}/+Queue.rev", "Put Drop First Hold Go Get Log")
    person.sees(name, "nothing waits\n")
    person.execute(name, "Hold", tag=True)
    assert agent.await_written(f"{id}/ctl") == "hold\n"
    person.sees(name, "held: by the user\n")
    agent.wait(id, (2, "queue", "run the tests"))
    person.sees(name, "run the tests\n")
    person.execute(name, "Go", tag=True)
    assert agent.await_written(f"{id}/ctl") == "go\n"
    person.wait(lambda: queued(person, name) == [["2", "prompt", *came(2), "run the tests"]], "it to go on")
    agent.wait(id)
    person.sees(name, "nothing waits\n")
    agent.remove(id)
    person.sees(name, "the session is gone\n")


def test_what_waits_is_edited_as_text(person, agent, assist, project):
    id = agent.add("claude", project, alias="rev", state="running")
    agent.wait(id, (2, "queue", "run the tests"), (3, "queue", "tidy"), (4, "queue", "commit"))
    assist("queue", id)
    name = opened(person, f"{project}/+Queue.rev", "Put Drop First")
    person.sees(name, "commit\n")
    body = person.body(name)
    person.rewrite(name, body[body.index("3\t") : body.index("4\t")].rstrip("\n"), "")
    person.rewrite(name, "tests", "linter")
    agent.change(id, state="idle")
    person.wait(lambda: "linter" in person.body(name), "what was typed")
    person.execute(name, "Get", tag=True)
    person.sees(f"{project}/+Errors", "+Queue.rev modified; Get again discards the changes\n")
    person.execute(name, "Put", tag=True)
    person.wait(lambda: agent.queues[id] == [(2, "queue", "run the linter"), (4, "queue", "commit")], "the queue")
    person.wait(lambda: "\n\n" not in person.body(name), "the lines to be drawn anew")
    line = next(one for one in person.body(name).split("\n") if "linter" in one)
    person.rewrite(name, line, "")
    person.type_at_end(name, f"{line}\n")
    person.execute(name, "Put", tag=True)
    person.wait(lambda: [one[0] for one in agent.queues[id]] == [4, 2], "another order")


def test_an_edit_of_a_queue_that_is_refused_stays_in_its_line_with_the_reason(person, agent, assist, project):
    id = agent.add("claude", project, alias="rev", state="running")
    agent.wait(id, (2, "queue", "run " * 20 + "the tests"), (3, "queue", "tidy"), (4, "queue", "commit"))
    assist("queue", id)
    name = opened(person, f"{project}/+Queue.rev", "Put Drop First")
    person.sees(name, "run run\u2026\n")
    agent.refuse[f"{id}/turns/4/ctl"] = "prompt 4 is running"
    body = person.body(name)
    person.rewrite(name, body[body.index("4\t") :].rstrip("\n"), "")
    person.rewrite(name, "tidy", "tidy up")
    person.rewrite(name, "run run", "walk")
    person.execute(name, "Put", tag=True)
    person.sees(name, "\t! it is longer than its line: right-click its number to edit it\n")
    person.sees(name, "commit\t! busy: prompt 4 is running\n")
    assert "walk run" in person.body(name)
    person.wait(lambda: agent.queues[id][1] == (3, "queue", "tidy up"), "the rest to be done")
    person.execute(name, "Del", tag=True)
    person.sees("+Errors", "modified")
    person.execute(name, "Get", tag=True)
    person.sees(f"{project}/+Errors", "+Queue.rev modified; Get again discards the changes\n")
    person.execute(name, "Get", tag=True)
    person.wait(lambda: "!" not in person.body(name) and "walk" not in person.body(name), "the truth")


def test_a_prompt_that_waits_is_opened_by_its_number(person, agent, assist, project):
    id = agent.add("claude", project, alias="rev", state="running")
    agent.wait(id, (2, "queue", "run the tests\nand the linter"))
    assist("queue", id)
    name = opened(person, f"{project}/+Queue.rev", "Put Drop First")
    person.sees(name, "run the tests")
    person.look(name, "2")
    whole = opened(person, f"{project}/+Queued.rev.2", "Put")
    person.sees(whole, "run the tests\nand the linter")
    person.type_at_end(whole, " twice")
    person.execute(whole, "Put", tag=True)
    person.wait(lambda: agent.queues[id] == [(2, "queue", "run the tests\nand the linter twice")], "the new text")


def test_below_a_log_stands_what_is_done_asked_and_used(person, agent, log):
    import time

    id, name = log
    agent.change(id, state="running", doing="Bash: make check", since=time.time())
    person.wait(lambda: re.search(r"\tyes\n\trunning \d:\d\d · Bash: make check\n$", person.body(name)), "what it does")
    person.type_at_end(name, "draft")
    agent.logs[id].add(b"\nASSISTANT t\n\tmore\n")
    person.wait(lambda: re.search(r"\tmore\n\trunning \d:\d\d · Bash: make check\ndraft$", person.body(name)), "more")
    ask = {"id": "q000001", "text": "Bash", "choices": ["allow", "deny"], "detail": "make", "free": False}
    agent.change(id, ask=ask, asks=[ask])
    person.sees(name, "\tmore\n\tq000001 [allow] [deny] Bash: make\ndraft")
    person.execute(name, "deny")
    assert agent.await_written(f"{id}/answer") == "q000001 deny\n"
    agent.change(id, state="idle", usage={"input": 120345, "output": 4100, "cost": 0.416})
    person.sees(name, "\tmore\n\t120k in · 4.1k out · $0.42\ndraft")
    person.execute(name, "Send", tag=True)
    assert agent.await_written(f"{id}/in") == "draft"


def test_a_progress_line_stands_as_it_was_at_last(person, agent, log):
    id, name = log
    agent.logs[id].add("\tget 1%␍get 50%␍get 100%\n\t␛[1mbold␛[0m bell␇\n".encode())
    person.sees(name, "\tyes\n\tget 100%\n\tbold bell\n")


def test_what_is_shown_is_seen(person, agent, log):
    id, name = log
    agent.change(id, answered=3, needs="done")
    person.sees(MAIN, "1 done\n")
    person.execute(name, "Get", tag=True)
    assert agent.await_written(f"{id}/seen") == "3\n"
    agent.change(id, seen=3, needs="")
    person.wait(lambda: "done" not in person.body(MAIN), "the mark to go")


def test_a_minus_before_a_number_archives_by_put(person, agent, assist):
    id = agent.add(alias="rev")
    first = agent.mail("user", **{"from": id}, subject="one")
    agent.mail("user", **{"from": id}, subject="two")
    assist("inbox")
    box = opened(person, "/AnviLLM/+Inbox", "Get Put")
    person.sees(box, "one\n")
    person.rewrite(box, "1/", "- 1/")
    agent.mail("user", **{"from": id}, subject="three")
    person.sees(box, "three\n")
    assert person.body(box).count("1/") == 1
    person.execute(box, "Put", tag=True)
    assert agent.await_written("user/ctl") == f"complete {first}\n"
    person.wait(lambda: "one\n" not in person.body(box) and "two\n" in person.body(box), "the line to go")


def test_what_cannot_be_meant_is_said(person, agent, assist):
    id = agent.add(alias="rev")
    assist()
    person.type_at_end(MAIN, "Ask rev\n")
    person.execute(MAIN, "Ask rev", sweep=True)
    person.sees("/AnviLLM/+Errors", "Assist: rev has no open question\n")
    person.type_at_end(MAIN, "anvil:nobody\n")
    person.look(MAIN, "anvil:nobody", sweep=True)
    person.sees("/AnviLLM/+Errors", "Assist: no such session 'nobody'\n")
    person.type_at_end(MAIN, f"Undo {id} 3\n")
    person.execute(MAIN, f"Undo {id} 3", sweep=True)
    person.wait(
        lambda: (f"{id}/turns/3/ctl", "undo\n") in agent.written or "no such prompt" in person.body("/AnviLLM/+Errors"),
        "undo",
    )


def test_a_session_is_clicked_together(person, agent, assist, project):
    assist("new", project)
    name = opened(person, "/AnviLLM/+New", "Start")
    person.sees(name, f"Claude {project}\n[Claude] [Kiro] [Shell]\nCodex: no program 'codex'\n[reviewer]")
    person.execute(name, "Kiro")
    person.sees(name, f"Kiro {project}\n")
    person.execute(name, "reviewer")
    person.sees(name, f"Kiro {project} role=reviewer\n")
    person.execute(name, "tester")
    person.sees(name, f"Kiro {project} role=tester\n")
    person.execute(name, "Start", tag=True)
    assert agent.await_written("ctl") == f"new kiro-cli {project} role=tester\n"
    person.execute(name, "[tester]")
    person.sees(name, f"Kiro {project}\n")


def test_what_is_typed_below_the_line_of_a_new_session_is_warned_of_and_kept(person, agent, assist, project):
    assist("new", project)
    name = opened(person, "/AnviLLM/+New", "Start")
    person.sees(name, "[tester]")
    person.type_at_end(name, "a note\n")
    person.execute(name, "Del", tag=True)
    person.wait(lambda: any("+New modified" in person.body(one) for one in person.names()), "to be told")
    assert person.body(name).endswith("\na note\n")


def test_windows_of_files_that_an_agent_changed_are_read_again(person, agent, assist, project):
    for word in ("clean", "edited", "same"):
        with open(f"{project}/{word}.txt", "w") as file:
            file.write("old\n")
        person.new(f"{project}/{word}.txt", "old\n")
    id = agent.add("claude", project, alias="rev", state="running", answered=0)
    agent.logs[id].add(b"USER 2026-01-01T10:00:00\n\thello\n\n")
    assist("log", id)
    person.sees(f"{project}/+Log.rev", "hello")
    person.type_at_end(f"{project}/edited.txt", "mine\n")
    for word in ("clean", "edited"):
        with open(f"{project}/{word}.txt", "w") as file:
            file.write("new\n")
    agent.change(id, state="idle", answered=1)
    person.sees(f"{project}/clean.txt", "new\n")
    person.sees(f"{project}/+Log.rev", "\tchanged here and by the agent: edited.txt\n")
    assert person.body(f"{project}/edited.txt") == "old\nmine\n"


def test_an_edit_shows_its_diff_with_addresses_beneath_its_line(person, agent, assist, project):
    import json

    id = agent.add("claude", project, alias="rev", state="running")
    agent.logs[id].add(b"USER 2026-01-01T10:00:00\n\thello\n\n\t\xc2\xb7 Edit lex.py:41 +1 \xe2\x88\x921\n")
    assist("log", id)
    name = opened(person, f"{project}/+Log.rev", "Send")
    person.sees(name, "lex.py:41")
    diff = "@@ -41,2 +41,2 @@\n-old\n+new\n same\n@@ -50 +50 @@\n-a\n+b\n"
    edit = {"seq": 2, "ts": 0, "turn": 2, "kind": "edit", "path": "lex.py", "line": 41, "added": 1, "removed": 1}
    agent.activities[id].add((json.dumps(edit | {"diff": diff}) + "\n").encode())
    person.sees(
        name,
        "\t· Edit lex.py:41 +1 −1\n\t\tlex.py:41\n\t\t-old\n\t\t+new\n\t\t same\n\t\tlex.py:50\n\t\t-a\n\t\t+b\n",
    )
    other = edit | {"seq": 3, "line": 7, "diff": "@@ -7 +7 @@\n-x\n+y\n"}
    agent.activities[id].add((json.dumps(other) + "\n").encode())
    person.type_at_end(name, "a draft")
    agent.logs[id].add(b"\t\xc2\xb7 Edit lex.py:7 +1 \xe2\x88\x921\n\nASSISTANT 2026-01-01T10:00:01\n\tdone\n\n")
    person.sees(name, "\t· Edit lex.py:7 +1 −1\n\t\tlex.py:7\n\t\t-x\n\t\t+y\n\nASSISTANT")
    assert person.body(name).endswith("\tdone\n\na draft")


def test_get_draws_again_what_was_spoilt_in_every_window(person, agent, assist, project):
    id = agent.add(alias="rev", cwd=project, ask={"text": "Run it?", "choices": ["yes"], "id": "q1"})
    agent.change(id, asks=[agent.sessions[id]["ask"]])
    mail = agent.mail("user", **{"from": id}, subject="hello", body="a letter")
    assist()
    for kind, subject, name, text in (
        ("ask", id, f"{project}/+Ask.rev", "Run it?"),
        ("message", f"user/inbox/{mail}", f"{project}/+Mail.{mail[:8]}", "a letter"),
        ("new", project, "/AnviLLM/+New", "[reviewer]"),
    ):
        assist(kind, subject, wait=False)
        person.sees(name, text)
        person.select(name, text)
        person.cut(name)
        person.execute(name, "Get", tag=True)
        person.sees(name, text)
