"""Version 0.1 is replaced in place by this tree while an agent is in the middle of a turn: the turn ends as it should."""

from collections.abc import Iterator

import pytest

from sandbox.written import Written
from tests.conftest import PATIENCE, Home, wait_until
from tests.upgrade import Tree

MARK = "until test -e end; do sleep 0.05; done"

# A backend of a user, written for version 0.1: a shell whose hooks are run as a coding agent runs them.
YAML = """
backend:
  title: Mine
  python: mine.py:Mine
  command: [/bin/sh, "{BACKEND_DIR}/mine.sh"]
  env: {MINE: "{HOOK}"}
  hooks:
    Ready: {report: ready}
    Submit: {report: submit, text: prompt}
    Stop: {report: stop, text: answer}
filesystem: {rox: ["{XDG_CONFIG_HOME}/anvillm/backends"]}
"""
PYTHON = """
from anvilsrv.backend import Peculiarity
from anvilsrv import beneath

class Mine(Peculiarity):
    def report(self, hook, payload):
        return super().report(hook, payload)
"""
AGENT = """
stty -echo -icanon
echo '{}' | $MINE Ready
while read -r line
do
    line=$(printf %s "$line" | tr -d '\\033' | sed 's/\\[20[01]~//g')
    printf '{"prompt": "%s"}' "$line" | $MINE Submit
    until test -e end; do sleep 0.05; done
    printf '{"answer": "to %s"}' "$line" | $MINE Stop
done
"""


@pytest.fixture
def tree(home: Home) -> Iterator[Tree]:
    made = Tree(home)
    try:
        made.run("anvilsrv.cli", "start")
        yield made
    finally:
        made.close()


@pytest.mark.parametrize(
    ("backend", "prompt", "answer"),
    [("shell", f"echo begun; {MARK}; echo done", "begun\ndone\n"), ("mine", "one prompt", "to one prompt")],
    ids=["shell", "a backend of the user's own"],
)
def test_a_turn_that_version_0_1_began_is_ended_by_this_one(tree: Tree, backend: str, prompt: str, answer: str) -> None:
    backends = tree.home.config / "backends"
    backends.mkdir(parents=True)
    for name, text in {"mine.yaml": YAML, "mine.py": PYTHON, "mine.sh": AGENT}.items():
        (backends / name).write_text(text)
    one = tree.new(backend)
    with tree.client() as client:
        client.write(f"{one}/in", prompt.encode())
        wait_until(lambda: client.read(f"{one}/state") == b"running\n", "the turn has not begun")
        pid = client.read(f"{one}/pid")
    tree.replace()
    assert not (tree.top / "anvilsrv/supervisor.py").exists()
    tree.run("anvilsrv.programs.cli", "restart")
    with tree.client() as client:
        assert client.read(f"{one}/state") == b"running\n"
        (tree.home.work / "end").touch()
        assert client.read(f"{one}/out", timeout=PATIENCE).decode() == answer
        assert client.read(f"{one}/pid") == pid, "the same agent"
        client.write(f"{one}/in", (again := "echo more" if backend == "shell" else "more").encode())
        assert client.read(f"{one}/out", timeout=PATIENCE).decode() == ("more\n" if again != "more" else "to more")


def test_an_agent_of_version_0_1_that_crashes_is_started_again_by_this_one(tree: Tree) -> None:
    one = tree.new("shell")
    with tree.client() as client:
        pid = client.read(f"{one}/pid").decode().strip()
    tree.replace()
    tree.run("anvilsrv.programs.cli", "restart")
    assert str(tree.home.work) in Written(str(tree.home.state.parent / "written")).known()
    with tree.client() as client:
        client.write(f"{one}/in", b"kill -9 $PPID")
        wait_until(lambda: client.read(f"{one}/pid").decode().strip() not in ("", "0", pid), "not started again")
        wait_until(lambda: client.read(f"{one}/state") == b"idle\n", "not ready again")
        client.write(f"{one}/in", b"echo more")
        assert client.read(f"{one}/out", timeout=PATIENCE) == b"more\n"
