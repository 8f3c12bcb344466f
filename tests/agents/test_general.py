"""What ``global.yaml`` says of the daemon itself."""

from pathlib import Path

import pytest

from anvilsrv.activity.recorder import MOST
from anvilsrv.agents.general import kept_activity


@pytest.mark.parametrize(
    ("text", "kept", "wrong"),
    [
        ("general: {activity: 2M}", 2 << 20, ""),
        ("general: {log_level: warn}", MOST, ""),
        (
            "general: {activity: much}",
            MOST,
            "global.yaml:1: general.activity: 'much' is not a limit (such as 256M, or none)",
        ),
        ("general: {activity: 1K}", MOST, "general.activity: 1K is less than 1M"),
    ],
)
def test_how_much_activity_is_kept_stands_in_global_yaml(tmp_path: Path, text: str, kept: int, wrong: str) -> None:
    (tmp_path / "global.yaml").write_text(text + "\n")
    errors: list[BaseException] = []
    assert kept_activity((tmp_path / "none", tmp_path), errors.append) == kept
    assert [wrong in str(one) for one in errors] == [True] * bool(wrong)


def test_without_a_limit_all_of_it_is_kept(tmp_path: Path) -> None:
    (tmp_path / "global.yaml").write_text("general: {activity: none}\n")
    assert kept_activity([tmp_path], lambda error: None) > 1 << 50
    assert kept_activity([], lambda error: None) == MOST
