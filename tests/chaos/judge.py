"""What must hold at the end of a run: each prompt and each message has one outcome, whatever happened meanwhile."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.chaos.load import Ledger
from tests.session import Session

TOKEN = re.compile(r"\b[pm][a-z]\d+\b")
MAIL = re.compile(r"^\[mail from .* id ([0-9a-f-]{36})\]")
OVER = ("done", "failed", "withdrawn")


class Row(NamedTuple):
    """A line of ``turns/list``."""

    number: int
    state: str
    origin: str
    words: str


class Found(NamedTuple):
    """What is there of a session at the end: its prompts, its mail, and the texts that its agent took."""

    rows: list[Row]
    mail: list[dict[str, Any]]
    took: list[str]


def rows(session: Session) -> list[Row]:
    """Return all prompts of a session."""
    lines = [line.split("\t") for line in session.read("turns/list").splitlines()]
    return [Row(int(line[0]), line[1], line[2], line[-1]) for line in lines]


def took(cwd: Path) -> list[str]:
    """Return what the agent in ``cwd`` has run, as it wrote down itself."""
    ran, log = cwd / "ran", cwd / "script.log"
    texts = ran.read_text().splitlines() if ran.exists() else []
    events = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    return texts + [one["text"] for one in events if one["event"] == "turn"]


def found(session: Session, cwd: Path) -> Found:
    """Return everything of one session."""
    return Found(rows(session), [*session.json("inbox"), *session.json("archive")], took(cwd))


def prompts(name: str, ledger: Ledger, there: Found) -> Iterator[str]:
    """Yield what is wrong with the prompts of a session."""
    states: dict[str, list[Row]] = {}
    for row in there.rows:
        token = TOKEN.search(row.words) if row.origin == "queue" else None
        if token:
            states.setdefault(token[0], []).append(row)
        if row.state not in OVER:
            yield f"{name}: prompt {row.number} is {row.state} for ever: {row.words}"
        if row.origin == "typed":
            yield f"{name}: prompt {row.number} counts as typed by a person: {row.words}"
    ran = Counter(token[0] for text in there.took if not MAIL.match(text) and (token := TOKEN.search(text)))
    for token in ledger.sent:
        known, times = states.get(token, []), ran[token]
        outcome = known[0].state if known else "nothing"
        if len(known) > 1 or (not known and token in ledger.accepted):
            yield f"{name}: {token} was accepted and has {len(known)} outcomes"
        if known and token not in ledger.unknown:
            yield f"{name}: {token} was refused and is {outcome}"
        if known and ledger.numbers.get(token, known[0].number) != known[0].number:
            yield f"{name}: {token} was told {ledger.numbers[token]} as its number and has {known[0].number}"
        if times > 1 or (times != (outcome == "done") and outcome != "failed"):
            yield f"{name}: {token} is {outcome} and was run {times} times"
        if token in ledger.withdrawn and outcome != "withdrawn":
            yield f"{name}: {token} was withdrawn and is {outcome}"
    yield from (f"{name}: {one}" for one in ledger.wrong)


def mail(ledgers: dict[str, Ledger], there: dict[str, Found]) -> Iterator[str]:
    """Yield what is wrong with the mail of all sessions."""
    subjects = Counter(one["subject"] for found in there.values() for one in found.mail)
    replies = Counter(one["metadata"].get("in_reply_to") for found in there.values() for one in found.mail)
    for name, ledger in ledgers.items():
        for token in ledger.mailed:
            if subjects[token] != 1:
                yield f"{name}: mail {token} was delivered {subjects[token]} times"
        yield from (f"{name}: mail {one} was delivered twice" for one in ledger.unknown if subjects[one] > 1)
    for name, found in there.items():
        ran = Counter(match[1] for text in found.took if (match := MAIL.match(text)))
        yield from (f"{name}: mail {one} was put before the agent {n} times" for one, n in ran.items() if n > 1)
        for one in found.mail:
            if one["type"].endswith("_REQUEST") and replies[one["id"]] != 1:
                yield f"{name}: request {one['subject']} was answered {replies[one['id']]} times"
