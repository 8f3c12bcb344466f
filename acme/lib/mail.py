"""Mail in windows: the list of a box, one message, and the answer to it.

A box is ``inbox`` or ``archive`` of the user or of a session. Messages are numbered in the list as they are first
seen, so that a number means the same message as long as the window stands.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, ClassVar

from acme.lib import table
from acme.lib.agent import Session
from acme.lib.choices import drawn, picked
from acme.lib.event import Gesture
from acme.lib.host import Call, Host
from acme.lib.pane import Pane
from acme.lib.times import when
from anvilsrv.errors import Conflict, Invalid, NotFound
from anvilsrv.front.requests import reply_to
from anvilsrv.words import USER

NOBODY = "-"  # what a new message is about whose recipient is not named yet
_HEADERS = ("To", "Type", "Subject")


class Box(Pane):
    """`+Inbox` or `+Archive`; a click on a number opens that message."""

    commands: ClassVar = {"Get": "get", "Put": "put", "Mail": "mail"}
    tag = "Get Put Mail Undo Redo Look"
    name = ""

    def title(self) -> str:
        if self.subject_id == USER:
            return f"/AnviLLM/+{self.name.capitalize()}"
        session = self.session()
        if session is None:
            return f"/AnviLLM/+{self.name.capitalize()}.{self.subject_id}"
        return f"{session.cwd.rstrip('/')}/+{self.name.capitalize()}.{session.label}"

    def reopen(self) -> str:
        return f"{self.name} {self.subject_id}"

    def open(self) -> None:
        self.shown: list[str] = []
        self.numbers: dict[str, int] = {}
        self._got = ""  # the marks that Get has warned of
        self._style = self.style()
        self.clear()
        self.refresh()
        self.show_top()

    def refresh(self) -> None:
        body = self.window.body()
        marked = _marked(body)
        wanted = self._rows(marked)
        if wanted != self.shown:
            edits = table.plan(body, self.shown, wanted)
            table.put(self.window, edits, lines=True, clean=not (marked or self.kept()))
            self.shown = wanted

    def _rows(self, marked: set[int]) -> list[str]:
        """A line for each message that is not marked, the latest first."""
        messages = self.app.agent.box(self.subject_id, self.name)
        for message in messages:
            self.numbers.setdefault(message["id"], len(self.numbers) + 1)
        shown = [one for one in reversed(messages) if self.numbers[one["id"]] not in marked]
        return table.aligned([self._cells(one) for one in shown], self._style, spare=(2, 3))  # the type, then the time

    def get(self, call: Call) -> None:
        """Draw it from what the daemon has; marks are taken away, after a warning, and other text stays below."""
        marks = self._marks()
        if marks and marks != self._got:
            self._got = marks
            raise Conflict(f"{self.title()} modified; Get again discards the marks")
        self._draw()

    def _draw(self) -> None:
        typed = self._typed()
        self._style = self.style()
        self.shown = self._rows(set())
        table.whole(self.window, "".join(f"{line}\n" for line in [*self.shown, *typed]), clean=not typed)
        self.keep()

    def put(self, call: Call) -> None:
        """Archive what is marked by a minus: ``- 3/``."""
        marked = _marked(self.window.body())
        for id in [id for id, number in self.numbers.items() if number in marked]:
            self.app.agent.control(self.subject_id, f"complete {id}")
        self._draw()
        self.app.sync()

    def _marks(self) -> str:
        return "\n".join(f"- {number}/" for number in sorted(_marked(self.window.body())))

    def _typed(self) -> list[str]:
        """Return the lines that are neither messages nor marks."""
        known = {table.key(row) for row in self.shown}
        lines = self.window.body().split("\n")
        return [line for line in lines if line.strip() and table.key(line) not in known and not _marked(line)]

    def draft(self) -> str:
        return "\n".join(filter(None, [self._marks(), self.kept()]))

    def kept(self) -> str:
        """Return what was typed but marks: their numbers may mean others by the time the window comes back."""
        return "\n".join(self._typed())

    def restore(self, text: str) -> None:
        self.window.append(f"{text}\n")

    def mine(self, q0: int, q1: int) -> bool:
        return table.key(self.window.text(*self.window.address(f"#{q0}-+"))) not in {
            table.key(row) for row in self.shown
        }

    def mail(self, call: Call) -> None:
        """Write a message (``Mail [to]``)."""
        self.app.open("compose", call.argument or NOBODY)

    def looked(self, word: str, gesture: Gesture) -> bool:
        return self._numbered(word)

    def executed(self, text: str, gesture: Gesture) -> bool:
        return self._numbered(text)

    def _numbered(self, word: str) -> bool:
        number = word.rstrip("/")
        found = [id for id, n in self.numbers.items() if str(n) == number]
        if not found:
            return False
        self.app.open("message", f"{self.subject_id}/{self.name}/{found[0]}")
        return True

    def _cells(self, message: dict[str, Any]) -> tuple[str, ...]:
        sender = self.app.label(message.get("from") or "-")
        cells = (sender, message.get("type") or "-", when(message.get("timestamp")), message.get("subject") or "-")
        number = f"{self.numbers[message['id']]}/"
        return (number, *map(table.one_line, cells))


def _marked(body: str) -> set[int]:
    """Return the numbers of the lines that begin with a minus."""
    return {int(found[1]) for found in re.finditer(r"(?m)^-\s*(\d+)/", body)}


class Inbox(Box):
    name = "inbox"


class Archive(Box):
    name = "archive"


class Message(Pane):
    """One message. Archive ends it and goes on to the next; Next only goes on."""

    commands: ClassVar = {"Reply": "reply", "Archive": "archive", "Next": "next", "Get": "get"}
    tag = "Reply Archive Next Get Look"
    any_word = False

    def __init__(self, app: Host, subject: str) -> None:
        super().__init__(app, subject)
        self.owner, self.box, self.id = self.subject_id.split("/")
        self.message: dict[str, Any] = {}
        self._sender: Session | None = None

    def title(self) -> str:
        """Beneath the directory of the sender, so that what it names there can be clicked."""
        session = self.session()
        return f"{session.cwd.rstrip('/') if session is not None else '/AnviLLM'}/+Mail.{self.id[:8]}"

    def reopen(self) -> str:
        return f"message {self.subject_id}"

    def session(self) -> Session | None:
        self.message = self.message or find(self._messages(), self.id)
        self._sender = self.app.roster.find(self.message.get("from") or "") or self._sender
        return self._sender

    def open(self) -> None:
        self.get(Call("Get", "", None, None))

    def get(self, call: Call) -> None:
        table.whole(self.window, draw(self.message, self.app.label))

    def reply(self, call: Call) -> None:
        self.app.open("compose", self.subject_of(self.id))

    def executed(self, text: str, gesture: Gesture) -> bool:
        """Answer with one of the choices that the sender gave, on a click, and archive the message."""
        choice = picked(self._line(gesture)[1], text, choices(self.message)) if gesture.in_body else None
        if choice is None:
            return False
        self.app.agent.send(reply_to(self.message, choice))
        self.archive(Call("Archive", "", None, None))
        return True

    def archive(self, call: Call) -> None:
        if self.box == "archive":
            return  # it is there
        following = self._following()
        self.app.agent.control(self.owner, f"complete {self.id}")
        self.app.sync()
        self._go(following)

    def next(self, call: Call) -> None:
        following = self._following()
        if following is None:
            raise NotFound("no more messages")
        self._go(following)

    def subject_of(self, id: str) -> str:
        return f"{self.owner}/{self.box}/{id}"

    def _messages(self) -> list[dict[str, Any]]:
        return self.app.agent.box(self.owner, self.box)

    def _following(self) -> str | None:
        ids = [message["id"] for message in self._messages()]
        place = ids.index(self.id) + 1 if self.id in ids else 0
        return ids[place] if place < len(ids) else None

    def _go(self, id: str | None) -> None:
        if id is not None:
            self.app.open("message", self.subject_of(id))
        self.window.delete()


class Compose(Pane):
    """A message being written: headers, an empty line, the text. Send, or Put, sends it from the user."""

    commands: ClassVar = {"Send": "send", "Put": "send"}
    tag = "Send Put Undo Redo Look"
    any_word = False
    _begun_with = ""

    def title(self) -> str:
        if self._answers():
            return f"/AnviLLM/+Reply.{self.subject_id.rsplit('/', 1)[-1][:8]}"
        return f"/AnviLLM/+Mail.to.{self.app.label(self.subject_id)}" if self.subject_id != NOBODY else "/AnviLLM/+Mail"

    def reopen(self) -> str:
        return f"compose {self.subject_id}"

    def draft(self) -> str:
        text = self.window.body()
        return text if text != self._begun_with else ""

    def restore(self, text: str) -> None:
        self.window.replace(0, self.window.address("$")[1], text)

    def mine(self, q0: int, q1: int) -> bool:
        return True

    def _answers(self) -> bool:
        return self.subject_id.count("/") == 2

    def open(self) -> None:
        if self.window.body().strip():
            self.window.show()
            return
        to, kind, subject = self._begun()
        self._begun_with = f"To: {to}\nType: {kind}\nSubject: {subject}\n\n"
        self.window.append(self._begun_with)
        self.window.clean()
        end = self.window.address("$")[1] if to else len("To: ")
        self.window.select(end, end)
        self.window.show()

    def _begun(self) -> tuple[str, str, str]:
        """Return to whom, of which type, about what."""
        if not self._answers():
            return "" if self.subject_id == NOBODY else self.app.label(self.subject_id), "PROMPT_REQUEST", ""
        owner, box, id = self.subject_id.split("/")
        answer = reply_to(find(self.app.agent.box(owner, box), id), "")
        return self.app.label(answer["to"]), answer["type"], answer["subject"]

    def send(self, call: Call) -> None:
        text = self.window.body()
        message = parse(text, "" if self._answers() else "PROMPT_REQUEST")
        session = self.app.roster.find(message["to"])
        message["to"] = session.id if session is not None else message["to"]
        if self._answers():
            message["in_reply_to"] = self.subject_id.rsplit("/", 1)[-1]
        self.app.agent.send(message)
        self.sent(text)


def parse(text: str, kind: str) -> dict[str, Any]:
    """Return a message as Compose shows it, of type `kind` if it names none. Raises Invalid without a recipient, a type
    or a text.
    """
    head, _, body = text.partition("\n\n")
    message: dict[str, Any] = {"type": kind, "subject": ""}
    for line in head.splitlines():
        name, colon, value = line.partition(":")
        if not colon or name.strip().capitalize() not in _HEADERS:
            raise Invalid(f"not a header: '{line}'; an empty line ends the headers")
        message[name.strip().lower()] = value.strip()
    if not message.get("to"):
        raise Invalid("no recipient: write it after To:")
    if not message["type"]:
        raise Invalid("no type: write it after Type:")
    if not body.strip():
        raise Invalid("nothing to send")
    return {**message, "body": body.strip("\n")}


def choices(message: dict[str, Any]) -> list[str]:
    """Return the answers that the sender suggests."""
    given = (message.get("metadata") or {}).get("choices") or []
    return [str(choice) for choice in given] if isinstance(given, list) else []


def find(messages: list[dict[str, Any]], id: str) -> dict[str, Any]:
    for message in messages:
        if message["id"] == id:
            return message
    raise NotFound(f"message '{id}' is gone")


def draw(message: dict[str, Any], label: Callable[[str], str]) -> str:
    sender, to = message.get("from") or "-", message.get("to") or "-"
    rows = [
        f"From: {label(sender)}" + (f" ({sender})" if label(sender) != sender else ""),
        f"To: {label(to)}",
        f"Date: {when(message.get('timestamp'))}",
        f"Type: {message.get('type')}",
        f"Subject: {message.get('subject')}",
    ]
    suggested = drawn(choices(message))
    return "\n".join(rows) + f"\n\n{(message.get('body') or '').rstrip()}\n" + (f"\n{suggested}" if suggested else "")
