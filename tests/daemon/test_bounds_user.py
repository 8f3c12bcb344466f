"""What one agent may have of the daemon, once more for somebody who is not root."""

import pytest

from tests.ordinary import home_of_user, run_as_user

UNITS = (
    "tests/tree/test_bounds.py", "tests/desk/test_bounds.py", "tests/agents/test_spool.py", "tests/agents/test_files.py",
    "tests/agents/test_transcript.py", "tests/p9/test_pace.py", "tests/ground/test_allowance.py", "tests/store/test_turn.py",
)  # fmt: skip


@pytest.mark.timeout(300)
@pytest.mark.slow(30)
def test_what_an_agent_holds_is_bounded_for_an_ordinary_user_too() -> None:
    with home_of_user() as home:
        assert " passed" in run_as_user(home, *UNITS)


@pytest.mark.timeout(300)
@pytest.mark.slow(60)
def test_a_hostile_agent_of_an_ordinary_user_hurts_nobody_either() -> None:
    with home_of_user() as home:
        assert "1 passed" in run_as_user(home, "tests/daemon/test_hostile.py")
