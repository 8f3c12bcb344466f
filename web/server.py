"""The command ``anvilweb``: the page on loopback, for the daemon of one namespace.

It prints a link with the token of this run. Exit status 0 after SIGINT or SIGTERM, 1 when it cannot listen, 2 for wrong usage.
"""

import contextlib
import errno
import ipaddress
import os
import signal
import socket
import sys
from types import FrameType
from typing import TYPE_CHECKING

import click

from anvilsrv import __version__, paths

if TYPE_CHECKING:
    import uvicorn

DEFAULT = "127.0.0.1:8080"
CONNECTIONS = 256
PAIR = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="anvilweb", message="%(prog)s %(version)s")
@click.option("--addr", default=DEFAULT, metavar="HOST:PORT", help=f"Where to listen (default: {DEFAULT}).")
@click.option("--ns", metavar="DIR", help="The namespace (default: $NAMESPACE, else /tmp/ns.$USER.$DISPLAY).")
@click.option(
    "--name", multiple=True, metavar="NAME", help="An additional host name of the page, for a proxy in front of it."
)
@click.option("--unsafe-listen", is_flag=True, help="Allow an address that others can reach, without TLS.")
def command(addr: str, ns: str | None, name: tuple[str, ...], unsafe_listen: bool) -> None:
    """Serve the sessions of anvilsrv as a web page, on loopback."""
    if ns:
        os.environ["NAMESPACE"] = ns
    try:
        host, port = split_address(addr)
        if not loopback(host) and not unsafe_listen:
            raise click.UsageError(
                f"'{host}' can be reached by others, and this page drives agents: use ssh -L, or give --unsafe-listen"
            )
        listening = listen(host, port)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    except OSError as error:
        print(f"anvilweb: cannot listen on '{addr}': {error.strerror or error}", file=sys.stderr)
        sys.exit(1)
    with contextlib.ExitStack() as held:
        for one in listening:
            held.enter_context(one)
        serve(listening, list(name), unsafe_listen)


def main() -> None:
    """Run the program."""
    command(prog_name="anvilweb")


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of ``host:port``, ``[::1]:port``, ``:port`` (loopback) or a bare port. Raises ValueError."""
    host, _, port = address.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"bad address '{address}': host:port")
    host = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
    return (host or "127.0.0.1"), int(port)


def loopback(host: str) -> bool:
    """Return whether every address of ``host`` is this machine's alone."""
    try:
        found = {str(one[4][0]) for one in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except socket.gaierror as error:
        raise ValueError(f"bad address '{host}': {error.strerror}") from None
    return all(ipaddress.ip_address(one.partition("%")[0]).is_loopback for one in found)


def listen(host: str, port: int) -> list[socket.socket]:
    """Return listening sockets of one port. Raises OSError.

    A browser that is told ``localhost`` takes the one or the other loopback address. Both are ours, so that no one else listens on
    the one that we leave.
    """
    families = {one[0] for one in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    if host not in ("localhost", *PAIR.values()):
        return [bound(min(families, key=tuple(PAIR).index), host, port)]
    first, second = sorted(PAIR, key=lambda family: PAIR[family] != host)
    made = [bound(first, PAIR[first], port)]
    try:
        made.append(bound(second, PAIR[second], made[0].getsockname()[1]))
    except OSError as error:
        if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):  # this machine does not have it
            made[0].close()
            raise OSError(error.errno, f"{error.strerror}, at {PAIR[second]}, which 'localhost' may mean too") from None
    return made


def bound(family: int, host: str, port: int) -> socket.socket:
    """Return a socket that listens at one address. Raises OSError."""
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)[0][4])
        made.listen(128)
    except BaseException:
        made.close()
        raise
    return made


def serve(listening: list[socket.socket], names: list[str], anywhere: bool) -> None:
    """Serve until a signal ends it."""
    import uvicorn

    from web.app import build
    from web.guard import Names, Secrets

    host, port = listening[0].getsockname()[:2]
    secrets = Secrets()
    app = build(secrets, Names(names, anywhere), port)

    class Server(uvicorn.Server):
        """Streams have no end of their own: they are ended when the signal comes."""

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            app.state.hub.close_soon()
            super().handle_exit(sig, frame)

    server = Server(config(app))
    shown = f"[{host}]" if ":" in host else "127.0.0.1" if host == "0.0.0.0" else host
    print(f"anvilweb: http://{shown}:{port}/?token={secrets.token}", flush=True)
    print(f"anvilweb: sessions of '{paths.namespace()}'; anyone with this link can control them", flush=True)
    if anywhere and not loopback(host):
        print(
            f"anvilweb: WARNING: '{host}' can be reached by others, and nothing is encrypted",
            file=sys.stderr,
            flush=True,
        )
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)  # uvicorn raises them once more when it has ended
    server.run(listening)


def config(app: object) -> "uvicorn.Config":
    """Return how uvicorn serves: HTTP/1.1 alone, quietly, and with an end."""
    import uvicorn

    from web.connections import Connection

    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        http=Connection, ws="none", loop="asyncio", lifespan="on", access_log=False, log_level="warning", proxy_headers=False,
        server_header=False, date_header=False, limit_concurrency=CONNECTIONS, timeout_keep_alive=30,
        timeout_graceful_shutdown=3, h11_max_incomplete_event_size=65536,
    )  # fmt: skip


if __name__ == "__main__":
    main()
