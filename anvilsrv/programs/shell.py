"""The commands of ``anvilsrv`` that use a daemon from a shell, and ``workflows``. What they do is in ``talk``."""

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from anvilsrv import paths
from anvilsrv.display import shown
from anvilsrv.errors import AnvilError

if TYPE_CHECKING:
    from anvilsrv.p9.client import Client

NOT_RUNNING = 3
INTERRUPTED = 130  # as shells say it: 128 and SIGINT


class Failure(click.ClickException):
    """An AnvilError on its way to the terminal."""

    def show(self, file: Any = None) -> None:
        click.echo(f"anvilsrv: {self.message}", err=True)


@contextmanager
def daemon() -> "Iterator[Client]":
    """Yield a connection to the daemon of this namespace; an error ends the program."""
    from anvilsrv.p9.client import Client
    from anvilsrv.programs import elsewhere
    from anvilsrv.programs.place import Place

    place = Place()
    if not place.holder():
        click.echo(f"anvilsrv: not running in namespace '{place.namespace}': start it with 'anvilsrv start'", err=True)
        for line in elsewhere.lines(place):
            click.echo(f"anvilsrv: {line}", err=True)
        sys.exit(NOT_RUNNING)
    try:
        with Client(str(place.socket), timeout=30) as client:
            yield client
    except AnvilError as error:
        raise Failure(str(error)) from None


@click.command()
@click.argument("name", required=False)
def ls(name: str | None) -> None:
    """List the sessions: name, state, notes, backend and directory.

    On a terminal with room for it, and always for the session NAME alone, what is behind the notes is shown too.
    """
    from anvilsrv.front.follow import read_json
    from anvilsrv.programs import talk

    with daemon() as client:
        rows = [talk.find(client, name)] if name else read_json(client, "sessions")
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() and not name else 0
    for line in talk.table(rows, width) if rows else ():
        click.echo(line)
    for line in talk.reasons(rows[0]) if name else ():
        click.echo(line)


@click.command()
@click.argument("name")
@click.argument("text", nargs=-1)
def ask(name: str, text: tuple[str, ...]) -> None:
    """Send a prompt to the session NAME, wait, and print the answer.

    Without TEXT the prompt is read from standard input. If the agent asks something meanwhile, the question is printed
    on standard error. If interrupted (^C), the prompt stays with the agent.
    """
    from anvilsrv.programs import talk

    words, where = _text(text), "turns/last"
    try:
        with daemon() as client:
            sent = talk.send(client, talk.live(client, name), words)
        where = f"turns/{sent.n}"
        said = talk.answer(paths.socket(), sent, _aside)
    except AnvilError as error:
        raise Failure(str(error)) from None
    except KeyboardInterrupt:
        _aside(f"not waited for; the answer will be in agent/{name}/{where}/out")
        sys.exit(INTERRUPTED)
    _print(said)


@click.command()
@click.option("-r", "--role", default="", help="The role of the session.")
@click.option("-t", "--tasks", default="", metavar="A,B", help="Its tasks.")
@click.argument("backend")
@click.argument("words", nargs=-1, metavar="[DIR] [TEXT]...")
def run(backend: str, words: tuple[str, ...], role: str, tasks: str) -> None:
    """Start a session for one prompt, print its answer, and end it.

    DIR is the directory to work in, by default this one. The first word is DIR if it names a directory and contains a slash, or is
    '.' or '..'. Without TEXT the prompt is read from standard input.
    """
    from anvilsrv.programs import talk

    given = words[:1] and (words[0] in (".", "..") or "/" in words[0]) and os.path.isdir(words[0])
    if len(words) > 1 and words[0].startswith(("/", "./", "../")) and not os.path.exists(words[0]):
        raise Failure(f"no such directory '{words[0]}' (if it belongs to the prompt, quote the whole prompt)")
    directory, text = (words[0], words[1:]) if given else (".", words)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that the session is ended too
    with daemon():
        pass
    try:
        said = talk.run(paths.socket(), backend, directory, _text(text), _aside, role=role, tasks=tasks)
    except AnvilError as error:
        raise Failure(str(error)) from None
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    _print(said)


@click.command()
@click.argument("name")
def attach(name: str) -> None:
    """Attach this terminal to the agent of the session NAME.

    If this is not a terminal, one is opened: $ANVILLM_TERMINAL, or one that is installed. Within another tmux, the
    agent's appears in the pane.
    """
    from anvilsrv.programs import talk

    here = os.isatty(0) and os.isatty(1)
    with daemon() as client:
        argv = talk.attach(client, name, here)
    if argv is not None:
        try:
            os.execvp(argv[0], argv)
        except OSError as error:
            raise Failure(f"cannot run '{argv[0]}': {error.strerror}") from None


@click.command()
def workflows() -> None:
    """List the scripts that start several agents, and what each does."""
    for path in sorted((paths.share() / "workflows").iterdir()):
        if not path.suffix:
            about = path.read_text().splitlines()[1].removeprefix("# ").partition(": ")[2]
            click.echo(f"{path}\t{about}")


def _text(words: tuple[str, ...]) -> bytes:
    if words:
        return " ".join(words).encode("utf-8", "surrogateescape")
    if os.isatty(0):
        click.echo("the prompt, then ^D:", err=True)
    return sys.stdin.buffer.read()


def _aside(line: str) -> None:
    click.echo(f"anvilsrv: {line}", err=True)


def _print(said: bytes) -> None:
    """Print the answer, byte for byte; on a terminal without control characters, and with a newline at its end."""
    if os.isatty(1):
        said = shown(said.decode("utf-8", "replace")).rstrip("\n").encode("utf-8", "replace") + b"\n"
    sys.stdout.buffer.write(said)
    sys.stdout.buffer.flush()


COMMANDS = (ls, ask, run, attach, workflows)
