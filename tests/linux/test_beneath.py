"""Files beneath a directory that an agent can write to: no link leads out, and nothing there blocks."""

import os
from pathlib import Path

import pytest

from anvilsrv.errors import Denied, NotFound
from anvilsrv.linux import beneath


def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "t.jsonl")
    with pytest.raises(Denied, match="no regular file"):
        beneath.read(tmp_path, "t.jsonl")


def test_a_link_that_an_agent_planted_is_replaced_not_written_through(tmp_path: Path) -> None:
    precious, top = tmp_path / "precious", tmp_path / "top"
    precious.write_text("mine")
    (top / "sub").mkdir(parents=True)
    (top / "sub" / "settings").symlink_to(precious)
    beneath.write(top, "sub/settings", "ours")
    assert (precious.read_text(), (top / "sub" / "settings").read_text()) == ("mine", "ours")
    assert not (top / "sub" / "settings").is_symlink()
    (top / "away").symlink_to(tmp_path)
    with pytest.raises(Denied):
        beneath.write(top, "away/precious", "ours")
    assert precious.read_text() == "mine"


def test_a_link_is_made_and_made_again(tmp_path: Path) -> None:
    for target in ("/one", "/two"):
        beneath.link(tmp_path, "a/b", target)
        assert os.readlink(tmp_path / "a" / "b") == target
    with pytest.raises(NotFound):
        beneath.read(tmp_path, "a/none")
    assert not beneath.exists(tmp_path, "a/b")
