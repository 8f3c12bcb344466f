"""The shell agent in a real tmux pane: what goes in, what comes out, what a person sees."""

import base64
import os
import resource
import shutil
import signal
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from anvilsrv.inside import shell_process
from anvilsrv.inside.shell_process import KEEP
from anvilsrv.inside.shellagent import readable
from anvilsrv.tmux.tmux import Tmux
from tests.conftest import wait_until
from tests.panes import PYTHON, SESSION, SOURCE, Daemon, daemon, shows, wait_screen

__all__ = ["daemon"]  # a fixture


class Shell:
    """One agent, prompted as the daemon does it."""

    def __init__(self, tmux: Tmux, daemon: Daemon, top: Path) -> None:
        self.tmux, self.daemon = tmux, daemon
        self.work = top / "work"
        self.work.mkdir()
        (top / "tmp").mkdir()
        argv = [PYTHON, "-I", "-S", str(SOURCE / "inside/shellagent.py")]
        env = {**daemon.env, "TMPDIR": str(top / "tmp"), "HOME": str(top)}
        self.pane, self.pid = tmux.new_window(SESSION, argv, cwd=str(self.work), env=env)
        daemon.next("Ready")

    def begin(self, text: str) -> None:
        self.tmux.paste(self.pane, text.encode("utf-8", "surrogateescape"))
        self.tmux.keys(self.pane, "Enter")
        assert self.daemon.next("Submit")["text"] == text

    def ask(self, text: str) -> str:
        self.begin(text)
        return str(self.daemon.next("Stop")["text"])

    def exact(self, text: str) -> bytes:
        self.begin(text)
        told = self.daemon.next("Stop")
        if "base64" in told:
            return base64.b64decode(told["base64"], validate=True)
        return str(told["text"]).encode("utf-8", "surrogateescape")

    def dead(self) -> bool:
        return self.tmux.panes()[0].dead

    def ended(self) -> int | None:
        """Return the status, once tmux has seen it (a moment after it has seen the end)."""
        wait_until(lambda: self.tmux.panes()[0].status is not None, "it does not happen")
        return self.tmux.panes()[0].status


@pytest.fixture
def shell(tmux: Tmux, daemon: Daemon, top: Path) -> Iterator[Shell]:
    yield Shell(tmux, daemon, top)


def test_response_is_what_the_command_printed(shell: Shell) -> None:
    assert shell.ask("echo hello; echo error >&2; printf 'no newline'") == "hello\nerror\nno newline"
    assert shell.ask("true") == ""
    assert shell.ask("printf 'a\\n\\n'") == "a\n\n"


def test_a_status_other_than_0_is_the_last_line(shell: Shell) -> None:
    assert shell.ask("false") == "exit 1\n"
    assert shell.ask("echo x; (exit 7)") == "x\nexit 7\n"
    assert shell.ask("printf x; (exit 7)") == "x\nexit 7\n"
    assert shell.ask("sh -c 'kill -9 $$'").endswith("exit 137\n")
    assert shell.ask("nosuchprogram").endswith("not found\nexit 127\n")


def test_directory_variables_functions_and_options_stay(shell: Shell) -> None:
    assert shell.ask("mkdir d; cd d; x='1  2'; f() { echo f:$1; }; alias hi='echo hi'") == ""
    assert shell.ask('pwd; echo "$x"; f 3; hi') == f"{shell.work}/d\n1  2\nf:3\nhi\n"


def test_lines_of_context_are_not_run(shell: Shell) -> None:
    assert shell.ask("# touch bad; 'unbalanced\n# more $(touch bad)\necho ran; ls") == "ran\n"


@pytest.mark.parametrize("text", ["echo 'open", 'echo "open', "if true", "echo )", "for", "x=$(echo"])
def test_what_cannot_be_parsed_answers_with_the_error_and_the_shell_lives(shell: Shell, text: str) -> None:
    x = shell.ask("keep=1")
    answer = shell.ask(text)
    assert answer.endswith("exit 2\n"), answer
    assert len(answer.splitlines()) >= 2
    assert x + shell.ask("echo $keep") == "1\n"


