"""Reports: what agents say through hooks, spool and transcript, and that what goes wrong with one is the session's, with a sentence."""

import json
import os
from pathlib import Path

import pytest

from anvilsrv.backends.ending import NO_WORDS
from anvilsrv.errors import AnvilError, Invalid, NotFound, Unavailable
from anvilsrv.sessions.conversation import conversation_page
from anvilsrv.sessions.happened import Happened
from anvilsrv.sessions.machine import Status
from tests.desk.parts import STORE, Asker, Parts
from tests.scripted import BACKEND

INTERRUPTED = {"type": "user", "text": "[Request interrupted by user]"}
FAILS = "def report(self, hook, payload):\n    raise RuntimeError('no idea')\n"

# -- a backend's Python (F2)


def test_a_hook_that_a_backends_python_fails_on_leaves_the_session_in_error_and_not_starting(parts: Parts) -> None:
    agent = parts.new(parts.backend("odd", FAILS))
    parts.run(agent)
    with pytest.raises(AnvilError, match=f"session '{agent}': internal error: RuntimeError: no idea"):
        parts.report(agent, "Ready")
    parts.quiet()
    row = parts.row(agent)
    assert (row.state, row.error) == ("error", "internal error: RuntimeError: no idea")
    assert [one["error"] for one in parts.events("error")] == [row.error]


def test_a_transcript_that_a_backends_python_fails_on_leaves_the_session_in_error_and_not_running(parts: Parts) -> None:
    odd = "def transcript_reports(self, line):\n    return line['no such key']\n"
    agent = parts.idle(parts.backend("odd", odd))
    number = parts.taken(agent)
    with pytest.raises(AnvilError, match="KeyError"):
        parts.reports.lines.come(agent, [{"type": "user"}], old=False)
    parts.quiet()
    assert parts.row(agent).state == "error"
    assert parts.get(number).error == "internal error: KeyError: 'no such key'"


def test_a_handover_that_cannot_be_put_into_words_leaves_nothing_half_begun(parts: Parts) -> None:
    """The mail is on its way when the reply is made."""
    odd = "def reply(self, kind, text, report):\n    raise RuntimeError('no words')\n"
    agent = parts.idle(parts.backend("odd", odd))
    parts.taken(agent)
    parts.mail(agent)
    with pytest.raises(AnvilError, match="no words"):
        parts.report(agent, "Stop", response="yes")
    parts.quiet()
    assert (parts.row(agent).state, parts.open_turns(agent)) == ("error", 0)
    assert (len(parts.inbox(agent)), len(parts.queue(agent))) == (1, 1)


def test_a_spooled_report_that_a_backends_python_fails_on_is_told_and_gone(parts: Parts) -> None:
    """Else it would come again with each report that follows."""
    odd = "def report(self, hook, payload):\n    return self.backend.declared_report(hook, {**payload, 'x': payload['p']})\n"
    agent = parts.idle("scripted")
    parts.backend("scripted", odd)
    path = parts.spool(agent, parts.found("Stop"))
    parts.report(agent, "Ready", p=1)
    parts.quiet()
    assert not path.exists()
    assert parts.events("error")[-1]["error"].startswith("spooled report: session")
    assert parts.row(agent).state == "error"


# -- where files are read (F6)


def test_no_file_is_read_in_a_job(parts: Parts) -> None:
    """Neither spool, transcript and backend, nor a backend's Python; for reports, mail, interrupts and prompts."""
    agent = parts.idle()
    (parts.data(agent) / "t.jsonl").write_text('{"type": "assistant", "text": "hi"}\n')
    parts.spool(agent, parts.found("Ready"))
    parts.taken(agent)
    parts.mail(agent)
    parts.report(agent, "Ask", question="really?").replies.clear()
    parts.questions.answer(agent, "yes")
    parts.reports.lines.come(agent, [{"type": "assistant", "usage": {"input": 1}}], old=False)
    parts.job(lambda tx: parts.life.interrupt(tx, agent))
    parts.report(agent, "Stop", transcript_path=str(parts.data(agent) / "t.jsonl"))
    parts.report(agent, "Stop", response="b")
    assert parts.io
    assert STORE not in parts.io


