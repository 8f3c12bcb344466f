"""Mistral Vibe by the Agent Client Protocol. It needs Python 3.12 and comes from PyPI: without ``vibe-acp`` this skips, and says so.

``python3.12 -m venv DIR && DIR/bin/pip install mistral-vibe``, then ``ANVILLM_TEST_AGENTS=DIR/bin``.
"""

import pytest

from tests.real_agents.conftest import Bench, Benches, careful
from tests.real_agents.directives import command
from tests.real_agents.model import heard

pytestmark = [pytest.mark.timeout(400), pytest.mark.slow(60)]


@pytest.fixture
def bench(at: Benches) -> Bench:
    return at("vibe")


def test_a_prompt_reaches_the_model_byte_for_byte(bench: Bench) -> None:
    agent = bench.agent()
    for text in (
        "hello",
        "two\nlines\n\nand more",
        "/etc/passwd is a file",
        "\u00fcn\u00efc\u00f6de \U0001f600 \u2028",
    ):
        assert agent.ask(text) == heard(text)


def test_a_tool_runs_and_the_answer_is_what_is_said_after_it(bench: Bench) -> None:
    agent, file = bench.agent(), bench.daemon.home.work / "made-vibe"
    assert "hi-there" in agent.ask(command("vibe", f"echo hi-there; touch {file}"))
    assert file.exists()


@pytest.mark.parametrize("choice", ["allow", "deny"])
def test_a_permission_is_asked_and_answered(bench: Bench, choice: str) -> None:
    agent, file = bench.agent(careful(bench.daemon.home)), bench.daemon.home.work / f"touched-{choice}"
    agent.prompt(command("vibe", f"touch {file}"))
    agent.question()
    agent.write("answer", choice)
    agent.out()
    assert file.exists() == (choice == "allow")


def test_a_turn_is_broken_off(bench: Bench) -> None:
    agent = bench.agent()
    agent.prompt("@@hold never half and more")
    bench.model.wait(1)
    agent.write("ctl", "cancel")
    agent.wait("idle")
    assert agent.ask("again") == heard("again")
