"""The ends of limits in the words that the real programs print, at clocks of every kind; none is waited for that cannot be meant."""

import re
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from anvilsrv.backends import reset_time
from anvilsrv.backends.registry import Backends, default_dirs

Until = Callable[[str, float], float | None]
SLACK = reset_time.MINUTE + reset_time.MARGIN  # after a time of day without seconds


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This machine stands in Berlin."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def at(text: str, zone: str = "Europe/Berlin") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def until(name: str) -> Until:
    return Backends(default_dirs()[1]).get(name).until


NOW = "2026-10-10 14:00"  # a Saturday, summer time
WORDS = [
    ("claude", "You've hit your session limit · resets 3pm", "2026-10-10 15:00", SLACK),
    ("claude", "You've hit your session limit · resets 3:30pm (Europe/Berlin)", "2026-10-10 15:30", SLACK),
    ("claude", "You've hit your weekly limit · resets Oct 12, 3pm", "2026-10-12 15:00", SLACK),
    ("claude", "You've hit your weekly limit · resets Oct 12, 3:30pm (UTC)", "2026-10-12 17:30", SLACK),
    ("claude", "You've hit your Opus limit · resets Oct 12 at 3\u202fPM", "2026-10-12 15:00", SLACK),
    ("claude", "5-hour limit reached ∙ resets 12am", "2026-10-11 00:00", SLACK),
    ("claude", "5-hour limit reached ∙ resets 11am (America/New_York)", "2026-10-10 17:00", SLACK),
    ("claude", "resets 1am (America/Argentina/Buenos_Aires)", "2026-10-11 06:00", SLACK),
    ("claude", "Claude AI usage limit reached|1791640800", "2026-10-10 16:00", reset_time.MARGIN),
    ("claude", "Fast limit reached and temporarily disabled · resets in 1h 5m", "2026-10-10 15:05", reset_time.MARGIN),
    ("codex", "You’ve hit your usage limit. Visit https://x/y … or try again at 3:05 PM.", "2026-10-10 15:05", SLACK),
    ("codex", "You've hit your usage limit. Upgrade to Pro or try again at Oct 12th, 2026 3:05 PM.", "2026-10-12 15:05", SLACK),
    ("codex", "You've hit your usage limit. Try again in 3 hours 5 minutes.", "2026-10-10 17:05", reset_time.MARGIN),
    ("codex", "try again in 2 days 1 hour", "2026-10-12 15:00", reset_time.MARGIN),
    ("codex", "Rate limit reached for m. Please try again in 20s.", "2026-10-10 14:00:20", reset_time.MARGIN),
    ("gemini", "Usage limit reached for all Pro models.\nAccess resets at 3:05 PM GMT+2.", "2026-10-10 15:05", SLACK),
    ("gemini", "Access resets at 1:05 PM UTC.", "2026-10-10 15:05", SLACK),
    ("gemini", "Access resets at 9:05 AM EDT.", "2026-10-10 15:05", SLACK),
    ("gemini", "│ Access resets at 3:05 PM GMT+2.          │\n│ /stats model for usage details │", "2026-10-10 15:05", SLACK),
    ("gemini", "Limit reached, resets in 2h", "2026-10-10 16:00", reset_time.MARGIN),
    ("gemini", "You have exhausted your capacity. Your quota will reset after 2h15m3s.", "2026-10-10 16:15:03", reset_time.MARGIN),
    ("gemini", "[API Error: Please retry in 12.5s]", "2026-10-10 14:00:12.500", reset_time.MARGIN),
    ("gemini", '{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3600s"}', "2026-10-10 15:00", reset_time.MARGIN),
    ("opencode", "limit reached\nnext attempt at 1791640800", "2026-10-10 16:00", reset_time.MARGIN),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "end", "slack"), WORDS)
def test_limits_are_understood_in_the_words_of_the_real_programs(name: str, text: str, end: str, slack: float) -> None:
    assert until(name)(text, at(NOW)) == at(end) + slack