# -- the words of an answer (F7)


def note(parts: Parts) -> str:
    """A backend whose stop does not tell the answer; it stands in the transcript."""
    return parts.backend(
        "noted",
        hooks={
            "Ready": {"report": "ready"},
            "Submit": {"report": "submit", "text": "prompt"},
            "Stop": {"report": "stop"},
        },
        transcript=[{"report": "note", "when": {"type": "^assistant$"}, "text": "text"}],
    )


def test_an_answer_that_the_stop_does_not_tell_is_the_last_in_the_transcript(parts: Parts) -> None:
    agent = parts.idle(note(parts))
    path = parts.data(agent) / "t.jsonl"
    path.write_text("".join(json.dumps({"type": "assistant", "text": text}) + "\n" for text in ("first", "last")))
    number = parts.taken(agent)
    parts.report(agent, "Stop", transcript_path=str(path))
    assert parts.get(number).response == b"last"


def test_a_transcript_that_cannot_be_read_is_a_failed_turn_with_the_reason(parts: Parts) -> None:
    agent = parts.idle(note(parts))
    number = parts.taken(agent)
    parts.mail(agent)
    (parts.data(agent) / "real").write_text("")
    os.symlink(parts.data(agent) / "real", parts.data(agent) / "t.jsonl")
    parts.report(agent, "Stop", transcript_path=str(parts.data(agent) / "t.jsonl"))
    prompt, row = parts.get(number), parts.row(agent)
    assert (prompt.status, prompt.response) == (Status.FAILED, None)
    assert prompt.error is not None and prompt.error.startswith("the answer cannot be read: ")
    assert (row.state, row.gate.why, row.error) == (
        "idle",
        f"{prompt.error}; the next prompt or 'go' lets the queue go on",
        prompt.error,
    )


def test_an_answer_that_is_nowhere_is_a_failed_turn_and_not_an_empty_answer(parts: Parts) -> None:
    agent = parts.idle(note(parts))
    number = parts.taken(agent)
    parts.report(agent, "Stop", transcript_path=str(parts.data(agent) / "not yet.jsonl"))
    assert (parts.status(number), parts.get(number).error) == (Status.FAILED, NO_WORDS)


# -- reports


@pytest.mark.parametrize(
    ("report", "words"),
    [
        ({"hook": "Ready"}, "both strings"),
        ({"report": "x" * 65, "hook": "Ready"}, "both strings"),
        ({"report": "r", "hook": 7}, "both strings"),
        ({"report": "r", "hook": "Ready", "payload": []}, "not an object"),
    ],
)
def test_what_is_no_report_is_refused(parts: Parts, report: dict[str, object], words: str) -> None:
    agent = parts.idle()
    with pytest.raises(Invalid, match=words):
        parts.reports.take(agent, report, Asker())


def test_a_report_of_a_session_that_is_gone_is_refused(parts: Parts) -> None:
    with pytest.raises(NotFound):
        parts.report("deadbeef", "Ready")


def test_a_hook_that_means_nothing_is_answered_with_nothing(parts: Parts) -> None:
    assert parts.report(parts.idle(), "Whatever").replies == [{}]


def test_a_report_that_comes_twice_has_no_effect_twice(parts: Parts) -> None:
    agent = parts.idle()
    number, following = parts.taken(agent, "first"), parts.prompt(agent, "second")
    parts.report(agent, "Stop", "same", response="one")
    parts.deliver(agent, following)
    parts.report(agent, "Submit", prompt="second")
    assert parts.report(agent, "Stop", "same", response="two").replies == [{}]
    assert (parts.get(number).response, parts.status(following)) == (b"one", Status.TAKEN)


