"""The user's editors that are attached to sessions, and what agents ask of them.

A question goes to every editor that is attached to the session at that moment, to each under a number of its own. The first result is
the answer; the others are told that it is over. An error is the answer when all have given one, or are gone.

Threads: any; one lock guards what is open, and what an editor is to read has its own (``editor.py``), taken after it. Answers are
given with the lock held, which wakes a read and no more.
"""

import itertools
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from anvilsrv.errors import Conflict, NotFound, Unavailable
from anvilsrv.strict_json import dumps

MOST = 16  # questions of one session that are open
GONE = "the editor that was asked is gone"
NONE = "no editor is attached to this session: the user's Emacs is when its list of AnviLLM is open"

Give = Callable[[Mapping[str, Any]], None]


class Reader(Protocol):
    """One editor: where what it is to read is put."""

    def put(self, number: int, line: bytes) -> None:
        """Put one more line, under a number."""

    def take_back(self, number: int) -> bool:
        """Withdraw that line. Returns whether that was in time."""


@dataclass(eq=False)
class Question:
    """What an agent asked. ``asked`` are those who have not answered yet, by the number that each has for it."""

    session: str
    give: Give
    asked: dict[int, Reader] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)


class Editors:
    """All that are attached, and all questions that are open."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._attached: dict[str, list[Reader]] = {}
        self._open: dict[int, Question] = {}
        self._numbers = itertools.count(1)

    def attach(self, session: str, lines: Reader) -> None:
        """Attach an editor: from now on it reads what that session's agent asks."""
        with self._lock:
            self._attached.setdefault(session, []).append(lines)

    def detach(self, session: str, lines: Reader) -> None:
        """Detach an editor that is gone: questions that it was asked stay unanswered by it."""
        with self._lock:
            left = self._attached.get(session, [])
            if lines in left:
                left.remove(lines)
            if not left:
                self._attached.pop(session, None)
            for number in [number for number, one in self._open.items() if one.asked.get(number) is lines]:
                self._refused(number, GONE)

    def ask(self, session: str, request: Mapping[str, Any], give: Give) -> Question:
        """Ask all of them; ``give`` gets ``result`` or ``error``. Raises Unavailable where there is none."""
        body = dumps(request)[1:]
        with self._lock:
            if not self._attached.get(session):
                raise Unavailable(NONE)
            if len({id(one) for one in self._open.values() if one.session == session}) >= MOST:
                raise Conflict(f"busy: {MOST} questions of this session are waiting for an editor")
            made = Question(session, give)
            for lines in self._attached[session]:
                number = next(self._numbers)
                made.asked[number] = lines
                self._open[number] = made
                lines.put(number, f'{{"id":{number},{body}\n'.encode())
            return made

    def answered(self, session: str, number: int, reply: Mapping[str, Any]) -> None:
        """Take an editor's answer. Raises NotFound for a question that is over or was never asked."""
        with self._lock:
            question = self._open.get(number)
            if question is None or question.session != session:
                raise NotFound(f"no such question: {number}")
            if "error" in reply:
                self._refused(number, reply["error"])
            else:
                self._forget(number)
                self._over(question)
                question.give(reply)

    def withdraw(self, question: Question) -> bool:
        """Cancel the wait; True if it was open."""
        with self._lock:
            was = bool(question.asked)
            self._over(question)
            return was

    # -- with the lock -------------------------------------------------------------------------------------------------

    def _refused(self, number: int, why: str) -> None:
        question = self._forget(number)
        if why not in question.errors:
            question.errors.append(why)
        if not question.asked:
            question.give({"error": "; ".join(question.errors)})

    def _over(self, question: Question) -> None:
        for number, lines in list(question.asked.items()):
            self._forget(number)
            if not lines.take_back(number):
                lines.put(-number, f'{{"id":{number},"over":true}}\n'.encode())

    def _forget(self, number: int) -> Question:
        question = self._open.pop(number)
        del question.asked[number]
        return question
