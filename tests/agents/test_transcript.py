"""Transcripts belong to the agent: they are followed as they grow, and nothing in them or around them is trusted."""

import json
import os
import queue
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from anvilsrv.agents import transcript
from anvilsrv.errors import Denied
from anvilsrv.linux.inotify import IN_MODIFY
from tests.conftest import PATIENCE

Batch = tuple[str, list[dict[str, Any]], bool]


class Follower:
    """A watcher whose batches and errors can be waited for."""

    def __init__(self) -> None:
        self.batches: queue.Queue[Batch] = queue.Queue()
        self.beside: queue.Queue[tuple[str, list[dict[str, Any]]]] = queue.Queue()
        self.errors: queue.Queue[BaseException] = queue.Queue()
        self.watcher = transcript.Watcher(
            lambda *batch: self.batches.put(batch), self.errors.put, lambda *batch: self.beside.put(batch)
        )

    def lines(self, count: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while len(found) < count:
            found += self.batches.get(timeout=PATIENCE)[1]
        return found


@pytest.fixture
def follower() -> Iterator[Follower]:
    follower = Follower()
    yield follower
    follower.watcher.close()
    assert follower.errors.empty()


def append(path: Path, *lines: object) -> None:
    with open(path, "a") as file:
        file.write("".join(json.dumps(line) + "\n" for line in lines))


def test_what_stood_in_the_file_is_told_apart_from_what_comes(tmp_path: Path, follower: Follower) -> None:
    path = tmp_path / "t.jsonl"
    append(path, {"n": 1})
    follower.watcher.watch("a", tmp_path, str(path))
    assert follower.batches.get(timeout=PATIENCE) == ("a", [{"n": 1}], True)
    append(path, {"n": 2})
    assert follower.batches.get(timeout=PATIENCE) == ("a", [{"n": 2}], False)


def test_a_file_and_directories_that_come_later_are_found(tmp_path: Path, follower: Follower) -> None:
    path = tmp_path / "data" / "projects" / "x" / "t.jsonl"
    follower.watcher.watch("a", tmp_path, str(path))
    path.parent.mkdir(parents=True)
    append(path, {"n": 1})
    assert follower.lines(1) == [{"n": 1}]
    append(path, {"n": 2})
    assert follower.lines(1) == [{"n": 2}]


def test_a_line_counts_once_it_is_complete(tmp_path: Path, follower: Follower) -> None:
    path = tmp_path / "t.jsonl"
    follower.watcher.watch("a", tmp_path, str(path))
    with open(path, "a", buffering=1) as file:
        file.write('{"text": "hé')
        file.flush()
        file.write('llo"}\n{"n"')
        file.flush()
        assert follower.lines(1) == [{"text": "héllo"}]
        file.write(": 2}\n")
    assert follower.lines(1) == [{"n": 2}]


def test_a_session_whose_conversation_changes_is_followed_to_its_new_file(tmp_path: Path, follower: Follower) -> None:
    first, second = tmp_path / "1.jsonl", tmp_path / "2.jsonl"
    append(first, {"n": 1})
    append(second, {"n": 2})
    follower.watcher.watch("a", tmp_path, str(first))
    assert follower.lines(1) == [{"n": 1}]
    follower.watcher.watch("a", tmp_path, str(second))
    assert follower.lines(1) == [{"n": 2}]
    append(first, {"n": 3})
    append(second, {"n": 4})
    assert follower.lines(1) == [{"n": 4}]


def test_a_file_that_is_replaced_or_cut_is_read_from_its_new_beginning(tmp_path: Path, follower: Follower) -> None:
    path = tmp_path / "t.jsonl"
    append(path, {"n": 1}, {"n": 2})
    follower.watcher.watch("a", tmp_path, str(path))
    assert follower.lines(2) == [{"n": 1}, {"n": 2}]
    append(tmp_path / "new", {"n": 3})
    os.replace(tmp_path / "new", path)
    assert follower.lines(1) == [{"n": 3}]
    path.write_text('{"n":4}\n')
    assert follower.lines(1) == [{"n": 4}]


def test_two_sessions_in_one_directory_get_their_own_lines(tmp_path: Path, follower: Follower) -> None:
    for name in "ab":
        follower.watcher.watch(name, tmp_path, str(tmp_path / name))
    append(tmp_path / "b", {"n": 1})
    assert follower.batches.get(timeout=PATIENCE)[:2] == ("b", [{"n": 1}])
    follower.watcher.forget("b")
    append(tmp_path / "c", {"n": 2})
    follower.watcher.watch("c", tmp_path, str(tmp_path / "c"))
    assert follower.batches.get(timeout=PATIENCE)[:2] == ("c", [{"n": 2}])  # b is forgotten by then
    append(tmp_path / "b", {"n": 3})
    append(tmp_path / "a", {"n": 4})
    assert follower.batches.get(timeout=PATIENCE)[:2] == ("a", [{"n": 4}])


def test_what_is_no_object_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes(b"\n[1]\nnull\nno json\n\xff\xfe\n" + b"[" * 100_000 + b'\n{"n":1}\n{"cut":')
    assert list(transcript.lines(tmp_path, str(path))) == [{"n": 1}]


def test_a_line_without_end_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcript, "LINE", 1000)
    monkeypatch.setattr(transcript, "CHUNK", 700)
    path = tmp_path / "t.jsonl"
    path.write_text(json.dumps({"long": "x" * 5000}) + '\n{"n":1}\n')
    assert list(transcript.lines(tmp_path, str(path))) == [{"n": 1}]


