"""Attempts on other processes, on the kernel and on the wall itself, from inside the full tier."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from sandbox_world import PRELUDE, PYTHON, REPORT, World

X86 = os.uname().machine == "x86_64"


def number(x86_64: int, aarch64: int) -> int:
    return x86_64 if X86 else aarch64


@pytest.fixture
def daemon(world: World) -> Iterator["subprocess.Popen[str]"]:
    """A process of the same user outside, which answers every signal on its standard output."""
    code = (
        "import signal, sys\n"
        "for n in (1, 2, 3, 10, 12, 15, 29): signal.signal(n, lambda n, f: print('signal', n, flush=True))\n"
        "print('ready', flush=True)\nwhile True: signal.pause()\n"
    )
    argv = [PYTHON, "-I", "-c", code]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, start_new_session=True, **world.identity) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        assert process.poll() is None, "it was killed"
        process.kill()
        assert process.stdout.read() == "", "a signal came through"


#: {pid} is a process of the same user, outside.
PROCESSES = {
    "kill": ("os.kill({pid}, 15)", {"ESRCH"}),
    "kill everybody": ("os.kill(-1, 10)", {"did it", "ESRCH"}),  # everybody inside, and there is nobody else
    "kill the group": ("signal.signal(10, signal.SIG_IGN) and None or os.killpg(0, 10)", {"did it"}),
    "kill its group": ("os.killpg({pid}, 15)", {"ESRCH"}),
    "open its pid": ("os.pidfd_open({pid})", {"ESRCH"}),
    "have it signalled by a pipe": ("fcntl.fcntl(os.pipe()[0], fcntl.F_SETOWN, {pid})", {"ESRCH"}),
    "limit it": ("__import__('resource').prlimit({pid}, 7, (1, 1))", {"ESRCH"}),
    "pin it to a processor": ("os.sched_setaffinity({pid}, [0])", {"ESRCH"}),
    "slow it down": ("os.setpriority(os.PRIO_PROCESS, {pid}, 19)", {"ESRCH"}),
    "slow the user down": ("os.setpriority(os.PRIO_USER, os.getuid(), 19)", {"did it"}),  # those in sight: itself
}


@pytest.mark.parametrize("name", PROCESSES)
def test_no_process_outside_is_touched(world: World, daemon: "subprocess.Popen[str]", name: str) -> None:
    """The pid namespace has nobody of outside in it."""
    code, right = PROCESSES[name]
    nice = os.getpriority(os.PRIO_PROCESS, daemon.pid)
    assert world.attempt(f"def attempt(): {code.format(pid=daemon.pid)}\n") in right
    assert os.getpriority(os.PRIO_PROCESS, daemon.pid) == nice


CALLS = {
    "attach to a child": ("call({ptrace}, 16, os.fork() or time.sleep(9), 0, 0)", "EPERM"),
    "be traced": ("call({ptrace}, 0, 0, 0, 0)", "EPERM"),
    "read the memory of a process": ("call({readv}, os.getpid(), 0, 0, 0, 0, 0)", "EPERM"),
    "write the memory of a process": ("call({writev}, os.getpid(), 0, 0, 0, 0, 0)", "EPERM"),
    "take a descriptor of a process": ("call(438, os.pidfd_open(os.getppid()), 0, 0)", "EPERM"),
    "io_uring": ("call(425, 1, ctypes.create_string_buffer(120))", "ENOSYS"),
    "watch performance": ("call({perf}, ctypes.create_string_buffer(128), 0, -1, -1, 0)", "EPERM"),
    "load a program into the kernel": ("call({bpf}, 0, ctypes.create_string_buffer(128), 128)", "EPERM"),
    "handle page faults": ("call({uffd}, 1)", "EPERM"),
    "a key of the user": ("call({keyctl}, 0, -4, 0)", "EPERM"),
    "add a key": ("call({add_key}, b'user', b'a', b'b', 1, -3)", "EPERM"),
    "a new user namespace": ("call({unshare}, 0x10000000)", "EPERM"),
    "a new mount namespace": ("call({unshare}, 0x20000)", "EPERM"),
    "a new time namespace": ("call({unshare}, 0x80)", "EPERM"),
    "namespaces by clone": ("call({clone}, 0x10000000 | 17, 0, 0, 0, 0)", "EPERM"),
    "namespaces by clone with high bits": ("call({clone}, 0x110000000 | 17, 0, 0, 0, 0)", "EPERM"),
    "clone3": ("call(435, ctypes.create_string_buffer(88), 88)", "ENOSYS"),
    "enter a namespace": ("call({setns}, os.open('/proc/self/ns/mnt', os.O_RDONLY), 0)", "EPERM"),
    "unmount": ("call({umount}, b'/usr', 2)", "EPERM"),
    "mount writable again": ("call({mount}, 0, b'/usr', 0, 32 | 4096, 0)", "EPERM"),
    "mount something": ("call({mount}, b'none', b'/tmp', b'tmpfs', 0, 0)", "EPERM"),
    "change a mount": ("call(442, -100, b'/usr', 0, ctypes.create_string_buffer(32), 32)", "EPERM"),
    "copy a mount": ("call(428, -100, b'/usr', 1)", "EPERM"),
    "move the root": ("call({pivot}, b'/', b'/')", "EPERM"),
    "change the root": ("os.chroot('/usr')", "EPERM"),
    "open by handle": ("call({handle}, -100, ctypes.create_string_buffer(16), 0)", "EPERM"),
    "set the clock": ("time.clock_settime(time.CLOCK_REALTIME, 0)", "EPERM"),
    "restart the machine": ("call({reboot}, 0, 0, 0, 0)", "EPERM"),
    "read the kernel's log": ("call({syslog}, 3, 0, 0)", "EPERM"),
    "raise a capability": ("call({capset}, (ctypes.c_uint32*2)(0x20080522, 0), (ctypes.c_uint32*6)(*[1]*6))", "EPERM"),
}
NUMBERS = {
    "ptrace": number(101, 117), "readv": number(310, 270), "writev": number(311, 271), "perf": number(298, 241),
    "bpf": number(321, 280), "uffd": number(323, 282), "keyctl": number(250, 219), "add_key": number(248, 217),
    "unshare": number(272, 97), "clone": number(56, 220), "setns": number(308, 268), "umount": number(166, 39),
    "mount": number(165, 40), "pivot": number(155, 41), "handle": number(304, 265), "reboot": number(169, 142),
    "syslog": number(103, 116), "capset": number(126, 91),
}  # fmt: skip


def test_no_call_undoes_the_wall(world: World) -> None:
    """Every call that could, in one go: each in a child of its own."""
    lines = ["def attempt():", "  found = {}"]
    for name, (code, right) in CALLS.items():
        code = code.format(**NUMBERS)
        lines += ["  try:", f"    {code}; found[{name!r}] = 'did it'"]
        lines += ["  except OSError as error:"]
        lines += [f"    if errno.errorcode[error.errno] != {right!r}: found[{name!r}] = errno.errorcode[error.errno]"]
    code = "\n".join([*lines, "  return found", ""]).replace("os.fork() or time.sleep(9)", "1")
    assert world.attempt(code) == "{}"


def test_a_foreign_architectures_calls_do_not_exist(world: World) -> None:
    """x32 numbers on x86_64: the same call by another name."""
    if not X86:
        pytest.skip("x86_64 only")
    assert world.attempt("def attempt(): call(0x40000000 | 39)\n") == "ENOSYS"


def test_shared_memory_of_the_user_is_not_in_sight(world: World) -> None:
    """System V segments belong to the ipc namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    key = 0x616E0000 | (os.getpid() & 0x7FFF) << 1 | (world.uid == 0)
    segment = libc.shmget(key, 4096, 0o1666)
    assert segment >= 0
    try:
        attempt = f"def attempt(): call({number(29, 194)}, {key}, 4096, 0)\n"
        assert world.freely(attempt) == "did it"
        assert world.attempt(attempt) == "ENOENT"
        assert world.attempt("def attempt(): return os.listdir('/dev/shm')\n") == "[]"
    finally:
        libc.shmctl(segment, 0, None)