def test_what_a_report_tells_besides_is_kept(parts: Parts) -> None:
    agent = parts.idle()
    parts.report(agent, "Ready", session_id="c1", transcript_path="/t")
    row = parts.row(agent)
    assert (row.conversation, row.transcript) == ("c1", "/t")
    parts.report(agent, "Ready", session_id="")
    assert parts.row(agent).conversation == "c1"


def test_ready_again_ends_a_command_of_the_agents_own(parts: Parts) -> None:
    agent = parts.idle()
    number = parts.prompt(agent, "/clear")
    parts.deliver(agent, number, Status.PASTED)
    parts.report(agent, "Ready")
    assert parts.status(number) == Status.PASTED, "it was not sent yet"
    parts.deliver(agent, number)
    parts.report(agent, "Ready")
    assert (parts.get(number).response, parts.row(agent).state) == (b"", "idle")


def test_a_command_of_the_agents_own_is_over_when_its_transcript_says_so(parts: Parts) -> None:
    over = [{"type": "user", "text": "[Set]"}]
    rows = [{"report": "done", "when": {"text": r"^\[Set\]$"}}]
    agent = parts.idle(parts.backend("chooses", transcript=rows))
    number = parts.taken(agent, "first")
    parts.reports.lines.come(agent, over, old=False)
    parts.quiet()
    assert parts.status(number) == Status.TAKEN, "a person wrote one while the turn runs"
    parts.report(agent, "Stop", response="one")
    number = parts.prompt(agent, "/model large")
    parts.deliver(agent, number)
    parts.reports.lines.come(agent, over, old=True)
    parts.quiet()
    assert (parts.get(number).response, parts.row(agent).state) == (b"", "idle")


def test_mail_is_handed_over_a_few_times_in_a_row_and_then_it_is_typed(parts: Parts) -> None:
    agent = parts.idle()
    parts.taken(agent, "first")
    for _ in range(6):
        parts.mail(agent, "REVIEW_RESPONSE")
    handed = []
    for _ in range(6):
        handed.append(bool(parts.report(agent, "Stop", response="ok").replies[0]))
        if not handed[-1]:
            break
    assert handed == [True] * 4 + [False]
    assert len(parts.inbox(agent, "archive")) == 4
    number = parts.job(lambda tx: parts.registry.views[agent].prompt)
    assert parts.status(number) == Status.CHOSEN


def given(parts: Parts, agent: str) -> tuple[Asker, int, str]:
    """A hook program that was told that it may give on the mail of a reply: its connection, the prompt, the message."""
    parts.taken(agent)
    message = parts.mail(agent)
    asker, found = Asker(), parts.found("Stop", response="ok")
    parts.reports.take(agent, found, asker)
    number = asker.replies[0]["take"]
    ask = {"report": f"take {number}", "take": number, "of": found["report"], "gives": True}
    parts.reports.take(agent, ask, asker)
    assert (asker.replies[1], parts.status(number)) == ({"go": True}, Status.TAKEN)
    return asker, number, message


def test_a_hook_program_that_is_killed_before_it_gives_the_mail_on_leaves_no_turn_open(parts: Parts) -> None:
    agent = parts.idle()
    asker, number, message = given(parts, agent)
    parts.reports.abandon(agent, asker)
    parts.quiet()
    assert (parts.status(number), parts.open_turns(agent)) == (Status.FAILED, 0)
    assert parts.registry.get(agent).state == "idle"
    [told] = parts.inbox()
    assert (told["type"], told["metadata"]["in_reply_to"], told["body"][:8]) == ("LOG_ERROR", message, "in doubt")


