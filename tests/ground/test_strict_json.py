"""What comes from outside is one value to every program, and what goes out is one line."""

import gc
import json
import re
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anvilsrv.errors import Invalid
from anvilsrv.strict_json import DEEPEST, dumps, loads, loads_bytes, loads_object, whole
from tests.conftest import some

ROOT = Path(__file__).resolve().parent.parent.parent

REFUSED = {
    "NaN": "NaN is not a number",
    '{"x": {"y": [-Infinity]}}': "-Infinity is not a number",
    "[1e999]": "a number is too large",
    "-1e999": "a number is too large",
    "1" * 301: "a number is too large",
    "[" * (DEEPEST + 1) + "]" * (DEEPEST + 1): "nested more than 64",
    '{"a":' * (DEEPEST + 1) + "1" + "}" * (DEEPEST + 1): "nested more than 64",
    "[" * 100_000: "nested more than 64",
    '{"a": 1, "a": 1}': "duplicate key 'a'",
    '{"a": {"to": "x", "t\\u006f": "y"}}': "duplicate key 'to'",
    "": "Expecting value",
    "{} {}": "Extra data",
    '"\x01"': "Invalid control character",
    "\ufeff{}": "BOM",
}
HALVES = ['"\\ud800"', '["\\udc80"]', '{"\\ud83d": 1}', '"\\ude00\\ud83d"']


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_not_one_value_to_every_program_is_refused_by_both_readers(text: str) -> None:
    for reader in (loads, loads_bytes):
        with pytest.raises(Invalid, match=re.escape(REFUSED[text])):
            reader(text.encode())


@pytest.mark.parametrize("text", HALVES)
def test_half_a_surrogate_pair_is_refused_except_in_reports_where_it_may_be_a_byte(text: str) -> None:
    with pytest.raises(Invalid, match="unpaired surrogate"):
        loads(text)
    assert loads_bytes(text) == json.loads(text)
    dumps(loads_bytes(text)).encode()


def test_what_is_fine_is_taken() -> None:
    text = '{"a": [1, -2.5e3, true, null, "\\ud83d\\ude00 \\\\ud800 \\u0085"], "b": {"a": {}}}'
    assert loads_object(text.encode()) == json.loads(text)
    assert loads("[" * DEEPEST + "]" * DEEPEST)
    with pytest.raises(Invalid, match="not an object"):
        loads_object(b"[]")
    with pytest.raises(Invalid, match="UTF-8"):
        loads(b'"\xff"')
    with pytest.raises(Invalid, match="more than 1 MiB"):
        loads(b" " * (1 << 20) + b"1", 1 << 20)


def test_an_error_is_one_short_line_whatever_the_key() -> None:
    key = "\x1b[2J\n\u202e" + "k" * 5000
    with pytest.raises(Invalid) as caught:
        loads(json.dumps({key: 1})[:-1] + "," + json.dumps({key: 1})[1:])
    assert str(caught.value).isprintable() and len(str(caught.value)) < 127


@pytest.mark.parametrize("value", [float("nan"), [float("inf")], {"x": b""}, object()])
def test_the_writer_refuses_what_json_cannot_hold(value: object) -> None:
    with pytest.raises(Invalid, match="not storable"):
        dumps(value)


def test_what_is_written_is_one_line_that_acts_on_no_terminal_and_the_same_value() -> None:
    hostile = "".join(map(chr, range(0x100))) + "\u2028\u2029\u202e\u2066\u200e\u061c\ufeff é€😀"
    line = dumps({hostile: [hostile]})
    assert line.splitlines() == [line]
    assert all(char == " " or char.isprintable() for char in line.replace("\xa0", "").replace("\xad", ""))
    assert json.loads(line) == {hostile: [hostile]}
    assert dumps("\ud800x\ude00") == '"\ufffdx\ufffd"' and whole("😀\ud83d") == "😀\ufffd"


WORDS = st.text(st.characters(exclude_categories=["Cs"]))
SIMPLE = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | WORDS


@settings(deadline=None)  # the first example imports
@given(st.recursive(SIMPLE, lambda inner: st.lists(inner) | st.dictionaries(WORDS, inner)))
def test_what_the_writer_writes_the_reader_reads(value: object) -> None:
    assert loads(dumps(value)) == value


