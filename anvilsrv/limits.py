"""When a usage limit ends, as far as the agent's words say.

A pattern of a backend's ``limits:`` names what it finds: ``epoch`` (s or ms), ``iso``, ``seconds`` ``minutes`` ``hours``
``days`` (from now), or ``clock`` ("3pm", "15:30", "3:30 am"; the next time it is that late) with ``zone`` (IANA name).
"""

import re
from collections.abc import Iterable
from datetime import datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

CLOCK = re.compile(r"(\d{1,2})(?::(\d{2}))?\s*([ap]\.?m\.?)?", re.IGNORECASE)
UNITS = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400}
MARGIN = 5.0  # s after the limit's end, since clocks differ


def until(patterns: Iterable[re.Pattern[str]], text: str, now: float) -> float | None:
    """The time (epoch s) at which the first limit that ``text`` speaks of is over, or None."""
    for pattern in patterns:
        found = pattern.search(text)
        if found is None:
            continue
        when = _when(found.groupdict(), now)
        if when is not None and when > now - 60:
            return when + MARGIN
    return None


def _when(named: dict[str, str | None], now: float) -> float | None:
    try:
        if epoch := named.get("epoch"):
            value = float(epoch)
            return value / 1000 if value > 1e11 else value
        if iso := named.get("iso"):
            return datetime.fromisoformat(iso).timestamp()
        if clock := named.get("clock"):
            return _clock(clock, named.get("zone"), now)
    except (ValueError, OverflowError):
        return None
    given = [float(named[unit] or 0) * size for unit, size in UNITS.items() if named.get(unit)]
    return now + sum(given) if given else None


def _clock(text: str, zone: str | None, now: float) -> float | None:
    found = CLOCK.fullmatch(text.strip())
    if found is None:
        return None
    hour, minute = int(found[1]), int(found[2] or 0)
    if found[3]:
        hour = hour % 12 + (12 if found[3][0] in "pP" else 0)
    today = datetime.fromtimestamp(now, _zone(zone))
    then = today.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return (then if then.timestamp() > now else then + timedelta(days=1)).timestamp()


def _zone(name: str | None) -> tzinfo | None:
    try:
        return ZoneInfo(name) if name else datetime.now().astimezone().tzinfo
    except (KeyError, OSError):
        raise ValueError(f"no time zone '{name}'") from None
