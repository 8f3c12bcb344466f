"""What ``./check`` runs, and in which order: hooks of pytest that tests/conftest.py takes over.

``@pytest.mark.slow(30)`` says that a test takes more than 5 s alone, here 30. Slow tests begin first. ``--sample COMMIT`` runs a
sixth of them, another sixth for another commit, which takes about as long; without it all run.
"""

import hashlib
from collections.abc import Mapping
from itertools import chain, islice

import pytest

PARTS = 6
UNMARKED = 20.0  # s, on a machine that has much to do; a test that takes longer ought to be marked


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--sample", metavar="COMMIT", help="run a sixth of the slow tests, the one that COMMIT chooses")


def seconds(item: pytest.Item) -> float:
    """Return how long the test takes alone; 0 if it is not marked as slow."""
    mark = item.get_closest_marker("slow")
    return float(mark.args[0]) if mark else 0.0


def drawn(slow: Mapping[str, float], commit: str) -> set[str]:
    """Return a sixth of the slow tests, which are given by what they take: of each six that take about as long the commit
    draws one. So each has its turn, and no sample takes longer than a sixth of all and the longest.
    """
    ranked = sorted(slow, key=lambda nodeid: (-slow[nodeid], nodeid))
    sample = set()
    for first in range(0, len(ranked), PARTS):
        lot = int.from_bytes(hashlib.sha256(f"{commit} {ranked[first]}".encode()).digest()) % PARTS
        sample.update(ranked[first : first + PARTS][lot : lot + 1])
    return sample


def dealt(slow: list[pytest.Item], workers: int) -> list[list[pytest.Item]]:
    """Return what each worker begins with, the longest first: as much for each, and what shares a process of an agent
    together.
    """
    units: dict[tuple[object, ...], list[pytest.Item]] = {}
    for item in sorted(slow, key=seconds, reverse=True):
        parameters = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
        units.setdefault((item.path, parameters.get("name")), []).append(item)
    hands: list[list[pytest.Item]] = [[] for _ in range(workers)]
    for unit in sorted(units.values(), key=total, reverse=True):
        min(hands, key=total).extend(unit)
    return hands


def total(items: list[pytest.Item]) -> float:
    return sum(map(seconds, items))


def ordered(items: list[pytest.Item], workers: int) -> list[pytest.Item]:
    """Order the list so that of its equal pieces, which ``--dist worksteal`` gives to the workers, each begins with
    slow tests.
    """
    hands = dealt([item for item in items if seconds(item)], workers)
    rest = iter([item for item in items if not seconds(item)])
    size = -(-len(items) // workers)
    pieces = [[*hand, *islice(rest, max(0, size - len(hand)))] for hand in hands]
    return [*chain.from_iterable(pieces), *rest]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    commit = config.getoption("--sample")
    if commit is not None:
        slow = {item.nodeid: seconds(item) for item in items if seconds(item)}
        sample = drawn(slow, commit)
        skipped = [item for item in items if item.nodeid in slow and item.nodeid not in sample]
        if skipped:
            config.hook.pytest_deselected(items=skipped)
            items[:] = [item for item in items if item not in set(skipped)]
    items[:] = ordered(items, int(getattr(config, "workerinput", {}).get("workercount", 1)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """What tests that passed want to have told (``user_properties``), and which ought to be marked as slow: seen at the end."""
    for report in terminalreporter.stats.get("passed", []):
        told = [str(value) for name, value in report.user_properties if name == "told"]
        if report.duration > UNMARKED and "slow" not in report.keywords:
            told.append(f"{report.nodeid} took {report.duration:.0f} s: mark it slow if it takes more than 5 alone")
        for line in told:
            terminalreporter.write_line(f"NOTE {line}", yellow=True)
    if config.getoption("--sample") is not None:
        terminalreporter.write_line("NOTE a sixth of the slow tests ran; `./check --all` runs all", yellow=True)
