"""The plugin that tells what happens in opencode, driven by what opencode tells it; the real one is in tests/real_agents."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

PLUGIN = ROOT / "cfg" / "backends" / "opencode" / "anvillm.js"
DRIVER = Path(__file__).with_name("plugin_driver.mjs")
KEEP = "import sys, json; open(sys.argv[1], 'a').write(json.dumps([sys.argv[-1], json.load(sys.stdin)]) + '\\n')"
IDLE = {"event": "session.idle"}


def user(ident: str) -> dict[str, Any]:
    return {"info": {"id": ident, "role": "user"}, "parts": []}


def answer(ident: str, text: str, done: bool, **info: Any) -> dict[str, Any]:
    time = {"created": 1, **({"completed": 2} if done else {})}
    return {"info": {"id": ident, "role": "assistant", "time": time, **info}, "parts": [{"type": "text", "text": text}]}


def reports(tmp_path: Path, *steps: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what is reported when opencode tells this: the names of hooks, each with the turn it is about."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no program 'node'")
    (tmp_path / "reports").touch()
    env = {"ANVILLM_SESSION": "s", "ANVILLM_HOOK": json.dumps([sys.executable, "-c", KEEP, str(tmp_path / "reports")]),
           "ANVILLM_JOURNAL": str(tmp_path / "journal"), "PATH": "/usr/bin:/bin"}  # fmt: skip
    told = "".join(f"{json.dumps(step)}\n" for step in steps)
    done = subprocess.run([node, DRIVER, PLUGIN], input=told, env=env, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (tmp_path / "reports").read_text().splitlines()]
    return [(name, found["turn"]) for name, found in lines]


BROKEN_OFF = ({"prompt": "m1"}, {"messages": [user("m1")]}, IDLE, {"prompt": "m2"})
TOLD = [("Submit", "m1"), ("Abort", "m1"), ("Submit", "m2")]


@pytest.mark.parametrize("begun", [False, True])
def test_an_abort_that_is_told_twice_does_not_end_the_next_turn(tmp_path: Path, begun: bool) -> None:
    history = [user("m1"), user("m2")]
    first = {"messages": [*history, answer("a2", "half", done=False)]} if begun else {"messages": history}
    going = {"messages": [*history, answer("a2", "half of", done=False)]}
    whole = {"messages": [*history, answer("a2", "whole", done=True, finish="stop")]}
    steps = (*BROKEN_OFF, first, IDLE, going, {"pass": 5000})
    assert reports(tmp_path, *steps) == TOLD
    (tmp_path / "reports").unlink()
    assert reports(tmp_path, *steps, whole, IDLE) == [*TOLD, ("Stop", "m2")]


def test_a_turn_that_is_broken_off_right_after_another_ends_too(tmp_path: Path) -> None:
    nothing = {"messages": [user("m1"), user("m2")]}
    assert reports(tmp_path, *BROKEN_OFF, nothing, IDLE, {"pass": 5000}) == [*TOLD, ("Abort", "m2")]
    (tmp_path / "reports").unlink()
    error = {"event": "session.error", "error": {"name": "MessageAbortedError"}}
    assert reports(tmp_path, *BROKEN_OFF, nothing, error, IDLE, IDLE) == [*TOLD, ("Abort", "m2")]


def test_a_step_between_two_tools_is_no_end_of_a_turn_after_an_abort(tmp_path: Path) -> None:
    history = [user("m1"), user("m2"), answer("a2", "", done=True, finish="tool-calls")]
    more = {"messages": [*history, answer("a3", "", done=False)]}
    assert reports(tmp_path, *BROKEN_OFF, {"messages": history}, IDLE, more, {"pass": 5000}) == TOLD
