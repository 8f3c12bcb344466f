"""The boxes: what is put, waits, is filed and is read, on a real store."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from anvilsrv.errors import NotFound
from anvilsrv.mail import box
from anvilsrv.mail.box import Inbox, Snapshots
from anvilsrv.mail.message import Message
from anvilsrv.store.effects import Effect
from anvilsrv.store.store import Store, Tx


class Mail:
    """A store with boxes, their snapshots kept as the daemon keeps them."""

    def __init__(self, top: Path) -> None:
        self.errors: list[BaseException] = []
        self.boxes = Snapshots()
        self.store = Store(top / "store.db", self._settle, self.errors.append)
        self.store.start()
        self.store.call(self.boxes.load)

    def _settle(self, tx: Tx, touched: set[str], effects: list[Effect]) -> None:
        self.boxes.refresh(tx, touched)

    def put(self, *messages: Message) -> None:
        self.store.call(lambda tx: [box.put(tx, one) for one in messages])

    def content(self, owner: str, name: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.store.call(lambda tx: box.content(tx, owner, name)))
        return found


@pytest.fixture
def mail(tmp_path: Path) -> Iterator[Mail]:
    made = Mail(tmp_path)
    yield made
    made.store.stop()
    assert made.errors == []


def message(id: str, to: str = "a", sender: str = "user", kind: str = "QUERY_REQUEST", **metadata: Any) -> Message:
    return Message(id, sender, to, kind, "subject", f"body of {id} é", 1.5, metadata)


def test_an_inbox_holds_what_was_put_in_its_order_and_filing_moves_it_to_the_archive(mail: Mail) -> None:
    mail.put(message("1"), message("2"), message("3", to="b"))
    mail.store.call(lambda tx: box.file(tx, "a", "1"))
    assert [one["id"] for one in mail.content("a", "inbox")] == ["2"]
    assert [one["id"] for one in mail.content("a", "archive")] == ["1"]
    assert [one.id for one in mail.store.call(lambda tx: box.waiting(tx, "b"))] == ["3"]


@pytest.mark.parametrize(("owner", "number"), [("a", "none"), ("b", "1"), ("a", "filed")])
def test_only_what_is_in_the_owners_inbox_can_be_filed(mail: Mail, owner: str, number: str) -> None:
    mail.put(message("1"), message("filed"))
    mail.store.call(lambda tx: box.file(tx, "a", "filed"))
    with pytest.raises(NotFound, match=f"no such message '{number}' in the inbox of {owner}"):
        mail.store.call(lambda tx: box.file(tx, owner, number))
    assert mail.store.call(lambda tx: box.waits(tx, "a", "1"))


def test_a_message_comes_back_as_it_was_put(mail: Mail) -> None:
    sent = message("1", pr=7, automatic=None, nested={"deep": ["ü"]})
    mail.put(sent)
    assert mail.store.call(lambda tx: box.get(tx, "1")) == sent
    assert mail.store.call(lambda tx: box.get(tx, "2")) is None


def test_a_snapshot_tells_what_the_queries_would(mail: Mail) -> None:
    mail.put(*(message(str(number)) for number in range(4)))
    mail.store.call(lambda tx: [box.file(tx, "a", number) for number in ("0", "2")])
    shown = mail.boxes.of("a")
    assert shown.length == len(mail.store.call(lambda tx: box.content(tx, "a", "inbox")))
    assert shown.unread == 2
    assert shown.archive == len(mail.store.call(lambda tx: box.content(tx, "a", "archive")))
    again = Snapshots()
    mail.store.call(again.load)
    assert again.of("a")[:4] == shown[:4]


def test_a_snapshot_says_when_the_inbox_changed_and_not_when_only_the_archive_did(mail: Mail) -> None:
    assert mail.boxes.of("a") == Inbox()
    mail.put(message("1"))
    first = mail.boxes.of("a").changed
    assert first > 0
    mail.store.call(lambda tx: tx.touch(f"{box.TOPIC}a"))
    assert mail.boxes.of("a").changed == first
    mail.store.call(lambda tx: box.file(tx, "a", "1"))
    assert mail.boxes.of("a").changed > first


def test_a_job_that_is_refused_leaves_no_mail_and_no_snapshot(mail: Mail) -> None:
    def refused(tx: Tx) -> None:
        box.put(tx, message("1"))
        raise NotFound("no")

    with pytest.raises(NotFound):
        mail.store.call(refused)
    assert (mail.content("a", "inbox"), mail.boxes.of("a")) == ([], Inbox())


def test_an_answer_counts_if_the_agent_sent_it_itself_since_then(mail: Mail) -> None:
    def answered(since: int) -> bool:
        return mail.store.call(lambda tx: box.answered(tx, "a", "user", "QUERY_RESPONSE", since))

    mail.put(message("early", to="user", sender="a", kind="QUERY_RESPONSE"))
    since = mail.store.call(box.newest)
    mail.put(
        message("ours", to="user", sender="a", kind="QUERY_RESPONSE", automatic=True),
        message("other kind", to="user", sender="a", kind="REVIEW_RESPONSE"),
        message("other reader", to="b", sender="a", kind="QUERY_RESPONSE"),
        message("other sender", to="user", sender="b", kind="QUERY_RESPONSE"),
    )
    assert not answered(since)
    assert answered(0)
    mail.put(message("late", to="user", sender="a", kind="QUERY_RESPONSE"))
    assert answered(since)


def test_the_log_goes_through_all_boxes_in_pages_and_keeps_what_was_sent_to_the_dead(
    mail: Mail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(box, "PAGE", 1 + len(message("0", to="a").json()))  # two messages
    mail.put(*(message(str(number), to=to) for number, to in enumerate("aabba")))
    mail.store.call(lambda tx: box.forget(tx, "a"))
    assert (mail.content("a", "inbox"), mail.boxes.of("a")) == ([], Inbox())
    pages: list[list[str]] = []
    after = 0
    while True:
        found, after = mail.store.call(lambda tx, after=after: box.page(tx, after))  # type: ignore[misc]
        if not found:
            break
        pages.append([one.id for one in found])
    assert pages == [["0", "1"], ["2", "3"], ["4"]]
