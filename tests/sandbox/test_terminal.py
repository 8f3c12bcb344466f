"""The terminal of the pane stays a terminal inside: and what comes from inside cannot type into it."""

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator

import pytest
from sandbox_world import PATIENCE, PRELUDE, PYTHON, REPORT, World


class Pane:
    """A pseudo-terminal with a program on it, as tmux has one."""

    def __init__(self, argv: list[str], world: World, *, by_shell: bool = False) -> None:
        self.seen = b""
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.chdir(world.proj)
            if world.uid != os.geteuid():
                os.fchown(0, world.uid, world.uid)
                os.setgroups([])
                os.setgid(world.uid)
                os.setuid(world.uid)
            if by_shell:
                argv = ["/bin/bash", "--norc", "--noprofile", "-i"]
            os.execve(argv[0], argv, {**world.env, "TERM": "dumb", "PS1": "shell$ "})

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def wait_for(self, text: str) -> str:
        """Read until ``text`` has come; all of it up to there, which is then forgotten."""
        deadline = time.monotonic() + PATIENCE
        while text.encode() not in self.seen:
            left = deadline - time.monotonic()
            assert left > 0 and select.select([self.master], [], [], left)[0], f"no {text!r} in {self.seen!r}"
            try:
                self.seen += os.read(self.master, 4096)
            except OSError:
                raise AssertionError(f"ended without {text!r}: {self.seen!r}") from None
        before, _, self.seen = self.seen.partition(text.encode())
        return before.decode()

    def end(self) -> int:
        """Wait for the program."""
        with contextlib.suppress(OSError):
            while os.read(self.master, 4096):
                pass
        _, status = os.waitpid(self.pid, 0)
        self.pid = 0
        return os.waitstatus_to_exitcode(status)

    def close(self) -> None:
        os.close(self.master)
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)


@pytest.fixture
def panes() -> Iterator[list[Pane]]:
    made: list[Pane] = []
    yield made
    for pane in made:
        pane.close()


def start(world: World, panes: list[Pane], *argv: str) -> Pane:
    panes.append(Pane(world.command(world.spec(argv)), world))
    return panes[-1]


STUFF = """
def attempt():
    for request in (0x5412, 0x541C):
        for high in (0, 1 << 32, 0xFFFFFFFF << 32):
            for fd in (0, os.open('/dev/tty', os.O_RDWR)):
                try:
                    call({ioctl}, fd, request | high, b'X')
                    return 'typed'
                except OSError as error:
                    if error.errno != 1: return (hex(request | high), error.errno)
"""


def test_typing_into_the_terminal_is_denied(world: World, panes: list[Pane]) -> None:
    """TIOCSTI and TIOCLINUX, with bits above the 32 that the kernel looks at, by every descriptor of the terminal."""
    number = {"x86_64": 16, "aarch64": 29}[os.uname().machine]
    code = PRELUDE + STUFF.replace("{ioctl}", str(number)) + REPORT
    pane = start(world, panes, PYTHON, "-I", "-c", code)
    pane.wait_for("did it")
    assert pane.end() == 0


def test_the_program_is_in_front_on_its_terminal(world: World, panes: list[Pane]) -> None:
    """isatty, a name for it, its session and foreground group, and a way to open it again."""
    code = (
        "import os\nprint('front', [os.isatty(n) for n in (0, 1, 2)], os.ttyname(0), os.getpid() == os.getsid(0) == os.getpgrp()"
        " == os.tcgetpgrp(0))\nos.write(os.open('/dev/tty', os.O_RDWR), b'by name\\n')\nos.close(os.open(os.ttyname(0), os.O_RDWR))\n"
    )
    pane = start(world, panes, PYTHON, "-I", "-c", code)
    assert pane.wait_for("\r\n").endswith("front [True, True, True] /dev/console True")
    pane.wait_for("by name")
    assert pane.end() == 0


def test_scripts_write_to_the_names_of_their_standard_descriptors(world: World, panes: list[Pane]) -> None:
    """``> /dev/stderr`` opens the terminal anew by its path, which must be one inside."""
    script = "echo one > /dev/stderr; echo two > /dev/stdout; echo three > /dev/tty; read x < /dev/stdin; echo got $x"
    script += "; readlink /proc/self/fd/0"
    pane = start(world, panes, "sh", "-euc", script)
    pane.wait_for("one\r\ntwo\r\nthree\r\n")
    pane.type("line\n")
    pane.wait_for("got line\r\n/dev/console\r\n")
    assert pane.end() == 0


