"""The open questions of a session, as its row keeps them: which one an answer is for, what it chooses, and which end with a report.

Pure. A question has an id of its own, made of the number of the report that brought it: the same over restarts of the daemon, and
never that of another question.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from anvilsrv.errors import Invalid, NotPermitted

Question = Mapping[str, Any]
SHOWN = ("id", "what", "text", "choices", "detail", "free", "questions", "diff")
ID = re.compile("q[0-9a-f]{6}")
ASK_USER = "ask_user"  # the report of a tool that asks the user on the agent's behalf (anvilmcp(1))
OPTIONS = 50  # choices of a question
NAME = 1000  # characters of what names the use of a tool
GIVEN = re.compile(r"(\S+)\s*(.*)", re.DOTALL)


def identify(session: str, report: str) -> str:
    """Return the id of the question that this report brought."""
    return "q" + hashlib.sha256(f"{session} {report}".encode("utf-8", "replace")).hexdigest()[:6]


def shown(question: Question) -> dict[str, Any]:
    """Return what readers see of it."""
    return {name: question[name] for name in SHOWN if name in question}


def kept(found: Any) -> tuple[dict[str, Any], ...]:
    """Return the questions in a row; earlier versions kept one, by the number of its report."""
    if isinstance(found, dict):
        found = [{**found, "report": found.get("id", "")}]
    return tuple(found or ())


def of_tool(number: str, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a question that a tool asks in report ``number``. Raises Invalid."""
    question, choices = payload.get("question"), payload.get("choices") or []
    if not isinstance(question, str) or not question.strip():
        raise Invalid("invalid question: must be a string")
    if not isinstance(choices, list) or len(choices) > OPTIONS or not all(isinstance(one, str) for one in choices):
        raise Invalid(f"invalid choices: must be a list of at most {OPTIONS} strings")
    return {"question": question, "choices": choices, "free": True, "tool": f"{ASK_USER} {number}"}


def use(tool: Any) -> str:
    """Return the use of a tool as a question keeps it: its name, or a digest of a long one."""
    name = str(tool or "")
    return name if len(name) <= NAME else "#" + hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()


def ended(questions: Iterable[Question], agent: str, tool: str, turn: bool = True) -> list[str]:
    """Return the ids of those that are over when ``agent`` (empty: the main one) goes on: where a use of ``tool`` is
    told, the oldest that asked for that, else all of that agent; what our own tool asks only where the ``turn`` is
    over, since it says itself when it does not wait any more.
    """
    own = [one for one in questions if one.get("agent", "") == agent]
    if not tool:
        return [one["id"] for one in own if turn or not one.get("tool", "").startswith(f"{ASK_USER} ")]
    same = [one["id"] for one in own if one.get("tool", "") == tool][:1]
    return same + [one["id"] for one in own if not one.get("tool")]


def meant(session: str, questions: tuple[Question, ...], text: str) -> tuple[Question, str]:
    """Return the question that is answered by ``<id> <choice>``, or by a choice alone if one is open, and the choice.
    Raises Invalid, and NotPermitted if it is not clear which is meant.
    """
    match = GIVEN.match(text)
    word, rest = (match[1], match[2]) if match is not None else ("", "")
    for one in questions:
        if one["id"] == word:
            if not rest:
                raise Invalid(f"invalid answer: no choice after '{word}'")
            return one, rest
    if ID.fullmatch(word):
        raise NotPermitted(f"question '{word}' is gone: read ask for the open ones")
    if not questions:
        raise NotPermitted(f"session '{session}' has no open question")
    if len(questions) > 1:
        ids = ", ".join(one["id"] for one in questions)
        raise NotPermitted(f"session '{session}' asks {len(questions)} questions: name one of {ids} before the choice")
    return questions[0], text


def chosen(question: Question, text: str) -> str:
    """Return what is chosen by ``text``: names and numbers of choices or, if allowed, free text. Raises Invalid."""
    parts = question.get("questions")
    if not parts and text in question.get("also", ()):
        return text
    if not parts:
        return pick(text, question["choices"], free=bool(question.get("free")))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) != len(parts):
        raise Invalid(f"invalid answer: {len(lines)} lines for {len(parts)} questions; write a line for each")
    return "\n".join(_of_part(line, part) for line, part in zip(lines, parts, strict=True))


def _of_part(line: str, part: Mapping[str, Any]) -> str:
    if not part.get("multiple") or line in part["choices"]:
        return pick(line, part["choices"], free=True)
    several = line.split() if "," not in line and line.replace(" ", "").isdecimal() else line.split(",")
    return ", ".join(pick(one.strip(), part["choices"], free=True) for one in several if one.strip())


def pick(choice: str, choices: list[str], free: bool = False) -> str:
    """Return the choice that was meant, by its name, its number from 1 or, if it is the only match, its beginning.
    Raises Invalid.
    """
    if not choices or choice in choices:
        return choice
    if choice.isdecimal() and 1 <= int(choice) <= len(choices):
        return choices[int(choice) - 1]
    if free:
        return choice
    near = [one for one in choices if one.casefold().startswith(choice.casefold())] if choice else []
    if len(near) == 1:
        return near[0]
    raise Invalid(f"invalid choice '{choice[:80]}' (expected {', '.join(choices)})")
