"""Files that agents write, followed by one thread: they come and go, and who writes without end gets a part of its time."""

import json
import os
import queue
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from anvilsrv.agents.files import OPEN, OWING, Files, News, Wanted
from tests.conftest import PATIENCE

Told = tuple[Files, "queue.Queue[News]"]


@pytest.fixture
def told() -> Iterator[Told]:
    found: queue.Queue[News] = queue.Queue()
    errors: list[BaseException] = []

    def put(session: str, news: list[News]) -> None:
        for one in news:
            found.put(one)

    files = Files(put, errors.append)
    yield files, found
    files.close()
    assert errors == []


def until(found: "queue.Queue[News]", path: str, gone: bool) -> News:
    """Return the next news of a file: that it has content, or that it is gone."""
    while True:
        one = found.get(timeout=PATIENCE)
        if one.path == path and (one.mark is None if gone else one.lines):
            return one


def test_a_file_that_is_gone_is_told_and_a_new_one_of_its_name_is_read_from_its_beginning(
    told: Told, tmp_path: Path
) -> None:
    files, found = told
    files.follow("s", tmp_path, (Wanted(0, "tasks/*.output", "bytes"),), {})
    (tmp_path / "tasks").mkdir()
    file = tmp_path / "tasks/a.output"
    for text in ("first", "second"):
        file.write_text(text)
        assert until(found, "tasks/a.output", gone=False).lines[0][1]["text"] == text
        file.unlink()
        other = tmp_path / f"tasks/{text}.output"
        other.write_text("x")
        until(found, "tasks/a.output", gone=True)


def test_a_file_that_takes_the_place_of_another_is_read_from_its_beginning(told: Told, tmp_path: Path) -> None:
    files, found = told
    files.follow("s", tmp_path, (Wanted(0, "a.txt", "lines"),), {})
    file, new = tmp_path / "a.txt", tmp_path / "new"
    for text in ("first", "second", "third"):
        new.write_text(f"{text}\n")
        new.rename(file)
        assert until(found, "a.txt", gone=False).lines == [(0, {"line": text, "file": "a.txt"})]
        with file.open("a") as out:
            out.write("more\n")
        assert until(found, "a.txt", gone=False).lines == [(len(text) + 1, {"line": "more", "file": "a.txt"})]


def test_few_files_stay_open_and_none_of_what_is_followed_no_more(told: Told, tmp_path: Path) -> None:
    files, found = told
    files.follow("s", tmp_path, (Wanted(0, "*.txt", "lines"),), {})
    paths = [tmp_path / f"{n}.txt" for n in range(OPEN + 40)]
    for path in paths:
        path.write_text("first\n")
    await_all(found, paths, "first")
    for path in paths:
        with path.open("a") as out:
            out.write("second\n")
    await_all(found, paths, "second")
    assert 0 < len(opened(tmp_path)) <= OPEN
    files.forget("s")
    done = threading.Event()
    files.do(done.set)
    assert done.wait(PATIENCE)
    assert opened(tmp_path) == []


def await_all(found: "queue.Queue[News]", paths: list[Path], line: str) -> None:
    """Wait until that line of each file was told."""
    missing = {path.name for path in paths}
    while missing:
        one = found.get(timeout=PATIENCE)
        missing -= {one.path} if any(made["line"] == line for _, made in one.lines) else set()


def opened(top: Path) -> list[str]:
    """Return the files below it that this process has open."""
    links = [os.path.realpath(fd) for fd in Path("/proc/self/fd").iterdir()]
    return [name for name in links if name.startswith(f"{top}/")]


def test_a_document_is_read_whole_and_again_when_it_is_another(told: Told, tmp_path: Path) -> None:
    files, found = told
    file, new = tmp_path / "a.json", tmp_path / "new"
    file.write_text('{"n": 1}')
    files.follow("s", tmp_path, (Wanted(0, "*.json", "document"),), {})
    assert until(found, "a.json", gone=False).lines == [(0, {"n": 1, "file": "a.json"})]
    (tmp_path / "b.json").write_text('{"half')
    new.write_text('{\n "n": 2\n}\n')
    new.rename(file)
    assert until(found, "a.json", gone=False).lines[0][1]["n"] == 2
    with open(tmp_path / "b.json", "a") as half:
        half.write('": 3}')
    read = until(found, "b.json", gone=False)
    assert read.lines[0][1]["half"] == 3
    assert read.mark is not None
    files.forget("s")
    files.follow("other", tmp_path, (Wanted(0, "*.json", "document"),), {"b.json": read.mark})
    assert found.get(timeout=PATIENCE).path == "a.json", "b.json was read before, and is the same"


class Follower:
    """The files ``x.jsonl`` of some sessions, each below a directory of its own."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.news: queue.Queue[tuple[str, list[int]]] = queue.Queue()
        self.errors: list[BaseException] = []
        self.files = Files(self._came, self.errors.append)

    def _came(self, session: str, news: list[News]) -> None:
        if lines := [
            line["n"] for one in news for _, line in one.lines
        ]:  # a file may be seen before something stands in it
            self.news.put((session, lines))

    def follow(self, session: str) -> None:
        (self.top / session).mkdir()
        self.files.follow(session, self.top / session, (Wanted(0, "x.jsonl", "json"),), {})

    def append(self, session: str, n: int) -> None:
        with open(self.top / session / "x.jsonl", "a") as file:
            file.write(json.dumps({"n": n}) + "\n")

    def told(self) -> tuple[str, list[int]]:
        return self.news.get(timeout=PATIENCE)

    def look(self, session: str) -> None:
        done = threading.Event()
        self.files.do(lambda: (self.files.look(session), done.set())[1])
        assert done.wait(PATIENCE)


@pytest.fixture
def follower(tmp_path: Path) -> Iterator[Follower]:
    made = Follower(tmp_path)
    yield made
    made.files.close()
    assert made.errors == []


def test_who_had_its_share_is_read_later_and_the_others_now(follower: Follower) -> None:
    for name in ("a", "b"):
        follower.follow(name)
    follower.append("a", 1)
    assert follower.told() == ("a", [1])
    follower.files.shares.spend("a", 3600.0)
    follower.append("a", 2)
    follower.append("b", 3)
    assert follower.told() == ("b", [3])
    follower.files.shares.spend("a", -3600.0)
    assert follower.told() == ("a", [2]), "what was put off is not lost"


def test_one_whose_turn_ends_is_read_before_its_turn_unless_it_owes_too_much(follower: Follower) -> None:
    follower.follow("a")
    follower.follow("b")
    follower.append("a", 1)
    assert follower.told() == ("a", [1])
    follower.files.shares.spend("a", 2.0 + OWING / 2)
    follower.append("a", 2)
    follower.look("a")
    assert follower.told() == ("a", [2])
    follower.files.shares.spend("a", 3600.0)
    follower.append("a", 3)
    follower.look("a")
    follower.append("b", 4)
    assert follower.told() == ("b", [4])
