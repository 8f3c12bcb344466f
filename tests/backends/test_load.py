"""Backend files: what they may say, what is refused and how, what comes of it."""

import os
import re
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from anvilsrv.backends.registry import Backend, Backends, Place, default_dirs
from anvilsrv.errors import Invalid, NotFound
from anvilsrv.tmux.screen import Screen
from tests.conftest import some

MINIMAL = """
backend:
  command: [prog, "{ID}"]
  hooks:
    Ready: {report: ready}
"""


def load(top: Path, text: str, name: str = "x") -> Backend:
    (top / f"{name}.yaml").write_text(text)
    return Backends(top).get(name)


def place(**more: Any) -> Place:
    return Place(**{"id": "ab12cd34", "cwd": "/w", "session_dir": "/s", "data_dir": "/d", "home": "/h", **more})


def test_the_shipped_files_are_valid() -> None:
    shipped = Backends(default_dirs()[1])
    assert "shell" in shipped.names()
    for name in some(shipped.names()):
        assert shipped.get(name).title


def test_shell_is_ready_everywhere_and_has_its_short_name() -> None:
    shipped = Backends(default_dirs()[1])
    assert shipped.get("sh") == shipped.get("shell")
    assert ("shell", "Shell", "ok") in shipped.listing()
    assert shipped.get("shell").prompt_text("ls", "one\ntwo") == "# one\n# two\nls"


