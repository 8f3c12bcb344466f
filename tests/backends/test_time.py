"""No pattern of a shipped backend costs more than linear time, whatever text an agent, a mail or a file holds."""

import dataclasses
import re
import time
from collections.abc import Iterator, Mapping

import pytest

from anvilsrv.backends.registry import Backends
from anvilsrv.backends.rules import matches_all
from anvilsrv.backends.typed import END, PART, bounded
from tests.conftest import ROOT, some

SHIPPED = Backends(ROOT / "cfg" / "backends")
UNITS = ["@", " ", "/", "a", "\n", " \n", "a ", " /", "'", "\\", "0", "0:", "(", "<", "❯ ", "─", "│ \n", "/a.png ", "in 5 ", "resets ",
         "try again ", "Jan 1 ", "limit "]  # fmt: skip
SIZE = 2 * PART
GUARD = 2 * END  # what guards see


def patterns(value: object) -> Iterator[re.Pattern[str]]:
    """Yield every pattern in a backend, at any depth."""
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from patterns(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from patterns(one)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from patterns(getattr(value, field.name))


def cost(pattern: re.Pattern[str], text: str, size: int) -> float:
    """Return s of the processor's time, the least of three."""
    text, best = text[:size] + " x", 10.0
    for _ in range(3):
        before = time.thread_time()
        for _ in pattern.finditer(text):
            pass
        best = min(best, time.thread_time() - before)
        if best < 0.005:
            break
    return best


NAMES = some(
    name for name in SHIPPED.names() if any(patterns(SHIPPED.get(name)))
)  # one that speaks a protocol has none


@pytest.mark.parametrize("name", NAMES)
def test_four_times_the_text_costs_a_pattern_four_times_the_time(name: str) -> None:
    backend = SHIPPED.get(name)
    guards = {guard.when for guard in backend.input.guards}
    found = set(patterns(backend))
    assert found
    for pattern in found:
        size = GUARD if pattern in guards else SIZE
        for unit in UNITS:
            text = unit * size
            if (whole := cost(pattern, text, size)) > 0.02:
                assert whole < 10 * cost(pattern, text, size // 4), (pattern.pattern, unit, whole)
            assert whole < 0.25, (pattern.pattern, unit)


def test_a_pattern_of_a_users_own_sees_the_ends_of_a_long_text() -> None:
    assert bounded("a" * SIZE) == "a" * SIZE
    assert bounded("a" * PART + "b" * PART * 9 + "c" * PART) == "a" * PART + "\n" + "c" * PART
    row = (("text", re.compile(r"\Aa.*c\Z", re.DOTALL)),)
    assert matches_all({"text": "a" + "b" * 10_000_000 + "c"}, row)
    assert not matches_all({"text": "a" + "b" * 10_000_000}, row)
