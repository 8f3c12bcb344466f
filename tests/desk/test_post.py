"""Mail: it is put before the agent as a prompt, archived when that is taken, and a request is answered once, whatever happens."""

import pytest

from anvilsrv.allowance import BOUNDS
from anvilsrv.errors import Conflict, Invalid, NotFound
from anvilsrv.sessions.machine import Status
from tests.desk.parts import Parts
from tests.scripted import BACKEND


def request(parts: Parts, to: str, sender: str = "user", kind: str = "QUERY_REQUEST") -> int:
    """Let a request's turn run. Returns the prompt's number."""
    parts.mail(to, kind, sender, subject="how many", body="count them")
    number = parts.job(lambda tx: parts.send.last(tx, to))
    parts.deliver(to, number)
    parts.report(to, "Submit")
    assert parts.status(number) == Status.TAKEN
    return number


def answers(parts: Parts, owner: str = "user") -> list[tuple[str, str, str]]:
    return [(one["type"], one["subject"], one["body"]) for one in parts.inbox(owner)]


# -- how it stands before an agent


def test_mail_stands_before_an_agent_with_who_wrote_it(parts: Parts) -> None:
    agent, other = parts.idle(alias="bob"), parts.idle(alias="eve")
    made = parts.mail("bob", sender=other, subject="how many", body="count them")
    assert parts.queue(agent) == [
        f"[mail from eve ({other}) · QUERY_REQUEST · id {made}]\nSubject: how many\n\ncount them"
    ]


def test_before_a_shell_it_is_a_comment_unless_somebody_it_belongs_to_asks_for_it(parts: Parts) -> None:
    shell = parts.backend("plain", mail="comment")
    parent = parts.idle(policy="agents\tcontrol\troles/lead.yaml\n")
    agent, other = parts.idle(shell, parent=parent), parts.idle()
    for sender, kind in (
        ("user", "QUERY_REQUEST"),
        (other, "PROMPT_REQUEST"),
        (parent, "PROMPT_REQUEST"),
        ("user", "PROMPT_REQUEST"),
    ):
        parts.mail(agent, kind, sender, body="rm -r x")
    texts = parts.queue(agent)
    assert [text.startswith("# [mail from") for text in texts] == [True, True, False, False]
    assert [line[:1] for line in texts[0].splitlines()] == ["#"] * 4
    assert texts[2:] == ["rm -r x", "rm -r x"]


def test_who_spawned_a_shell_and_does_not_control_it_cannot_have_it_run_anything(parts: Parts) -> None:
    shell = parts.backend("plain", mail="comment")
    parent = parts.idle(policy="agents\tspawn\troles/lead.yaml\n")
    agent = parts.idle(shell, parent=parent)
    parts.mail(agent, "PROMPT_REQUEST", parent, body="rm -r x\nrm -r y")
    [text] = parts.queue(agent)
    assert [line[:1] for line in text.splitlines()] == ["#"] * len(text.splitlines())


REFUSED = [
    {"when": r"\A\s*\S+\.png\Z", "refuse": "say what it is to do with it"},
    {"when": r"\Aexit\Z", "refuse": "write stop"},
]


@pytest.mark.parametrize(("body", "why"), [("/tmp/a.png", "say what"), ("exit", "write stop")])
def test_mail_that_its_agent_would_not_take_for_a_prompt_is_refused_to_its_sender(
    parts: Parts, body: str, why: str
) -> None:
    shell = parts.backend("plain", mail="comment", input={**BACKEND["input"], "guard": REFUSED})
    agent = parts.idle(shell)
    with pytest.raises(Invalid, match=f"this mail cannot be typed: .*{why}"):
        parts.mail(agent, "PROMPT_REQUEST", body=body)
    assert (parts.queue(agent), parts.inbox(agent)) == ([], [])
    parts.mail(agent, "PROMPT_REQUEST", body=f"look at {body}")
    parts.mail(agent, "QUERY_REQUEST", body=body)  # read with its head
    assert len(parts.queue(agent)) == 2


def test_an_answer_that_cannot_be_typed_waits_in_the_inbox_and_that_is_told(parts: Parts) -> None:
    small = parts.backend("small", input={**BACKEND["input"], "most": 300})
    asks, agent = parts.idle(small), parts.idle()
    request(parts, agent, sender=asks)
    parts.report(agent, "Stop", response="x" * 400)
    assert [one["body"] for one in parts.inbox(asks)] == ["x" * 400]
    assert parts.queue(asks) == []
    assert "cannot be typed and waits in the inbox" in parts.row(asks).error


