"""The door's checks one by one: names in queries and in ClientHellos, addresses."""

import ipaddress
import random
import socket
import ssl

import pytest

from sandbox import door_address, door_hello
from sandbox.door_address import Refused, addresses, why_not
from sandbox.door_names import Names, answer
from sandbox.hosts import Host

REFUSED = [
    "127.0.0.1", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1", "168.63.129.16",
    "192.0.0.192", "192.88.99.1", "198.18.0.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "192.0.2.1",
    "::", "::1", "fe80::1", "fc00::1", "fec0::1", "ff02::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
    "64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::1", "2002:7f00:1::1", "2002:a00:1::1", "2001:0:7f00:1::1", "2001:db8::1",
    "100::1", "fd00:ec2::254", "5f00::1",
]  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_an_address_that_leads_here_or_nearby_is_refused(text: str) -> None:
    assert why_not(ipaddress.ip_address(text), ())


@pytest.mark.parametrize("text", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111"])
def test_a_public_address_is_let_in(text: str) -> None:
    assert why_not(ipaddress.ip_address(text), ()) == ""


def test_a_public_address_of_this_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here it has none: that it has the address is what a bind says."""
    assert door_address.is_ours(ipaddress.ip_address("127.0.0.1")) and not door_address.is_ours(
        ipaddress.ip_address("8.8.8.8")
    )
    monkeypatch.setattr(door_address, "is_ours", lambda address: True)
    assert why_not(ipaddress.ip_address("8.8.8.8"), ()) == "is of this machine"


def test_addresses_of_a_layer_let_in_what_lies_in_them_and_no_more() -> None:
    assert why_not(ipaddress.ip_address("10.1.2.3"), ("10.1.2.0/24",)) == ""
    assert why_not(ipaddress.ip_address("10.1.3.3"), ("10.1.2.0/24",))


def test_a_name_is_looked_up_and_all_of_its_addresses_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(*texts: str) -> None:
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(2, 1, 6, "", (text, 0)) for text in texts])

    found("127.0.0.1", "8.8.8.8", "fe80::1%eth0")
    assert addresses("x.example", Host("x.example")) == ["8.8.8.8"]
    found("127.0.0.1", "169.254.169.254")
    with pytest.raises(
        Refused, match=r"its address 127\.0\.0\.1 is not public; its address 169.254.169.254 is not public"
    ):
        addresses("x.example", Host("x.example"))


# --- names


def query(name: str | bytes, kind: int = 1, **change: object) -> bytes:
    raw = name if isinstance(name, bytes) else b"".join(bytes([len(x)]) + x.encode() for x in name.split(".")) + b"\0"
    head = bytes.fromhex("abcd") + bytes([0x01, 0x20]) + bytes([0, 1, 0, 0, 0, 0, 0, 0])
    return head + raw + kind.to_bytes(2, "big") + b"\0\1"


def names(*granted: str) -> Names:
    return Names([Host(one) for one in granted], [], lambda name: None)


def code(reply: bytes) -> tuple[int, int]:
    """Return the answer's code, and how many records there are."""
    assert reply[:2] == b"\xab\xcd" and reply[2] & 0x80
    return reply[3] & 15, int.from_bytes(reply[6:8], "big")


def test_a_granted_name_has_an_address_in_any_case_and_no_other_record() -> None:
    known = names("api.example", "*.b.example")
    reply, refused = answer(query("API.example"), known)
    assert code(reply) == (0, 1) and reply[-4:] == socket.inet_aton("198.18.0.2") and refused == ""
    assert known.meant("198.18.0.2") == "api.example"
    for kind in (28, 65, 15, 16):
        assert code(answer(query("api.example", kind), known)[0]) == (0, 0)
    assert answer(query("x.b.example"), known)[0][-4:] == socket.inet_aton("198.18.0.3")
    assert code(answer(query("b.example"), known)[0]) == (3, 0)


def test_names_below_a_pattern_keep_their_addresses_with_the_next_door() -> None:
    learned: list[str] = []
    granted = [Host("*.b.example"), Host("a.example")]
    first = Names(granted, [], learned.append)
    given = {name: first.address(name) for name in ("x.b.example", "y.b.example", "a.example")}
    second = Names(granted, learned, learned.append)
    assert {name: second.address(name) for name in reversed(given)} == given and learned == [
        "x.b.example",
        "y.b.example",
    ]


def test_only_so_many_names_get_an_address() -> None:
    known = names("*.b.example")
    codes = [code(answer(query(f"n{number}.b.example"), known)[0])[0] for number in range(5000)]
    assert codes[0] == 0 and codes[-1] == 2 and 4000 < codes.count(0) < 4200


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"\xab", b"\xab\xcd", b"\xab\xcd\0\0\0\1", query("x")[:-1], query("x")[:14], query(b"\xc0\x0c"),
        query(b"\x40" + b"a" * 64 + b"\0"),
        query(b"\0"), query(b"\3a.b\0"), query((b"\x3f" + b"a" * 63) * 5 + b"\0"), query("x")[:4] + b"\0\2" + query("x")[6:],
    ],
)  # fmt: skip
def test_every_malformed_query_gets_an_answer_that_says_so(bad: bytes) -> None:
    reply, refused = answer(bad, names("x"))
    assert refused == "" and (len(bad) < 2 or code(reply) == (1, 0))


