"""The bytes of messages: known vectors, and properties over all messages."""

import struct
from typing import Any, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anvilsrv.p9 import text, wire
from anvilsrv.p9.wire import Qid, Stat, WireError

NUMBERS = {"tag": 16, "oldtag": 16, "type": 16, "mode": 32, "offset": 64, "length": 64}
plain_text = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=40)
qids = st.builds(Qid, st.integers(0, 255), st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1))


def number(cls: type[Any], field: str) -> st.SearchStrategy[int]:
    bits = 8 if (cls, field) in ((wire.Topen, "mode"), (wire.Tcreate, "mode")) else NUMBERS.get(field, 32)
    return st.integers(0, 2**bits - 1)


def field(cls: type[Any], name: str, kind: Any) -> st.SearchStrategy[Any]:
    if kind is int:
        return number(cls, name)
    if kind is str:
        return plain_text
    if kind is bytes:
        return st.binary(max_size=300)
    if kind is Qid:
        return qids
    if kind is Stat:
        return records(Stat)
    return st.lists(qids if kind == tuple[Qid, ...] else plain_text, max_size=16).map(tuple)


def records(cls: type[Any]) -> st.SearchStrategy[Any]:
    return st.tuples(*(field(cls, name, kind) for name, kind in get_type_hints(cls).items())).map(lambda f: cls(*f))


messages = st.one_of([records(cls) for cls in wire.TYPES.values()])


@given(messages)
@settings(max_examples=400)
def test_decode_undoes_encode_and_keeps_the_type(msg):
    again = wire.decode(wire.encode(msg))
    assert again == msg and type(again) is type(msg)


@given(messages)
def test_the_text_form_parses_back_to_the_same_message(msg):
    line = text.format(msg)
    again = text.parse(line)
    assert again == msg and type(again) is type(msg)
    assert "\n" not in line and line.isprintable()


@given(messages, st.data())
def test_a_message_cut_anywhere_is_refused(msg, data):
    frame = wire.encode(msg)
    cut = data.draw(st.integers(wire.HEADER, len(frame) - 1)) if len(frame) > wire.HEADER else 3
    with pytest.raises(WireError):
        wire.decode(frame[:cut])
    if cut >= wire.HEADER:
        with pytest.raises(WireError):  # also where the size field agrees
            wire.decode(struct.pack("<I", cut) + frame[4:cut])


@given(messages, st.binary(min_size=1, max_size=9))
def test_bytes_after_the_message_are_refused(msg, more):
    frame = wire.encode(msg)
    with pytest.raises(WireError):
        wire.decode(struct.pack("<I", len(frame) + len(more)) + frame[4:] + more)


@given(st.integers(0, 255), st.binary(max_size=200))
@settings(max_examples=1000)
def test_garbage_gives_a_message_or_a_wire_error_and_nothing_else(kind, body):
    frame = struct.pack("<IB", 5 + len(body), kind) + body
    try:
        msg = wire.decode(frame)
    except WireError:
        return
    assert wire.encode(msg) == frame  # what is accepted has one form only


@given(messages, st.data())
def test_a_flipped_byte_gives_a_message_or_a_wire_error_and_nothing_else(msg, data):
    frame = bytearray(wire.encode(msg))
    frame[data.draw(st.integers(4, len(frame) - 1))] = data.draw(st.integers(0, 255))
    try:
        wire.decode(bytes(frame))
    except WireError:
        pass


@given(st.text(max_size=200))
def test_any_line_parses_or_is_a_wire_error(line):
    try:
        text.parse(line)
    except WireError:
        pass


def test_decoding_takes_bytes_bytearray_and_memoryview():
    msg = wire.Twrite(1, 2, 3, b"data")
    frame = wire.encode(msg)
    assert wire.decode(frame) == wire.decode(bytearray(frame)) == wire.decode(memoryview(frame)) == msg
    assert type(wire.decode(bytearray(frame)).data) is bytes


