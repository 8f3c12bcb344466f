"""Pastes and keys reach a program as they are, through a real tmux server."""

import threading
from pathlib import Path

import pytest

from anvilsrv.errors import Unavailable
from anvilsrv.tmux.cells import width
from anvilsrv.tmux.tmux import Tmux
from anvilsrv.tmux.unchanged import unchanged
from tests.conftest import wait_until
from tests.panes import PYTHON, person, shows, wait_screen, wheel

# Says it is there, then writes what it reads to the file in its argument, raw, with bracketed paste asked for.
READER = """
import os, sys, tty
tty.setraw(0)
out = open(sys.argv[1], "ab", buffering=0)
os.write(1, b"\\x1b[?2004h" + b"READY\\r\\n")
while data := os.read(0, 65536):
    out.write(data)
"""


def reader(tmux: Tmux, top: Path, name: str = "00000001") -> tuple[str, Path]:
    out = top / f"read.{name}"
    pane = tmux.new_window(name, [PYTHON, "-c", READER, str(out)], cwd="/", env={}).id
    wait_screen(tmux, pane, shows("READY"))
    return pane, out


def wait_bytes(file: Path, count: int) -> bytes:
    wait_until(lambda: file.exists() and file.stat().st_size >= count, "bytes do not arrive")
    return file.read_bytes()


def test_a_paste_of_megabytes_is_exact_and_bracketed(tmux: Tmux, top: Path) -> None:
    pane, out = reader(tmux, top)
    text = "".join(f'line {n} é#{{x}} $y `z` \\ ; "q"\n' for n in range(100_000)).encode()
    tmux.paste(pane, text)
    tmux.keys(pane, "Enter")
    wanted = b"\x1b[200~" + text.replace(b"\n", b"\r") + b"\x1b[201~\r"
    assert wait_bytes(out, len(wanted)) == wanted
    assert list(top.glob(".paste*")) == []


def test_prompts_and_keys_reach_an_agent_whose_pane_somebody_scrolls(tmux: Tmux, top: Path) -> None:
    pane, out = reader(tmux, top)
    tmux.command("copy-mode", "-t", pane)
    tmux.keys(pane, "Enter", "C-u", "x", "Escape")
    assert wait_bytes(out, 4) == b"\r\x15x\x1b"
    tmux.paste(pane, b"two\nlines")
    wanted = b"\r\x15x\x1b\x1b[200~two\rlines\x1b[201~"
    assert wait_bytes(out, len(wanted)) == wanted
    tmux.command("copy-mode", "-t", pane)
    tmux.keys(pane, "Up", ";")
    assert wait_bytes(out, len(wanted) + 4) == wanted + b"\x1b[A;"


def test_every_control_key_reaches_the_program_as_its_byte(tmux: Tmux, top: Path) -> None:
    """From 3.7 on tmux makes control characters visible where it is not told to leave them alone."""
    pane, out = reader(tmux, top)
    names = [f"C-{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"] + [
        "Escape",
        "Enter",
        "Tab",
        "BSpace",
        "é",
        "#",
        "$",
        ";",
    ]
    wanted = bytes(range(1, 27)) + b"\x1b\r\t\x7f" + "é#$;".encode()
    tmux.keys(pane, *names)
    assert wait_bytes(out, len(wanted)) == wanted
    tmux.command("copy-mode", "-t", pane)
    tmux.keys(pane, *names)
    assert wait_bytes(out, 2 * len(wanted)) == 2 * wanted
    assert tmux.command("display-message", "-p", "-t", pane, "#{pane_in_mode}") == ["1"]  # whoever scrolls goes on


def test_every_character_of_a_prompt_arrives_as_it_is(tmux: Tmux, top: Path) -> None:
    pane, out = reader(tmux, top)
    points = [*range(0x20, 0x7F), *range(0xA0, 0xD800), *range(0xE000, 0x110000)]
    text = "".join(map(chr, points)).encode()
    tmux.paste(pane, text)
    wanted = b"\x1b[200~" + text + b"\x1b[201~"
    assert wait_bytes(out, len(wanted)) == wanted


def test_two_lines_are_one_prompt_however_fast_somebody_scrolls(tmux: Tmux, top: Path) -> None:
    """With the end of his scrolling and the paste in two commands, one of sixty was submitted line by line."""
    pane, out = reader(tmux, top)
    wanted = b""
    with person(tmux, "00000001") as somebody, wheel(somebody):
        for number in range(1000):
            tmux.paste(pane, b"first %d\nsecond" % number)
            tmux.keys(pane, "Enter")
            wanted += b"\x1b[200~first %d\rsecond\x1b[201~\r" % number
        assert wait_bytes(out, len(wanted)) == wanted


def paste(tmux: Tmux, pane: str, data: bytes, buffer: str) -> None:
    tmux.load(buffer, data)
    tmux.insert(pane, buffer)


