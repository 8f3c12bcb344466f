"""Windows, and what runs in them, in a real tmux server."""

import base64
import os
import re
import shlex
import shutil
import stat
import subprocess
from pathlib import Path

import pexpect
import pytest

from anvilsrv.errors import Unavailable
from anvilsrv.tmux.tmux import Tmux
from tests.conftest import wait_until
from tests.panes import PYTHON, person, shows, wait_screen


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
        tmux.line(f"{command} sleep 1000")
    tmux.command("rename-window", "-t", pane, "renamed")
    assert [(one.id, one.window) for one in tmux.panes()] == [(pane, "00000001")]


def test_a_directory_that_is_not_there_is_an_error(tmux: Tmux) -> None:
    with pytest.raises(Unavailable, match="no directory '/no/such'"):
        tmux.new_window("00000001", ["sleep", "1"], cwd="/no/such", env={})


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
        views = ("list-clients", "-F", "#{client_control_mode} #{window_name}")
        wait_until(lambda: sorted(tmux.command(*views))[:2] == ["0 00000001", "0 00000002"], "the views are not apart")
        for person in people:
            person.send("\x02d")
            person.expect(pexpect.EOF)
        assert tmux.command("list-sessions", "-F", "#{session_name}") == ["anvillm"]
    finally:
        for person in people:
            person.close(force=True)


def sizes(tmux: Tmux) -> dict[str, str]:
    rows = tmux.command("list-windows", "-t", "=anvillm", "-F", "#{window_name} #{window_width}x#{window_height}")
    return dict(row.split(" ") for row in rows)


def wait_sizes(tmux: Tmux, **wanted: str) -> None:
    want = {f"0000000{name[1]}": size for name, size in wanted.items()}
    wait_until(lambda: {name: sizes(tmux)[name] for name in want} == want, f"the windows are not {want}")


def test_a_window_has_the_size_of_who_looks_at_it_and_is_never_tiny(tmux: Tmux) -> None:
    for name in ("00000001", "00000002"):
        tmux.new_window(name, ["sleep", "1000"], cwd="/", env={})
    wait_sizes(tmux, w1="200x50", w2="200x50")
    with person(tmux, "00000001", 4, 20) as tiny:
        wait_sizes(tmux, w1="80x24", w2="200x50")
        with person(tmux, "00000002", 40, 120) as usual:
            wait_sizes(tmux, w1="80x24", w2="120x39")
            usual.setwinsize(30, 300)
            wait_sizes(tmux, w2="300x29")
            usual.send("\x02p")
            wait_sizes(tmux, w1="300x29", w2="300x29")
        tiny.setwinsize(40, 20)
        wait_sizes(tmux, w1="80x39", w2="300x29")
        tmux.new_window("00000003", ["sleep", "1000"], cwd="/", env={})
    wait_until(
        lambda: tmux.command("list-sessions") != [] and len(tmux.command("list-sessions")) == 1, "he is not gone"
    )
    wait_sizes(tmux, w1="80x39", w2="300x29", w3="200x50")


def test_a_person_copies_to_his_clipboard_and_an_agent_does_not(tmux: Tmux, top: Path) -> None:
    script = f"printf 'word'; while [ ! -e {top}/go ]; do sleep 0.01; done; printf '\\033]52;c;ZXZpbA==\\007'; echo sent; sleep 1000"
    tmux.new_window("00000001", ["sh", "-c", script], cwd="/", env={})
    with person(tmux, "00000001") as somebody:
        somebody.expect_exact("word")
        (top / "go").touch()
        somebody.expect_exact("sent")
        assert b"]52;" not in somebody.before
        for mouse in ("0;1;1M", "32;3;1M", "0;3;1m"):  # pressed, drawn, let go
            somebody.send(f"\x1b[<{mouse}")
        somebody.expect(rb"\]52;\w*;" + base64.b64encode(b"wo"))


@pytest.mark.parametrize(
    ("term", "said"),
    [
        ("xterm-256color", "C-b d leaves the agent running"),
        ("tmux-256color", "C-b d (C-b C-b d if your tmux uses C-b) leaves the agent running"),
    ],
)
def test_a_person_is_told_the_keys_that_leave_also_in_a_tmux_of_his_own(tmux: Tmux, term: str, said: str) -> None:
    tmux.new_window("00000001", ["sleep", "1000"], cwd="/", env={})
    with person(tmux, "00000001", 24, 120, TERM=term) as somebody:
        somebody.expect_exact(said)