def test_of_a_hook_program_that_was_killed_together_with_its_daemon_the_next_one_knows(parts: Parts) -> None:
    agent = parts.idle()
    _, number, message = given(parts, agent)
    parts.clock.now += 1.0
    met = parts.clock.monotonic()
    parts.job(lambda tx: parts.life.unsaid(tx, agent, met - 2.0))  # of a later daemon alone
    assert parts.status(number) == Status.TAKEN
    parts.job(lambda tx: parts.life.unsaid(tx, agent, met))
    assert (parts.status(number), parts.open_turns(agent)) == (Status.FAILED, 0)
    [told] = parts.inbox()
    assert (told["metadata"]["in_reply_to"], told["body"][:8]) == (message, "in doubt")


@pytest.mark.parametrize("how", ["said", "spooled", "an older program", "the agent went on"])
def test_the_next_daemon_knows_of_a_hook_program_that_gave_its_mail_on(parts: Parts, how: str) -> None:
    agent = parts.idle(parts.backend("active", hooks={**BACKEND["hooks"], "Active": {"report": "active"}}))
    asker, number, _ = given(parts, agent)
    match how:
        case "said":
            parts.reports.take(agent, {"report": "given 1", "given": number}, asker)
        case "spooled":
            parts.spool(agent, {"report": "given 1", "given": number})
            assert parts.reports.spooled(agent) == 1
        case "an older program":
            parts.reports.take(agent, {"report": "again", "take": number, "of": parts.get(number).link}, Asker())
        case _:
            parts.clock.now += 1.0
            parts.report(agent, "Active")
    parts.clock.now += 1.0
    parts.job(lambda tx: parts.life.unsaid(tx, agent, parts.clock.monotonic()))
    assert (parts.status(number), parts.open_turns(agent)) == (Status.TAKEN, 1)


@pytest.mark.parametrize("how", ["it said so", "it asked by another connection", "the agent went on"])
def test_what_a_hook_program_gave_on_goes_on_when_its_connection_closes(parts: Parts, how: str) -> None:
    agent = parts.idle(parts.backend("active", hooks={**BACKEND["hooks"], "Active": {"report": "active"}}))
    asker, number, _ = given(parts, agent)
    if how == "it said so":
        parts.reports.take(agent, {"report": "given 1", "given": number}, asker)
        assert asker.replies[-1] == {}
    elif how == "it asked by another connection":
        again, link = Asker(), parts.get(number).link
        parts.reports.take(agent, {"report": "take again", "take": number, "of": link}, again)
        assert again.replies == [{"go": True}]
    else:
        parts.clock.now += 1.0
        parts.report(agent, "Active")
    parts.reports.abandon(agent, asker)
    parts.quiet()
    assert (parts.status(number), parts.open_turns(agent)) == (Status.TAKEN, 1)


def test_a_prompt_is_not_handed_over(parts: Parts) -> None:
    agent = parts.idle()
    parts.taken(agent, "first")
    number = parts.prompt(agent, "second")
    assert parts.report(agent, "Stop", response="ok").replies == [{}]
    assert parts.status(number) == Status.CHOSEN


# -- failures and limits


def test_a_limit_with_a_known_end_holds_the_queue_until_then_also_for_what_comes_later(parts: Parts) -> None:
    agent = parts.idle()
    parts.taken(agent, "first")
    ends = parts.clock.now
    parts.report(agent, "Fail", error="limit reached, resets in 60 s")
    until = parts.row(agent).gate.until
    assert until is not None and until > ends
    number = parts.prompt(agent, "second")
    assert parts.status(number) == Status.QUEUED
    parts.job(lambda tx: parts.life.release(tx, agent, until + 1))
    assert parts.status(number) == Status.QUEUED, "that was another limit"
    parts.job(lambda tx: parts.life.release(tx, agent, until))
    assert (parts.status(number), parts.row(agent).gate.why) == (Status.CHOSEN, "")


