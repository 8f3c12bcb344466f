"""What a message may be."""

import json

import pytest

from anvilsrv.errors import Invalid
from anvilsrv.mail import message as mailbox

NOW = 1700000000.5


def test_the_server_sets_id_from_and_timestamp_and_unknown_keys_are_metadata() -> None:
    fields = {"to": "a", "type": "QUERY_REQUEST", "body": "b", "id": "mine", "from": "user", "timestamp": 1, "pr": 7}
    made = mailbox.compose("b4e3c8f2", fields, NOW)
    assert (made.sender, made.metadata, made.subject) == ("b4e3c8f2", {"pr": 7}, "")
    assert made.id != "mine" and made.timestamp > 1


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"to": "a", "type": "HELLO"}, "invalid type 'HELLO': PROMPT, QUERY"),
        ({"to": "a"}, "invalid type ''"),
        ({"type": "QUERY_REQUEST"}, "mail: 'to' is missing"),
        ({"to": 7, "type": "QUERY_REQUEST"}, "invalid to: not a string"),
        ({"to": "a", "type": "QUERY_REQUEST", "body": ["x"]}, "invalid body: not a string"),
        ({"to": "a", "type": "QUERY_REQUEST", "subject": "x" * 1001}, "subject of 1001 characters"),
    ],
)
def test_a_bad_message_is_refused_with_the_reason(fields: dict[str, object], words: str) -> None:
    with pytest.raises(Invalid, match=words):
        mailbox.compose("user", fields, NOW)


def test_each_request_has_its_response() -> None:
    requests = [kind for kind in mailbox.TYPES if mailbox.is_request(kind)]
    assert len(requests) == 4
    assert all(mailbox.response_type(kind) in mailbox.TYPES for kind in requests)


@pytest.mark.parametrize("kind", mailbox.TYPES)
def test_each_message_names_the_type_that_answers_it_and_never_one_that_a_shell_runs(kind: str) -> None:
    found = json.loads(mailbox.compose("user", {"to": "a", "type": kind}, NOW).json())
    wanted = kind.replace("REQUEST", "RESPONSE") if kind.endswith("_REQUEST") else "QUERY_REQUEST"
    assert found["reply_type"] == wanted
    assert wanted in mailbox.TYPES and wanted != "PROMPT_REQUEST"


def test_a_message_that_is_passed_on_with_its_reply_type_is_not_believed() -> None:
    made = mailbox.compose("user", {"to": "a", "type": "REVIEW_REQUEST", "reply_type": "PROMPT_REQUEST"}, NOW)
    assert json.loads(made.json())["reply_type"] == "REVIEW_RESPONSE"
    assert made.metadata == {}
