"""The commands of plan9port's ``9p``, for machines that have none: the same arguments, output and exit statuses.

See 9p(1). Where this differs: a read ends as by SIGPIPE when its output is closed, also while it waits for
the server; a server that takes no byte of a write is an error instead of a loop for ever; an error at the final clunk
is printed (and still does not count); ``ls`` lists all of its arguments; and on a terminal control characters are made visible.
"""

import codecs
import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache
from stat import S_ISFIFO, S_ISSOCK
from typing import Any

from anvilsrv import __version__, paths
from anvilsrv.errors import AnvilError
from anvilsrv.p9 import wire
from anvilsrv.p9.client import Client, File

BUFFER = 4096  # bytes a read or write moves at a time, as in 9p
HALF_YEAR = 6 * 30 * 86400

USAGE = """\
usage: {0} [-D] [-n] [-a address] [-A aname] cmd args...
possible cmds:
	read name
	readfd name
	write [-l] name
	writefd name
	stat name
	rdwr name
	ls [-dlnt] name
	rm name...
	create name...
	con [-r] name
without -a, name elem/path means /path on server unix!$ns/elem
"""


def name() -> str:
    """Return what we were called by."""
    return os.path.basename(sys.argv[0]).removesuffix(".py") or "anvil9p"


class Usage(Exception):
    """The arguments are wrong."""


class Fatal(Exception):
    """The command ends here; the text is for standard error."""


class Mount:
    """Where names are: on the server of ``-a``, or each on the service that its first element names."""

    def __init__(self, address: str | None, aname: str, trace: Callable[[str], None] | None) -> None:
        self.address = address
        self.aname = aname
        self.trace = trace
        self._clients: dict[str, Client] = {}

    def find(self, path: str) -> tuple[Client, str]:
        """Return the server and the path on it. Raises Fatal if it does not answer."""
        if self.address is not None:
            service, rest = address(self.address), path
        else:
            service, _, rest = path.partition("/")
            service = f"unix!{paths.namespace()}/{service}"
        if service not in self._clients:
            self._clients[service] = self._dial(service)
        return self._clients[service], rest

    def _dial(self, service: str) -> Client:
        network, _, where = service.partition("!")
        if network == "unix":
            return Client(where, aname=self.aname, timeout=None, trace=self.trace)
        if network not in ("tcp", "net") or where.count("!") != 1:
            raise Fatal(f"dial: bad address '{service}'")
        return Client(tcp(*where.split("!")), aname=self.aname, timeout=None, trace=self.trace)

    def open(self, path: str, mode: int) -> File:
        client, rest = self.mount(path)
        try:
            return client.open(rest, mode)
        except AnvilError as error:
            raise Fatal(f"fsopen {rest}: {error}") from None

    def mount(self, path: str) -> tuple[Client, str]:
        try:
            return self.find(path)
        except AnvilError as error:
            raise Fatal(f"mount: {error}") from None

    def close(self) -> None:
        for client in self._clients.values():
            client.close()


def address(text: str) -> str:
    """Return a dial string for what may be short for one (dial(3)): a path, host:port, a host."""
    if "!" not in text:
        if os.path.exists(text):
            return f"unix!{text}"
        host, _, port = text.partition(":")
        return f"tcp!{host}!{port or '9fs'}"
    if text.count("!") == 1 and not text.startswith("unix!"):
        return f"{text}!9fs"
    return text


def tcp(host: str, port: str) -> socket.socket:
    """Return a connection; ``port`` may be a service's name, 9fs too, which few systems know."""
    try:
        number = int(port) if port.isdigit() else 564 if port == "9fs" else socket.getservbyname(port, "tcp")
        return socket.create_connection((host, number))
    except OSError as error:
        raise Fatal(f"dial: tcp!{host}!{port}: {error.strerror or error}") from None


def flags(args: list[str], known: str, others: bool = False) -> Iterator[tuple[str, str]]:
    """Take the flags off the front of ``args``, as ARGBEGIN does: letters of ``known``, with ``:`` after those that
    have a value. Usage for any other letter unless ``others``."""
    while args and args[0].startswith("-") and args[0] != "-":
        word = args.pop(0)[1:]
        if word == "-":
            return
        while word:
            letter, word = word[0], word[1:]
            if letter + ":" in known:
                if not word and not args:
                    raise Usage
                yield letter, word or args.pop(0)
                word = ""
            elif letter in known or others:
                yield letter, ""
            else:
                raise Usage


def only(args: list[str], known: str = "") -> tuple[str, set[str]]:
    """Return the one name that a command wants, and the flags before it."""
    given = {letter for letter, _value in flags(args, known)}
    if len(args) != 1:
        raise Usage
    return args[0], given