@pytest.mark.parametrize("shell", ["sh", "bash", "zsh", "fish", "rc"])
def test_the_attach_line_is_understood_by_every_shell(tmux: Tmux, top: Path, shell: str) -> None:
    """zsh takes =word for the path of a command, and a = means an assignment to rc."""
    places = os.pathsep.join([os.environ["PATH"], "/usr/lib/plan9/bin"])
    program = shutil.which(shell, path=places)
    if program is None:
        pytest.skip(f"no {shell} here")
    programs = top / "bin"
    programs.mkdir()
    (programs / "tmux").write_text('#!/bin/sh\nprintf \'%s\\n\' "${TMUX-unset}" "$@"\n')
    (programs / "tmux").chmod(0o755)
    line = tmux.attach_command("00000001")
    env = {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "HOME": str(top), "TMUX": "/tmp/other,1,0"}
    done = subprocess.run([program, "-c", line], capture_output=True, text=True, env=env, check=False)
    assert (done.stderr, done.stdout.splitlines()) == ("", ["unset", *shlex.split(line)[4:]])


def test_the_pid_of_a_program_is_known_also_when_it_has_ended(tmux: Tmux) -> None:
    """From 3.8 tmux forgets it."""
    pane, pid = tmux.new_window("00000001", ["true"], cwd="/", env={})
    wait_until(lambda: tmux.panes()[0].told, "its end is not told")
    assert tmux.panes()[0].pid == pid
    again = tmux.respawn(pane, ["true"], cwd="/", env={})
    wait_until(lambda: tmux.panes()[0].told, "its end is not told")
    assert tmux.panes()[0].pid == again != pid


def test_attach_needs_no_call_and_takes_a_pane_too(tmux: Tmux) -> None:
    pane = tmux.new_window("00000001", ["sleep", "1000"], cwd="/", env={}).id
    assert tmux.attach_command(pane) == tmux.attach_command("00000001")


HOSTILE = "run #[fg=red]this#{pid}#(touch /tmp/x) 100%H ##[x]\x1b[2J\x07,}"
SEEN = r"run #\[fg=red\]this#\{pid\}#\(touch /tmp/x\) 100%H ##\[x\]␛\[2J␇,\}".encode()


@pytest.mark.parametrize(("columns", "how"), [(160, "echo CHOICE | write it"), (80, "to a/b")])
def test_who_looks_at_an_agent_sees_what_it_asks_and_how_to_answer_until_it_is_over(
    tmux: Tmux, columns: int, how: str
) -> None:
    program = [PYTHON, "-c", "import signal; print('ready', flush=True); signal.pause()"]
    pane, _ = tmux.new_window("00000001", program, cwd="/", env={})
    wait_screen(tmux, pane, shows("ready"))
    with person(tmux, "00000001", columns=columns) as terminal:
        terminal.expect_exact(b"leaves the agent running")
        size = tmux.command("display-message", "-p", "-t", pane, "#{pane_width}x#{pane_height}")
        tmux.ask(pane, "00000001", HOSTILE if columns > 80 else "A" * 200, "echo CHOICE | write it", "to a/b")
        terminal.expect(SEEN if columns > 80 else rb"A{20,60}\.\.\.")
        terminal.expect_exact(how.encode())
        assert tmux.command("display-message", "-p", "-t", pane, "#{pane_width}x#{pane_height}") == size
        tmux.ask(pane, "00000001")
        terminal.expect_exact(b"leaves the agent running")


def test_windows_are_called_what_a_person_calls_their_sessions(tmux: Tmux) -> None:
    for name in ("00000001", "00000002"):
        pane, _ = tmux.new_window(name, ["sleep", "1000"], cwd="/", env={})
        tmux.label(pane, name, f"the{name[-1]} #[fg=red],}}")
    tmux.label(pane, "00000001", "not mine")
    with person(tmux, "00000001", columns=160) as terminal:
        terminal.expect(rb"1:the1 #\[fg=red\],\}\S* +2:the2 #\[fg=red\],\}")
        terminal.send("\x02w")
        terminal.expect(rb"the1 #\[fg=red\],\}")
        terminal.expect(rb"the2 #\[fg=red\],\}")
        terminal.send("q")
        tmux.label(pane, "00000002", "another")
        terminal.expect_exact(b"2:another")
    assert sorted(one.window for one in tmux.panes()) == ["00000001", "00000002"]


def test_a_question_is_not_shown_in_the_window_of_another_session(tmux: Tmux) -> None:
    pane, _ = tmux.new_window("00000001", ["sleep", "1000"], cwd="/", env={})
    tmux.ask(pane, "00000002", "sure?", "how", "where")
    tmux.ask("%99", "00000001", "sure?", "how", "where")
    assert tmux.command("display-message", "-p", "-t", pane, "#{@ask}") == [""]
