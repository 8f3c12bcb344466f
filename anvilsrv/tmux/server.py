"""tmux: the windows in which agents run. The only module that talks to tmux.

One server of our own per namespace, on a socket of its own, without the user's configuration. It outlives the daemon: agents
run on while there is none. Its one session ``anvillm`` has a window for each agent; people look at it through grouped
sessions, so that each of them sees the window of his choice.

The server is started through libtmux (its import and its process per call are slow); everything else goes through one held
control client (``tmux_control``). What is pressed and pasted reaches the agent also while a person scrolls in its pane.

Threads: any; one lock guards the choice of the control client. Every call is bounded and raises only Unavailable.
"""

import os
import re
import shlex
import shutil
import signal
import socket as sockets
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from anvilsrv.errors import Unavailable
from anvilsrv.tmux.control import ControlClient, OnTitle, Watch, attach_argv, quote

SESSION = "anvillm"
WAIT = 5.0  # s for an answer of tmux
PASTE_WAIT = 30.0  # s for a large paste
MAX_SOCKET = 100  # bytes; sun_path of unix(7) holds 108, tmux adds ".lock"
HOLDER = ["sh", "-c", "printf 'The agents of AnviLLM are in the other windows: C-b w\\r\\n'; exec cat"]
KEPT = re.compile(r"(PATH|HOME|USER|LOGNAME|SHELL|LANG|LC_.*|TZ|TERM|TMPDIR|XDG_RUNTIME_DIR|PWD)")
ID = re.compile(r"[0-9a-f]{8}")

OPTIONS = (
    "set-option -s exit-empty off",
    "set-option -s escape-time 20",
    "set-option -s set-clipboard off",
    "set-option -g remain-on-exit on",
    "set-option -g history-limit 20000",
    "set-option -g default-size 200x50",
    "set-option -g set-titles off",
    "set-option -g automatic-rename off",
    "set-option -g allow-rename off",
    "set-option -g mouse on",
    "set-option -g detach-on-destroy on",
    "set-option -g update-environment ''",
    "set-option -g status-left '#[bold] AnviLLM #[default] '",
    "set-option -g status-left-length 20",
    "set-option -g status-right ' C-b d leaves the agent running '",
    "set-option -g status-right-length 40",
)
RAW = {
    "Enter": "\r",
    "Escape": "\x1b",
    "Tab": "\t",
    "Space": " ",
    "BSpace": "\x7f",
}  # keys whose bytes no mode of the terminal changes

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Pane(NamedTuple):
    """A new window: its pane's id (``%3``), stable for its life, and the pid of the program in it."""

    id: str
    pid: int


@dataclass(frozen=True)
class PaneInfo:
    """One agent's pane. ``window`` is the name given to ``new_window``; ``status`` or ``signal`` once it is ``dead``, if tmux knows."""

    id: str
    window: str
    pid: int
    dead: bool
    status: int | None
    signal: int | None


@dataclass(frozen=True)
class Screen:
    """What a pane shows: ``lines`` without trailing blanks, and the cursor (from 0)."""

    lines: list[str]
    x: int
    y: int
    width: int
    height: int

    @property
    def line(self) -> str:
        """The line with the cursor."""
        return self.lines[self.y] if self.y < len(self.lines) else ""


def sanitize(text: str) -> str:
    """``text`` without what a terminal would act on: ESC, C0 but newline and tab, DEL and C1 go; CRLF and CR become newlines."""
    return _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


