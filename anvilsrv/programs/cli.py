"""The command ``anvilsrv``: start, stop, restart and query the daemon of the current namespace, and use it from a shell.

Exit status: 0 done; 1 it failed, another daemon holds the namespace, or ``doctor`` found that something needed is missing;
2 wrong usage; 3 no daemon runs; 130 interrupted while an answer was waited for.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from anvilsrv import __version__
from anvilsrv.errors import AnvilError
from anvilsrv.programs import shell
from anvilsrv.programs.shell import NOT_RUNNING, Failure

if TYPE_CHECKING:
    from anvilsrv.programs.place import Place


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="anvilsrv", message="%(prog)s %(version)s")
def main() -> None:
    """AnviLLM's daemon: runs coding agents in tmux, sandboxed, and serves them as files at $NAMESPACE/agent (9P)."""


def _place() -> "Place":
    from anvilsrv.programs.place import Place

    return Place()


@main.command()
def start() -> None:
    """Start the daemon in the background and wait until it serves."""
    from anvilsrv.programs import control

    place = _place()
    try:
        pid = control.start(place)
    except AnvilError as error:
        raise Failure(str(error)) from None
    click.echo(f"anvilsrv {pid} serves {place.socket}")


@main.command()
@click.option("-D", "trace", is_flag=True, help="Print each 9P message to standard error.")
def fgstart(trace: bool) -> None:
    """Run the daemon in the foreground, logging to standard error."""
    _serve(trace, foreground=True)


@main.command(hidden=True)
def serve() -> None:
    """What `start` runs in the background."""
    _serve(False, foreground=False)


def _serve(trace: bool, foreground: bool) -> None:
    from anvilsrv.programs import daemon

    try:
        status = daemon.serve(_place(), trace, foreground)
    except AnvilError as error:
        daemon.tell_starter(str(error))
        raise Failure(str(error)) from None
    except Exception as error:
        daemon.tell_starter(f"anvilsrv did not start: {error} (see the log)")
        raise
    sys.exit(status)


@main.command()
def stop() -> None:
    """Stop the daemon and its agents; sessions are kept."""
    from anvilsrv.programs import control

    place = _place()
    if not place.holder():
        place.pid_file.unlink(missing_ok=True)
        click.echo(f"anvilsrv: not running in namespace '{place.namespace}'", err=True)
        sys.exit(NOT_RUNNING)
    try:
        control.stop(place)
    except AnvilError as error:
        raise Failure(str(error)) from None
    click.echo("anvilsrv stopped")


@main.command()
def restart() -> None:
    """Restart the daemon as this program; agents keep running.

    It takes over those variables of this shell that agents may get (PATH, API keys).
    """
    from anvilsrv.programs import control

    place = _place()
    try:
        pid = control.restart(place)
    except AnvilError as error:
        raise Failure(str(error)) from None
    click.echo(f"anvilsrv {pid} serves {place.socket}")


@main.command()
@click.option("--short", "brief", is_flag=True, help="Print one line for a status bar: what needs you, and what runs.")
def status(brief: bool) -> None:
    """Say whether the daemon runs, and which sessions it has."""
    from anvilsrv.p9.client import Client
    from anvilsrv.programs import elsewhere

    place = _place()
    pid = place.holder()
    if brief:
        _short(pid)
        return
    if not pid:
        click.echo("\n".join([f"anvilsrv is not running in namespace '{place.namespace}'", *elsewhere.lines(place)]))
        sys.exit(NOT_RUNNING)
    try:
        with Client(str(place.socket), timeout=5) as client:
            listing = client.read("list").decode()
    except AnvilError as error:
        why = "its socket was deleted: 'anvilsrv restart' makes it again" if place.deleted else error
        raise Failure(f"anvilsrv {pid} runs but does not answer: {why}") from None
    click.echo(f"anvilsrv {pid} serves {place.socket}")
    click.echo(f"log {place.log}")
    click.echo(f"tmux -S {place.tmux} attach")
    click.echo(f"{len(listing.splitlines())} session(s)")
    click.echo(listing, nl=False)
    for line in elsewhere.lines(place):
        click.echo(line)


def _short(pid: int | None) -> None:
    from anvilsrv.front.follow import read_json
    from anvilsrv.programs import talk

    if not pid:
        click.echo("off")
        sys.exit(NOT_RUNNING)
    with shell.daemon() as client:
        click.echo(talk.short(read_json(client, "sessions")))


@main.command()
def doctor() -> None:
    """Check this machine: what is missing, and what to do about it.

    Each line is ok, a note (optional), or do (required), and says what was found or what to do.
    """
    from anvilsrv.programs.doctor import examine

    sys.exit(examine(click.echo))


@main.command()
def export() -> None:
    """Serve 9P on standard input and output.

    For ssh, or for plan9port's 9pserve.
    """
    from anvilsrv.programs.export import export as bridge

    try:
        bridge()
    except AnvilError as error:
        raise Failure(str(error)) from None


@main.command(context_settings={"ignore_unknown_options": True})
@click.option("--from", "source", type=click.Path(path_type=Path), help="Copy this login file instead.")
@click.argument("backend")
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def login(backend: str, words: tuple[str, ...], source: Path | None) -> None:
    """Log in to BACKEND once for all its sessions.

    WORDS are passed to the backend's own login command.
    """
    from anvilsrv.programs.login import login as run

    try:
        click.echo(run(backend, list(words), source))
    except AnvilError as error:
        raise Failure(str(error)) from None


for command in shell.COMMANDS:
    main.add_command(command)


if __name__ == "__main__":
    main(prog_name="anvilsrv")
