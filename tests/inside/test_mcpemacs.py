"""The tools that ask the user's Emacs: granted by a role, answered by an editor that is attached."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from mcp import Client as McpClient

from anvilsrv.inside.mcpemacs import Emacs
from anvilsrv.inside.mcpserver import TOOLS, build
from anvilsrv.p9 import wire
from anvilsrv.tree import editor
from tests.conftest import PATIENCE, run_async
from tests.inside.conftest import Desk, Result

ROLE = "description: asks Emacs\nfilesystem: {rw: ['{CWD}']}\nemacs: [xref, open_diff]\n"


class Editor(threading.Thread):
    """An editor that is attached to a session, and answers ``count`` questions by ``answer``."""

    def __init__(self, desk: Desk, session: str, answer: Callable[[Any], Any], count: int = 1) -> None:
        super().__init__()
        self.answer = answer
        self.count = count
        self.session = session
        self.desk = desk
        self.asked: list[Any] = []
        self.file = desk.daemon.client().open(f"{session}/editor", wire.ORDWR)
        self.start()

    def run(self) -> None:
        data = b""
        for _ in range(self.count):
            while not data.endswith(b"\n"):
                data += self.file.read(timeout=PATIENCE)
            asked, data = json.loads(data), b""
            self.asked.append(asked)
            self.file.write(json.dumps({"id": asked["id"], **self.answer(asked)}).encode())


@pytest.fixture(scope="module")
def asker(desk: Desk) -> str:
    """A session whose role grants two of them."""
    roles = desk.daemon.home.config / "roles"
    roles.mkdir(parents=True, exist_ok=True)
    (roles / "asker.yaml").write_text(ROLE)
    command = f"new shell {desk.daemon.home.work} role=asker\n".encode()
    session = desk.user.write_read("ctl", command).decode().strip()
    desk.wait(session, ("idle", "error"))
    return session


@pytest.fixture
def editors() -> Iterator[list[Editor]]:
    made: list[Editor] = []
    yield made
    for one in made:
        one.join(PATIENCE)
        one.file.close()


def listed(desk: Desk, session: str | None) -> set[str]:
    async def run() -> set[str]:
        async with McpClient(build(desk.tools(session))) as client:
            return {tool.name for tool in (await client.list_tools()).tools}

    return run_async(run())


def test_a_tool_is_listed_when_a_role_grants_it(desk: Desk, asker: str) -> None:
    assert listed(desk, asker) - set(TOOLS) == {"emacs_definitions", "emacs_references", "open_diff"}
    assert listed(desk, desk.one) == listed(desk, None) == set(TOOLS)
    assert set(Emacs.TOOLS.values()) == set(editor.TOOLS.values())


def test_a_question_is_answered_by_the_editor(desk: Desk, asker: str, editors: list[Editor], call: Any) -> None:
    editors.append(Editor(desk, asker, lambda asked: {"result": {"found": [{"file": "/a.py", "line": 3}]}}))
    found: Result = call("emacs_definitions", asker, file="a.py", line=3, column=0)
    assert (found.value, found.error) == ({"found": [{"file": "/a.py", "line": 3}]}, "")
    (asked,) = editors[0].asked
    work = str(desk.daemon.home.work)
    assert (asked["tool"], asked["arguments"], asked["cwd"]) == ("definitions", {"file": "a.py", "line": 3}, work)
    assert work in asked["paths"]


def test_an_error_of_the_editor_is_the_tools(desk: Desk, asker: str, editors: list[Editor], call: Any) -> None:
    editors.append(Editor(desk, asker, lambda asked: {"error": "a.py is not open in Emacs"}))
    assert "a.py is not open in Emacs" in call("emacs_references", asker, file="a.py", identifier="f").error


def test_without_an_editor_or_a_grant_the_agent_is_told_so(desk: Desk, asker: str, call: Any) -> None:
    assert "no editor is attached" in call("emacs_definitions", asker, file="a.py", identifier="f").error
    assert "emacs: [selection]" in call("emacs_selection", asker).error
    assert "emacs: [xref]" in call("emacs_definitions", desk.one, file="a.py", identifier="f").error
    assert "connected as the user" in call("emacs_buffers").error


def test_a_proposed_edit_comes_back_as_the_user_made_it(
    desk: Desk, asker: str, editors: list[Editor], call: Any
) -> None:
    def edited(asked: Any) -> Any:
        return {"result": {"accepted": True, "content": asked["arguments"]["content"].upper()}}

    editors.append(Editor(desk, asker, edited))
    text = "zwölf\n" * 5000
    assert call("open_diff", asker, file="a.py", content=text).value == {"accepted": True, "content": text.upper()}


def test_who_has_waited_long_enough_is_told_and_the_editor_that_it_is_over(desk: Desk, asker: str) -> None:
    said: list[str] = []
    agent = threading.Thread(
        target=lambda: said.append(desk.call("open_diff", asker, file="a.py", content="", wait=3).error)
    )
    with desk.daemon.client().open(f"{asker}/editor", wire.OREAD) as file:
        agent.start()
        lines = file.read(timeout=PATIENCE)
        agent.join(PATIENCE)
        while lines.count(b"\n") < 2:
            lines += file.read(timeout=PATIENCE)
    asked, over = map(json.loads, lines.splitlines())
    assert over == {"id": asked["id"], "over": True}
    assert "no answer from the user's editor" in said[0]