def test_kill_minus_nine_of_the_pane_process_kills_everything_inside(world: World) -> None:
    """Also what was daemonised twice over."""
    code = (
        "import os, sys, time\nif os.fork():\n  time.sleep(600)\nos.setsid()\nif os.fork():\n  time.sleep(600)\n"
        "print('daemon', flush=True)\ntime.sleep(600)\n"
    )
    spec = world.spec([PYTHON, "-I", "-c", code])
    with subprocess.Popen(world.command(spec), stdout=subprocess.PIPE, text=True, **world.identity) as keeper:
        assert keeper.stdout is not None
        assert keeper.stdout.readline() == "daemon\n"
        keeper.kill()
        assert keeper.stdout.read() == ""  # ends when the last process that holds the pipe is gone


def test_nothing_outlives_the_agent(world: World) -> None:
    """A child that it left behind ends with it."""
    code = "import os, time\nif not os.fork():\n  os.setsid(); time.sleep(600)\n"
    assert world.start(world.spec([PYTHON, "-I", "-c", code])).returncode == 0


@pytest.mark.parametrize("how", ["sys.exit(7)", "os.kill(os.getpid(), 9)", "os.kill(os.getpid(), 15)", "os.abort()"])
def test_the_pane_process_ends_as_the_agent_ended(world: World, how: str) -> None:
    """With its status, or by its signal."""
    expected = {"sys.exit(7)": 7, "os.abort()": -signal.SIGABRT}.get(
        how, -int(how.rstrip(")").split(", ")[-1]) if "," in how else 0
    )
    result = world.start(world.spec([PYTHON, "-I", "-c", f"import os, sys\n{how}"]))
    assert result.returncode == expected