# Frames written down by hand from section 5 of the manual.
VECTORS = [
    (wire.Tversion(0xFFFF, 8192, "9P2000"), "13000000 64 ffff 00200000 0600 395032303030"),
    (wire.Tattach(1, 0, 0xFFFFFFFF, "glenda", ""), "19000000 68 0100 00000000 ffffffff 0600 676c656e6461 0000"),
    (wire.Twalk(1, 0, 2, ("a", "bc")), "18000000 6e 0100 00000000 02000000 0200 0100 61 0200 6263"),
    (wire.Rwalk(1, (Qid(0x80, 1, 2),)), "16000000 6f 0100 0100 80 01000000 0200000000000000"),
    (wire.Topen(3, 2, 0x11), "0c000000 70 0300 02000000 11"),
    (wire.Ropen(3, Qid(0, 7, 9), 8168), "18000000 71 0300 00 07000000 0900000000000000 e81f0000"),
    (wire.Tread(4, 2, 2**40, 4096), "17000000 74 0400 02000000 0000000000010000 00100000"),
    (wire.Rread(4, b"hi"), "0d000000 75 0400 02000000 6869"),
    (wire.Twrite(5, 2, 1, b"x"), "18000000 76 0500 02000000 0100000000000000 01000000 78"),
    (wire.Rerror(6, "no"), "0b000000 6b 0600 0200 6e6f"),
    (wire.Tflush(7, 4), "09000000 6c 0700 0400"),
    (wire.Tclunk(8, 2), "0b000000 78 0800 02000000"),
    (
        wire.Rstat(9, Stat(1, 2, Qid(3, 4, 5), 6, 7, 8, 9, "n", "u", "g", "m")),
        "3e000000 7d 0900 3500 3300 0100 02000000 03 04000000 0500000000000000 06000000 07000000 08000000"
        "0900000000000000 0100 6e 0100 75 0100 67 0100 6d",
    ),
]


@pytest.mark.parametrize(("msg", "hexed"), VECTORS, ids=[type(msg).__name__ for msg, _ in VECTORS])
def test_frames_are_those_of_the_manual_byte_for_byte(msg, hexed):
    frame = bytes.fromhex(hexed)
    assert wire.encode(msg).hex() == frame.hex()
    assert wire.decode(frame) == msg


@pytest.mark.parametrize(
    ("msg", "error"),
    [
        (wire.Tread(1, 2, 2**64, 1), "Tread"),
        (wire.Tclunk(70000, 2), "Tclunk"),
        (wire.Tclunk(1, -1), "Tclunk"),
        (wire.Rerror(1, "x" * 70000), "too long"),
        (wire.Rerror(1, "a\0b"), "NUL"),
        (wire.Rerror(1, "\udc80"), "UTF-8"),
        (wire.Twalk(1, 0, 1, ("x",) * 17), "16 at most"),
        (wire.Rwalk(1, (Qid(0, 0, 0),) * 17), "16 at most"),
    ],
)
def test_what_does_not_fit_is_refused_before_it_is_sent(msg, error):
    with pytest.raises(WireError, match=error):
        wire.encode(msg)


@pytest.mark.parametrize(
    "hexed",
    [
        "13000000 64 ffff 00200000 0600 395032303080",  # invalid UTF-8
        "0b000000 6b 0600 0200 6e00",  # a NUL
        "0b000000 6b 0600 ffff 6e6f",  # a string past the end
        "0d000000 75 0400 ffffffff 6869",  # a count past the end
        "17000000 76 0500 02000000 0100000000000000 ffffffff",  # the same in a Twrite
        "11000000 6e 0100 00000000 02000000 1100",  # 17 names
        "07000000 6a 0000",  # Terror does not exist
        "07000000 00 0000",
    ],
)
def test_frames_that_are_wrong_inside_are_refused(hexed):
    with pytest.raises(WireError):
        wire.decode(bytes.fromhex(hexed))


@given(messages)
def test_a_packer_makes_of_the_fields_what_encode_makes_of_the_message(msg):
    assert wire.PACKERS[type(msg)](*msg) == wire.encode(msg)


def test_a_directory_listing_is_the_packed_stats_one_after_the_other():
    stats = [wire.UNTOUCHED._replace(name=name) for name in ("a", "bcd", "é")]
    packed = b"".join(map(wire.pack_stat, stats))
    assert wire.unpack_stats(packed) == stats
    with pytest.raises(WireError):
        wire.unpack_stats(packed[:-1])


def test_lines_read_as_the_manual_writes_messages():
    assert text.format(wire.Twalk(1, 0, 2, ("a b", 'c"d'))) == r'Twalk tag 1 fid 0 newfid 2 names ["a b" "c\"d"]'
    assert text.format(wire.Rread(1, b"\xff\nok\xc3\xa9")) == r'Rread tag 1 data "\xff\nok' + 'é"'
    assert text.format(wire.Rattach(1, Qid(128, 0, 5))) == "Rattach tag 1 qid (128 0 5)"
    assert text.parse("Tread tag 0x1 fid 2 offset 0 count 0x10") == wire.Tread(1, 2, 0, 16)


@pytest.mark.parametrize(
    "line", ["", "Hello", "Tclunk tag 1", "Tclunk tag 1 fid x", "Tclunk tag 1 fid 2 3", 'Rerror "']
)
def test_lines_that_are_no_messages_are_refused(line):
    with pytest.raises(WireError, match="not a message"):
        text.parse(line)