@pytest.mark.parametrize("unit", ["[],", '{"a":1},', '"\\ud83d\\ude00",', "1.5e3,", '"' + "x" * 50 + '",'])
def test_reading_costs_linear_time(unit: str) -> None:
    def cost(n: int) -> float:
        text = "[" + unit * n + "0]"
        before = time.thread_time()
        loads(text)
        return time.thread_time() - before

    gc.disable()
    try:
        assert min(cost(80_000) for _ in range(5)) < 10 * max(min(cost(20_000) for _ in range(5)), 0.01)
    finally:
        gc.enable()


# Modules that read JSON with json itself, and whose it is.
OWN = {
    "anvilsrv/strict_json.py": "the reader",
    "anvilsrv/sessions/state.py": "rows of the store",
    "anvilsrv/sessions/gate.py": "rows of the store",
    "anvilsrv/sessions/tasks.py": "rows of the store",
    "anvilsrv/sessions/usage.py": "rows of the store",
    "anvilsrv/agents/evidence.py": "rows of the store",
    "anvilsrv/agents/limited.py": "files of the daemon's own",
    "anvilsrv/agents/plans.py": "files of the daemon's own",
    "anvilsrv/mail/box.py": "rows of the store",
    "anvilsrv/beads/beads.py": "rows of the store",
    "anvilsrv/beads/graph.py": "rows of the store",
    "anvilsrv/beads/jsonl.py": "rows of the store",
    "anvilsrv/agents/bounds.py": "files of the daemon's own",
    "anvilsrv/programs/json_entry.py": "settings of the user's",
    "anvilsrv/activity/rows.py": "our own rows",
    "cfg/backends/claude.py": "settings of the user's",
    "cfg/backends/gemini.py": "settings of the user's",
    "cfg/backends/opencode.py": "settings of the user's",
    "anvilsrv/inside/hook.py": "runs in the agent's sandbox, and passes its agent's payload on",
    "anvilsrv/inside/git_worker.py": "what the daemon asks",
    "anvilsrv/inside/git_undo.py": "a file of its own, which no agent sees",
    "anvilsrv/sessions/changes.py": "our own rows",
    "anvilsrv/sessions/comments.py": "our own rows",
    "anvilsrv/inside/mcptools.py": "files of the tree, which the daemon wrote",
    "anvilsrv/inside/read_inbox.py": "files of the tree, which the daemon wrote",
    "anvilsrv/front/follow.py": "files of the tree, which the daemon wrote",
    "anvilsrv/front/requests.py": "files of the tree, which the daemon wrote",
    "anvilsrv/programs/notify.py": "files of the tree, which the daemon wrote",
    "anvilsrv/programs/successor.py": "our own notes, in a directory that no agent sees",
    "anvilsrv/programs/talk.py": "files of the tree, which the daemon wrote",
}


def test_whoever_reads_json_from_outside_uses_the_strict_reader() -> None:
    read = re.compile(r"\bjson\.loads?\b|\bfrom json\b|JSONDecoder")
    places = [ROOT / top for top in ("anvilsrv", "cfg", "web", "tui", "acme")]
    files = some(path for place in places for path in place.rglob("*.py"))
    found = {str(path.relative_to(ROOT)) for path in files if read.search(path.read_text())}
    assert found == set(OWN)


def test_the_reader_does_not_make_the_hook_program_slower() -> None:
    """It imports json when it is used."""
    assert "json" in sys.modules
    source = (ROOT / "anvilsrv/strict_json.py").read_text()
    assert not re.search(r"^(import|from) json", source, re.MULTILINE)


@pytest.mark.parametrize("unit", ["[],", '{"a":1},', '"",', "1,"])
def test_what_is_small_as_a_text_and_large_in_memory_is_refused(unit: str) -> None:
    with pytest.raises(Invalid, match="more than 200,000 values"):
        loads("[" + unit * 200_001 + "0]")


def test_commas_and_brackets_in_strings_are_no_values() -> None:
    text = ',[{\\"' * 100_000
    assert loads(f'["{text}"]') == [text.replace('\\"', '"')]
