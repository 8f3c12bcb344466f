"""Opening a terminal on an agent: ``$ANVILLM_TERMINAL``, else foot, else whatever is there, else, within acme, its own win.

win is not a terminal that tmux could use (it cannot clear), so what runs in it is a conversation line by line.

Threads: ``open_terminal`` starts one that tries; a terminal that lives on has one that waits for its end.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping

from anvilsrv.errors import Unavailable
from sandbox import outside

_WAYLAND: dict[str, list[str]] = {"foot": [], "footclient": []}
_BOTH = {"kitty": [], "alacritty": ["-e"], "wezterm": ["start", "--"], "ghostty": ["-e"]}
_X = {"urxvt": ["-e"], "st": ["-e"], "xterm": ["-e"], "rxvt": ["-e"]}
_DESKTOP = {"gnome-terminal": ["--"], "konsole": ["-e"], "xfce4-terminal": ["-x"], "x-terminal-emulator": ["-e"]}
_FLAGS = {**_WAYLAND, **_BOTH, **_X, **_DESKTOP}  # what stands before the command, by program
_PLAIN = {"win": 0, "9term": 2}  # not for tmux; how many words of `plain` (a name for win) they do not take
_SOON = 2.0  # s: a terminal that fails within them never opened


def candidates(command: str, plain: list[str], environ: Mapping[str, str]) -> Iterator[list[str]]:
    """Yield the command lines to try, best first; `command` is one line for sh(1), `plain` what win is given instead,
    if anything.
    """
    wanted = environ.get("ANVILLM_TERMINAL", "").strip()
    if wanted:
        words = shlex.split(wanted)
        name = os.path.basename(words[0])
        yield [*words, *plain[_PLAIN[name] :]] if plain and name in _PLAIN else _line(words, command)
    if environ.get("WAYLAND_DISPLAY"):
        yield from (_line([name], command) for name in _WAYLAND)
    if environ.get("WAYLAND_DISPLAY") or environ.get("DISPLAY"):
        yield from (_line([name], command) for name in (*_BOTH, *_X, *_DESKTOP))
    if plain:
        yield ["win", *plain]


def _line(terminal: list[str], command: str) -> list[str]:
    """Return a command line; `terminal` may bring its own flags, and the one that precedes a command is added if it is
    missing.
    """
    flags = _FLAGS.get(os.path.basename(terminal[0]), ["-e"])
    if terminal[-len(flags) :] == flags and flags:
        flags = []
    return [*terminal, *flags, "sh", "-c", command]


def open_terminal(
    command: str,
    plain: list[str],
    directory: str,
    failed: Callable[[str], None],
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Run `command` in the first terminal that opens, or win with `plain`; in `directory`, after which win is named.

    Raises Unavailable at once when no program is there to try; what fails after its start is reported by `failed`, on a
    thread of its own.
    """
    found = _found(command, plain, environ)

    def run() -> None:
        if why := _try(found, directory, command):
            failed(why)

    threading.Thread(target=run, name="terminal", daemon=True).start()


def show(command: str, environ: Mapping[str, str] = os.environ) -> None:
    """Run `command` in the first terminal that opens, and return when it has. Raises Unavailable with what went wrong."""
    if why := _try(_found(command, [], environ), "/", command):
        raise Unavailable(why)


def _found(command: str, plain: list[str], environ: Mapping[str, str]) -> list[list[str]]:
    """Return the candidates that are installed. Raises Unavailable."""
    found = [
        line
        for line in candidates(command, plain, environ)
        if shutil.which(line[0], path=environ.get("PATH", os.defpath))
    ]
    wanted = environ.get("ANVILLM_TERMINAL", "").strip()
    if wanted and not (found and found[0][: len(shlex.split(wanted))] == shlex.split(wanted)):
        raise Unavailable(f"no terminal '{shlex.split(wanted)[0]}': see $ANVILLM_TERMINAL")
    if not found:
        raise Unavailable(f"no terminal to open: set $ANVILLM_TERMINAL, or run: {command}")
    return found


def _try(lines: list[list[str]], directory: str, command: str) -> str:
    """Open the first that opens; else why none did."""
    troubles = []
    for line in lines:
        trouble = _run(line, directory)
        if trouble is None:
            return ""
        name = os.path.basename(line[0])
        troubles.append(f"{name}: {trouble.removeprefix(f'{name}: ')}")
    return f"no terminal opened: {'; '.join(troubles)}; run it yourself: {command}"


def _run(line: list[str], directory: str) -> str | None:
    """Return why the terminal did not open; None if it did, which is when it lives on or ends well."""
    try:
        process = subprocess.Popen(
            line,
            env=outside.environment(),
            cwd=directory if os.path.isdir(directory) else None,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        return error.strerror or str(error)
    try:
        _, said = process.communicate(timeout=_SOON)
    except subprocess.TimeoutExpired:
        threading.Thread(target=process.communicate, name="terminal", daemon=True).start()
        return None
    if process.returncode == 0:
        return None
    return (said.decode("utf-8", "replace").strip().splitlines() or [f"exit {process.returncode}"])[-1]
