"""The words of a turn whose end was reported without them."""

from pathlib import Path
from typing import Any

import pytest

from anvilsrv.backends.ending import NO_WORDS, ended
from anvilsrv.backends.registry import Backends
from anvilsrv.backends.rules import Report
from tests.backends.files import MINIMAL, load
from tests.conftest import ROOT

SHIPPED = Backends(ROOT / "cfg" / "backends")
FIRST, SECOND = ({"type": "user", "content": [{"text": text}]} for text in ("first", "second"))
CANCELLED = {"type": "info", "content": "Request cancelled."}


def said(text: str) -> dict[str, Any]:
    return {"type": "gemini", "content": text}


@pytest.mark.parametrize(
    ("lines", "kind", "text"),
    [
        ([FIRST, said("one")], "stop", "one"),
        ([FIRST, said("one"), said(""), said("more")], "stop", "more"),
        ([FIRST, said("one"), SECOND, CANCELLED], "interrupt", None),
        ([FIRST, CANCELLED, SECOND, said("two")], "stop", "two"),
        ([FIRST, said("one"), SECOND], "fail", NO_WORDS),
        ([], "fail", NO_WORDS),
    ],
)
def test_an_answer_is_what_was_said_after_the_last_prompt_and_never_that_of_another(
    lines: list[dict[str, Any]], kind: str, text: str | None
) -> None:
    found = ended(SHIPPED.get("gemini"), Report("stop", {"continued": False}), lines)
    assert (found.kind, found.fields.get("text" if kind == "stop" else "reason")) == (kind, text)


def test_words_that_claude_did_not_report_are_those_in_its_transcript() -> None:
    backend = SHIPPED.get("claude")
    stop = backend.report("Stop", {"session_id": "a", "left_out": {"last_assistant_message": 9_000_000}})
    assert stop is not None
    prompt = {"type": "user", "message": {"content": "a"}, "origin": {"kind": "human"}}
    words = {"type": "assistant", "message": {"content": [{"type": "text", "text": "long"}]}}
    assert ended(backend, stop, [prompt, words]).fields["text"] == "long"
    assert ended(backend, stop, [words, prompt]).kind == "fail"


def test_an_agent_that_promises_no_words_ends_a_turn_without(top: Path) -> None:
    backend = load(top, MINIMAL + "    Stop: {report: stop}\n")
    assert ended(backend, Report("stop"), []).fields["text"] == ""