@pytest.mark.parametrize("policy", ["", "agents\tspawn\troles/r.yaml\n", "note\tagents\tcontrol\t\n"])
def test_who_may_not_control_what_it_spawned_runs_nothing_in_it_by_mail(parts: Parts, policy: str) -> None:
    shell = parts.backend("plain", mail="comment")
    parent = parts.idle(policy=policy)
    agent = parts.idle(shell, parent=parent)
    parts.mail(agent, "PROMPT_REQUEST", parent, body="rm -r x")
    (text,) = parts.queue(agent)
    assert text.startswith("# [mail from") and text.endswith("\n# rm -r x")


def test_what_nothing_can_read_is_mailed_to_nobody(parts: Parts) -> None:
    with pytest.raises(NotFound, match="mail: no such session"):
        parts.mail("nobody")


def test_a_message_waits_in_the_inbox_until_its_prompt_is_taken(parts: Parts) -> None:
    agent = parts.idle()
    parts.mail(agent, "REVIEW_RESPONSE")
    number = parts.job(lambda tx: parts.send.last(tx, agent))
    parts.deliver(agent, number)
    assert (len(parts.inbox(agent)), parts.boxes.of(agent).unread) == (1, 1)
    parts.report(agent, "Submit")
    assert (parts.inbox(agent), parts.boxes.of(agent).unread, len(parts.inbox(agent, "archive"))) == ([], 0, 1)


def test_a_message_that_is_completed_is_not_delivered(parts: Parts) -> None:
    agent = parts.idle()
    parts.taken(agent, "first")
    made = parts.mail(agent)
    parts.job(lambda tx: parts.life.complete(tx, agent, made))
    assert (parts.queue(agent), parts.inbox(agent)) == (["first"], [])
    with pytest.raises(NotFound, match="no such message"):
        parts.job(lambda tx: parts.life.complete(tx, agent, made))


# -- answers


def test_a_request_is_answered_with_the_words_of_its_turn_and_once(parts: Parts) -> None:
    agent = parts.idle()
    request(parts, agent, kind="REVIEW_REQUEST")
    parts.report(agent, "Stop", response="seven")
    parts.report(agent, "Stop", response="eight")
    assert answers(parts) == [("REVIEW_RESPONSE", "Re: how many", "seven")]
    [answer] = parts.inbox()
    assert answer["metadata"]["automatic"] is True


def test_an_agent_that_answers_itself_is_not_answered_for(parts: Parts) -> None:
    agent = parts.idle()
    request(parts, agent)
    parts.mail("user", "QUERY_RESPONSE", agent, body="seven, and here is why")
    parts.report(agent, "Stop", response="I answered")
    assert [body for _, _, body in answers(parts)] == ["seven, and here is why"]


@pytest.mark.parametrize(
    ("kind", "to"), [("REVIEW_RESPONSE", "user"), ("QUERY_RESPONSE", "other")], ids=["another kind", "somebody else"]
)
def test_what_it_sent_otherwise_is_no_answer(parts: Parts, kind: str, to: str) -> None:
    agent, other = parts.idle(), parts.idle(alias="other")
    request(parts, agent)
    parts.mail(to, kind, agent, body="something")
    parts.report(agent, "Stop", response="seven")
    assert ("QUERY_RESPONSE", "Re: how many", "seven") in answers(parts), other


def test_an_answer_of_an_earlier_turn_is_none_of_this_one(parts: Parts) -> None:
    agent = parts.idle()
    parts.mail("user", "QUERY_RESPONSE", agent, body="of before")
    parts.clock.now += 1
    request(parts, agent)
    parts.report(agent, "Stop", response="seven")
    assert [body for _, _, body in answers(parts)] == ["of before", "seven"]


def test_what_was_answered_for_it_in_this_turn_is_no_answer_of_its_own(parts: Parts) -> None:
    """Two requests of one moment: the first one's automatic answer must not stand for the second."""
    agent = parts.idle()
    request(parts, agent)
    parts.mail(agent, subject="and these", body="count these")
    parts.report(agent, "Stop", response="one")  # hands the second over
    parts.report(agent, "Stop", response="two")
    assert [body for _, _, body in answers(parts)] == ["one", "two"]


def test_metadata_that_json_cannot_hold_is_refused_and_leaves_nothing(parts: Parts) -> None:
    agent = parts.idle()
    number = request(parts, agent)
    with pytest.raises(Invalid, match="not storable as JSON"):
        parts.mail("user", "QUERY_RESPONSE", agent, body="seven", metadata={"share": float("nan")})
    parts.report(agent, "Stop", response="I answered")
    assert (parts.status(number), [body for _, _, body in answers(parts)]) == (Status.DONE, ["I answered"])


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("fail", "API Error: 500"),
        ("interrupt", "interrupted"),
        ("typed", "interrupted: another prompt was submitted"),
        ("died", "agent ended: killed by SIGKILL"),
        ("kill", "session '{0}' was killed"),
    ],
)
def test_a_request_that_cannot_be_answered_is_answered_with_the_reason(parts: Parts, how: str, why: str) -> None:
    agent = parts.idle()
    request(parts, agent)
    row = parts.row(agent)
    match how:
        case "fail":
            parts.report(agent, "Fail", error="API Error: 500")
        case "interrupt":
            parts.reports.lines.come(agent, [{"type": "user", "text": "[Request interrupted by user]"}], old=False)
            parts.quiet()
        case "typed":
            parts.report(agent, "Submit", prompt="something else")
        case "died":
            parts.job(lambda tx: parts.life.died(tx, agent, row.pid, 137, ""))
        case "kill":
            parts.job(lambda tx: parts.life.kill(tx, agent))
    assert answers(parts) == [("LOG_ERROR", "Re: how many", why.format(agent))]