def test_what_is_no_query_is_passed_over_or_not_implemented() -> None:
    asked = query("x")
    assert answer(asked[:2] + b"\x81" + asked[3:], names("x")) == (b"", "")
    assert code(answer(asked[:2] + b"\x29" + asked[3:], names("x"))[0]) == (4, 0)


@pytest.mark.parametrize("odd", ["0x7f.1", "127.1", "evil.example", "api.example.evil", "a\xffb", "a b", "-x", "1"])
def test_an_odd_name_does_not_exist(odd: str) -> None:
    raw = b"".join(bytes([len(x)]) + x.encode("latin-1") for x in odd.split(".")) + b"\0"
    reply, refused = answer(query(raw), names("api.example", "*.good.example"))
    assert code(reply) == (3, 0) and refused


def test_random_bytes_raise_nothing() -> None:
    rng = random.Random(7)
    for _ in range(3000):
        junk = rng.randbytes(rng.randrange(60))
        answer(junk, names("x"))
        answer(query("x")[: rng.randrange(12, 19)] + junk, names("x"))
        try:
            door_hello.server_name(b"\x16\x03\x01" + junk)
        except (ValueError, door_hello.Incomplete):
            continue


# --- ClientHello


def hello(name: str | None) -> bytes:
    """Return what OpenSSL says first."""
    context = ssl.create_default_context()
    context.check_hostname = False
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def test_the_name_is_read_from_a_client_hello_however_it_is_cut() -> None:
    data = hello("api.example")
    assert door_hello.server_name(data) == "api.example"
    assert door_hello.server_name(data + b"more") == "api.example"
    for end in range(len(data)):
        with pytest.raises(door_hello.Incomplete):
            door_hello.server_name(data[:end])
    body = data[5:]
    parts = [body[at : at + 7] for at in range(0, len(body), 7)]
    cut = b"".join(b"\x16\x03\x01" + len(part).to_bytes(2, "big") + part for part in parts)
    assert door_hello.server_name(cut) == "api.example"


def test_a_client_hello_without_a_name_has_none() -> None:
    assert door_hello.server_name(hello(None)) == ""


def test_two_names_or_a_wrong_length_are_no_client_hello() -> None:
    data = hello("api.example")
    at = data.index(b"api.example") - 9  # the extension: type, length, list, kind, length
    extension = data[at : at + 9 + 11]
    assert extension[:2] == b"\0\0"
    twice = data[5:at] + extension + data[at:]
    start = twice.index(extension) - 2
    for old_at, width, base in ((1, 3, 0), (start, 2, 0)):
        grown = int.from_bytes(twice[old_at : old_at + width], "big") + len(extension) + base
        twice = twice[:old_at] + grown.to_bytes(width, "big") + twice[old_at + width :]
    with pytest.raises(ValueError):
        door_hello.server_name(b"\x16\x03\x01" + len(twice).to_bytes(2, "big") + twice)
    with pytest.raises(ValueError):
        door_hello.server_name(data.replace(b"\0\x0e\0\0\x0b", b"\0\x0e\0\0\xff"))


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"SSH-2.0-x\r\n",
        b"\x80\x2e\x01",
        b"\x16\x03\x01\0\0",
        b"\x16\x03\x01\0\4\2\0\0\0",
        b"\x16\x03\x01\0\4\1\xff\xff\xff",
    ],
)
def test_what_is_no_tls_is_said_as_early_as_can_be(data: bytes) -> None:
    with pytest.raises(ValueError):
        door_hello.server_name(data)
