"""What a server serves: directories, files, and handles (one open of one file).

Subclass ``Dir`` and ``File``, or use the ready-made ones: ``StaticDir``, ``TextFile``, ``SnapshotHandle``. ``who`` is
whatever was given to ``Server.listen`` for the socket that the request came through; p9 never looks into it.

Threads: every method is called on the server's one I/O thread, so it must be quick; on a ``Node`` with ``slow = True``
``open``, ``create``, ``remove`` and the handle's ``read``, ``write``, ``clunk`` and ``hangup`` are called on a worker instead,
never two at a time for one handle, in the order the requests came; for a directory that is its listing, with ``children`` and their
``stat``. Of one with ``slow_stat = True`` a Tstat calls ``stat`` on a worker, too; its directory should be slow. Else
``lookup``, ``children``, ``stat``, ``truncate`` and ``cancel`` are called on the I/O thread.

A method that cannot answer yet keeps ``req``, returns ``LATER``, and answers once, from any thread, by
``req.done(value)`` or ``req.fail(error)``. An AnvilError that is raised becomes the Rerror of the request.
"""

import functools
import itertools
import os
import pwd
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final, Protocol

from anvilsrv.errors import AnvilError, Denied, Invalid
from anvilsrv.p9 import wire


class Later:
    """The type of ``LATER``: "I have kept the request and will answer it"."""

    def __repr__(self) -> str:
        return "LATER"


LATER: Final = Later()


class Request(Protocol):
    """One T-message that waits for its answer. All methods may be called from any thread."""

    @property
    def who(self) -> Any:
        """The identity of the socket it came through."""

    def done(self, value: Any = None) -> bool:
        """Answer with what the method would have returned. False if the request was flushed or its connection is
        gone (or was answered before): the value was then **not** delivered, and a stream must not move its cursor."""

    def fail(self, error: AnvilError | str) -> bool:
        """Answer with an Rerror; the same result as ``done``."""