def test_heredocs_work_and_an_open_one_does_not_eat_the_next_prompt(shell: Shell) -> None:
    assert shell.ask("cat <<E\na $((1+1))\nE\necho b") == "a 2\nb\n"
    assert "open" in shell.ask("cat <<E\nopen")
    assert shell.ask("echo next") == "next\n"


@pytest.mark.parametrize(
    "text", ["echo ${no:?missing}; echo x", "readonly q=1; q=2; echo x", ". /nonexistent; echo x", "return 3", "break"]
)
def test_errors_that_end_a_script_do_not_end_the_shell(shell: Shell, text: str) -> None:
    shell.ask("keep=1")
    assert "x\n" not in shell.ask(text)
    assert shell.ask("echo $keep") == "1\n"


def test_commands_read_an_empty_input_and_have_no_terminal(shell: Shell) -> None:
    assert shell.ask("cat; read line; echo $?; tty") == "1\nnot a tty\nexit 1\n"
    assert "exit" in shell.ask("cat /dev/tty")


def test_interrupt_ends_the_command_and_leaves_the_shell(shell: Shell) -> None:
    shell.ask("keep=1")
    shell.begin("echo begun; sleep 1000; echo after")
    wait_screen(shell.tmux, shell.pane, lambda screen: "begun" in screen.lines)
    shell.tmux.keys(shell.pane, "C-c")
    assert shell.daemon.next("Stop")["text"] == "begun\nexit 130\n"
    assert shell.ask("echo $keep") == "1\n"


def test_interrupt_ends_a_loop_inside_the_shell(shell: Shell) -> None:
    shell.begin("echo begun; while :; do :; done; echo after")
    wait_screen(shell.tmux, shell.pane, lambda screen: "begun" in screen.lines)
    shell.tmux.keys(shell.pane, "C-c")
    assert shell.daemon.next("Stop")["text"] == "begun\nexit 130\n"


def test_the_third_interrupt_kills_what_ignores_the_others(shell: Shell) -> None:
    shell.begin("sh -c 'trap \"\" INT TERM; echo begun; while :; do sleep 1; done'")
    wait_screen(shell.tmux, shell.pane, lambda screen: "begun" in screen.lines)
    for _ in range(3):
        shell.tmux.keys(shell.pane, "C-c")
    answer = str(shell.daemon.next("Stop")["text"])
    assert "new one was started" in answer
    assert answer.endswith("exit 137\n")
    assert shell.ask("echo well") == "well\n"


def test_background_jobs_print_into_no_later_response(shell: Shell) -> None:
    assert shell.ask("(while [ ! -e go ]; do sleep 0.05; done; echo LATE; touch done) & echo now") == "now\n"
    assert shell.ask("touch go; while [ ! -e done ]; do sleep 0.05; done; echo mine") == "mine\n"
    wait_screen(shell.tmux, shell.pane, shows("LATE"))
    assert shell.ask("echo again") == "again\n"


def test_a_killed_shell_is_replaced_and_the_response_says_so(shell: Shell) -> None:
    shell.ask("x=1; cd /")
    answer = shell.ask("printf part; kill -9 $$")
    assert answer.startswith("part\n[the shell ended: a new one was started")
    assert answer.endswith("exit 137\n")
    assert shell.ask('echo "$x" $PWD') == f" {shell.work}\n"


def test_exit_ends_the_agent_with_status_0(shell: Shell) -> None:
    assert shell.ask("echo bye; exit 3") == "bye\nexit 3\n"
    assert shell.ended() == 0


def test_control_d_on_an_empty_line_ends_the_agent_with_status_0(shell: Shell) -> None:
    shell.tmux.keys(shell.pane, "C-c", "C-u", "C-d")
    assert shell.ended() == 0


def test_the_keys_of_a_gentle_stop_also_end_a_running_command(shell: Shell) -> None:
    shell.begin("echo begun; sleep 1000")
    wait_screen(shell.tmux, shell.pane, lambda screen: "begun" in screen.lines)
    shell.tmux.keys(shell.pane, "C-c", "C-u", "C-d")
    assert shell.daemon.next("Stop")["text"] == "begun\nexit 130\n"
    wait_until(shell.dead, "it does not happen")