def test_a_limit_and_an_obstacle_hold_the_queue_together(parts: Parts) -> None:
    agent = parts.idle()
    number = parts.prompt(agent)
    parts.report(agent, "Fail", error="limit reached, resets in 60 s")
    parts.happens(agent, lambda tx: parts.turns.delivered.obstacle(tx, agent, number, "somebody types"))
    assert parts.status(number) == Status.QUEUED, "the limit came first"
    until = parts.row(agent).gate.until
    parts.job(lambda tx: parts.life.go(tx, agent))
    parts.happens(agent, lambda tx: parts.turns.delivered.obstacle(tx, agent, number, "somebody types"))
    row = parts.row(agent)
    assert until is not None
    assert (row.gate.why, row.state, parts.status(number)) == ("somebody types", "idle", Status.QUEUED)
    parts.job(lambda tx: parts.life.free(tx, agent))
    assert (parts.row(agent).gate.why, parts.status(number)) == ("", Status.CHOSEN)


def test_an_answer_means_that_the_limit_is_over(parts: Parts) -> None:
    agent = parts.idle()
    parts.report(agent, "Fail", error="limit reached, resets in 60 s")
    parts.report(agent, "Submit", prompt="by hand")
    parts.report(agent, "Stop", response="ok")
    assert (parts.row(agent).gate.why, parts.row(agent).gate.until) == ("", None)


def test_a_failure_without_anything_queued_holds_nothing(parts: Parts) -> None:
    agent = parts.idle()
    parts.taken(agent)
    parts.report(agent, "Fail", error="API Error: 500")
    assert (parts.row(agent).gate.why, parts.row(agent).error) == ("", "API Error: 500")


# -- the spool


def test_what_was_spooled_comes_before_the_report_that_found_it(parts: Parts) -> None:
    agent = parts.idle()
    number = parts.prompt(agent)
    parts.deliver(agent, number)
    path = parts.spool(agent, parts.found("Submit", prompt="do it"))
    parts.report(agent, "Stop", response="yes")
    assert parts.get(number).response == b"yes"
    assert not path.exists()


def test_a_report_that_is_spooled_and_here_counts_once_and_its_hook_removes_it(parts: Parts) -> None:
    agent = parts.idle()
    parts.taken(agent)
    found = parts.found("Stop", response="yes")
    path = parts.spool(agent, found)
    asker = Asker()
    parts.reports.take(agent, found, asker)
    assert (asker.replies, path.exists(), len(parts.events("response"))) == ([{}], True, 1)


def test_what_cannot_be_read_in_the_spool_is_reported_and_removed(parts: Parts) -> None:
    agent = parts.idle()
    path = parts.spool(agent, {"report": 7})
    parts.report(agent, "Ready")
    assert not path.exists()
    assert "spooled report: hook: a report must have" in parts.events("error")[-1]["error"]


