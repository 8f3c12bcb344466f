"""When a usage limit ends, as far as the agent's words say.

A pattern of a backend's ``limits:`` names what it finds: ``epoch`` (s or ms), ``iso``, ``seconds`` ``minutes`` ``hours``
``days`` (from now), or ``clock`` ("3pm", "15:30", "3:30 am"), with ``date`` ("Oct 12", "Oct 12th, 2027"; without it the next time
it is that late) and ``zone`` (IANA name, "GMT+2", "PST"; without it the zone of this machine, which is the agent's too).

What cannot be a limit's end counts as not said: a time long over, or further away than any limit lasts.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta, timezone, tzinfo
from itertools import islice
from zoneinfo import ZoneInfo

from anvilsrv.backends.typed import bounded

CLOCK = re.compile(r"(\d{1,2})(?::(\d{2}))?\s*(?:([ap])\.?m\.?)?", re.IGNORECASE)
DATE = re.compile(r"([A-Z][a-z]{2})[a-z]*\.? (\d{1,2})(?:st|nd|rd|th)?(?:,? (\d{4}))?")
OFFSET = re.compile(r"(?:GMT|UTC)(?:([+-])(\d{1,2})(?::?(\d{2}))?)?")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
NAMED = {
    "EST": "America/New_York", "EDT": "America/New_York", "CST": "America/Chicago", "CDT": "America/Chicago",
    "MST": "America/Denver", "MDT": "America/Denver", "PST": "America/Los_Angeles", "PDT": "America/Los_Angeles",
    "AKST": "America/Anchorage", "AKDT": "America/Anchorage", "HST": "Pacific/Honolulu",
}  # fmt: skip
UNITS = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400}

GROUPS = ("epoch", "iso", *UNITS, "clock", "date", "zone")

MARGIN = 5.0  # s after the limit's end, since clocks differ
MINUTE = 60.0  # s that a time of day without seconds may fall short of the end that it tells
PAST = 120.0  # s that an end may lie back and still be this one's, not tomorrow's
MENTIONS = 100  # of limits in one text: the others are not looked at
FURTHEST = 35 * 86400.0  # s; no limit lasts longer than a month


def words(when: float) -> str:
    """Return ``when`` (epoch s) for a person, in the time of this machine."""
    return datetime.fromtimestamp(when).strftime("%Y-%m-%d %H:%M:%S")


def until(patterns: Iterable[re.Pattern[str]], text: str, now: float) -> float | None:
    """Return the time (epoch s, never in the past) at which the first limit that ``text`` names is over; None if it
    gives none.
    """
    text = bounded(text)
    for pattern in patterns:
        for found in islice(pattern.finditer(text), MENTIONS):
            when = _when(found.groupdict(), now)
            if when is not None and now - PAST <= when <= now + FURTHEST - MARGIN:
                return max(when, now) + MARGIN
    return None


def _when(named: dict[str, str | None], now: float) -> float | None:
    try:
        if epoch := named.get("epoch"):
            value = float(epoch)
            return value / 1000 if value > 1e11 else value
        if iso := named.get("iso"):
            return datetime.fromisoformat(iso).timestamp()
        if clock := named.get("clock"):
            ends = sorted(_ends(clock, named.get("date"), _zone(named.get("zone")), now))
            return next((end + MINUTE for end in ends if end + MINUTE > now - PAST), None)
        given = [float(named[unit] or 0) * size for unit, size in UNITS.items() if named.get(unit)]
    except (ValueError, OverflowError, OSError):
        return None
    return now + sum(given) if given else None


def _ends(clock: str, date: str | None, zone: tzinfo | None, now: float) -> Iterator[float]:
    """Yield candidate times near ``now`` for that wall-clock time, both of them where the clocks go back an hour."""
    hour, minute = _time(clock)
    today = datetime.fromtimestamp(now, zone).replace(hour=hour, minute=minute, second=0, microsecond=0)
    for day in _days(date, today):
        for fold in (0, 1):
            yield day.replace(fold=fold).timestamp()


def _time(text: str) -> tuple[int, int]:
    found = CLOCK.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"no time of day: '{text}'")
    hour, minute = int(found[1]), int(found[2] or 0)
    if found[3]:
        if not 1 <= hour <= 12:
            raise ValueError(f"no time of day: '{text}'")
        hour = hour % 12 + (12 if found[3] in "pP" else 0)
    return hour, minute


def _days(date: str | None, today: datetime) -> Iterator[datetime]:
    if date is None:
        yield from (today + timedelta(days=n) for n in (-1, 0, 1))
        return
    found = DATE.fullmatch(date.strip())
    if found is None:
        raise ValueError(f"no date: '{date}'")
    month, day = MONTHS.index(found[1]) + 1, int(found[2])
    for year in [int(found[3])] if found[3] else [today.year - 1, today.year, today.year + 1]:
        try:
            yield today.replace(year=year, month=month, day=day)
        except ValueError:  # the 29th of February of another year
            continue


def _zone(name: str | None) -> tzinfo | None:
    """Return the zone of that name; for None that of this machine. Raises ValueError if it is unknown."""
    if not name:
        return None
    found = OFFSET.fullmatch(name)
    if found is not None:
        size = timedelta(hours=int(found[2] or 0), minutes=int(found[3] or 0))
        return timezone(-size if found[1] == "-" else size)
    try:
        return ZoneInfo(NAMED.get(name, name))
    except (KeyError, OSError, ValueError):
        raise ValueError(f"no time zone '{name}'") from None
