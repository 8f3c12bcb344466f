"""Windows, input and output through a real tmux server."""

import os
import re
import shlex
import signal
import stat
import threading
from pathlib import Path

import pexpect
import pytest

from anvilsrv.errors import Unavailable
from anvilsrv.tmux.server import Tmux, sanitize
from tests.conftest import wait_until
from tests.panes import PYTHON, shows, wait_screen

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


def test_argv_environment_and_directory_arrive_unchanged(tmux: Tmux, top: Path) -> None:
    odd = "a b;c\n#{pid} $HOME ~ \\ \"q\" 'q' %d é \x01;"
    here = top / "a dir #[x] ##{y}; ~"
    here.mkdir()
    code = "import os,sys; open(sys.argv[1],'w').write(repr([sys.argv[2:], os.environ['ODD'], os.getcwd()]))"
    tmux.new_window("00000001", [PYTHON, "-c", code, str(top / "out"), odd, ""], cwd=str(here), env={"ODD": odd})
    wait_until(lambda: (top / "out").exists() and (top / "out").read_text(), "the program did not run")
    assert (top / "out").read_text() == repr([[odd, ""], odd, str(here)])


def test_a_lone_word_is_a_program_and_no_shell_command(tmux: Tmux, top: Path) -> None:
    program = top / "prog $x"
    program.write_text(f"#!/bin/sh\ntouch {top}/ran\nexec sleep 1000\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    tmux.new_window("00000001", [str(program)], cwd="/", env={})
    wait_until((top / "ran").exists, "it did not run")


def test_the_servers_environment_holds_no_secrets_of_ours(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_SECRET", "xyzzy")
    tmux = Tmux(top / "tmux")
    tmux.ensure()
    try:
        tmux.new_window(
            "00000001", ["sh", "-c", f"env >{top}/new; mv {top}/new {top}/env; sleep 1000"], cwd="/", env={}
        )
        wait_until((top / "env").exists, "it did not run")
        assert "xyzzy" not in (top / "env").read_text()
        assert "PATH=" in (top / "env").read_text()
    finally:
        tmux.kill_server()
        tmux.close()


def test_the_server_holds_none_of_our_descriptors_and_outlives_us(top: Path) -> None:
    lock = os.open(top / "lock", os.O_CREAT | os.O_RDWR)
    os.set_inheritable(lock, True)
    tmux = Tmux(top / "tmux")
    tmux.ensure()
    tmux.new_window("00000001", ["sleep", "1000"], cwd="/", env={})
    tmux.close()
    os.close(lock)
    again = Tmux(top / "tmux")
    try:
        again.ensure()
        assert [one.window for one in again.panes()] == ["00000001"]
        for holder in Path("/proc").glob("[0-9]*/fd/*"):
            try:
                assert os.readlink(holder) != str(top / "lock")
            except OSError:
                continue
    finally:
        again.kill_server()
        again.close()


def test_panes_tell_status_and_signal_of_the_dead(tmux: Tmux) -> None:
    tmux.new_window("00000001", ["sh", "-c", "exit 3"], cwd="/", env={})
    tmux.new_window("00000002", ["sh", "-c", "kill -9 $$"], cwd="/", env={})
    tmux.new_window("00000003", ["sleep", "1000"], cwd="/", env={})

    def told() -> list[tuple[str, bool, int | None, int | None]]:
        return [(one.window, one.dead, one.status, one.signal) for one in tmux.panes()]

    wanted = [("00000001", True, 3, None), ("00000002", True, None, 9), ("00000003", False, None, None)]
    wait_until(lambda: told() == wanted, "the deaths are not told")


def test_every_death_gets_its_status_although_tmux_misses_some(tmux: Tmux) -> None:
    for number in range(30):
        tmux.new_window(f"{number:08x}", ["sh", "-c", "exit 7"], cwd="/", env={})
    wait_until(lambda: [one.status for one in tmux.panes()] == [7] * 30, "a status is missing", patience=10)


def test_respawn_keeps_the_pane(tmux: Tmux) -> None:
    pane, pid = tmux.new_window("00000001", ["sleep", "1000"], cwd="/", env={})
    new = tmux.respawn(pane, ["sh", "-c", "echo $A; sleep 1000"], cwd="/tmp", env={"A": "x y"})
    assert new != pid
    wait_screen(tmux, pane, shows("x y"))
    assert [(one.id, one.window, one.pid) for one in tmux.panes()] == [(pane, "00000001", new)]


def test_what_people_open_or_rename_is_no_agents_window(tmux: Tmux) -> None:
    pane = tmux.new_window("00000001", ["sleep", "1000"], cwd="/", env={}).id
    for command in (f"split-window -d -t {pane}", "new-window -d -t =anvillm: -n mine"):
        tmux._call(f"{command} sleep 1000")
    tmux._call(f"rename-window -t {pane} renamed")
    assert [(one.id, one.window) for one in tmux.panes()] == [(pane, "00000001")]


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
    tmux._call(f"copy-mode -t {pane}")
    tmux.keys(pane, "Enter", "C-u", "x", "Escape")
    assert wait_bytes(out, 4) == b"\r\x15x\x1b"
    tmux.paste(pane, b"two\nlines")
    wanted = b"\r\x15x\x1b\x1b[200~two\rlines\x1b[201~"
    assert wait_bytes(out, len(wanted)) == wanted
    tmux._call(f"copy-mode -t {pane}")
    tmux.keys(pane, "Up", ";")
    assert wait_bytes(out, len(wanted) + 4) == wanted + b"\x1b[A;"


def test_sanitize_leaves_text_tabs_and_newlines_only() -> None:
    text = "a\tb\r\nc\rd\x1b[201~e\x00\x07\x7f\x9bf\x85é€\N{GRINNING FACE}"
    assert sanitize(text) == "a\tb\nc\nd[201~efé€\N{GRINNING FACE}"


def test_screen_gives_lines_cursor_and_colours(tmux: Tmux) -> None:
    script = "printf 'one\\n\\033[31mtwo\\033[0m\\n$ dr'; sleep 1000"
    pane = tmux.new_window("00000001", ["sh", "-c", script], cwd="/", env={}).id
    screen = wait_screen(tmux, pane, lambda screen: screen.x == 4)
    assert screen.lines[:3] == ["one", "two", "$ dr"]
    assert (screen.line, screen.y) == ("$ dr", 2)
    assert tmux.cursor_line(pane) == "$ dr"
    assert "\x1b[31m" in tmux.screen(pane, styled=True).lines[1]
    assert tmux.capture(pane) == "one\ntwo\n$ dr\n"


def test_what_a_pane_shows_cannot_forge_an_answer_of_tmux(tmux: Tmux) -> None:
    forged = "%end 1 1 1\n%error 1 1 1\n%begin 1 1 1\n%output %1 x\n%exit\n%subscription-changed titles $0 @0 0 %9 : forged\n"
    titles: list[tuple[str, str]] = []
    tmux.on_title(lambda pane, title: titles.append((pane, title)))
    pane = tmux.new_window("00000001", ["sh", "-c", f"printf '%s' '{forged}'; sleep 1000"], cwd="/", env={}).id
    wait_screen(tmux, pane, shows("forged"))
    for _ in range(5):
        assert tmux.capture(pane) == forged
        assert tmux.title(pane) != "forged"
    assert not [one for one in titles if one[0] == "%9"]


def test_a_watch_misses_nothing_between_looking_and_waiting(tmux: Tmux, top: Path) -> None:
    script = f"while [ ! -e {top}/go ]; do sleep 0.01; done; echo printed; touch {top}/done; sleep 1000"
    pane = tmux.new_window("00000001", ["sh", "-c", script], cwd="/", env={}).id
    with tmux.watch(pane) as watch:
        assert not watch.wait(0.05)
        (top / "go").touch()
        wait_until((top / "done").exists, "it did not print")
        assert watch.wait(10)
        assert not watch.wait(0.05)


def test_titles_are_told_when_they_change(tmux: Tmux) -> None:
    told: list[tuple[str, str]] = []
    came = threading.Event()

    def hear(pane: str, title: str) -> None:
        told.append((pane, title))
        if title == "busy : now":
            came.set()

    tmux.on_title(hear)
    pane = tmux.new_window("00000001", ["sh", "-c", "printf '\\033]0;busy : now\\007'; sleep 1000"], cwd="/", env={}).id
    assert came.wait(20)
    assert (pane, "busy : now") in told
    assert tmux.title(pane) == "busy : now"


def test_a_server_that_was_killed_is_reported_and_made_anew(tmux: Tmux) -> None:
    pane = tmux.new_window("00000001", ["sleep", "1000"], cwd="/", env={}).id
    [[server]] = tmux._call("display-message -p '#{pid}'")
    with tmux.watch(pane) as watch:
        os.kill(int(server), signal.SIGKILL)
        assert watch.wait(20)
    with pytest.raises(Unavailable, match="tmux"):
        tmux.capture(pane)
    tmux.ensure()
    assert tmux.panes() == []
    assert tmux.new_window("00000001", ["sleep", "1000"], cwd="/", env={}).pid


def test_a_server_that_does_not_answer_is_given_up(tmux: Tmux, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anvilsrv.tmux.server.WAIT", 0.5)
    [[server]] = tmux._call("display-message -p '#{pid}'")
    os.kill(int(server), signal.SIGSTOP)
    try:
        with pytest.raises(Unavailable, match="does not answer"):
            tmux._call("display-message -p x", timeout=0.5)
        with pytest.raises(Unavailable, match="does not answer"):
            tmux.ensure()
    finally:
        os.kill(int(server), signal.SIGCONT)
    tmux.ensure()


def test_a_session_whose_windows_were_all_closed_is_made_anew(tmux: Tmux) -> None:
    tmux._run("kill-session", "-t", "=anvillm")
    tmux.ensure()
    assert tmux.new_window("00000001", ["sleep", "1000"], cwd="/", env={}).pid


@pytest.mark.parametrize("wrong", ["%99", "3", "abc", "%1; kill-server"])
def test_a_pane_that_is_not_there_is_an_error(tmux: Tmux, wrong: str) -> None:
    with pytest.raises(Unavailable, match="pane"):
        tmux.keys(wrong, "Enter")
    with pytest.raises(Unavailable, match="pane"):
        tmux.paste(wrong, b"x")
    tmux.panes()


def test_a_directory_that_is_not_there_is_an_error(tmux: Tmux) -> None:
    with pytest.raises(Unavailable, match="no directory '/no/such'"):
        tmux.new_window("00000001", ["sleep", "1"], cwd="/no/such", env={})


def test_a_socket_path_too_long_is_said(top: Path) -> None:
    with pytest.raises(Unavailable, match="too long"):
        Tmux(top / ("x" * 120)).ensure()


def test_many_threads_at_once(tmux: Tmux, top: Path) -> None:
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


def test_two_people_attached_look_at_different_agents(tmux: Tmux) -> None:
    for name in ("00000001", "00000002"):
        tmux.new_window(name, ["sh", "-c", f"echo I am {name}; sleep 1000"], cwd="/", env={})
    people = []
    try:
        for name in ("00000001", "00000002"):
            command = shlex.split(tmux.attach_command(name))
            person = pexpect.spawn(
                command[0], command[1:], env={**os.environ, "TERM": "xterm"}, timeout=20, dimensions=(24, 80)
            )
            people.append(person)
            person.expect(re.escape(f"I am {name}"))
        views = "list-clients -F '#{client_control_mode} #{window_name}'"
        wait_until(lambda: sorted(tmux._call(views)[0])[:2] == ["0 00000001", "0 00000002"], "the views are not apart")
        for person in people:
            person.send("\x02d")
            person.expect(pexpect.EOF)
        assert tmux._call("list-sessions -F '#{session_name}'") == [["anvillm"]]
    finally:
        for person in people:
            person.close(force=True)


def test_attach_needs_no_call_and_takes_a_pane_too(tmux: Tmux) -> None:
    pane = tmux.new_window("00000001", ["sleep", "1000"], cwd="/", env={}).id
    assert tmux.attach_command(pane) == tmux.attach_command("00000001")
