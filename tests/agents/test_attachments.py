"""The files that go with prompts: names, bounds, what stands in their way, and how a prompt names them."""

import os
from pathlib import Path

import pytest

from anvilsrv.agents.attachments import PLACE, Attachments, spelled
from anvilsrv.allowance import BOUNDS
from anvilsrv.errors import AnvilError, Conflict, Exists, Invalid, NotFound

ONE, TWO = "00000001", "00000002"


@pytest.fixture
def files(tmp_path: Path) -> Attachments:
    for session in (ONE, TWO):
        (tmp_path / session).mkdir()
    return Attachments(lambda session: tmp_path / session)


def put(files: Attachments, name: str, data: bytes, session: str = ONE) -> None:
    files.create(session, name)
    files.write(session, name, 0, data)


def test_a_file_is_kept_and_known_to_the_next_daemon(files: Attachments, tmp_path: Path) -> None:
    put(files, "shot.png", b"one two")
    files.write(ONE, "shot.png", 4, b"three")
    assert files.read(ONE, "shot.png", 0, 100) == b"one three"
    assert (tmp_path / ONE / PLACE / "shot.png").stat().st_mode & 0o777 == 0o600
    other = Attachments(lambda session: tmp_path / session)
    other.load([ONE, TWO])
    assert {name: known.size for name, known in other.of(ONE).items()} == {"shot.png": 9}
    other.truncate(ONE, "shot.png")
    assert (other.of(ONE)["shot.png"].size, other.read(ONE, "shot.png", 0, 10)) == (0, b"")
    other.remove(ONE, "shot.png")
    assert (dict(other.of(ONE)), list((tmp_path / ONE / PLACE).iterdir())) == ({}, [])
    with pytest.raises(NotFound):
        other.remove(ONE, "shot.png")


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        ".hidden",
        "-rf",
        "a b",
        "a/b",
        "../x",
        "a\nb",
        "a\0b",
        "x" * 101,
        "\u00fc" * 101,
        "\ud800",
        "a\u202eb",
    ],
)
def test_a_name_that_could_be_taken_for_something_else_is_refused(
    files: Attachments, tmp_path: Path, name: str
) -> None:
    with pytest.raises(Invalid, match=r"^invalid name"):
        files.create(ONE, name)
    assert not (tmp_path / ONE / PLACE).exists()


def test_one_of_that_name_is_refused(files: Attachments) -> None:
    put(files, "a", b"1")
    with pytest.raises(Exists):
        files.create(ONE, "a")
    assert files.read(ONE, "a", 0, 1) == b"1"


def test_a_session_has_no_more_than_its_bounds(files: Attachments, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, most in (("attachment", 10), ("attachments", 3), ("attached", 25)):
        monkeypatch.setitem(BOUNDS, name, BOUNDS[name]._replace(most=most))
    put(files, "a", b"x" * 10)
    for offset, data in ((10, b"x"), (1 << 60, b"x"), (0, b"x" * 11)):
        with pytest.raises(Conflict, match=r"^busy: a file of attach has"):
            files.write(ONE, "a", offset, data)
    put(files, "b", b"x" * 10)
    files.create(ONE, "c")
    with pytest.raises(Conflict, match=r"^busy: files of"):
        files.write(ONE, "c", 0, b"x" * 6)
    files.write(ONE, "c", 0, b"x" * 5)
    files.write(ONE, "a", 0, b"y" * 10)
    with pytest.raises(Conflict, match=r"^busy: 3 files are in attach"):
        files.create(ONE, "d")
    put(files, "d", b"x" * 10, TWO)
    files.remove(ONE, "a")
    put(files, "d", b"x" * 10)


def test_a_link_in_the_way_is_not_followed(files: Attachments, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    put(files, "a", b"1")
    os.unlink(tmp_path / ONE / PLACE / "a")
    os.symlink(tmp_path / "secret", tmp_path / ONE / PLACE / "a")
    for do in (
        lambda: files.read(ONE, "a", 0, 9),
        lambda: files.write(ONE, "a", 0, b"2"),
        lambda: files.truncate(ONE, "a"),
    ):
        with pytest.raises(AnvilError, match="not opened, a symbolic link"):
            do()
    (tmp_path / TWO / "run").symlink_to(tmp_path)
    with pytest.raises(AnvilError, match="not opened, a symbolic link"):
        files.create(TWO, "a")
    assert ((tmp_path / "secret").read_text(), dict(files.of(TWO))) == ("secret", {})


def test_nothing_is_made_for_a_session_that_is_gone(files: Attachments, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        files.create("0000000f", "a")
    assert not (tmp_path / "0000000f").exists() and not files.of("0000000f")


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("look at attach/a.png", "look at /p/a.png"), ("attach/a.png.", "/p/a.png."), ("(attach/a)", "(/p/a)"),
        ("@attach/a and 'attach/a.png', attach/a.png", "@/p/a and '/p/a.png', /p/a.png"),
        ("attach/a.txt attach/ab attach/a/b attach/a-b", None), ("x/attach/a ./attach/a reattach/a", None),
        ("attach/ attach", None), ("attach/a\n\tattach/a.png\u2028", "/p/a\n\t/p/a.png\u2028"),
    ],
)  # fmt: skip
def test_a_prompt_gets_the_paths_of_the_files_that_it_names_and_of_no_others(text: str, becomes: str | None) -> None:
    assert spelled(text, {"a", "a.png", "x"}, "/p") == (text if becomes is None else becomes)


def test_the_place_is_taken_as_it_stands() -> None:
    assert spelled("attach/a", ["a"], r"/p\1\g<0>") == r"/p\1\g<0>/a"