@cache
def terminal() -> codecs.IncrementalDecoder | None:
    """Return what decodes for the terminal that standard output is; None: it is not one, and gets every byte."""
    return codecs.getincrementaldecoder("utf-8")("replace") if os.isatty(1) else None


def put(data: bytes) -> None:
    """Write to standard output, at once. A terminal gets no control characters: agents say what is read here."""
    if (decoder := terminal()) is not None:
        from anvilsrv.display import printable

        data = printable(decoder.decode(data)).encode("utf-8", "replace")
    while data:
        data = data[os.write(1, data) :]


def piped() -> bool:
    """Return whether standard output has a reader that may go away."""
    mode = os.fstat(1).st_mode
    return S_ISFIFO(mode) or S_ISSOCK(mode)


def complain(text: str) -> None:
    os.write(2, f"{text}\n".encode("utf-8", "surrogateescape"))


def finish(file: File) -> None:
    try:
        file.close()
    except AnvilError as error:
        complain(f"close: {error}")


# --- the commands -----------------------------------------------------------------------------------------------------


def read(mount: Mount, args: list[str]) -> int:
    path, _ = only(args)
    file = mount.open(path, wire.OREAD)
    with file.client.channel.minding(1) if piped() else contextlib.nullcontext():
        while data := attempt("read", lambda: file.read(BUFFER)):
            put(data)
    finish(file)
    return 0


def write(mount: Mount, args: list[str]) -> int:
    path, given = only(args, "l")
    file = mount.open(path, wire.OWRITE | wire.OTRUNC)
    empty = True
    for data in stdin_lines() if "l" in given else iter(lambda: os.read(0, BUFFER), b""):
        empty = False
        try:
            file.write(data)
        except AnvilError as error:
            if "l" not in given:
                raise Fatal(f"write error: {error}") from None
            complain(f"write: {error}")
    if empty:
        attempt("write", lambda: file.write(b""))
    finish(file)
    return 0


def attempt(what: str, do: Callable[[], Any]) -> Any:
    try:
        return do()
    except AnvilError as error:
        raise Fatal(f"{what} error: {error}") from None


def stdin_lines() -> Iterator[bytes]:
    """Yield the lines of standard input with their newlines, each as soon as it is there."""
    rest = b""
    while data := os.read(0, BUFFER):
        *lines, rest = (rest + data).split(b"\n")
        yield from (line + b"\n" for line in lines)
    if rest:
        yield rest


def rdwr(mount: Mount, args: list[str]) -> int:
    path, _ = only(args)
    file = mount.open(path, wire.ORDWR)
    lines = stdin_lines()
    while True:
        file.offset = 0
        try:
            put(file.read(BUFFER) + b"\n")
        except AnvilError as error:
            complain(f"read: {error}")
        line = next(lines, None)
        if line is None:
            break
        try:
            file.write(line.removesuffix(b"\n"))
        except AnvilError as error:
            complain(f"write: {error}")
    finish(file)
    return 0


def con(mount: Mount, args: list[str]) -> int:
    """Copy standard input to the file and the file to standard output; ^R at the start of a line ends."""
    path, given = only(args, "r")
    file = mount.open(path, wire.ORDWR)

    def send() -> None:
        while (data := os.read(0, BUFFER)) and not data.startswith(b"\x12"):
            try:
                file.write(data, offset=0)
            except AnvilError as error:
                complain(f"write: {error}")
        file.cancel()

    threading.Thread(target=send, name="input", daemon=True).start()
    try:
        while data := file.read(BUFFER):
            put(data if "r" in given else data.replace(b"\r", b""))
    except AnvilError:
        pass
    return 0


def stat(mount: Mount, args: list[str]) -> int:
    path, _ = only(args)
    client, rest = mount.mount(path)
    try:
        found = client.stat(rest)
    except AnvilError as error:
        raise Fatal(f"dirstat: {error}") from None
    put(f"{dirfmt(found)}\n".encode())
    return 0


def dirfmt(found: wire.Stat) -> str:
    """Return a stat in one line, as print(3)'s %D shows it."""
    qid = found.qid
    bits = ((wire.QTDIR, "d"), (wire.QTAPPEND, "a"), (wire.QTEXCL, "l"), (wire.QTAUTH, "A"))
    letters = "".join(letter for bit, letter in bits if qid.type & bit)
    mode = f"0{found.mode:o}" if found.mode else "0"
    return (
        f"'{found.name}' '{found.uid}' '{found.gid}' '{found.muid}' q ({qid.path:016x} {qid.vers} {letters}) "
        f"m {mode} at {found.atime} mt {found.mtime} l {found.length} t {found.type} d {found.dev}"
    )


