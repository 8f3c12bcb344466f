"""Mistral Vibe by the Agent Client Protocol. It needs Python 3.12 and comes from PyPI: without ``vibe-acp`` this skips, and says so.

``python3.12 -m venv DIR && DIR/bin/pip install mistral-vibe``, then ``ANVILLM_TEST_AGENTS=DIR/bin``.
"""

import pytest

from tests.real_agents.conftest import Bench, Benches
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
