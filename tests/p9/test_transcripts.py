"""Conversations as they stand in ``transcripts/*.txt``, replayed against the server.

A line ``<- Tmessage`` is sent, a line ``-> Rmessage`` is what must come next, in order; both in the form of
``anvilsrv.p9.text``. ``*`` stands for any one value, ``#`` starts a comment. One connection per file, to the sample
tree. ``python -m tests.p9.test_transcripts FILE`` sends the T lines of a file and prints what came, to be read and
checked before it is kept.
"""

import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from anvilsrv.p9 import text
from anvilsrv.p9.server import Server
from tests.conftest import some
from tests.p9.conftest import Raw
from tests.p9.sample import Sample

FILES = sorted((Path(__file__).parent / "transcripts").glob("*.txt"))


def steps(path: Path) -> Iterator[tuple[int, str, str]]:
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            yield number, line[:2], line[3:].strip()


def matches(wanted: str, got: str) -> bool:
    pattern = r"(?:\"[^\"]*\"|[^\s()\]}]+)".join(map(re.escape, wanted.split("*")))
    return re.fullmatch(pattern, got) is not None


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_server_answers_as_in_the_transcript(path, served, dial):
    raw = dial()
    for number, way, line in some(steps(path)):
        if way == "<-":
            raw.send(text.parse(line))
        else:
            answer = raw.receive()
            got = text.format(answer) if answer else "hangup"
            assert matches(line, got), f"{path.name}:{number}: wanted {line}, got {got}"
    if path.stem == "errors-of-the-tree":
        assert [type(error) for error in served.errors] == [ZeroDivisionError]
        served.errors.clear()


def test_the_transcripts_are_there():
    assert len(FILES) >= 10


def record(path: Path) -> None:
    sample = Sample()
    with tempfile.TemporaryDirectory() as where, Server() as server:
        server.listen(f"{where}/agent", sample.root)
        raw = Raw(f"{where}/agent")
        for line in path.read_text().splitlines():
            if line.startswith("->"):
                continue
            print(line)
            if line.startswith("<-"):
                raw.send(text.parse(line[3:]))
                answer = raw.receive()
                print("->", text.format(answer) if answer else "hangup")
        raw.close()


if __name__ == "__main__":
    record(Path(sys.argv[1]))