def test_defaults(top: Path) -> None:
    backend = load(top, MINIMAL)
    assert (backend.title, backend.conversation, backend.mail, backend.interrupt) == ("x", "none", "prompt", ())
    assert (backend.input.submit, backend.input.confirm, backend.stop.grace, backend.ready_timeout) == (
        ("Enter",),
        3.0,
        5.0,
        60.0,
    )
    assert backend.launch(place(), resume=True).argv == ["prog", "ab12cd34"]
    assert backend.free(Screen(["anything"], 0, 0, 80, 24))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("backend: {command: [a]}\n", "x.yaml:1: backend.ready: neither a hook"),
        ("backend:\n  hooks: {R: {report: ready}}\n", "x.yaml:1: backend: key 'command' is missing"),
        (MINIMAL + "  colour: red\n", "x.yaml:6: backend.colour: unknown key"),
        (MINIMAL + "nonsense: 1\n", "x.yaml:6: nonsense: unknown key"),
        (MINIMAL + "  input: {settle: soon}\n", "x.yaml:6: backend.input.settle: must be a number of seconds"),
        (MINIMAL + "  input:\n    setle: 1\n", "x.yaml:7: backend.input.setle: unknown key"),
        (MINIMAL + "  input: {empty: '('}\n", "x.yaml:6: backend.input.empty: not a regular expression"),
        (MINIMAL + "  aliases: 3\n", "x.yaml:6: backend.aliases: must be a list of texts"),
        (MINIMAL + "    Stop: {report: stopp}\n", "x.yaml:6: backend.hooks.Stop.report: must be one of: ready submit"),
        (MINIMAL + "    Stop: {report: stop, txt: a}\n", "x.yaml:6: backend.hooks.Stop.txt: unknown key"),
        (MINIMAL + "  resume: [a, '{NOPE}']\n", "x.yaml:6: backend.resume: unknown name {NOPE}"),
        (MINIMAL + "  files: {../x: a}\n", "x.yaml:6: backend.files.../x: must be a relative name"),
        (MINIMAL + "  files: {/etc/x: a}\n", "must be a relative name"),
        (MINIMAL + "  dialogs: [{screen: a}]\n", "x.yaml:6: backend.dialogs.0: key 'keys' is missing"),
        (MINIMAL + "  python: nofile.py:Class\n", "x.yaml:6: backend.python: cannot load 'nofile.py:Class'"),
        (MINIMAL + "  title: a\n  title: b\n", "x.yaml:7: backend.title: said twice"),
        ("backend: [\n", "x.yaml:2: not YAML"),
        ("- 1\n", "x.yaml:1: must be a table of keys"),
        ("", "key 'backend' is missing"),
        (MINIMAL + "  ready: 5\n", "x.yaml:6: backend.ready: must be a table of keys"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_file_line_and_key(top: Path, text: str, why: str) -> None:
    with pytest.raises(Invalid, match=re.escape(why)):
        load(top, text)


def test_a_broken_file_is_listed_and_breaks_no_other(top: Path) -> None:
    (top / "bad.yaml").write_text("backend: {}\n")
    (top / "good.yaml").write_text(MINIMAL)
    rows = Backends(top).listing()
    assert [row[0] for row in rows] == ["bad", "good"]
    assert "key 'command' is missing" in rows[0][2]
    assert rows[1][2] == "ok"


def test_the_users_file_comes_before_the_shipped_one_and_a_change_is_seen(top: Path) -> None:
    (top / "mine").mkdir()
    (top / "theirs").mkdir()
    backends = Backends(top / "mine", top / "theirs")
    load(top / "theirs", MINIMAL + "  title: theirs\n  aliases: [other]\n")
    assert backends.get("other").title == "theirs"
    load(top / "mine", MINIMAL + "  title: mine\n")
    assert backends.get("x").title == "mine"
    load(top / "mine", MINIMAL + "  title: changed\n")
    assert backends.get("x").title == "changed"
    with pytest.raises(NotFound, match="no backend 'nope'"):
        backends.get("nope")


def test_a_program_that_is_missing_is_said_with_the_remedy(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = load(top, MINIMAL + "  requires: {program: frob, install: npm install -g frob, version: --version}\n")
    assert backend.available() == "no program 'frob': npm install -g frob"
    (top / "frob").write_text("#!/bin/sh\necho frob 1.2 $1\n")
    (top / "frob").chmod(0o755)
    monkeypatch.setenv("PATH", f"{top}:{os.environ['PATH']}")
    assert (backend.available(), backend.version()) == ("ok", "frob 1.2 --version")
    assert str(top / "frob") in backend.reads()


def test_templates_in_commands_files_and_environment(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "secret")
    backend = load(
        top,
        MINIMAL
        + r"""
  resume: [prog, --resume, "{CONVERSATION}", "{PERMISSIONS}", "x{CWD}y"]
  conversation: uuid
  permissions: {bypass: [--yes, --all], ask: []}
  env: {TOKEN: "{ENV:TOKEN}", NONE: "{ENV:NOT_THERE}", WHERE: "{DATA}/c"}
  files:
    "settings.json": {hooks: {Stop: [{command: "{HOOK} Stop", n: 1}]}, args: ["a", "{MCP_ARGS}"], "{ID}": true}
    plain.txt: "id {ID} {not this} ${{HOME}}\n"
  data:
    conf/a.json: {x: "{CWD}"}
    link: {link: "{HOME}/.conf"}
""",
    )
    made = backend.launch(place(conversation="c-1", mcp=["m", "1", "2"], cwd="/w d"), resume=True)
    assert made.argv == ["prog", "--resume", "c-1", "--yes", "--all", "x/w dy"]
    assert made.env == {"TOKEN": "secret", "NONE": "", "WHERE": "/d/c"}
    settings = yaml.safe_load(made.files["settings.json"])
    assert settings["hooks"]["Stop"][0]["command"].endswith("anvilsrv/inside/hook.py Stop")
    assert (settings["args"], settings["ab12cd34"]) == (["a", "1", "2"], True)
    assert made.files["plain.txt"] == "id ab12cd34 {not this} ${/h}\n"
    assert made.data == {"conf/a.json": '{\n  "x": "/w d"\n}\n', "link": {"link": "/h/.conf"}}
    assert backend.launch(place(), resume=True).argv == ["prog", "ab12cd34"]
    assert "--yes" not in backend.launch(place(conversation="c", permissions="ask"), resume=True).argv


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
    assert reply.stdout == '{"ok": true, "again": {"command": "rm {TEXT} {x}"}}\n'
    assert rules.reply("ask", "else", asked) is None
    free = rules.report("Choose", {"q": "which?", "id": 7})
    assert free is not None
    answer = rules.reply("ask", 'say "{id}"', free)
    assert answer is not None
    assert (answer.stdout, answer.exit) == ('{"answer": "say \\"{id}\\"", "id": 7}\n', 2)


def test_what_can_be_said_and_is_reported_is_known(rules: Backend) -> None:
    assert (rules.can("stop"), rules.can("ask"), rules.reports("stop"), rules.reports("end")) == (
        True,
        True,
        True,
        False,
    )
    handed = rules.reply("stop", "next {TEXT}")
    assert handed is not None
    assert handed.stdout == '{"decision": "block", "reason": "<next {TEXT}>"}\n'


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
""",
    )
    assert backend.prompt_text("plain\n/second !") == "plain\n/second !"
    assert backend.prompt_text("!ls") == " !ls"
    assert backend.prompt_text("/danger \\") == " /danger \\ "
    assert backend.prompt_text("/clear", "context") == "/clear"
    assert backend.prompt_text("/clear\nthe table") == " /clear\nthe table"
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


def test_a_class_in_a_file_beside_may_do_what_the_yaml_cannot_say(top: Path) -> None:
    (top / "odd.py").write_text(
        "from anvilsrv.backends.backend import Peculiarity, Report\n"
        "class Odd(Peculiarity):\n"
        "    def report(self, hook, payload):\n"
        "        return Report('note', {'text': hook}) if hook == 'Odd' else super().report(hook, payload)\n"
    )
    backend = load(top, MINIMAL + "  python: odd.py:Odd\n")
    odd, ready = backend.report("Odd", {}), backend.report("Ready", {})
    assert odd is not None
    assert ready is not None
    assert (odd.fields, ready.kind) == ({"text": "Odd"}, "ready")
    with pytest.raises(Invalid, match="is no anvilsrv"):
        load(top, MINIMAL + "  python: pathlib:Path\n", "y")


@pytest.mark.parametrize(
    "line",
    [
        "from anvilsrv.backend import Launch, Peculiarity, Place, Reply, Report",
        "from anvilsrv.private import Private as Peculiarity",
        "from anvilsrv import beneath; from anvilsrv.backend import Peculiarity",
    ],
)
def test_files_of_users_import_by_the_names_of_version_0_1(top: Path, line: str) -> None:
    (top / "old.py").write_text(f"{line}\nclass Old(Peculiarity): pass\n")
    assert load(top, MINIMAL + "  python: old.py:Old\n").peculiarity.__name__ == "Old"
