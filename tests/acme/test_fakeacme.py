"""The fake acme against bytes recorded from the real one, and against its limits."""

import pytest
from fakeacme import FakeAcme
from fakescreen import Window
from faketext import address

from anvilsrv.errors import AnvilError
from anvilsrv.p9.client import Client, P9Error

NAME = "/home/adam/+Test"  # 16 runes, so that addresses in the tag are those of the recording
BODY = "Stop foo1234 alpha beta\n"


@pytest.fixture
def acme(tmp_path):
    acme = FakeAcme(str(tmp_path / "acme"))
    yield acme
    acme.stop()


@pytest.fixture
def client(acme):
    with Client(acme.path, timeout=5) as client:
        yield client


@pytest.fixture
def window(acme):
    window = acme.new(NAME, BODY)
    window.user_tag = " Click Fetch "
    return window


@pytest.fixture
def event(client, window):
    with client.open(f"{window.id}/event", 2) as file:
        yield file


def execute(acme: FakeAcme, window: Window, *place: int, chord=None, tag=False) -> None:
    acme.execute(window, window.tag if tag else window.body, place[0], place[-1], chord, back=False)


def test_a_middle_click_in_the_body_is_an_empty_place_and_its_expansion(acme, window, event):
    execute(acme, window, 8)
    assert event.read(8168, 0) == b"MX8 8 2 0 \nMX5 12 0 7 foo1234\n"


def test_a_middle_click_in_the_tag_has_small_letters_and_builtins_a_flag(acme, window, event):
    execute(acme, window, 38, tag=True)
    execute(acme, window, 20, tag=True)
    assert event.read(8168, 0) == b"Mx38 38 2 0 \nMx35 40 0 5 Fetch\nMx20 20 3 0 \nMx17 20 0 3 Del\n"


def test_a_sweep_has_no_expansion(acme, window, event):
    execute(acme, window, 5, 19)
    assert event.read(8168, 0) == b"MX5 19 0 14 foo1234 alpha \n"


def test_a_right_click_takes_a_word_or_a_file_with_its_line(acme, window, event, tmp_path):
    window.body.content += f"{tmp_path}/acme:2\n"
    acme.look(window, window.body, 14, 14, back=False)
    acme.look(window, window.body, 31, 31, back=False)
    size, path = len(f"{tmp_path}/acme:2"), f"{tmp_path}/acme:2"
    expected = f"ML14 14 2 0 \nML13 18 0 5 alpha\nML31 31 6 0 \nML24 {24 + size} 4 {size} {path}\n"
    assert event.read(8168, 0).decode() == expected


def test_chords_bring_the_argument_and_its_origin(acme, window, event):
    chord = ("e arg1 arg2", "/a/+Test:#45,#56")
    execute(acme, window, 2, chord=chord)
    assert event.read(8168, 0) == (
        b"MX2 2 10 0 \nMX0 4 0 4 Stop\nMX0 0 0 11 e arg1 arg2\nMX0 0 0 24 /a/+Test:#45,#56\n".replace(b"24", b"16")
    )


def test_a_sweep_may_have_a_chord_and_a_long_argument(acme, window, event):
    execute(acme, window, 0, 4, chord=("last", "/a/+Test:#673,#677"))
    execute(acme, window, 0, 4, chord=("x" * 257, "/a:#0"))
    assert event.read(8168, 0) == b"MX0 4 8 4 Stop\nMX0 0 0 4 last\nMX0 0 0 18 /a/+Test:#673,#677\n"
    assert acme.find("+Errors").body.content == "argument string too long\n"


def test_a_long_text_is_left_out_of_the_event_and_read_through_xdata(acme, client, window, event):
    window.body.content = "ä" * 542
    execute(acme, window, 0, 542)
    assert event.read(8168, 0) == b"MX0 542 0 0 \n"
    client.write(f"{window.id}/addr", b"#0,#542")
    with client.open(f"{window.id}/addr", 2) as addr, client.open(f"{window.id}/xdata", 2) as xdata:
        addr.write(b"#0,#542", 0)
        assert xdata.read_all().decode() == "ä" * 542


def test_what_programs_write_is_reported_as_theirs(client, window, event):
    with client.open(f"{window.id}/addr", 1) as addr, client.open(f"{window.id}/data", 1) as data:
        addr.write(b"#0,#4", 0)
        data.write("Göt".encode(), 0)
    client.write(f"{window.id}/body", b"!")
    assert event.read(8168, 0).decode() == f"FD0 4 0 0 \nFI0 3 0 3 Göt\nEI{len(BODY) - 1} {len(BODY)} 0 1 !\n"


def test_an_event_not_written_back_does_not_happen(acme, window, event):
    execute(acme, window, 20, tag=True)
    assert window.id in acme.windows
    event.write(b"Mx20 20 \n", 0)
    assert window.id not in acme.windows


def test_reading_a_window_that_is_deleted_ends_with_acmes_words(acme, client, window):
    with client.open(f"{window.id}/ctl", 2) as ctl:
        ctl.write(b"delete\n", 0)
        with pytest.raises(P9Error, match=r"^deleted window$"):
            ctl.read(10, 0)
    with pytest.raises(P9Error, match=r"^file does not exist"):
        client.open(f"{window.id}/body")


@pytest.mark.parametrize(
    ("file", "data", "error"),
    [
        ("ctl", b"frobnicate\n", "ill-formed control message"),
        ("ctl", b"name \n", "ill-formed control message"),
        ("addr", b"#99999", "address out of range"),
        ("addr", b"%", "bad address syntax"),
        ("event", b"MX0 x\n", "bad event syntax"),
        ("event", b"MX0 99999 \n", "bad event syntax"),
    ],
)
def test_errors_are_acmes(client, window, file, data, error):
    with client.open(f"{window.id}/{file}", 2) as opened, pytest.raises(P9Error, match=f"^{error}$"):
        opened.write(data, 0)


def test_what_kills_acme_kills_the_fake(acme, client, window):
    with pytest.raises(AnvilError), client.open(f"{window.id}/ctl", 2) as ctl:
        ctl.write(b"clean\ndelete\n", 0)
    assert acme.died == "clean and delete in one write"


TEXT = "one\ntwo\n\nfour\nfive"


@pytest.mark.parametrize(
    ("expression", "place"),
    [
        ("#2", (2, 2)),
        ("#2,#5", (2, 5)),
        ("2", (4, 8)),
        ("0", (0, 0)),
        ("$", (18, 18)),
        (",", (0, 18)),
        ("5", (14, 18)),
        ("6", (18, 18)),
        ("#0-+", (0, 4)),
        ("#3-+", (0, 4)),
        ("#4-+", (4, 8)),
        ("#8-+", (8, 9)),
        ("#16-+", (14, 18)),
        ("/f..r/", (9, 13)),
        ("2,4", (4, 14)),
        ("/two/,$", (4, 18)),
    ],
)
def test_addresses_are_evaluated_as_acme_does(expression, place):
    assert address(TEXT, (0, 0), expression) == place