def test_termination_takes_the_running_command_along(shell: Shell) -> None:
    shell.begin("echo begun; echo $$ >pid; exec sleep 1000")
    wait_screen(shell.tmux, shell.pane, lambda screen: "begun" in screen.lines)
    wait_until(lambda: (shell.work / "pid").read_text().strip(), "it does not happen")
    child = int((shell.work / "pid").read_text())
    os.kill(shell.pid, signal.SIGTERM)
    wait_until(shell.dead, "it does not happen")
    wait_until(lambda: not Path(f"/proc/{child}").exists(), "it does not happen")


def test_bytes_that_are_no_text_are_exact(shell: Shell) -> None:
    (shell.work / "data").write_bytes(bytes(range(256)) * 40)
    assert shell.exact("cat data") == bytes(range(256)) * 40
    assert shell.ask("echo $((1+1))") == "2\n"


def test_megabytes_are_exact_up_to_the_limit_and_bounded_beyond(shell: Shell) -> None:
    data = b"".join(b"line %d\n" % n for n in range(200_000))
    (shell.work / "data").write_bytes(data)
    assert shell.exact("cat data") == data
    answer = shell.exact("head -c 104857600 /dev/zero | tr '\\0' x; echo end")
    left_out = 104857600 + 4 - KEEP
    assert f"\n[{left_out} bytes left out]\n".encode() in answer
    assert answer.endswith(b"xxxend\n")
    assert len(answer) < KEEP + 100
    rss = int(
        next(w for w in Path(f"/proc/{shell.pid}/status").read_text().splitlines() if w.startswith("VmHWM")).split()[1]
    )
    assert rss < 120_000, f"{rss} KiB"


def test_megabytes_of_any_bytes_are_exact_too_and_what_is_left_out_is_counted(shell: Shell) -> None:
    data = os.urandom(1 << 20) * (KEEP >> 20)
    (shell.work / "data").write_bytes(data)
    assert shell.exact("cat data") == data
    left_out = f"\n[{len(data)} bytes left out]\n".encode()
    head, tail = KEEP - KEEP // 4, KEEP // 4
    assert shell.exact("cat data data") == data[:head] + left_out + data[-tail:]


class Process(shell_process.Shell):
    """The shell alone, driven by the test."""

    def begin(self, text: str) -> bytearray:
        said = bytearray()
        self.run(text)
        wait_until(lambda: self.drain(said.extend) or b"begun\n" in said, "it does not begin")
        return said

    def asked(self) -> int:
        """Return the status of a command that was interrupted."""

        def look() -> bool:
            self.ask()
            return self.look()

        wait_until(look, "it is not interrupted")
        return self.end()

    def end(self) -> int:
        wait_until(self.look, "it does not end")
        self.finish(lambda data: None)
        assert self.status is not None
        return self.status


@pytest.mark.parametrize("program", ["dash", "bash", "mksh", "yash", "zsh", "ksh93", "busybox"])
def test_an_interrupt_reaches_the_command_whatever_shell_sh_is(program: str) -> None:
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"no '{program}'")
    with closing(Process(dict(os.environ), path)) as process:
        process.begin("keep=1; /bin/sh -c 'echo begun; exec sleep 1000'")  # it runs: no signal is lost while it is made
        process.signal(signal.SIGINT)
        assert process.asked() > 128
        process.run('test "$keep" = 1')
        assert process.end() == 0


def test_a_shell_that_reads_nothing_can_be_asked_for_ever() -> None:
    with closing(Process(dict(os.environ))) as process:
        process.begin("trap '' INT; echo begun; sleep 1000")
        process.signal(signal.SIGINT)
        for _ in range(5000):
            process.ask()


def test_descriptors_above_those_of_select_are_waited_for_too() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, before[1]), before[1]))
    try:
        with ExitStack() as many:
            for _ in range(1100):
                many.enter_context(open(os.devnull))
            process = many.enter_context(closing(Process(dict(os.environ))))
            process.begin("echo begun; sleep 0.1")
            assert process.output > 1024
            assert readable([process.output, *process.fds], 20) == {process.fds[0]}
            assert process.end() == 0
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_background_jobs_that_use_up_the_descriptors_cost_the_next_command_alone() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with closing(Process(dict(os.environ))) as process:
        process.most = process.output + shell_process.RESERVE  # as if all below were taken
        with pytest.raises(OSError, match="too many background jobs"):
            process.run("true")
        assert not process.running
        process.most = before[0]
        process.run("ulimit -n | grep -qx " + str(before[0]))
        assert process.end() == 0
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_prompts_of_many_lines_and_sizes_arrive_whole(shell: Shell) -> None:
    text = "cat <<'END'\n" + "x" * 300_000 + "\nöä€\t tab\nEND"
    assert shell.ask(text) == "x" * 300_000 + "\nöä€\t tab\n"


