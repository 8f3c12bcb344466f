"""tmux as a process of its own: how a server is started and ended, and what is left of those who used it."""

import os
import re
import select
import signal
import socket as sockets
import stat
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from anvilsrv.errors import Unavailable
from anvilsrv.tmux.options import HOLDER, SESSION
from anvilsrv.tmux.protocol import Hung
from sandbox import outside

KEPT = re.compile(r"(PATH|HOME|USER|LOGNAME|SHELL|LANG|LC_.*|TZ|TERM|TMPDIR|XDG_RUNTIME_DIR|PWD)")
MAX_SOCKET = 107  # bytes; sun_path of unix(7) holds one more, for the end
END = 5.0  # s for a server that was told to end; then SIGKILL
PEER = struct.Struct("3i")  # pid, uid, gid: SO_PEERCRED of unix(7)


def program() -> str:
    """Return the path of tmux. Raises Unavailable."""
    found = outside.which("tmux")
    if found is None:
        raise Unavailable("tmux is not installed")
    return found


def environment() -> dict[str, str]:
    """Return what tmux gets of our environment: what terminals need, and none of our secrets."""
    return {name: value for name, value in os.environ.items() if KEPT.fullmatch(name)}


def run(socket: Path, *args: str, timeout: float) -> tuple[int, str]:
    """Run tmux to its end; its status, and the last line of what it said. Raises Unavailable, Hung.

    Not through a pipe: a server that hangs would keep it open.
    """
    with tempfile.TemporaryFile() as said:
        try:
            status = subprocess.run(
                [program(), "-S", str(socket), *args],
                stdin=subprocess.DEVNULL, stdout=said, stderr=said, env=environment(), timeout=timeout, check=False,
            ).returncode  # fmt: skip
        except subprocess.TimeoutExpired:
            raise Hung(timeout) from None
        except OSError as error:
            raise Unavailable(f"cannot run tmux: {error.strerror}") from None
        said.seek(0)
        lines = said.read().decode("utf-8", "replace").splitlines()
    return status, lines[-1] if lines else ""


def has_session(socket: Path, timeout: float) -> bool:
    """Return whether a server runs that has our session. Raises Unavailable, Hung."""
    return run(socket, "-N", "has-session", "-t", f"={SESSION}", timeout=timeout)[0] == 0


def start(socket: Path, timeout: float) -> None:
    """Start a server, or a session in one that has none. Raises Unavailable, Hung."""
    if len(os.fsencode(socket)) > MAX_SOCKET:
        raise Unavailable(f"tmux socket path too long: '{socket}'")
    argv = ("-f/dev/null", "new-session", "-d", "-s", SESSION, "-n", "home", "-c", "/", *HOLDER)
    status, words = run(socket, *argv, timeout=timeout)
    if status:
        raise Unavailable(f"cannot start tmux: {words or f'status {status}'} (anvilsrv doctor looks for the cause)")


def end(socket: Path) -> None:
    """End the server with everything in it, also one that hangs; no-op if there is none. Raises Unavailable."""
    try:
        server = os.pidfd_open(peer(socket))
    except OSError:
        return
    try:
        with suppress(Hung):
            run(socket, "-N", "kill-server", timeout=END)
            ended(server, END)
        if not ended(server, 0):  # it is stopped, or waits for a client that is unread
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(server, signal.SIGKILL)
            ended(server, END)
    finally:
        os.close(server)


def peer(socket: Path) -> int:
    """Return the pid of the server that listens there. Raises OSError."""
    with sockets.socket(sockets.AF_UNIX) as probe:
        probe.settimeout(1.0)
        probe.connect(os.fspath(socket))
        pid, _, _ = PEER.unpack(probe.getsockopt(sockets.SOL_SOCKET, sockets.SO_PEERCRED, PEER.size))
    return int(pid)


def ended(process: int, timeout: float) -> bool:
    """Wait for the end of the process of a pidfd."""
    poll = select.poll()
    poll.register(process, select.POLLIN)
    return bool(poll.poll(timeout * 1000))


def control(socket: Path) -> list[str]:
    """Return the words that tell a control client of ours from other programs."""
    return ["-S", str(socket), "-C"]


def unread(socket: Path) -> Iterator[int]:
    """Yield the control clients that were started to read from the server there, and whose output is not read any more."""
    words = b"\0" + b"\0".join(os.fsencode(word) for word in control(socket)) + b"\0"
    for one in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if words in (one / "cmdline").read_bytes() and _nobody_reads(int(one.name)):
                yield int(one.name)


def _nobody_reads(pid: int) -> bool:
    """Return whether the standard output of a process is a pipe that is not read any more."""
    try:
        out = os.open(f"/proc/{pid}/fd/1", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        poll = select.poll()
        poll.register(out, 0)
        return stat.S_ISFIFO(os.fstat(out).st_mode) and bool(poll.poll(0))
    finally:
        os.close(out)