def test_interrupts_job_control_and_sizes_work(world: World, panes: list[Pane]) -> None:
    """An interactive shell, as an agent has one in it."""
    pane = start(world, panes, "bash", "--norc", "--noprofile", "-i")
    pane.wait_for("# " if world.uid == 0 else "$ ")
    pane.type("PS1='ready> '\n")
    pane.wait_for("\nready> ")
    pane.type("sleep 500\n")
    pane.wait_for("sleep 500\r\n")
    _wait_in_front(pane)
    pane.type("\x1a")
    pane.wait_for("Stopped")
    pane.type("fg\n")
    pane.wait_for("\nsleep 500")
    _wait_in_front(pane)
    pane.type("\x03")
    pane.wait_for("ready> ")
    pane.type("trap 'echo resized' WINCH; echo trapped\n")
    pane.wait_for("\ntrapped")
    fcntl.ioctl(pane.master, termios.TIOCSWINSZ, struct.pack("4H", 33, 99, 0, 0))
    pane.type("\n")
    pane.wait_for("resized\r\n")
    pane.type("stty size\n")  # not in the trap: the kernel signals before it sets the size
    pane.wait_for("33 99")
    pane.type("exit 4\n")
    assert pane.end() == 4


def _wait_in_front(pane: Pane) -> None:
    """Wait until the shell has given the terminal to its job."""
    first = os.tcgetpgrp(pane.master)
    deadline = time.monotonic() + PATIENCE
    while (group := os.tcgetpgrp(pane.master)) == first and _name(group) != "sleep":
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _name(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm") as file:
            return file.read().strip()
    except OSError:
        return ""


def test_a_terminal_that_hangs_up_ends_the_agent(world: World, panes: list[Pane]) -> None:
    """As closing a pane does: SIGHUP to the agent's session."""
    code = "import os, signal\nsignal.signal(1, lambda n, f: (open('hup', 'w').close(), os._exit(0)))\n"
    code += "print('up', flush=True)\nsignal.pause()\n"
    pane = start(world, panes, PYTHON, "-I", "-c", code)
    pane.wait_for("up")
    os.close(pane.master)
    _, status = os.waitpid(pane.pid, 0)
    pane.pid, pane.master = 0, os.open("/dev/null", os.O_RDONLY)
    assert os.waitstatus_to_exitcode(status) == 0
    assert (world.proj / "hup").exists()


def test_it_is_a_job_of_a_users_shell(world: World, panes: list[Pane]) -> None:
    """``anvil-sandbox run`` by hand: Ctrl-C, Ctrl-Z, fg, and the shell has its terminal back afterwards."""
    code = """
import os, signal
signal.signal(signal.SIGCONT, lambda n, f: os.write(1, b"went on\\n"))
signal.signal(signal.SIGINT, lambda n, f: (os.write(1, b"interrupted\\n"), os._exit(9)))
print("inside", flush=True)
while True: signal.pause()
"""
    (world.proj / "agent.py").write_text(code)
    command = world.command(world.spec([PYTHON, "-I", "agent.py"]))
    panes.append(pane := Pane([], world, by_shell=True))
    pane.wait_for("shell$ ")
    pane.type(" ".join(command) + "\n")
    pane.wait_for("inside\r\n")
    pane.type("\x1a")
    pane.wait_for("Stopped")
    pane.wait_for("shell$ ")
    pane.type("fg\n")
    pane.wait_for("went on\r\n")
    pane.type("\x03")
    pane.wait_for("interrupted")
    pane.wait_for("shell$ ")
    pane.type("echo status $?\n")
    pane.wait_for("\r\nstatus 9")
    pane.type("exit\n")
    pane.end()


def test_new_terminals_are_made_inside(world: World, panes: list[Pane]) -> None:
    """Its own devpts: nobody else's terminals are in it."""
    code = "import os, pty\na, b = pty.openpty()\nprint('made', os.ttyname(b), os.listdir('/dev/pts'))\n"
    pane = start(world, panes, PYTHON, "-I", "-c", code)
    pane.wait_for("made /dev/pts/0 ['0', 'ptmx']")
    assert pane.end() == 0


def test_it_runs_as_a_window_of_tmux(user_world: World) -> None:
    """The real thing: the pane's process is the keeper, and killing the server kills the agent."""
    user_world.need_terminals()
    sock = user_world.top / "t"
    code = "import os\nprint('tty', os.isatty(0), flush=True)\nopen('up', 'w').close()\nwhile True: input()\n"
    command = user_world.command(user_world.spec([PYTHON, "-I", "-c", code]))
    env = {**user_world.env, "TERM": "xterm"}
    tmux = ["tmux", "-S", str(sock), "-f", "/dev/null"]
    os.chown(user_world.top, user_world.uid, user_world.uid)
    options = {"env": env, "check": True, "timeout": 30, "capture_output": True, "text": True, **user_world.identity}
    subprocess.run([*tmux, "new-session", "-d", *command], **options)
    deadline = time.monotonic() + PATIENCE
    while not (user_world.proj / "up").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    listed = subprocess.run([*tmux, "list-panes", "-F", "#{pane_pid} #{pane_dead}"], **options).stdout.split()
    assert listed[1] == "0"
    watch = os.pidfd_open(int(listed[0]))
    try:
        subprocess.run([*tmux, "kill-server"], **options)
        assert select.select([watch], [], [], PATIENCE)[0], "the keeper lives on"
    finally:
        os.close(watch)