def test_what_is_printed_cannot_answer_as_the_keyboard(shell: Shell) -> None:
    assert shell.exact("printf '\\033[c\\033[6n\\033]0;title\\007\\033[2J'") == b"\033[c\033[6n\033]0;title\007\033[2J"
    wait_screen(shell.tmux, shell.pane, lambda screen: screen.line == "$")
    assert shell.ask("echo clean") == "clean\n"


def test_a_person_edits_recalls_and_interrupts_a_line(shell: Shell) -> None:
    shell.tmux.keys(shell.pane, *"echo abX", "BSpace", "c", "Enter")
    assert shell.daemon.next("Submit")["text"] == "echo abc"
    assert shell.daemon.next("Stop")["text"] == "abc\n"
    shell.tmux.keys(shell.pane, "Up", "Left", "Left", "Left", *"12", "End", "3", "Enter")
    assert shell.daemon.next("Submit")["text"] == "echo 12abc3"
    assert shell.daemon.next("Stop")["text"] == "12abc3\n"
    shell.tmux.keys(shell.pane, *"rm -rf thing", "C-c", *"echo ok", "Enter")
    assert shell.daemon.next("Submit")["text"] == "echo ok"


def test_an_empty_input_line_can_be_told_from_a_half_typed_one(shell: Shell) -> None:
    wait_screen(shell.tmux, shell.pane, lambda screen: screen.line == "$")
    shell.tmux.keys(shell.pane, *"half")
    wait_screen(shell.tmux, shell.pane, lambda screen: screen.line == "$ half")
    shell.tmux.keys(shell.pane, "C-u")
    wait_screen(shell.tmux, shell.pane, lambda screen: screen.line == "$")


def test_what_is_typed_while_a_command_runs_comes_after_it(shell: Shell) -> None:
    shell.begin("echo begun; while [ ! -e go ]; do sleep 0.05; done")
    wait_screen(shell.tmux, shell.pane, lambda screen: "begun" in screen.lines)
    shell.tmux.keys(shell.pane, *"echo later", "Enter")
    (shell.work / "go").touch()
    assert shell.daemon.next("Stop")["text"] == "begun\n"
    assert shell.daemon.next("Submit")["text"] == "echo later"
    assert shell.daemon.next("Stop")["text"] == "later\n"


def test_a_turn_that_ends_while_the_daemon_is_away_is_spooled(shell: Shell) -> None:
    shell.begin("echo begun; while [ ! -e go ]; do sleep 0.05; done; echo over")
    shell.daemon.stop()
    (shell.work / "go").touch()
    wait_until(lambda: [report["hook"] for report in shell.daemon.spooled()][-1:] == ["Stop"], "it does not happen")
    assert shell.daemon.spooled()[-1]["payload"]["text"] == "begun\nover\n"


def test_a_pane_shows_command_output_and_prompt(shell: Shell) -> None:
    shell.ask("printf 'a\\nb\\n'\nfalse")
    screen = wait_screen(shell.tmux, shell.pane, lambda screen: screen.line == "$")
    lines = [line for line in screen.lines if line][-6:]
    assert lines == ["$ printf 'a\\nb\\n'", "> false", "a", "b", "exit 1", "$"]


def test_a_command_that_cannot_be_given_to_the_shell_has_failed_and_the_agent_goes_on(shell: Shell, top: Path) -> None:
    [place] = (top / "tmp").iterdir()
    place.rename(top / "away")  # as when there is no room for a file
    shell.begin("echo lost")
    assert shell.daemon.next("Fail") == {"text": "cannot run the command: No such file or directory"}
    (top / "away").rename(place)
    assert shell.ask("echo on") == "on\n"
