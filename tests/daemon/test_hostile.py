"""A user at work beside a hostile agent for some seconds; ``bench/hostile.py`` does it for a minute, and tells all figures."""

import pytest

from tests.conftest import Daemon, Home
from tests.hostile.run import run

TWICE = 2.0
NOISE = 20.0  # ms by which a loaded machine may make a median of a few longer


@pytest.mark.slow(40)
def test_beside_a_hostile_agent_the_users_reads_and_writes_take_no_longer_than_twice(
    home: Home, stopped_daemon: Daemon
) -> None:
    """It does all that it can at once; it alone is refused, the daemon stays small, and its end leaves nothing."""
    made = run(home, stopped_daemon, rounds=2, seconds=5.0)
    slow = {
        name: figures
        for name, figures in made.medians().items()
        if name != "prompt" and figures[1] > TWICE * figures[0] + NOISE
    }
    assert not slow, f"ms undisturbed and attacked: {slow}; {made.words}"
    assert made.memory < 300
    told = {attack: " ".join(words["errors"]) for attack, words in made.words.items()}
    for attack, sentence in (
        ("many_fids", "open files of this session wait"),
        ("unfinished_json", "open files of this session hold 64 MiB"),
        ("bad_values", "invalid JSON"),
    ):
        assert attack not in told or sentence in told[attack], told[attack]
    assert "internal error" not in stopped_daemon.words()