@functools.cache
def owner() -> str:
    """Return the login name of this process: uid, gid and muid of every file."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


_numbers = itertools.count(1)


def stable_path(*names: str) -> int:
    """Return a 63-bit qid path for a file by its place in the tree: the same for each Node object made for that place.
    Default paths count up from 1 and do not collide with these in practice.
    """
    return int.from_bytes(blake2b("/".join(names).encode("utf-8", "replace"), digest_size=8).digest(), "little") >> 1


class Node:
    """A file or directory. ``path`` is its qid path (by default a new one); ``mode`` its permission bits."""

    mode = 0o444
    qtype = wire.QTFILE
    slow = False
    slow_stat = False

    def __init__(self, name: str, path: int | None = None, mode: int | None = None) -> None:
        self.name = name
        self.path = next(_numbers) if path is None else path
        self.born = int(time.time())
        if mode is not None:
            self.mode = mode

    def version(self, who: Any) -> int:
        """Return ``qid.vers``, which changes whenever the content does (only the low 32 bits are sent)."""
        return 0

    def length(self, who: Any) -> int:
        """Return how many bytes a reader would get now; 0 for a stream and for a directory."""
        return 0

    def mtime(self, who: Any) -> int:
        """Return the time of the last change, in seconds since the epoch."""
        return self.born

    def permissions(self, who: Any) -> int:
        """Return the permission bits for this caller, enforced at open (the owner's, 0o600, decide)."""
        return self.mode

    def qid(self, who: Any) -> wire.Qid:
        return wire.new(wire.Qid, (self.qtype, self.version(who) & 0xFFFFFFFF, self.path))

    def stat(self, who: Any) -> wire.Stat:
        mode, mtime, name = self.permissions(who) | self.qtype << 24, self.mtime(who), owner()
        return wire.Stat(0, 0, self.qid(who), mode, mtime, mtime, self.length(who), self.name, name, name, name)


class Dir(Node):
    """A directory. The server itself handles opens, reads and walks to ``..``."""

    mode = 0o555
    qtype = wire.QTDIR

    def lookup(self, who: Any, name: str) -> Node | None:
        """Return the file of that name, listed or not; None if there is none."""
        return next((node for node in self.children(who) if node.name == name), None)

    def create(self, who: Any, name: str, mode: int, req: Request) -> "tuple[File, Handle]":
        """Return a new plain file and a handle for its first open. The server has checked that the caller may write to
        this directory.
        """
        raise Denied(f"permission denied: cannot create '{name}'")

    def children(self, who: Any) -> Iterable[Node]:
        """Return what a listing shows; called once when a listing starts, and iterated as far as it is read."""
        return ()


class Handle:
    """One open of one file. A handle is let go exactly once: by ``clunk`` or by ``hangup``."""

    def read(self, offset: int, count: int, req: Request) -> bytes | Later:
        """Return at most ``count`` bytes (more are cut off); empty at the end."""
        raise Denied("not open for reading")

    def write(self, offset: int, data: bytes, req: Request) -> int | Later:
        """Write, and return how many bytes were taken: all of them, or raise."""
        raise Denied("not open for writing")

    def clunk(self, req: Request) -> Later | None:
        """Handle the client's close. An error raised here is the Rerror of the Tclunk; the fid is gone all the same."""
        return None

    def hangup(self) -> None:
        """Handle the end of the connection without a Tclunk. There is no answer."""

    def cancel(self, req: Request) -> None:
        """Forget this parked request, which is over: flushed, its fid clunked, or its connection gone."""


class File(Node):
    """A plain file. The server has checked ``mode`` against the permission bits before ``open`` is called."""

    def open(self, who: Any, mode: int, req: Request) -> Handle | Later:
        """Return a handle for this open; ``mode`` is as in open(9p), with OTRUNC if it was asked for."""
        raise Denied(f"cannot open '{self.name}'")

    def truncate(self, who: Any) -> None:
        """Handle a Twstat that sets the length to 0 (shells over FUSE do it before they open). The default does
        nothing.
        """

    def removable(self, who: Any) -> bool:
        """Return whether this caller may remove it."""
        return False

    def remove(self, who: Any) -> None:
        """Handle its removal by a client that may. Its own fid is closed by then; others may have it open."""

    def cancel(self, req: Request) -> None:
        """Forget a parked open, which is over."""


class SnapshotHandle(Handle):
    """Reads of content that is fixed at the open."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def read(self, offset: int, count: int, req: Request) -> bytes:
        return self.content[offset : offset + count]


class TextFile(File):
    """A read-only file whose content is what ``read(who)`` returns at the open; its version follows the content.

    stat calls ``read`` too. Override ``length`` and ``version`` where computing the content is expensive.
    """

    def __init__(
        self, name: str, read: Callable[[Any], bytes], path: int | None = None, mode: int | None = None
    ) -> None:
        super().__init__(name, path, mode)
        self.content = read

    def open(self, who: Any, mode: int, req: Request) -> Handle | Later:
        return SnapshotHandle(self.content(who))

    def length(self, who: Any) -> int:
        return len(self.content(who))

    def version(self, who: Any) -> int:
        return zlib.crc32(self.content(who))


class StaticDir(Dir):
    """A directory of what a mapping holds when it is asked; listings have the order of the mapping."""

    def __init__(self, name: str, nodes: Mapping[str, Node] | Sequence[Node] = (), path: int | None = None) -> None:
        super().__init__(name, path)
        self.nodes = nodes if isinstance(nodes, Mapping) else {node.name: node for node in nodes}

    def lookup(self, who: Any, name: str) -> Node | None:
        return self.nodes.get(name)

    def children(self, who: Any) -> Sequence[Node]:
        return list(self.nodes.values())


def entries(node: Dir, who: Any, pack: Callable[[wire.Stat], bytes]) -> Iterator[bytes]:
    """Return the packed directory entries of a listing."""
    return (pack(child.stat(who)) for child in node.children(who))


class DirHandle(Handle):
    """A listing: whole entries only, from 0 or from where the last read ended (read(9p)); a read at 0 lists again."""

    def __init__(self, node: Dir, who: Any, pack: Callable[[wire.Stat], bytes]) -> None:
        self.node = node
        self.who = who
        self.pack = pack  # of an entry
        self.entries: Iterator[bytes] = iter(())
        self.next = b""  # the entry that did not fit into the last read
        self.offset = 0

    def read(self, offset: int, count: int, req: Request) -> bytes:
        if offset == 0:
            self.entries, self.offset, self.next = entries(self.node, self.who, self.pack), 0, b""
        elif offset != self.offset:
            raise Invalid(f"invalid offset in a listing: {offset}, not 0 or {self.offset}")
        found, size = list[bytes](), 0
        while one := self.next or next(self.entries, b""):
            self.next = one
            if size + len(one) > count:
                break
            found.append(one)
            size += len(one)
            self.next = b""
        if self.next and not size:
            raise Invalid(f"count too small for a stat: {count}")
        self.offset += size
        return b"".join(found)
