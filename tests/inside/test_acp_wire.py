"""Lines of the protocol: what an agent may print, and what it gets."""

import json
from typing import Any

import pytest

from anvilsrv.inside.acp_wire import Answer, Fault, Lines, Notice, Request, line, parse


def test_lines_come_whole_in_whatever_pieces_they_are_read() -> None:
    lines, text = Lines(), b'{"a":1}\n\n{"b":"\xc3\xa9"}\nrest'
    found = [one for at in range(len(text)) for one in lines.feed(text[at : at + 1])]
    assert [*found, *lines.end()] == [b'{"a":1}', b"", '{"b":"é"}'.encode(), b"rest"]


def test_a_line_that_is_too_long_is_left_out_and_the_next_one_is_read() -> None:
    lines = Lines(longest=10)
    found = [one for piece in (b"x" * 8, b"y" * 8, b"z\n", b"next\n") for one in lines.feed(piece)]
    assert found == [Fault("a line of 17 bytes was left out: 10 is the most"), b"next"]


def test_requests_notices_and_answers_are_told_apart() -> None:
    assert parse(b'{"jsonrpc":"2.0","id":"a","method":"m","params":{"x":1}}') == Request("a", "m", {"x": 1})
    assert parse(b'{"jsonrpc":"2.0","method":"m"}') == Notice("m", {})
    assert parse(b'{"id":3,"result":null}') == Answer(3)
    found = parse(b'{"id":3,"error":{"code":-32603,"message":"Internal error","data":{"details":"bad thing"}}}')
    assert isinstance(found, Answer) and found.error is not None
    assert (found.error.code, found.error.words) == (-32603, "Internal error: bad thing")


@pytest.mark.parametrize(
    "text",
    [
        b"nonsense",
        b"[1,2]",
        b"{}",
        b'{"id":1}',
        b"\xff\xfe",
        b"[" * 100000,
        b'{"a":' * 100 + b"1" + b"}" * 100,
        b'{"a":NaN}',
    ],
)
def test_whatever_else_stands_there_is_a_fault(text: bytes) -> None:
    found = parse(text)
    assert isinstance(found, Fault) and found.why and len(found.line) <= 200


@pytest.mark.parametrize(
    "error",
    ["text", 3, {}, {"code": "x", "message": []}, {"code": True, "message": None, "data": {"error": {"error": 1}}}],
)
def test_an_error_of_any_shape_has_words(error: Any) -> None:
    found = parse(json.dumps({"id": 1, "error": error}).encode())
    assert isinstance(found, Answer) and found.error is not None and found.error.words


def test_what_is_sent_is_one_line_without_half_characters() -> None:
    made = line({"id": 1, "result": {"text": "a\nb\ud83d\u2028\0"}})
    assert made.count(b"\n") == 1
    assert json.loads(made) == {"jsonrpc": "2.0", "id": 1, "result": {"text": "a\nb\ufffd\u2028\0"}}
