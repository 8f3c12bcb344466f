"""Claude Code, started by version 0.1 and in the middle of a turn, ends it under this version."""

from collections.abc import Iterator

import pytest

from tests.conftest import Home, wait_until
from tests.real_agents.conftest import PATIENCE, claude_env, with_program
from tests.real_agents.messages_api import MessagesApi
from tests.upgrade import Tree


@pytest.fixture
def tree(home: Home, messages_api: MessagesApi) -> Iterator[Tree]:
    made = Tree(home)
    with_program(home, "claude", **claude_env(messages_api) | {"ANTHROPIC_BASE_URL": messages_api.url})
    try:
        made.run("anvilsrv.cli", "start")
        yield made
    finally:
        made.close()


@pytest.mark.slow(6)
def test_its_hooks_still_find_their_program(tree: Tree, messages_api: MessagesApi) -> None:
    one = tree.new("claude")
    with tree.client() as client:
        client.write(f"{one}/in", b"@@hold end the first half and the rest")
        wait_until(messages_api.model.prompts, "the prompt did not arrive", PATIENCE)
        pid = client.read(f"{one}/pid")
    tree.replace()
    tree.run("anvilsrv.programs.cli", "restart")
    with tree.client() as client:
        assert client.read(f"{one}/state") == b"running\n"
        messages_api.model.release("end")
        assert client.read(f"{one}/out", timeout=PATIENCE).strip() == b"the first half and the rest"
        client.write(f"{one}/in", b"@@say more")
        assert client.read(f"{one}/out", timeout=PATIENCE).strip() == b"more"
        assert client.read(f"{one}/pid") == pid, "the same agent"
