"""9P2000.u beside 9P2000: the numbers that Linux needs, and nothing else that differs."""

import errno
import os
import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from anvilsrv.errors import Conflict, Denied, Invalid, NotFound, NotPermitted
from anvilsrv.p9 import wire
from anvilsrv.p9.dialect import UNIX, ename
from anvilsrv.p9.wire import Stat
from tests.p9.conftest import Raw

HELLO = Stat(0, 0, wire.Qid(0, 7, 2), 0o444, 1, 2, 12, "hello", "glenda", "glenda", "glenda")


class Unix(Raw):
    """A client that speaks 9P2000.u."""

    def frame(self, kind: int, body: bytes) -> bytes:
        """Return the answer to a message of this type, whole."""
        self.sock.sendall(struct.pack("<IBH", 7 + len(body), kind, 1) + body)
        size = self.sock.recv(4, 0x100)
        return size + self.sock.recv(struct.unpack("<I", size)[0] - 4, 0x100)


@pytest.fixture
def unix(served: Any) -> Iterator[Unix]:
    raw = Unix(served.path)
    raw.send(wire.Tversion(wire.NOTAG, 8192, "9P2000.u"))
    assert raw.receive().version == "9P2000.u"
    assert raw.frame(104, struct.pack("<II", 0, wire.NOFID) + b"\0\0\0\0" + struct.pack("<I", 1000))[4] == 105
    yield raw
    raw.sock.close()


def walk(name: bytes, newfid: int = 1) -> bytes:
    return struct.pack("<IIHH", 0, newfid, 1, len(name)) + name


def test_an_error_has_its_number_after_the_text(unix: Unix) -> None:
    answer = unix.frame(110, walk(b"none"))
    text = b"file does not exist: 'none'"
    assert answer[7:] == struct.pack("<H", len(text)) + text + struct.pack("<I", errno.ENOENT)


@pytest.mark.parametrize(
    ("error", "number"),
    [
        (NotFound, errno.ENOENT),
        (Denied, errno.EACCES),
        (Invalid, errno.EINVAL),
        (Conflict, errno.EBUSY),
        (NotPermitted, errno.EPERM),
    ],
)
def test_each_kind_of_error_has_its_number(error: type[Exception], number: int) -> None:
    assert getattr(error, "errno", None) == number


def test_a_stat_has_an_extension_and_numeric_ids(unix: Unix) -> None:
    assert unix.frame(110, walk(b"hello"))[4] == 111
    answer = unix.frame(124, struct.pack("<I", 1))
    count, size = struct.unpack_from("<HH", answer, 7)
    assert (len(answer), size) == (9 + count, count - 2)
    assert answer[-14:] == b"\0\0" + struct.pack("<III", os.getuid(), os.getgid(), os.getuid())
    assert UNIX.unpack(answer)[1].name == "hello"


def test_a_listing_has_them_too(unix: Unix) -> None:
    assert unix.frame(110, struct.pack("<IIH", 0, 1, 0))[4] == 111
    assert unix.frame(112, struct.pack("<IB", 1, 0))[4] == 113
    data = unix.frame(116, struct.pack("<IQI", 1, 0, 4000))[11:]
    names = []
    while data:
        (size,) = struct.unpack_from("<H", data)
        one, data = data[: size + 2], data[size + 2 :]
        names.append(UNIX.unpack(struct.pack("<IBHH", 9 + len(one), 125, 1, len(one)) + one)[1].name)
    assert "hello" in names and len(names) > 5


def test_a_wstat_and_a_create_are_read_with_what_they_have_more(unix: Unix) -> None:
    assert unix.frame(110, walk(b"ctl"))[4] == 111
    stat = UNIX.pack_stat(wire.UNTOUCHED)
    assert unix.frame(126, struct.pack("<IH", 1, len(stat)) + stat)[4] == 127
    refused = unix.frame(114, struct.pack("<IH", 0, 1) + b"x" + struct.pack("<IB", 0, 0) + b"\0\0")
    assert refused[4] == 107 and refused[-4:] == struct.pack("<I", errno.EACCES)


@pytest.mark.parametrize("kind", [102, 104, 107, 114, 125, 126])
def test_a_message_that_is_cut_is_refused(kind: int) -> None:
    stat = UNIX.pack_stat(HELLO)
    whole = {
        102: struct.pack("<I", 1) + b"\1\0a\0\0" + bytes(4),
        104: struct.pack("<II", 1, 2) + b"\1\0a\0\0" + bytes(4),
        107: b"\1\0a" + bytes(4),
        114: struct.pack("<I", 1) + b"\1\0a" + bytes(5) + b"\0\0",
        125: struct.pack("<H", len(stat)) + stat,
        126: struct.pack("<IH", 1, len(stat)) + stat,
    }[kind]
    frame = struct.pack("<IBH", 7 + len(whole), kind, 1) + whole
    UNIX.unpack(frame)
    for end in range(7, len(frame)):
        with pytest.raises(wire.WireError):
            UNIX.unpack(struct.pack("<I", end) + frame[4:end])


def test_the_trace_shows_messages_of_both_dialects(serve: Callable[..., Any]) -> None:
    lines: list[str] = []
    raw = Unix(serve(trace=lines.append).path)
    raw.send(wire.Tversion(wire.NOTAG, 8192, "9P2000.u"))
    raw.receive()
    raw.frame(104, struct.pack("<II", 0, wire.NOFID) + b"\0\0\0\0" + struct.pack("<I", 1000))
    raw.frame(110, walk(b"none"))
    raw.sock.close()
    assert "Rerror tag 1 ename \"file does not exist: 'none'\"" in lines[-1]


@pytest.mark.parametrize("word", ["interrupt", "Interrupted", "INTERRUPT"])
def test_no_error_holds_the_word_that_9pfuse_repeats_the_call_for(word: str) -> None:
    assert ename(Invalid(f"invalid command '{word}'")).startswith("invalid command 'cancel")


def test_linux_truncates_with_the_time_and_may(client: Any) -> None:
    client.wstat("ctl", wire.UNTOUCHED._replace(length=0, mtime=12345, atime=12345))
    with pytest.raises(Exception, match="cannot change mtime"):
        client.wstat("ctl", wire.UNTOUCHED._replace(mtime=12345))
    with pytest.raises(Exception, match="cannot change"):
        client.wstat("hello", wire.UNTOUCHED._replace(length=0, mtime=12345))
