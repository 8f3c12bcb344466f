"""Real agents as clients of our MCP server: each finds a tool of it, calls it, and gives the model what it answers."""

import json

import pytest

from tests.real_agents.conftest import Bench, Benches
from tests.session import Session

pytestmark = [pytest.mark.timeout(300), pytest.mark.slow(10)]


@pytest.fixture
def bench(name: str, at: Benches) -> Bench:
    return at(name)


def tool(bench: Bench, agent: Session, ours: str) -> str:
    """Return how this agent calls the tool of that name: each puts another prefix before it."""
    agent.ask("@@say ready")
    offered = next(ask.tools for ask in reversed(bench.model.asks) if not ask.side)
    (found,) = [one for one in offered if one.endswith(ours)]
    return found


@pytest.mark.parametrize("name", ["gemini", "opencode"], scope="module")
def test_an_agent_lists_sessions_and_sends_mail_by_its_mcp_client(bench: Bench) -> None:
    agent = bench.new()
    said = agent.ask(f"@@call {tool(bench, agent, 'list_sessions')} {{}}")
    assert said.startswith("tool said:") and agent.id in said
    message = {"to": "user", "type": "QUERY_REQUEST", "subject": "done", "body": "by a tool"}
    said = agent.ask(f"@@call {tool(bench, agent, 'send_message')} {json.dumps(message)}")
    (mail,) = [one for one in json.loads(agent.client.read("user/inbox")) if one["from"] == agent.id]
    assert mail["body"] == "by a tool" and str(mail["id"]) in said