def test_signals_to_the_pane_process_reach_the_agent(user_world: World) -> None:
    """A gentle end is the agent's to make."""
    code = (
        "import signal, sys\nsignal.signal(15, lambda n, f: sys.exit(5))\nprint('ready', flush=True)\nsignal.pause()\n"
    )
    spec = user_world.spec([PYTHON, "-I", "-c", code])
    with subprocess.Popen(user_world.command(spec), stdout=subprocess.PIPE, text=True, **user_world.identity) as keeper:
        assert keeper.stdout is not None
        keeper.stdout.readline()
        keeper.terminate()
        assert keeper.wait(30) == 5


def test_orphans_are_reaped(user_world: World) -> None:
    """Process 1 does what process 1 must."""
    code = (
        "def attempt():\n  r, w = os.pipe()\n  if not os.fork():\n    p = os.fork()\n"
        "    if p: os.write(w, str(p).encode())\n    os._exit(0)\n"
        "  os.wait(); pid = int(os.read(r, 9))\n  for _ in range(500):\n"
        "    if not os.path.exists(f'/proc/{pid}'): return 'gone'\n    time.sleep(.01)\n"
    )
    assert user_world.attempt(code) == "gone"


def test_a_sandbox_in_the_sandbox_is_refused(world: World) -> None:
    """Nested launch: no namespaces inside, so no tier that would be taken unasked."""
    spec = world.spec(["true"])
    inner = world.command(spec)
    layer = {"filesystem": {"ro": [str(world.top / "lib"), str(world.run)]}}
    result = world.start(world.spec(inner, layer))
    assert result.returncode == 126
    assert "no user namespace" in result.stderr


def test_tmux_is_not_reached(world: World) -> None:
    """Neither by -S nor by -L, and no trace of the attempt is left."""
    world.need_terminals()
    server = world.top / "tmux"
    server.mkdir()
    world.own()
    host = {**world.env, "TMUX_TMPDIR": str(server)}
    start = ["tmux", "-f", "/dev/null", "new-session", "-d", "-s", "user", "sleep 600"]
    subprocess.run(start, env=host, check=True, timeout=30, **world.identity)
    sock = next(server.glob("tmux-*/default"))
    try:
        for tmux in (f"tmux -S {sock}", f"TMUX_TMPDIR={server} tmux -L default", f"TMUX={sock},1,0 tmux"):
            result = world.start(world.spec(["sh", "-c", f"{tmux} new-window 'touch {world.top}/pwned'"]))
            assert result.returncode != 0, tmux
        listed = ["tmux", "list-windows", "-t", "user"]
        windows = subprocess.run(
            listed, env=host, capture_output=True, text=True, timeout=30, check=True, **world.identity
        )
        assert len(windows.stdout.splitlines()) == 1
        assert not (world.top / "pwned").exists()
    finally:
        subprocess.run(["tmux", "kill-server"], env=host, check=True, timeout=30, **world.identity)


def test_the_limits_of_the_daemon_stay(world: World, daemon: "subprocess.Popen[str]") -> None:
    """Also when its pid is guessed inside: pids there are other pids."""
    code = (
        PRELUDE
        + "import resource\ndef attempt(): return max(int(n) for n in os.listdir('/proc') if n.isdigit()) < 50\n"
        + REPORT
    )
    result = world.start(world.spec([PYTHON, "-I", "-c", code]))
    assert result.stdout == "True\n", result.stderr
    assert sys.platform == "linux"
