"""A user at work beside a hostile agent for some seconds; ``bench/hostile.py`` does it for a minute, and tells all figures."""

import pytest

from tests.conftest import Daemon, Home
from tests.hostile.run import run

TWICE = 2.0
NOISE = 20.0  # ms by which a loaded machine may make a median of a few longer


@pytest.mark.slow(40)
def test_beside_a_hostile_agent_the_user_waits_some_milliseconds_more_and_the_daemon_stays_small(
    home: Home, stopped_daemon: Daemon
) -> None:
    """It does all that it can at once; it alone is refused, and its end leaves nothing. How much longer is for the bench."""
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
        ("unfinished_json", "open files of this session hold 48 MiB"),
        ("bad_values", "invalid JSON"),
    ):
        assert attack not in told or sentence in told[attack], told[attack]
    _, error, what = stopped_daemon.words().partition("internal error")
    assert not error, what[:4000]