class Tmux:
    """The tmux server at ``socket`` (a path in a private directory). Nothing happens before the first call."""

    def __init__(self, socket: Path) -> None:
        self.socket = Path(socket)
        self._lock = threading.Lock()
        self._client: ControlClient | None = None
        self._on_title: OnTitle | None = None

    # -- server -------------------------------------------------------------------------------------------------

    def ensure(self) -> None:
        """The server and its session are there, with our options; starts them when they are not."""
        with self._lock:
            if self._client is not None and self._answers(self._client):
                return
            self._drop()
            self._client = self._attach_or_start(tries=3)
            self._client.call(OPTIONS, WAIT)

    @staticmethod
    def _answers(client: ControlClient) -> bool:
        try:
            client.call([f"has-session -t ={SESSION}"], WAIT)
        except Unavailable:
            return False
        return True

    def _attach_or_start(self, tries: int) -> ControlClient:
        """A server that is just ending answers one thing and then the other: hence the tries."""
        try:
            return self._attach()
        except Unavailable:
            if tries == 0 or (self._listening() and not self._sessionless()):
                raise
        try:
            self._start()
        except Unavailable:
            if tries == 1:
                raise
        return self._attach_or_start(tries - 1)

    def kill_server(self) -> None:
        """End the server with everything in it; no error when there is none."""
        with self._lock:
            self._drop()
        if self._listening():
            self._run("kill-server")
        for _ in range(100):  # it answers before it is gone
            if not self._listening():
                return
            threading.Event().wait(0.02)

    def close(self) -> None:
        """Let go of the server, which lives on."""
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _program(self) -> str:
        found = shutil.which("tmux")
        if found is None:
            raise Unavailable("tmux is not installed")
        return found

    def _attach(self) -> ControlClient:
        return ControlClient(attach_argv(self._program(), self.socket, SESSION), WAIT, self._on_title)

    def _listening(self) -> bool:
        with sockets.socket(sockets.AF_UNIX) as probe:
            probe.settimeout(1.0)
            try:
                probe.connect(os.fspath(self.socket))
            except OSError:
                return False
        return True

    def _sessionless(self) -> bool:
        """Whether the server answers, and says that our session is not there."""
        return self._run("has-session", "-t", f"={SESSION}") != 0

    def _run(self, *args: str) -> int:
        """Run a tmux command by a process of its own; its status. (No pipes: a server that hangs would keep them open.)"""
        try:
            return subprocess.run(
                [self._program(), "-N", "-S", str(self.socket), *args],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=WAIT,
            ).returncode  # fmt: skip
        except subprocess.TimeoutExpired:
            raise Unavailable("the tmux server does not answer") from None
        except OSError as error:
            raise Unavailable(f"cannot run tmux: {error.strerror}") from None

    def _start(self) -> None:
        """A new server (or session). Its environment is the least that terminals need: none of the daemon's secrets."""
        if len(os.fsencode(self.socket)) > MAX_SOCKET:
            raise Unavailable(f"tmux socket path too long: '{self.socket}'")
        import libtmux
        from libtmux.exc import LibTmuxException

        try:
            server = libtmux.Server(socket_path=str(self.socket), config_file="/dev/null", tmux_bin=self._program())
            session = server.new_session(
                SESSION, attach=False, window_name="home", start_directory="/", window_command=shlex.join(HOLDER)
            )
            for name in server.cmd("show-environment", "-g").stdout:
                variable = name.partition("=")[0].removeprefix("-")
                if not KEPT.fullmatch(variable):
                    session.cmd("set-environment", "-g", "-u", variable)
        except LibTmuxException as error:
            raise Unavailable(f"cannot start tmux: {error}") from None

    def _call(self, *commands: str, timeout: float = WAIT) -> list[list[str]]:
        return self._control().call(commands, timeout)

    def _control(self) -> ControlClient:
        with self._lock:
            if self._client is None or not self._client.alive:
                self._drop()
                self._client = self._attach()
            return self._client

    # -- windows ------------------------------------------------------------------------------------------------

    def new_window(self, name: str, argv: Sequence[str], *, cwd: str, env: Mapping[str, str]) -> Pane:
        """Start ``argv`` (no shell between) in a window of its own called ``name``. ``env`` is added to the server's."""
        window = f"new-window -d -P -F '#{{pane_id}} #{{pane_pid}}' -t ={SESSION}: -n {_format(name)} "
        [[made]] = self._call(window + _program(argv, cwd, env))
        pane, pid = made.split()
        self._call(f"set-option -p -t {pane} @session {quote(name)}")
        return Pane(pane, int(pid))

    def respawn(self, pane: str, argv: Sequence[str], *, cwd: str, env: Mapping[str, str]) -> int:
        """Start ``argv`` in an existing pane, ending what still runs there. Returns the new pid."""
        target = _target(pane)
        _, [pid] = self._call(
            f"respawn-pane -k -t {target} " + _program(argv, cwd, env),
            f"display-message -p -t {target} '#{{pane_pid}}'",
        )
        return int(pid)

    def panes(self) -> list[PaneInfo]:
        """The panes that ``new_window`` made, in the order of their making; not what people opened beside them."""
        found = self._panes()
        if any(one.dead and one.status is None and one.signal is None for one in found):
            # tmux misses a SIGCHLD now and then: the program stays a zombie, its status unknown, until the next one
            [[server]] = self._call("display-message -p '#{pid}'")
            os.kill(int(server), signal.SIGCHLD)
            found = self._panes()
        return found

    def _panes(self) -> list[PaneInfo]:
        dead = ("pane_dead", "pane_dead_status", "pane_dead_signal")
        columns = ("pane_id", "pane_pid", *dead, "window_panes", "@session", "window_name")
        row = "|".join(f"#{{{column}}}" for column in columns)
        [lines] = self._call(f"list-panes -s -t ={SESSION} -F '{row}'")
        found = []
        for line in lines:
            pane, pid, ended, status, killed, beside, session, window = line.split("|", 7)
            if not session and beside == "1" and ID.fullmatch(window):
                session = window  # a daemon died between making the window and marking it
            if session:
                found.append(PaneInfo(pane, session, int(pid or 0), ended == "1", _number(status), _number(killed)))
        return sorted(found, key=lambda one: int(one.id[1:]))

    def kill(self, pane: str) -> None:
        """End the pane and what runs in it."""
        self._call(f"kill-pane -t {_target(pane)}")

    def attach_command(self, window: str) -> str:
        """A command line for a shell that shows the agent's window; its own view, which is gone when the person detaches.

        ``window`` is the name given to ``new_window``, or the pane's id.
        """
        if window.startswith("%"):
            window = next((one.window for one in self.panes() if one.id == window), window)
        return shlex.join(
            ["env", "-u", "TMUX", "tmux", "-u", "-S", str(self.socket), "new-session", "-t", f"={SESSION}", ";",
             "set-option", "destroy-unattached", "on", ";", "select-window", "-t", f":={window}"]
        )  # fmt: skip

    # -- input --------------------------------------------------------------------------------------------------

    def paste(self, pane: str, data: bytes) -> None:
        """Paste ``data`` (already sanitised), bracketed if the program asked for that. Any size."""
        if not data:
            return
        target = _target(pane)
        fd, name = tempfile.mkstemp(dir=self.socket.parent, prefix=".paste-")
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(data)
            buffer = os.path.basename(name)
            self._call(
                f"load-buffer -b {quote(buffer)} {_format(name)}",
                f"copy-mode -q -t {target}",  # there tmux would not bracket, and every line were submitted
                f"paste-buffer -p -d -b {quote(buffer)} -t {target}",
                timeout=PASTE_WAIT,
            )
        finally:
            os.unlink(name)

    def keys(self, pane: str, *names: str) -> None:
        """Press keys, by their tmux names or as single characters. They reach the program also while a person scrolls."""
        target = _target(pane)
        raw = [_raw(name) for name in names]
        if all(raw):
            buffer = f"keys{target[1:]}"
            self._call(
                f"set-buffer -b {buffer} -- {quote(''.join(raw))}", f"paste-buffer -d -r -b {buffer} -t {target}"
            )
        else:
            self._call(f"copy-mode -q -t {target}", f"send-keys -t {target} -- {' '.join(map(quote, names))}")

    # -- output -------------------------------------------------------------------------------------------------

    def screen(self, pane: str, styled: bool = False) -> Screen:
        """What the pane shows now; with ``styled`` the colours too, as escape sequences."""
        target = _target(pane)
        [place], lines = self._call(
            f"display-message -p -t {target} '#{{cursor_x}} #{{cursor_y}} #{{pane_width}} #{{pane_height}}'",
            f"capture-pane -p {'-e ' if styled else ''}-t {target}",
        )
        return Screen(lines, *map(int, place.split()))

    def capture(self, pane: str, history: int = 0) -> str:
        """The text on the screen, and ``history`` lines above it."""
        [lines] = self._call(f"capture-pane -p -J -S {-history if history else 0} -t {_target(pane)}")
        return "\n".join(lines).rstrip("\n") + "\n"

    def cursor_line(self, pane: str) -> str:
        """The line in which the cursor stands, without trailing blanks."""
        return self.screen(pane).line

    def title(self, pane: str) -> str:
        """The title that the program has given its terminal."""
        [lines] = self._call(f"display-message -p -t {_target(pane)} '#{{pane_title}}'")
        return lines[0] if lines else ""

    def on_title(self, callback: OnTitle) -> None:
        """``callback(pane, title)`` is called with every title that there is and whenever one changes (within a second).

        It comes from any thread, must be quick, and must not call tmux. It outlives the server.
        """
        with self._lock:
            self._on_title = callback
            client = self._client
        if client is not None and client.alive:
            client.subscribe(callback)

    def watch(self, pane: str) -> Watch:
        """A context manager whose ``wait(timeout)`` returns when the pane has printed something since it was entered."""
        self._control()

        def attach(on_output: Callable[[str], None]) -> ControlClient:
            argv = attach_argv(self._program(), self.socket, SESSION, output=True)
            return ControlClient(argv, WAIT, on_output=on_output)

        return Watch(attach, _target(pane))

    def wait_output(self, pane: str, timeout: float) -> bool:
        """Wait until the pane prints something, at most ``timeout`` seconds; whether it did."""
        with self.watch(pane) as watch:
            return watch.wait(timeout)


