"""Who may do what: the letters of rows."""

import pytest

from anvilsrv.store.events import EVERYBODY
from anvilsrv.tree.access import Who, allowed, bits, concerns, letters, sees

USER, SELF, OTHER = Who(), Who("a"), Who("b")
LEAD, SPAWNER = Who("lead", spawn=True, control=True), Who("lead", spawn=True)


def descends(child: str, ancestor: str) -> bool:
    return (child, ancestor) == ("a", "lead")


@pytest.mark.parametrize(
    ("who", "session", "expected"),
    [
        (USER, "a", "U"), (SELF, "a", "O"), (OTHER, "a", "A"), (LEAD, "a", "C"), (LEAD, "b", "A"), (SPAWNER, "a", "A"),
        (USER, "", "U"), (SELF, "", "A"), (SPAWNER, "", "AS"),
    ],
)  # fmt: skip
def test_a_caller_is_one_thing_to_each_session(who: Who, session: str, expected: str) -> None:
    assert letters(who, session, descends) == expected


@pytest.mark.parametrize(
    ("read", "write", "caller", "expected"),
    [
        ("UOCA", "UO", "U", 0o600), ("UOCA", "UO", "A", 0o400), ("", "UC", "C", 0o200), ("", "UC", "O", 0),
        ("*", "", "A", 0o444), ("US", "US", "AS", 0o600), ("US", "US", "A", 0),
    ],
)  # fmt: skip
def test_the_bits_are_those_of_the_letters(read: str, write: str, caller: str, expected: int) -> None:
    assert bits(read, write, caller) == expected
    assert allowed(read, caller) == bool(expected & 0o400)


def test_a_session_is_shown_itself_and_what_it_spawned_whether_or_not_it_may_control_it() -> None:
    assert concerns(USER, "a", descends) and concerns(SELF, "a", descends) and concerns(SPAWNER, "a", descends)
    assert not concerns(OTHER, "a", descends)


def test_the_user_sees_all_events_and_a_session_those_that_concern_it_or_everybody() -> None:
    assert sees(USER, descends) is None
    seen = sees(SELF, descends)
    assert seen is not None
    assert seen(frozenset({"a", "b"})) and seen(frozenset({EVERYBODY}))
    assert not seen(frozenset({"b"})) and not seen(frozenset())


def test_the_user_is_called_user_in_mail_and_a_session_by_its_id() -> None:
    assert (USER.name, SELF.name) == ("user", "a")
