"""Backend files: what they may say, and what is refused and how."""

import re
from pathlib import Path

import pytest

from anvilsrv.errors import Invalid
from anvilsrv.tmux.screen import Screen
from tests.backends.files import MINIMAL, load, place


def test_what_a_file_omits_has_its_default(top: Path) -> None:
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
        (MINIMAL + "  aliases: 3\n", "x.yaml:6: backend.aliases: must be a list of strings"),
        (MINIMAL + "    Stop: {report: stopp}\n", "x.yaml:6: backend.hooks.Stop.report: must be one of: ready submit"),
        (MINIMAL + "    Stop: {report: stop, txt: a}\n", "x.yaml:6: backend.hooks.Stop.txt: unknown key"),
        (MINIMAL + "  resume: [a, '{NOPE}']\n", "x.yaml:6: backend.resume: unknown name {NOPE}"),
        (MINIMAL + "  files: {../x: a}\n", "x.yaml:6: backend.files.../x: must be a relative name"),
        (MINIMAL + "  files: {/etc/x: a}\n", "must be a relative name"),
        (MINIMAL + "  dialogs: [{screen: a}]\n", "x.yaml:6: backend.dialogs.0.keys: needed, or says"),
        (MINIMAL + "  python: nofile.py:Class\n", "x.yaml:6: backend.python: cannot load 'nofile.py:Class'"),
        (MINIMAL + "  title: a\n  title: b\n", "x.yaml:7: backend.title: duplicate key"),
        ("backend: [\n", "x.yaml:2: not YAML"),
        ("- 1\n", "x.yaml:1: must be a table of keys"),
        ("", "key 'backend' is missing"),
        (MINIMAL + "  ready: 5\n", "x.yaml:6: backend.ready: must be a table of keys"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_file_line_and_key(top: Path, text: str, why: str) -> None:
    with pytest.raises(Invalid, match=re.escape(why)):
        load(top, text)


def test_a_key_may_be_named_with_how_often_it_is_pressed(top: Path) -> None:
    backend = load(top, MINIMAL + "  input: {clear: [C-e, C-u*3, '*']}\n")
    assert backend.input.clear == ("C-e", "C-u", "C-u", "C-u", "*")


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
    with pytest.raises(Invalid, match="must be a subclass of anvilsrv"):
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