def _format(word: str) -> str:
    """Quoted, and safe where tmux expands formats."""
    return quote(word.replace("#", "##"))


def _program(argv: Sequence[str], cwd: str, env: Mapping[str, str]) -> str:
    if not os.path.isdir(cwd):
        raise Unavailable(f"no directory '{cwd}'")
    words = [f"-e {quote(f'{name}={value}')}" for name, value in env.items()]
    given = list(argv) if len(argv) > 1 else ["env", *argv]  # a lone word would be given to a shell
    if "#" in cwd:  # a format for tmux, and "#[" cannot be quoted
        given, cwd = ["sh", "-c", 'cd "$0" && exec "$@"', cwd, *given], "/"
    return " ".join([f"-c {quote(cwd)}", *words, "--", *map(quote, given)])


def _target(pane: str) -> str:
    if not re.fullmatch(r"%\d+", pane):
        raise Unavailable(f"no pane '{pane}'")
    return pane


def _number(text: str) -> int | None:
    return int(text) if text.isdigit() else None


def _raw(name: str) -> str:
    """The bytes of a key, or nothing where they depend on the mode of the terminal."""
    if name in RAW:
        return RAW[name]
    if len(name) == 1:
        return name
    control = re.fullmatch(r"C-([a-z\[\\\]^_])", name)
    return chr(ord(control[1].upper()) & 0x1F) if control else ""
