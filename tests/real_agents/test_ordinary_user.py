"""The real agents for somebody who is not root: what they read and trust depends on who owns it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ordinary import home_of_user, run_as_user
from tests.real_agents.conftest import program

HERE = "tests/real_agents"
OTHERS = f"{HERE}/test_others.py::test_it_starts_takes_prompts_and_can_be_interrupted"
WHAT = {
    "claude": f"{HERE}/test_claude.py::test_the_state_follows_a_slow_turn",
    **{name: f"{OTHERS}[{name}]" for name in ("codex", "gemini", "opencode")},
}


@pytest.fixture
def own_home() -> Iterator[Path]:
    with home_of_user() as made:
        yield made


@pytest.mark.timeout(300)
@pytest.mark.slow(60)
@pytest.mark.parametrize("name", sorted(WHAT))
def test_an_agent_of_an_ordinary_user_takes_prompts_too(own_home: Path, name: str) -> None:
    said = run_as_user(own_home, WHAT[name], ANVILLM_TEST_AGENTS=os.path.dirname(program(name)))
    assert "1 passed" in said, said[-1000:]