def ls(mount: Mount, args: list[str]) -> int:
    given = {letter for letter, _value in flags(args, "dlnt", others=True)}
    failed = False
    for path in args or ["."]:
        client, rest = mount.mount(path)
        try:
            stats = [client.stat(rest)]
            if stats[0].mode & wire.DMDIR and "d" not in given:
                stats = client.ls(rest)
        except AnvilError as error:
            complain(f"dirstat {path}: {error}")
            failed = True
            continue
        if "n" not in given:
            stats.sort(key=(lambda s: s.mtime) if "t" in given else (lambda s: s.name.encode()))
        put(listing(stats, long="l" in given).encode())
    return int(failed)


def listing(stats: list[wire.Stat], long: bool) -> str:
    if not long:
        return "".join(f"{quoted(found.name)}\n" for found in stats)
    uid = max((len(found.uid) for found in stats), default=0)
    gid = max((len(found.gid) for found in stats), default=0)
    size = max((len(str(found.length)) for found in stats), default=0)
    now = time.time()
    return "".join(
        f"{modefmt(found.mode)} M 0 {found.uid:{uid}} {found.gid:{gid}} {found.length:{size}} "
        f"{timefmt(found.mtime, now)} {quoted(found.name)}\n"
        for found in stats
    )


def modefmt(mode: int) -> str:
    """Return eleven characters, as print(3)'s %M."""
    kind = "d" if mode & wire.DMDIR else "a" if mode & wire.DMAPPEND else "A" if mode & wire.DMAUTH else "-"
    bits = "".join("rwx"[i % 3] if mode >> (8 - i) & 1 else "-" for i in range(9))
    return kind + ("l" if mode & wire.DMEXCL else "-") + bits


def timefmt(when: int, now: float) -> str:
    """Return the hour for the last half year, the year for what is older."""
    at = time.localtime(when)
    month = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"][at.tm_mon - 1]
    if now - when < HALF_YEAR:
        return f"{month} {at.tm_mday:2} {at.tm_hour:02}:{at.tm_min:02}"
    return f"{month} {at.tm_mday:2} {at.tm_year:5}"


def quoted(text: str) -> str:
    """Return it as rc wants it, quoted only where it must be (print(3)'s %q)."""
    if text and all(c > " " and c != "'" for c in text):
        return text
    return "'" + text.replace("'", "''") + "'"


def rm(mount: Mount, args: list[str]) -> int:
    return each(mount, args, "remove", lambda client, rest: client.remove(rest))


def create(mount: Mount, args: list[str]) -> int:
    return each(mount, args, "create", lambda client, rest: client.create(rest, wire.OREAD).close())


def each(mount: Mount, args: list[str], verb: str, do: Callable[[Client, str], None]) -> int:
    """Do it for each; errors are printed and do not count."""
    for _ in flags(args, ""):
        pass
    if not args:
        raise Usage
    for path in args:
        client, rest = mount.mount(path)
        try:
            do(client, rest)
        except AnvilError as error:
            complain(f"{verb} {path}: {error}")
    return 0


COMMANDS: dict[str, Callable[[Mount, list[str]], int]] = {
    "read": read,
    "readfd": read,
    "write": write,
    "writefd": write,
    "stat": stat,
    "rdwr": rdwr,
    "ls": ls,
    "rm": rm,
    "create": create,
    "con": con,
}


def run(args: list[str]) -> int:
    given = dict(flags(args, "Dna:A:"))
    if not args or args[0] not in COMMANDS:
        raise Usage
    mount = Mount(given.get("a"), given.get("A", ""), complain if "D" in given else None)
    try:
        return COMMANDS[args[0]](mount, args[1:])
    finally:
        mount.close()


def main() -> int:
    """Run the program. Returns the exit status: 0, or 1 for any error. An interrupt or a closed output ends it as any
    program.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        if sys.argv[1:] in (["--help"], ["-h"], ["--version"]):
            put((f"{name()} {__version__}\n" if sys.argv[1] == "--version" else USAGE.format(name())).encode())
            return 0
        return run(sys.argv[1:])
    except Usage:
        os.write(2, USAGE.format(name()).encode())
        return 1
    except (Fatal, AnvilError) as error:
        complain(f"{name()}: {error}")
        return 1
    except BrokenPipeError:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGPIPE)
        return 1
    except OSError as error:
        complain(f"{name()}: write error: {error.strerror or error}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
