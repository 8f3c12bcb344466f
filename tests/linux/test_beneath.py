"""Files beneath a directory that an agent can write to: no link leads out, and nothing there blocks."""

import os
from pathlib import Path

import pytest

from anvilsrv.errors import Denied, NotFound
from anvilsrv.linux import beneath


def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "t.jsonl")
    with pytest.raises(Denied, match="not a regular file"):
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


def test_a_directory_of_any_depth_and_mode_is_removed(tmp_path: Path) -> None:
    top, outside = tmp_path / "top", tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("")
    top.mkdir()
    fd = os.open(top, os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("d", dir_fd=fd)
        following = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=following))
        os.symlink(outside, "link", dir_fd=following)
        os.close(fd)
        fd = following
    os.close(fd)
    (top / "closed" / "in").mkdir(parents=True)
    (top / "closed").chmod(0)
    beneath.remove(top)
    assert not top.exists() and (outside / "kept").exists()
    beneath.remove(top)
