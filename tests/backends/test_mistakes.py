"""Mistakes in a backend's file, each told when it is read, with file and line."""

import re
from pathlib import Path

import pytest

from anvilsrv.backends import mistakes
from anvilsrv.errors import Invalid
from tests.backends.files import MINIMAL, load

M = MINIMAL
PYTHON = {
    "syntax.py": "x = 1\ndef f(:\n",
    "name.py": "x = 1\nfoo()\n",
    "deep.py": "def f():\n    return {}['no']\nf()\n",
    "imports.py": "import os\nimport nosuch\n",
    "empty.py": "",
    "slip.py": "from anvilsrv.backends.backend import Peculiarity\nclass X(Peculiarity):\n    def reprot(self, hook):\n        pass\n",
}
MISTAKES = (
    # the layer of the sandbox
    (M + "filesystem: {ro: 5}\n", "x.yaml:6: filesystem.ro: must be a list"),
    (M + "filesystem:\n  rr: []\n", "x.yaml:7: filesystem.rr: no such key"),
    (M + "filesystem: {ro: [a/b]}\n", "x.yaml:6: filesystem.ro: 'a/b' is not absolute"),
    (M + "network: sometimes\n", "x.yaml:6: network: must be a mapping"),
    (M + "network: {connect_tcp: [99999]}\n", "x.yaml:6: network.connect_tcp: 99999 is not a port"),
    (M + "env: [1]\n", "x.yaml:6: env: 1 is neither NAME nor NAME=value"),
    (M + "unix: [5]\n", "x.yaml:6: unix: 5 is neither a path"),
    (M + "permissions: no\n", "x.yaml:6: permissions: must be ask or bypass"),
    (M + "agents: {spwan: true}\n", "x.yaml:6: agents.spwan: no such key"),
    (M + "limits: {memroy: 1G}\n", "x.yaml:6: limits.memroy: no such key"),
    (M + "git: {land: 5}\n", "x.yaml:6: git.land: must be true or false"),
    (M + "general: {best_effort: true}\n", "x.yaml:6: general.best_effort: only global.yaml may weaken"),
    (M + "sandbox: {}\n", "x.yaml:6: sandbox: unknown key"),
    # keys of a terminal
    (M + "  interrupt: [Escpe]\n", "x.yaml:6: backend.interrupt: 'Escpe' is not a key"),
    (M + "  input: {submit: [Entr]}\n", "x.yaml:6: backend.input: 'Entr' is not a key"),
    (M + "  input: {clear: ['Ctrl-u']}\n", "x.yaml:6: backend.input: 'Ctrl-u' is not a key"),
    (M + "  dialogs: [{screen: a, keys: [enter]}]\n", "x.yaml:6: backend.dialogs: 'enter' is not a key"),
    (M + "  stop: {keys: [C-Q-]}\n", "x.yaml:6: backend.stop: 'C-Q-' is not a key"),
    # what fits nothing else in the file
    (M.replace('[prog, "{ID}"]', '["", a]'), "x.yaml:3: backend.command: the program is empty"),
    (M.replace('[prog, "{ID}"]', '["{PROGRAM}"]'), "x.yaml:3: backend.command: {PROGRAM} needs requires"),
    (M + "  requires: {version: [--version]}\n", "x.yaml:6: backend.requires: version needs program"),
    (M + "  ready: {timeout: 0}\n", "x.yaml:6: backend.ready: timeout must be more than 0"),
    (M + "  resume: [a, '{CONVERSATION}']\n", "x.yaml:6: backend.resume: {CONVERSATION} is empty"),
    (M + "  conversation: hook\n", "x.yaml:6: backend.conversation: no hook reports it"),
    (M + "  evidence: transcript\n", "x.yaml:6: backend.evidence: transcript needs rows"),
    (M + "    Stop: {report: stop, choices: {yes: {a: 1}}}\n", "x.yaml:4: backend.hooks: Stop: choices, offered and free"),
    # a single key
    (M + "    Stop: {report: sumbit}\n", "x.yaml:6: backend.hooks.Stop.report: must be one of"),
    (M + "    Stop: {report: stop, when: {a: '('}}\n", "x.yaml:6: backend.hooks.Stop.when.a: not a regular"),
    (M + "    Stop: {report: stop, text: 5}\n", "x.yaml:6: backend.hooks.Stop.text: must be a string"),
    (M + "    Stop: [stop]\n", "x.yaml:6: backend.hooks.Stop.0: must be a table"),
    (M + "  mail: commnt\n", "x.yaml:6: backend.mail: must be one of: prompt comment"),
    (M + "  payload: {sesion: x}\n", "x.yaml:6: backend.payload.sesion: unknown key"),
    (M + "  permissions: {bypas: [x]}\n", "x.yaml:6: backend.permissions.bypas: unknown key"),
    (M + "  stop: {grace: -1}\n", "x.yaml:6: backend.stop.grace: must be a number"),
    (M + "  requires: {program: 5}\n", "x.yaml:6: backend.requires.program: must be a string"),
    (M + "  login: {command: [a]}\n", "x.yaml:6: backend.login: key 'files' is missing"),
    (M + "  title: yes\n", "x.yaml:6: backend.title: must be a string"),
    (M + "\tx: 1\n", "x.yaml:6: not YAML"),
    (M + "backend2:\n", "x.yaml:6: backend2: unknown key"),
    (M.replace("command:", "comand:"), "x.yaml:3: backend.comand: unknown key (did you mean 'command'?)"),
    # Python beside it: its own file and line
    (M + "  python: syntax.py:X\n", "{top}/syntax.py:2: invalid syntax"),
    (M + "  python: name.py:X\n", "{top}/name.py:2: name 'foo' is not defined"),
    (M + "  python: deep.py:X\n", "{top}/deep.py:2: 'no'"),
    (M + "  python: imports.py:X\n", "{top}/imports.py:2: No module named 'nosuch'"),
    (M + "  python: empty.py\n", "x.yaml:6: backend.python: 'empty.py' must be FILE.py:CLASS"),
    (M + "  python: empty.py:X\n", "x.yaml:6: backend.python: cannot load 'empty.py:X'"),
    (M + "  python: slip.py:X\n", "{top}/slip.py:3: 'reprot' is not a method of Peculiarity (is 'report' meant?)"),
)  # fmt: skip


def test_the_table_has_thirty_mistakes() -> None:
    assert len(MISTAKES) >= 30


@pytest.mark.parametrize(("text", "words"), MISTAKES, ids=lambda one: one.splitlines()[-1][:40] if "\n" in one else "")
def test_a_mistake_is_told_with_file_and_line(top: Path, text: str, words: str) -> None:
    for name, content in PYTHON.items():
        (top / name).write_text(content)
    with pytest.raises(Invalid, match=re.escape(words.replace("{top}", str(top)))):
        load(top, text)


def test_what_nothing_reports_is_told_and_is_no_error_for_whoever_tries_it_out(top: Path) -> None:
    backend = load(top, MINIMAL)
    assert [one.split("nothing ")[1].split(",")[0] for one in mistakes.unheard(backend)] == [
        "reports submit",
        "reports stop",
    ]
    whole = MINIMAL + "    Submit: {report: submit}\n    Stop: {report: stop}\n"
    assert mistakes.unheard(load(top, whole, "y")) == []
