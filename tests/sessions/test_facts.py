"""When a report is of our text: agents take blanks and characters that are not drawn as they please."""

import pytest

from anvilsrv.sessions.facts import contains, same_text


@pytest.mark.parametrize(
    ("reported", "same"),
    [
        ("do  it:\n ab", True),
        ("do it: a\u202e\u2066b", True),
        ("\ufeffdo it: a\u200b\u200db\ufe0f\U000e0041", True),
        ("do it: a\u0301b", False),
        ("do it: a\u2800b", False),
    ],
)
def test_a_text_is_the_same_without_what_is_not_drawn_and_another_with_what_is(reported: str, same: bool) -> None:
    assert same_text(reported, "do it:\ta\u202eb") is same
    assert contains(f"please {reported}, now", "do it:\ta\u202eb") is same
