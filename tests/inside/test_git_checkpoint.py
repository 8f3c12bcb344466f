"""A work tree is kept as it is: the same commit where nothing changed, another one where anything did, or git was made to forget it."""

from pathlib import Path

import pytest

from anvilsrv.inside import git_checkpoint
from tests.inside.test_git_undo import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def listed(place: Place, commit: str) -> str:
    return place.tree.git("ls-tree", "-r", "--name-only", commit).decode()


def test_a_checkpoint_of_nothing_new_is_the_same_and_costs_two_gits(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.sh("echo x > a; mkdir d; echo y > d/b")
    first, asked = place.now(), list[str]()
    begun = type(place.tree).begun
    monkeypatch.setattr(
        place.tree, "begun", lambda words, *more: (asked.append(words[0]), begun(place.tree, words, *more))[1]
    )
    assert place.now() == first and asked == ["ls-files", "diff-files"]
    place.sh("touch a")  # another time, the same words
    assert place.now() == first
    place.sh("echo z > a")
    assert place.now() != first


def test_a_checkpoint_differs_if_the_index_was_changed_in_between(place: Place) -> None:
    place.sh("echo x > a")
    first = place.now()
    place.sh("echo y > b")
    second = place.now()
    place.tree.git("read-tree", "-m", "-u", second, first)
    third = place.now()
    assert third != second and listed(place, third) == "a\n"
    place.sh("rm a")
    assert listed(place, place.now()) == ""


def test_an_empty_work_tree_and_one_with_a_link_in_place_of_a_directory_are_recorded(place: Place) -> None:
    empty = place.now()
    assert listed(place, empty) == "" and place.now() == empty
    place.sh("mkdir d; echo x > d/a; echo x > b")
    place.now()
    place.sh("mv d e; ln -s e d")  # the same words are still at d/a
    assert listed(place, place.now()) == "b\nd\ne/a\n"


def test_a_file_that_changes_within_one_tick_of_the_clock_is_seen(place: Place) -> None:
    place.sh("echo x > a")
    for word in "yzxyz":
        place.sh(f"echo {word} > a")
        assert place.tree.git("cat-file", "blob", f"{place.now()}:a").decode() == f"{word}\n"


def test_of_many_files_the_index_is_written_only_as_far_as_it_is_different(place: Place) -> None:
    place.sh("mkdir d; for n in $(seq 300); do echo $n > d/$n; done; touch -d 2020-01-01 d/*")
    place.now()
    place.sh("echo x > d/7; rm d/8; echo new > e")
    last = place.now()
    directory = Path(place.tree.directory)
    shared = max(path.stat().st_size for path in directory.glob("sharedindex.*"))
    assert (directory / "index").stat().st_size < shared / 5
    assert "d/8\n" not in listed(place, last) and place.tree.git("cat-file", "blob", f"{last}:d/7") == b"x\n"


def test_what_git_does_not_see_is_named_unless_it_is_ignored(place: Place) -> None:
    place.sh(
        "mkdir -p d/e ign/d nest; mkfifo d/e/pipe ign/d/pipe nest/pipe; touch d/e/f; echo ign > .gitignore; git init -q nest"
    )
    assert git_checkpoint.make(place.tree, 1 << 20)[1] == [
        "nest/: a repository of its own", "d/e/pipe: a socket, pipe or device"
    ]  # fmt: skip
    place.sh("rm d/e/f; mkfifo d/e/f")
    made, left = git_checkpoint.make(place.tree, 1 << 20)
    assert "d/e/f: a socket, pipe or device" in left and "d/e/f" in listed(place, made)
