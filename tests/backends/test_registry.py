"""Where backend files are found, what is listed of them, and which comes first."""

from pathlib import Path

import pytest

from anvilsrv.backends.registry import Backends, default_dirs
from anvilsrv.errors import NotFound
from tests.backends.files import MINIMAL, load
from tests.conftest import some


def test_the_shipped_files_are_valid() -> None:
    shipped = Backends(default_dirs()[1])
    assert "shell" in shipped.names()
    for name in some(shipped.names()):
        assert shipped.get(name).title


def test_shell_is_ready_everywhere_and_has_its_short_name() -> None:
    shipped = Backends(default_dirs()[1])
    assert shipped.get("sh") == shipped.get("shell")
    assert ("shell", "Shell", "ok") in shipped.listing()
    assert shipped.get("shell").prompt_text("ls", "one\ntwo") == "# one\n# two\nls"


def test_a_broken_file_is_listed_and_breaks_no_other(top: Path) -> None:
    (top / "bad.yaml").write_text("backend: {}\n")
    (top / "good.yaml").write_text(MINIMAL)
    rows = Backends(top).listing()
    assert [row[0] for row in rows] == ["bad", "good"]
    assert "key 'command' is missing" in rows[0][2]
    assert rows[1][2] == "ok"


def test_the_users_file_comes_before_the_shipped_one_and_a_change_is_seen(top: Path) -> None:
    (top / "mine").mkdir()
    (top / "theirs").mkdir()
    backends = Backends(top / "mine", top / "theirs")
    load(top / "theirs", MINIMAL + "  title: theirs\n  aliases: [other]\n")
    assert backends.get("other").title == "theirs"
    load(top / "mine", MINIMAL + "  title: mine\n")
    assert backends.get("x").title == "mine"
    load(top / "mine", MINIMAL + "  title: changed\n")
    assert backends.get("x").title == "changed"
    with pytest.raises(NotFound, match="no such backend 'nope'"):
        backends.get("nope")


def test_where_the_program_was_deleted_the_error_says_so(top: Path) -> None:
    backends = Backends(top / "mine", top / "gone")
    with pytest.raises(NotFound, match=r"gone is gone; anvilsrv restart takes another installation"):
        backends.get("shell")


def test_what_needs_to_be_told_a_command_is_listed_last() -> None:
    names = [name for name, _, _ in Backends().listing()]
    assert names[-1] == "acp" and names[:-1] == sorted(names[:-1])


def test_names_are_known_before_a_file_is_read() -> None:
    assert {"claude", "kiro-cli"} <= Backends(*default_dirs()).known()