@pytest.mark.parametrize("path", ["/etc/passwd", "/{top}/../passwd", "{top}/sub/../../x", "relative"])
def test_a_path_elsewhere_is_refused(tmp_path: Path, path: str, follower: Follower) -> None:
    with pytest.raises(Denied):
        follower.watcher.watch("a", tmp_path, path.format(top=tmp_path))
        list(transcript.lines(tmp_path, path.format(top=tmp_path)))


@pytest.mark.parametrize("where", ["file", "directory"])
def test_links_are_not_followed(tmp_path: Path, where: str) -> None:
    outside, top = tmp_path / "outside", tmp_path / "top"
    outside.mkdir()
    top.mkdir()
    append(outside / "t.jsonl", {"secret": 1})
    (top / "sub").mkdir() if where == "file" else (top / "sub").symlink_to(outside)
    if where == "file":
        (top / "sub" / "t.jsonl").symlink_to(outside / "t.jsonl")
    with pytest.raises(Denied):
        list(transcript.lines(top, str(top / "sub" / "t.jsonl")))


def test_of_a_file_of_terabytes_the_end_is_read(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    with open(path, "wb") as file:
        file.write(b'{"n": 0}\n')
        file.truncate(1 << 40)
        file.seek(0, 2)
        file.write(b'\n{"n": 1}\n')
    before = time.thread_time()
    assert list(transcript.lines(tmp_path, str(path))) == [{"n": 1}]
    assert time.thread_time() - before < 5


def test_files_beside_a_transcript_are_followed_as_they_come_each_from_its_beginning(
    tmp_path: Path, follower: Follower
) -> None:
    path = tmp_path / "projects" / "t.jsonl"
    follower.watcher.watch("a", tmp_path, str(path), "agents/*.jsonl")
    directory = tmp_path / "projects" / "t" / "agents"
    directory.mkdir(parents=True)
    append(directory / "one.jsonl", {"n": 1})
    assert follower.beside.get(timeout=5) == ("a", [{"n": 1}])
    append(directory / "two.jsonl", {"n": 2})
    append(directory / "two.meta.json", {"n": 3})
    assert follower.beside.get(timeout=5) == ("a", [{"n": 2}])
    append(directory / "one.jsonl", {"n": 4})
    assert follower.beside.get(timeout=5) == ("a", [{"n": 4}])
    append(path, {"n": 5})
    assert follower.batches.get(timeout=5) == ("a", [{"n": 5}], False)
    follower.watcher.watch("a", tmp_path, str(tmp_path / "projects" / "new.jsonl"), "agents/*.jsonl")
    append(tmp_path / "projects" / "new.jsonl", {"n": 6})
    assert follower.lines(1) == [{"n": 6}]
    append(directory / "one.jsonl", {"n": 7})
    append(tmp_path / "projects" / "new.jsonl", {"n": 8})
    assert follower.lines(1) == [{"n": 8}]
    assert follower.beside.empty()


def test_a_link_beside_a_transcript_is_not_followed(tmp_path: Path) -> None:
    follower, outside = Follower(), tmp_path / "outside.jsonl"
    top = tmp_path / "top"
    (top / "t" / "agents").mkdir(parents=True)
    append(outside, {"n": 1})
    (top / "t" / "agents" / "one.jsonl").symlink_to(outside)
    try:
        follower.watcher.watch("a", top, str(top / "t.jsonl"), "agents/*.jsonl")
        assert isinstance(follower.errors.get(timeout=5), Denied)
        assert follower.beside.empty()
    finally:
        follower.watcher.close()


def test_what_is_written_to_other_files_beside_it_costs_no_look(
    tmp_path: Path, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, other, looks = tmp_path / "t.jsonl", tmp_path / "other", list[str]()
    append(path, {"n": 1})
    append(other, {})
    read = transcript.Tail.read

    def looked(tail: transcript.Tail, most: int) -> Iterator[dict[str, Any]]:
        looks.append(tail.name)
        return read(tail, most)

    monkeypatch.setattr(transcript.Tail, "read", looked)
    follower.watcher.watch("a", tmp_path, str(path))
    assert follower.lines(1) == [{"n": 1}]
    for n in range(20):
        append(other, {"n": n})
    append(path, {"n": 2})
    assert follower.lines(1) == [{"n": 2}]
    assert len(looks) <= 3  # at the beginning, at the write, at the close


def test_what_is_too_much_for_one_look_is_read_at_the_next_and_none_of_it_is_lost(
    tmp_path: Path, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transcript, "LOOK", 1000)
    path = tmp_path / "t.jsonl"
    append(path, *({"n": number, "x": "y" * 90} for number in range(100)))
    follower.watcher.watch("a", tmp_path, str(path), "sub/*.jsonl")
    found = [follower.batches.get(timeout=PATIENCE) for _ in range(2)]
    while sum(len(batch) for _, batch, _ in found) < 100:
        found.append(follower.batches.get(timeout=PATIENCE))
    assert [line["n"] for _, batch, _ in found for line in batch] == list(range(100))
    assert all(old for _, _, old in found) and len(found) > 5
    beside = tmp_path / "t" / "sub"
    beside.mkdir(parents=True)
    for name in "bc":
        append(beside / f"{name}.jsonl", *({"n": number, "x": "y" * 90} for number in range(30)))
    told: list[int] = []
    while len(told) < 60:
        told += [line["n"] for line in follower.beside.get(timeout=PATIENCE)[1]]
    assert sorted(told) == sorted([*range(30), *range(30)])


def test_who_writes_without_end_is_looked_at_later_and_the_others_are_not(tmp_path: Path, follower: Follower) -> None:
    for name in "ab":
        follower.watcher.watch(name, tmp_path, str(tmp_path / f"{name}.jsonl"))
    append(tmp_path / "a.jsonl", {"n": 1})
    assert follower.lines(1) == [{"n": 1}]
    follower.watcher.shares.spend("a", 3600.0)
    append(tmp_path / "a.jsonl", {"n": 2})
    append(tmp_path / "b.jsonl", {"n": 3})
    assert follower.batches.get(timeout=PATIENCE)[:2] == ("b", [{"n": 3}])
    follower.watcher.shares.spend("a", -3600.0)
    append(tmp_path / "b.jsonl", {"n": 4})
    until_b = iter(lambda: follower.batches.get(timeout=PATIENCE)[:2], ("b", [{"n": 4}]))
    assert list(until_b) in ([], [("a", [{"n": 2}])])


def masks(path: Path) -> list[int]:
    """Return what this process watches of a file or directory with inotify(7), as the kernel says it."""
    found, state = [], path.stat()
    for info in Path("/proc/self/fdinfo").iterdir():
        with suppress(OSError):  # the descriptor of the listing itself
            for line in info.read_text().splitlines():
                fields = dict(word.split(":", 1) for word in line.split()[1:] if ":" in word)
                if line.startswith("inotify ") and int(fields["ino"], 16) == state.st_ino:
                    found.append(int(fields["mask"], 16))
    return found


def test_what_is_written_to_other_files_of_its_directory_wakes_nobody(tmp_path: Path, follower: Follower) -> None:
    path = tmp_path / "data" / "t.jsonl"
    follower.watcher.watch("a", tmp_path, str(path))
    path.parent.mkdir()
    append(path, {"n": 1})
    assert follower.lines(1) == [{"n": 1}]
    append(path, {"n": 2})
    assert follower.lines(1) == [{"n": 2}]
    assert [mask & IN_MODIFY for mask in masks(path)] == [IN_MODIFY]
    assert [mask & IN_MODIFY for mask in masks(path.parent)] == [0]


def test_a_file_that_takes_its_place_is_followed_as_it_grows(tmp_path: Path, follower: Follower) -> None:
    path = tmp_path / "t.jsonl"
    append(path, {"n": 1})
    follower.watcher.watch("a", tmp_path, str(path))
    assert follower.lines(1) == [{"n": 1}]
    append(tmp_path / "new", {"n": 2})
    os.replace(tmp_path / "new", path)
    assert follower.lines(1) == [{"n": 2}]
    append(path, {"n": 3})
    assert follower.lines(1) == [{"n": 3}]
    path.unlink()
    append(path, {"n": 4})
    assert follower.lines(1) == [{"n": 4}]
    append(path, {"n": 5})
    assert follower.lines(1) == [{"n": 5}]
