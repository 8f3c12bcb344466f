"""What a backend makes of hooks, screens and transcripts, and of prompts on their way in."""

import os
import time
from pathlib import Path

import pytest

from anvilsrv.backends.backend import Backend
from anvilsrv.tmux.screen import Screen
from tests.backends.files import MINIMAL, load

RULES = r"""
  payload: {conversation: session_id, transcript: transcript_path}
  ignore: {agent_id: .}
  hooks:
    Ready: {report: ready}
    Stop: {report: stop, text: last, continued: active}
    Fail: {report: fail, reason: "{error}: {detail.text}"}
    Note:
      - report: ask
        when: {type: ^perm}
        question: "{tool}: {input.command}"
        choices: {allow: {ok: true, again: "{input}"}, deny: {ok: false}}
      - {report: note, unless: {type: ^silent}, text: type}
    Choose: {report: ask, question: q, free: {stdout: {answer: "{TEXT}", id: "{id}"}, exit: 2}}
  replies: {stop: {decision: block, reason: "<{TEXT}>"}}
  limits:
    - {match: 'resets at (?P<epoch>\d+)'}
    - {match: 'resets (?P<clock>\d+[ap]m) \((?P<zone>[\w/]+)\)'}
    - {match: 'in (?:(?P<hours>\d+)h)?(?P<minutes>\d+)m'}
  transcript:
    - {report: interrupt, when: {message.content.*.text: '\A\[Request interrupted'}}
    - {report: usage, when: {type: assistant}, usage: {input: message.usage.in, output: message.usage.out}}
"""


@pytest.fixture
def rules(top: Path) -> Backend:
    return load(top, "backend:\n  command: [prog]\n" + RULES)


@pytest.mark.parametrize(("coded", "text"), [("YWIK/w==", "ab\n\udcff"), ("YW=IK", ""), ("é", ""), ("", "")])
def test_a_text_may_come_in_base64(top: Path, coded: str, text: str) -> None:
    made = load(
        top, "backend:\n  command: [prog]\n  hooks: {Ready: {report: ready}, Stop: {report: stop, text: text}}\n"
    )
    found = made.report("Stop", {"base64": coded, "status": 0})
    assert found is not None and found.fields["text"] == text


def test_hooks_become_reports(rules: Backend) -> None:
    stop = rules.report("Stop", {"session_id": "s", "transcript_path": "/t", "last": "answer\n", "active": True})
    assert stop is not None
    assert (stop.kind, stop.fields) == (
        "stop",
        {"conversation": "s", "transcript": "/t", "text": "answer\n", "continued": True},
    )
    note = rules.report("Note", {"type": "idle"})
    assert note is not None
    assert (note.kind, note.fields) == ("note", {"text": "idle"})
    assert rules.report("Note", {"type": "silent"}) is None
    assert rules.report("Unknown", {}) is None
    assert rules.report("Stop", {"agent_id": "sub"}) is None


def test_questions_carry_choices_and_are_answered_from_their_payload(rules: Backend) -> None:
    asked = rules.report("Note", {"type": "perm", "tool": "Bash", "input": {"command": "rm {TEXT} {x}"}})
    assert asked is not None
    assert asked.fields == {"question": "Bash: rm {TEXT} {x}", "choices": ["allow", "deny"], "free": False}
    reply = rules.reply("ask", "allow", asked)
    assert reply is not None
    assert reply.stdout == '{"ok":true,"again":{"command":"rm {TEXT} {x}"}}\n'
    assert rules.reply("ask", "else", asked) is None
    free = rules.report("Choose", {"q": "which?", "id": 7})
    assert free is not None
    answer = rules.reply("ask", 'say "{id}"', free)
    assert answer is not None
    assert (answer.stdout, answer.exit) == ('{"answer":"say \\"{id}\\"","id":7}\n', 2)


def test_what_can_be_said_and_is_reported_is_known(rules: Backend) -> None:
    assert (rules.can("stop"), rules.can("ask"), rules.reports("stop"), rules.reports("end")) == (
        True,
        True,
        True,
        False,
    )
    handed = rules.reply("stop", "next {TEXT}")
    assert handed is not None
    assert handed.stdout == '{"decision":"block","reason":"<next {TEXT}>"}\n'


def test_transcripts_tell_interrupts_and_usage(rules: Backend) -> None:
    line = {"type": "user", "message": {"content": [{"text": "x"}, {"text": "[Request interrupted by user]"}]}}
    assert [one.kind for one in rules.transcript_reports(line)] == []
    line = {"type": "user", "message": {"content": [{"text": "[Request interrupted by user]"}]}}
    assert [one.kind for one in rules.transcript_reports(line)] == ["interrupt"]
    [usage] = rules.transcript_reports({"type": "assistant", "message": {"usage": {"in": 3, "out": True}}})
    assert usage.fields["usage"] == {"input": 3}