def test_senders_of_mail_that_a_killed_session_never_read_are_told(parts: Parts) -> None:
    agent, other = parts.idle(), parts.idle()
    parts.taken(agent, "first")
    for sender, kind in (("user", "REVIEW_RESPONSE"), (other, "QUERY_REQUEST"), (agent, "QUERY_REQUEST")):
        parts.mail(agent, kind, sender, subject="q")
    parts.job(lambda tx: parts.life.kill(tx, agent))
    told = [("LOG_ERROR", "Re: q", f"session '{agent}' was killed before it read this")]
    assert answers(parts) == told
    assert answers(parts, other) == told


def test_a_request_of_a_session_that_is_gone_is_answered_to_nobody(parts: Parts) -> None:
    agent, other = parts.idle(), parts.idle()
    request(parts, agent, other)
    parts.job(lambda tx: parts.life.kill(tx, other))
    before = parts.mark()
    parts.report(agent, "Stop", response="seven")
    assert parts.told(before) == ["response", "state_change idle"]


def test_a_shell_that_only_showed_a_request_says_so(parts: Parts) -> None:
    agent = parts.idle(parts.backend("plain", mail="comment"))
    request(parts, agent)
    parts.report(agent, "Stop", response="")
    [(kind, _, body)] = answers(parts)
    assert (kind, body) == (
        "LOG_ERROR", "a plain session reads mail and does not answer it; it runs a PROMPT_REQUEST of the user",
    )  # fmt: skip


def test_a_session_with_too_much_mail_that_waits_is_refused_alone(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, most in (("messages", 3), ("inbox", 5000), ("message", 6000)):
        monkeypatch.setitem(BOUNDS, name, BOUNDS[name]._replace(most=most))
    hostile, other = parts.idle(), parts.idle()
    for _ in range(3):
        parts.mail("user", sender=hostile)
    for to in ("user", other):
        with pytest.raises(Conflict, match=r"^busy: 3 prompts and messages from this session wait"):
            parts.mail(to, sender=hostile)
    parts.mail("user", sender=other)
    with pytest.raises(Conflict, match=r"^busy: .* of messages wait there"):
        parts.mail("user", sender=other, body="x" * 5000)
    with pytest.raises(Invalid, match="message too large"):
        parts.mail("user", sender=other, body="x" * 6000)
    parts.mail(other, sender="user", body="x" * 6000)
    for one in parts.inbox():
        parts.job(lambda tx, number=one["id"]: parts.post.complete(tx, "user", number))  # type: ignore[misc]
    parts.mail("user", sender=hostile)


def test_what_a_session_ever_sent_and_its_prompts_that_wait_are_bounded_too(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, most in (("sent", 2000), ("waiting", 1500)):
        monkeypatch.setitem(BOUNDS, name, BOUNDS[name]._replace(most=most))
    hostile, child = parts.idle(), parts.idle()
    parts.taken(child)
    parts.mail("user", sender=hostile, body="x" * 700)
    with pytest.raises(Conflict, match=r"^busy: .* from this session wait"):
        parts.mail("user", sender=hostile, body="x" * 700)
    parts.job(lambda tx: parts.send.accept(tx, child, "y" * 400, hostile))
    parts.job(lambda tx: parts.send.accept(tx, child, "y" * 500, hostile))
    with pytest.raises(Conflict, match=r"^busy: .* from this session wait"):
        parts.job(lambda tx: parts.send.accept(tx, child, "y" * 700, hostile))
    parts.job(lambda tx: parts.send.accept(tx, child, "y" * 4000, "user"))
    for _ in range(2):
        for one in parts.inbox():
            parts.job(lambda tx, number=one["id"]: parts.post.complete(tx, "user", number))  # type: ignore[misc]
        if len(parts.inbox("user", "archive")) < 2:
            parts.mail("user", sender=hostile, body="x" * 10)
    parts.mail("user", sender=hostile, body="x" * 300)
    with pytest.raises(Conflict, match=r"^busy: this session has sent"):
        parts.mail("user", sender=hostile, body="x" * 300)
