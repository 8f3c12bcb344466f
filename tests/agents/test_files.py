"""Files that come and go in a directory that is followed."""

import queue
from collections.abc import Iterator
from pathlib import Path

import pytest

from anvilsrv.agents.files import Files, News, Wanted
from tests.conftest import PATIENCE

Told = tuple[Files, "queue.Queue[News]"]


@pytest.fixture
def told() -> Iterator[Told]:
    found: queue.Queue[News] = queue.Queue()
    errors: list[BaseException] = []

    def put(news: dict[str, list[News]]) -> None:
        for one in news["s"]:
            found.put(one)

    files = Files(put, errors.append)
    yield files, found
    files.close()
    assert errors == []


def until(found: "queue.Queue[News]", path: str, gone: bool) -> News:
    """The next news of a file: that something stands in it, or that it is gone."""
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