def test_a_spooled_report_that_cannot_be_saved_stays_and_holds_up_those_after_it(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = parts.idle()
    path = parts.spool(agent, parts.found("Submit", prompt="by hand"))

    def full(job: object, timeout: float = 0, need: object = None, key: str = "", by: str = "") -> None:
        raise Unavailable("cannot save: database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(parts.store, "call", full)
        with pytest.raises(Unavailable):
            parts.report(agent, "Stop", response="yes")
    assert path.exists()
    parts.report(agent, "Stop", response="yes")
    assert (path.exists(), len(parts.events("response"))) == (False, 1)


def test_a_spool_that_cannot_be_emptied_refuses_no_report(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = parts.idle()
    parts.spool(agent, parts.found("Submit", prompt="by hand"))

    def fails(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", fails)
        parts.report(agent, "Stop", response="yes")
    assert (parts.row(agent).state, len(parts.events("response"))) == ("idle", 1)


# -- transcripts


def test_an_interrupt_in_the_transcript_ends_the_turn_and_the_question(parts: Parts) -> None:
    agent = parts.idle()
    number = parts.taken(agent)
    asker = parts.report(agent, "Ask", question="really?")
    parts.reports.lines.come(agent, [INTERRUPTED], old=False)
    parts.quiet()
    assert (parts.get(number).error, parts.row(agent).ask, asker.replies) == ("interrupted", (), [{}])


def test_of_lines_that_stood_there_before_only_the_last_can_end_a_turn(parts: Parts) -> None:
    agent = parts.idle()
    number = parts.taken(agent)
    parts.reports.lines.come(agent, [INTERRUPTED, {"type": "assistant", "usage": {"input": 3, "output": 4}}], old=True)
    parts.quiet()
    assert (parts.status(number), parts.row(agent).usage) == (Status.TAKEN, {"input": 3, "output": 4})
    parts.reports.lines.come(agent, [INTERRUPTED], old=True)
    parts.quiet()
    assert parts.status(number) == Status.FAILED


def test_lines_of_a_session_that_is_gone_are_nothing(parts: Parts) -> None:
    parts.reports.lines.come("deadbeef", [INTERRUPTED], old=False)


@pytest.mark.parametrize("moved", [-86400.0, 30 * 86400.0])
def test_a_report_counts_once_and_a_turn_lasts_as_long_as_it_does_whatever_the_clock_is_set_to(
    parts: Parts, moved: float
) -> None:
    agent = parts.idle()
    parts.taken(agent)
    parts.clock.set += moved
    parts.clock.now += 2.5
    stop = parts.found("Stop", response="yes")
    parts.reports.take(agent, stop, Asker())
    number = parts.taken(agent)
    parts.clock.set += moved
    parts.reports.take(agent, stop, Asker())
    assert parts.status(number) == Status.TAKEN
    assert parts.job(lambda tx: parts.send.listing(tx, agent)).split(b"\n")[0].split(b"\t")[4] == b"2.5"


def test_what_the_agent_began_by_itself_is_no_word_of_a_user_in_the_log(parts: Parts) -> None:
    hooks = {**BACKEND["hooks"], "Submit": {"report": "submit", "text": "prompt", "wake": {"prompt": "^<task"}}}
    hooks["Stop"] = {**hooks["Stop"], "pending": "tasks"}
    agent = parts.idle(parts.backend("waking", hooks=hooks))
    parts.report(agent, "Submit", prompt="<task-notification>")
    assert parts.registry.get(agent).background == 0
    parts.report(agent, "Stop", response="done", tasks=[{"id": "b1"}])
    assert parts.registry.get(agent).background == 1
    log, _ = parts.job(lambda tx: conversation_page(tx, agent, 0))
    assert (b"USER" in log, b"ASSISTANT" in log) == (False, True)


CRON = {"id": "c1", "prompt": "look at the build", "schedule": "*/5 * * * *"}


def waking(parts: Parts) -> str:
    """An agent that tells what goes on in the background."""
    hooks = {**BACKEND["hooks"], "Submit": {"report": "submit", "text": "prompt"}}
    hooks["Stop"] = {**hooks["Stop"], "pending": ["tasks", "crons"]}
    return parts.idle(parts.backend("waking", hooks=hooks))


def test_what_the_agent_prompts_itself_with_at_a_set_time_belongs_to_the_turn_that_set_it(parts: Parts) -> None:
    agent = waking(parts)
    made = parts.mail(agent, "QUERY_REQUEST", subject="the build", body="watch it")
    number = parts.job(lambda tx: parts.send.last(tx, agent))
    parts.deliver(agent, number)
    parts.report(agent, "Submit", prompt=parts.get(number).text)
    parts.report(agent, "Stop", response="I will look", tasks=[], crons=[CRON])
    assert parts.registry.get(agent).background == 1
    for words, left in (("it runs", [CRON]), ("it is green", [])):
        parts.report(agent, "Submit", prompt=CRON["prompt"])
        assert parts.registry.get(agent).in_turn == 1
        parts.report(agent, "Stop", response=words, tasks=[], crons=left)
    assert (parts.registry.get(agent).background, parts.registry.get(agent).turns) == (0, 1)
    found = [(one["body"], one["metadata"]["in_reply_to"]) for one in parts.inbox("user")]
    assert found == [("I will look", made), ("it runs", made), ("it is green", made)]
    again = [one.get("again") for one in parts.events("response")]
    assert again == [None, True, True]


@pytest.mark.parametrize("read", ["in the turn", "after its end", "in both"])
def test_what_a_turn_says_that_was_told_of_work_of_another_are_the_words_of_both(parts: Parts, read: str) -> None:
    agent = waking(parts)
    message = parts.mail(agent)
    first = parts.job(lambda tx: parts.registry.views[agent].prompt)
    parts.deliver(agent, first)
    parts.report(agent, "Submit")
    parts.report(agent, "Stop", response="started", tasks=[{"id": "b1"}])
    second = parts.taken(agent, "meanwhile")
    parts.clock.now += 1.0
    told = Happened(parts.clock.monotonic(), task="b1")
    notice = lambda: parts.happens(agent, lambda tx: parts.turns.reported.noticed(tx, agent, told))  # noqa: E731
    if read != "after its end":
        notice()
    parts.clock.now += 1.0
    parts.report(agent, "Stop", response="both are done", tasks=[])
    if read != "in the turn":
        notice()
    assert [parts.get(one).response for one in (first, second)] == [b"both are done"] * 2
    assert parts.registry.get(agent).background == 0
    assert [one["body"] for one in parts.inbox() if one["metadata"]["in_reply_to"] == message] == [
        "started",
        "both are done",
    ]
    parts.taken(agent, "later")
    parts.clock.now += 1.0
    parts.report(agent, "Stop", response="something else", tasks=[])
    notice()
    assert [parts.get(one).response for one in (first, second)] == [b"both are done"] * 2


def test_of_a_turn_that_fails_after_it_was_told_of_work_of_another_that_one_keeps_its_words(parts: Parts) -> None:
    agent = waking(parts)
    first = parts.taken(agent, "begin")
    parts.report(agent, "Stop", response="started", tasks=[{"id": "b1"}])
    second = parts.taken(agent, "meanwhile")
    told = Happened(parts.clock.monotonic(), task="b1")
    parts.happens(agent, lambda tx: parts.turns.reported.noticed(tx, agent, told))
    parts.report(agent, "Fail", error="no")
    assert (parts.get(first).response, parts.status(second)) == (b"started", Status.FAILED)
    assert parts.registry.get(agent).background == 0


def test_the_same_words_from_the_user_are_a_prompt_of_the_user(parts: Parts) -> None:
    agent = waking(parts)
    parts.report(agent, "Submit", prompt="a")
    parts.report(agent, "Stop", response="done", tasks=[], crons=[CRON])
    number = parts.job(lambda tx: parts.send.accept(tx, agent, CRON["prompt"], "user"))
    parts.deliver(agent, number)
    parts.report(agent, "Submit", prompt=CRON["prompt"])
    assert (parts.status(number), parts.registry.get(agent).in_turn) == (Status.TAKEN, 2)


def test_what_a_session_has_used_never_becomes_less_over_conversations_subagents_and_restarts(parts: Parts) -> None:
    agent = parts.idle()
    parts.taken(agent)
    for path, figures in (("/one", {"input": 3, "output": 4}), ("/two", {"input": 1, "output": 1})):
        parts.report(agent, "Stop", response="yes", transcript_path=path)
        parts.reports.lines.come(agent, [{"type": "assistant", "usage": figures}], old=False)
        parts.reports.idle()
    assert parts.row(agent).usage == {"input": 4, "output": 5}
    parts.reports.lines.beside(agent, [{"type": "assistant", "usage": {"input": 9, "output": 9}}, INTERRUPTED])
    parts.reports.idle()
    assert parts.row(agent).usage == {"input": 13, "output": 14}
    parts.reports.lines.come(agent, [{"type": "assistant", "usage": {"input": 1, "output": 1}}], old=True)
    parts.reports.idle()
    assert parts.row(agent).usage == {"input": 13, "output": 14}
