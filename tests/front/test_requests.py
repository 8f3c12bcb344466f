"""What a person asks of the tree, as all front-ends in Python ask it."""

import json
from typing import Any

import pytest

from anvilsrv.errors import NotFound, Unavailable
from anvilsrv.front import requests
from anvilsrv.p9.client import P9Error
from tests.conftest import Daemon, wait_until
from tests.session import Session
from tests.tui.conftest import new

MESSAGE: dict[str, Any] = {
    "id": "1", "from": "a3f2b9d1", "type": "REVIEW_REQUEST", "reply_type": "REVIEW_RESPONSE", "subject": "x",
}  # fmt: skip


def test_a_reply_has_the_type_that_the_message_names() -> None:
    assert requests.reply_to(MESSAGE, "b") == {
        "to": "a3f2b9d1", "type": "REVIEW_RESPONSE", "subject": "Re: x", "body": "b", "in_reply_to": "1",
    }  # fmt: skip
    assert requests.reply_to(MESSAGE | {"reply_type": "LATER_TYPE"}, "b")["type"] == "LATER_TYPE"


def test_without_the_type_of_a_reply_nothing_is_guessed() -> None:
    del (old := dict(MESSAGE))["reply_type"]
    with pytest.raises(Unavailable, match="message '1' names no type to answer with: restart anvilsrv"):
        requests.reply_to(old, "b")


@pytest.mark.parametrize(
    ("subject", "wanted"),
    [("x", "Re: x"), ("Re: x", "Re: x"), ("RE: x", "RE: x"), ("", "Re: "), ("y" * 1000, "Re: " + "y" * 996)],
)
def test_the_subject_of_a_reply_says_so_once_and_fits(subject: str, wanted: str) -> None:
    assert requests.reply_subject(subject) == wanted


def test_what_the_user_answers_is_filed_and_a_sessions_own_mail_is_left_to_it(daemon: Daemon) -> None:
    session, client = new(daemon), daemon.client()
    daemon.client(session).write(
        f"{session}/mail", b'{"to":"user","type":"REVIEW_REQUEST","subject":"look","body":"at this"}'
    )
    [asked] = requests.box(client, "user", "inbox")
    requests.reply(client, "user", asked["id"], "fine")
    assert requests.box(client, "user", "inbox") == []
    boxes = json.loads(client.read(f"{session}/inbox")) + json.loads(client.read(f"{session}/archive"))
    sent = {one["id"]: (one["type"], one["body"], one["metadata"]) for one in boxes}  # one may have moved meanwhile
    [(kind, body, metadata)] = sent.values()
    assert (kind, body, metadata) == ("REVIEW_RESPONSE", "fine", {"in_reply_to": asked["id"]})
    requests.reply(client, "user", asked["id"], "once more, from the archive")
    with pytest.raises(NotFound, match="no such message 'gone' in the mail of user"):
        requests.reply(client, "user", "gone", "x")


def test_mail_that_waits_for_a_session_can_be_answered_for_it_and_stays(daemon: Daemon) -> None:
    one, two = new(daemon), new(daemon)
    client = daemon.client()
    client.write(f"{two}/ctl", b"stop\n")
    daemon.client(one).write(f"{one}/mail", json.dumps({"to": two, "type": "QUERY_REQUEST", "body": "?"}).encode())
    [waiting] = requests.box(client, two, "inbox")
    requests.reply(client, two, waiting["id"], "it is stopped")
    assert requests.box(client, two, "inbox") == [waiting]


def test_what_waits_is_listed_reordered_edited_and_withdrawn(daemon: Daemon) -> None:
    session, client = new(daemon), daemon.client()
    requests.control(client, session, "hold")
    for text in ("echo one", "echo two\n\t# more", "echo three"):
        requests.prompt(client, session, text)
    waiting = requests.queue(client, session)
    assert [(one.n, one.origin, one.words) for one in waiting] == [
        (1, "queue", "echo one"), (2, "queue", "echo two # more"), (3, "queue", "echo three"),
    ]  # fmt: skip
    assert requests.queued_text(client, session, 2) == "echo two\n\t# more"
    requests.move_queued(client, session, 3, "first")
    requests.edit_queued(client, session, 2, "echo second")
    requests.move_queued(client, session, 1, "drop")
    assert [(one.n, one.words) for one in requests.queue(client, session)] == [(3, "echo three"), (2, "echo second")]
    requests.control(client, session, "go")
    assert client.read(f"{session}/turns/2/out") == b"second\n"
    assert requests.queue(client, session) == []
    with pytest.raises(P9Error, match="prompt 3 is done"):
        requests.move_queued(client, session, 3, "drop")


def test_keys_reach_the_pane_and_what_is_no_key_is_refused(daemon: Daemon) -> None:
    session, client = new(daemon), daemon.client()
    requests.press(client, session, "e c h o Space \" ' Enter")
    wait_until(lambda: "echo \"'" in Session(daemon, session).screen, "they are not typed")
    with pytest.raises(P9Error, match="invalid key 'Entr'"):
        requests.press(client, session, "Entr")