def test_the_end_of_a_limit_is_read_from_its_words(rules: Backend) -> None:
    now = time.mktime((2026, 11, 22, 14, 0, 0, 0, 0, -1))
    assert rules.until("limit; resets at 1795400000", now) == 1795400005
    assert rules.until("limit; resets at 1795400000000", now) == 1795400005
    assert rules.until("try again in 1h30m", now) == now + 5405
    assert rules.until("try again in 2m", now) == now + 125
    assert rules.until("nothing", now) is None
    assert rules.until("resets 3pm (Nowhere/Land)", now) is None
    utc = 1795356000.0  # 2026-11-22T14:00:00Z
    assert rules.until("resets 3pm (UTC)", utc) == utc + 3600 + 60 + 5
    assert rules.until("resets 1pm (UTC)", utc) == utc + 23 * 3600 + 65
    assert rules.until("resets 11am (America/New_York)", utc) == utc + 2 * 3600 + 65
    failed = rules.report("Fail", {"error": "limit", "detail": {"text": "in 10m"}})
    assert failed is not None
    assert failed.fields["reason"] == "limit: in 10m"
    assert failed.fields["until"] > time.time() + 500


def test_prompts_are_made_safe(top: Path) -> None:
    backend = load(
        top,
        MINIMAL
        + r"""
  input:
    guard:
      - {when: '\A[!/]', prefix: " "}
      - {when: '\\\Z', suffix: " "}
  slash: [/clear]
  options: {model: {flag: [--model, "{VALUE}"], command: "/model {VALUE}"}}
""",
    )
    assert backend.prompt_text("plain\n/second !") == "plain\n/second !"
    assert backend.prompt_text("!ls") == " !ls"
    assert backend.prompt_text("\n \n\n  plain\n\n second") == "  plain\n\n second"
    assert backend.prompt_text("/danger \\") == " /danger \\ "
    assert backend.prompt_text("/clear", "context") == "/clear"
    assert backend.prompt_text("/clear\nthe table") == " /clear\nthe table"
    assert backend.prompt_text("/model large", "context") == "/model large"
    assert backend.prompt_text("/model large and more") == " /model large and more"
    assert [backend.choosing("model", one) for one in ("large", "a b", "")] == ["/model large", "", ""]
    assert backend.own_commands() == ["clear", "model"]
    assert backend.prompt_text("!ls", "context\n") == "context\n\n!ls"
    assert backend.prompt_text("a\r\nb\x1b[201~c\x03") == "a\nb[201~c"


def test_the_input_line_may_be_elsewhere_than_the_cursor(top: Path) -> None:
    backend = load(top, MINIMAL + "  input: {find: '^│ >', empty: '^│ > *│$'}\n")
    assert backend.free(Screen(["old │ >", "│ >      │", "hints"], 0, 2, 80, 24))
    assert not backend.free(Screen(["│ >      │", "│ > dra  │", "hints"], 0, 2, 80, 24))
    assert not backend.free(Screen(["no input line at all"], 0, 0, 80, 24))


def test_the_input_may_be_a_box_of_several_lines(top: Path) -> None:
    backend = load(top, MINIMAL + "  input: {find: '(^ *┃.*\\n)+ *╹', empty: '\\A *┃\\n *┃\\n *┃ model'}\n")
    said, foot = ["┃ said before", "┃", ""], ["┃ model", "╹▀▀▀", "hints"]
    assert backend.free(Screen([*said, "┃", "┃", *foot], 0, 0, 80, 24))
    assert not backend.free(Screen([*said, "┃", "┃ draft", *foot], 0, 0, 80, 24))
    assert not backend.free(Screen([*said, "┃", "┃", "┃ second line", *foot], 0, 0, 80, 24))
    assert not backend.free(Screen(said, 0, 0, 80, 24))


def test_a_program_that_is_missing_is_said_with_the_remedy(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = load(top, MINIMAL + "  requires: {program: frob, install: npm install -g frob, version: --version}\n")
    assert backend.available() == "no program 'frob': npm install -g frob"
    (top / "frob").write_text("#!/bin/sh\necho frob 1.2 $1\n")
    (top / "frob").chmod(0o755)
    monkeypatch.setenv("PATH", f"{top}:{os.environ['PATH']}")
    assert (backend.available(), backend.version()) == ("ok", "frob 1.2 --version")
    assert str(top / "frob") in backend.reads()