@pytest.mark.parametrize(
    ("now", "text", "end"),
    [
        ("2026-10-10 23:50", "resets 12:30am", "2026-10-11 00:30"),
        ("2026-10-11 00:00:40", "resets 11:59pm", "2026-10-10 23:59"),  # told a minute ago: over now, not tomorrow
        ("2026-12-31 23:50", "resets Jan 2, 3pm", "2027-01-02 15:00"),
        ("2027-01-01 00:00:30", "resets Dec 31, 11:59pm", "2026-12-31 23:59"),
        ("2028-02-27 12:00", "resets Feb 29, 3pm", "2028-02-29 15:00"),
        ("2026-10-24 22:00", "resets 5am", "2026-10-25 05:00"),  # the clocks go back in that night
        ("2026-03-28 22:00", "resets 5am", "2026-03-29 05:00"),  # and forward in that
        ("2026-03-28 22:00", "resets Mar 29, 5am (Europe/Berlin)", "2026-03-29 05:00"),
    ],
)
def test_days_end_and_clocks_change(now: str, text: str, end: str) -> None:
    found = until("claude")(text, at(now))
    assert found == max(at(end) + reset_time.MINUTE, at(now)) + reset_time.MARGIN


def test_an_hour_that_comes_twice_is_the_one_that_is_still_to_come() -> None:
    first, second = at("2026-10-25 02:30"), at("2026-10-25 02:30") + 3600
    assert until("claude")("resets 2:30am", first - 600) == first + SLACK
    assert until("claude")("resets 2:30am", first + 600) == second + SLACK
    assert until("claude")("resets 2:30am", second - 600) == second + SLACK


@pytest.mark.parametrize("lag", [30, 60, 100])
def test_an_end_that_is_just_over_by_our_clock_is_waited_for_no_longer(lag: float) -> None:
    now = at("2026-10-10 15:00") + reset_time.MINUTE + lag
    assert until("claude")("resets 3pm", now) == now + reset_time.MARGIN


@pytest.mark.parametrize(
    "text",
    [
        "nothing", "resets", "resets 3", "resets 30 minutes from now", "resets 25:00", "resets 3:75pm", "resets 13pm", "resets 0am",
        "resets 3pm (Nowhere/Land)", "resets 3pm (etc/passwd)", "resets Foo 12, 3pm", "resets Feb 30, 3pm", "resets in",
        "reached|9999999999", "reached|1000000000", "reached|99999999999999999999999",
        "resets Oct 12, 2019, 3pm", "resets Oct 12, 9999, 3pm",
        "resets in 99999999999999999999h", "resets in " + "9" * 400 + "h", "resets in 36d", "resets Oct 12, 0000, 3pm",
    ],
)  # fmt: skip
def test_what_cannot_be_meant_counts_as_not_said(text: str) -> None:
    assert until("claude")(text, at(NOW)) is None


def test_garbage_before_the_end_does_not_hide_it() -> None:
    text = "resets 99pm, reached|9999999999; resets 3pm"
    assert until("claude")(text, at(NOW)) == at("2026-10-10 15:00") + SLACK


def test_forms_that_any_backend_may_name_are_read() -> None:
    forms = [re.compile(r"until (?P<iso>\S+)"), re.compile(r"at (?P<clock>[\d:apm .]+)")]
    assert reset_time.until(forms, "until 2026-10-10T13:00:00Z", at(NOW)) == at("2026-10-10 15:00") + reset_time.MARGIN
    assert reset_time.until(forms, "until 2026-10-10T15:00:00", at(NOW)) == at("2026-10-10 15:00") + reset_time.MARGIN
    assert reset_time.until(forms, "until noon, at 3 p.m.", at(NOW)) == at("2026-10-10 15:00") + SLACK
    assert reset_time.until(forms, "until then", at(NOW)) is None


@pytest.mark.slow(7)
def test_no_limit_is_ever_in_the_past_or_further_than_a_month() -> None:
    for hour in range(0, 24 * 40, 7):
        now = at(NOW) + hour * 3600
        found = until("claude")("resets 3pm", now)
        assert found is not None
        assert now < found <= now + 86400 + SLACK