def test_a_buffer_of_ones_own_is_there_until_it_was_pasted(tmux: Tmux, top: Path) -> None:
    pane, out = reader(tmux, top)
    dead = tmux.new_window("00000002", ["true"], cwd="/", env={}).id
    wait_until(lambda: any(one.dead for one in tmux.panes()), "it does not end")
    assert not tmux.buffered("p7")
    with pytest.raises(Unavailable, match="has ended"):
        paste(tmux, dead, b"text", "p7")
    other = Tmux(tmux.socket, pytest.fail)
    try:
        assert other.buffered("p7")  # for the next daemon too
        paste(other, pane, b"again", "p7")
        assert not tmux.buffered("p7")
        tmux.load("p8", b"never")
        assert other.buffered("p8")
        other.unload("p8")
        other.unload("p8")
        assert not tmux.buffered("p8")
    finally:
        other.close()
    assert wait_bytes(out, 17) == b"\x1b[200~again\x1b[201~"


def test_a_pane_whose_input_somebody_has_switched_off_is_an_error(tmux: Tmux, top: Path) -> None:
    pane, out = reader(tmux, top)
    tmux.command("select-pane", "-d", "-t", pane)
    for deaf in (lambda: paste(tmux, pane, b"lost", "p1"), lambda: tmux.keys(pane, "Enter")):
        with pytest.raises(Unavailable, match="its input is switched off"):
            deaf()
    assert tmux.buffered("p1")
    tmux.command("select-pane", "-e", "-t", pane)
    tmux.keys(pane, "x")
    assert wait_bytes(out, 1) == b"x"


@pytest.mark.parametrize("keys", [("Enter",), ("Up",)])
def test_what_is_typed_where_the_program_has_ended_is_an_error_and_harms_no_other(
    tmux: Tmux, top: Path, keys: tuple[str, ...]
) -> None:
    """tmux 3.3a crashed."""
    pane, out = reader(tmux, top, "00000002")
    dead = tmux.new_window("00000001", ["true"], cwd="/", env={}).id
    wait_until(lambda: any(one.dead for one in tmux.panes()), "it does not end")
    with pytest.raises(Unavailable, match=f"pane '{dead}': its program has ended"):
        tmux.paste(dead, b"x")
    with pytest.raises(Unavailable, match=f"pane '{dead}': its program has ended"):
        tmux.keys(dead, *keys)
    tmux.paste(pane, b"y")
    assert b"y" in wait_bytes(out, 13)
    assert tmux.command("list-buffers") == []


@pytest.mark.parametrize("wrong", ["%99", "3", "abc", "%1; kill-server"])
def test_a_pane_that_is_not_there_is_an_error(tmux: Tmux, wrong: str) -> None:
    with pytest.raises(Unavailable, match="pane"):
        tmux.keys(wrong, "Enter")
    with pytest.raises(Unavailable, match="pane"):
        tmux.paste(wrong, b"x")
    tmux.panes()


# Draws what it reads, as an input line does.
LINE = """
import os, sys, tty
tty.setraw(0)
os.write(1, b"> ")
while data := os.read(0, 65536):
    os.write(1, data.replace(b"\\r", b" entered"))
"""
TEXTS = ["ours", "日本", "a, {b} #{c} #[d] $e 100%H *? [^z]$ \\ 'q' \"r\"", "x" * 150, "a b " * 60, "~"]


@pytest.mark.parametrize("text", TEXTS)
def test_a_key_that_needs_what_was_seen_is_pressed_only_if_that_is_there_still(tmux: Tmux, text: str) -> None:
    pane = tmux.new_window("00000001", [PYTHON, "-c", LINE], cwd="/", env={}).id
    wait_screen(tmux, pane, shows(">"))
    tmux.paste(pane, text.encode())
    end = sum(map(width, "> " + text))
    before = wait_screen(tmux, pane, lambda screen: (screen.y, screen.x) == divmod(end, screen.width))
    shown = unchanged(before, [0, before.y])
    for key in ("z", "日", "."):
        tmux.keys(pane, key)
        wait_screen(tmux, pane, lambda screen: screen.x > before.x)
        assert not tmux.press(pane, ["Enter"], shown)
        assert not tmux.press(pane, ["Up"], shown), "one that is not pasted"
        tmux.keys(pane, *(["C-h"] * width(key)), *(["Space"] * width(key)), *(["C-h"] * width(key)))
        wait_screen(tmux, pane, lambda screen: screen == before)
    assert tmux.press(pane, ["Enter"], shown)
    assert "\n".join(wait_screen(tmux, pane, shows("entered")).lines).count("entered") == 1


def test_many_threads_type_at_the_same_time(tmux: Tmux, top: Path) -> None:
    panes = [reader(tmux, top, f"0000000{n}") for n in range(3)]
    errors: list[BaseException] = []

    def work(pane: str) -> None:
        try:
            for n in range(20):
                tmux.paste(pane, b"%d," % n)
                tmux.screen(pane)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(pane,)) for pane, _ in panes]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert errors == []
    wanted = b"".join(b"\x1b[200~%d,\x1b[201~" % n for n in range(20))
    for _, out in panes:
        assert wait_bytes(out, len(wanted)) == wanted


def test_what_a_killed_daemon_left_of_a_paste_is_removed_and_nothing_else(tmux: Tmux, top: Path) -> None:
    (tmux.socket.parent / ".paste-left").write_text("a prompt")
    (tmux.socket.parent / ".paste-dir").mkdir()
    (tmux.socket.parent / "kept").write_text("")
    tmux.tidy()
    assert {one.name for one in tmux.socket.parent.iterdir()} >= {".paste-dir", "kept"}
    assert not (tmux.socket.parent / ".paste-left").exists()
