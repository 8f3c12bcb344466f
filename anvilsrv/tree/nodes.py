"""Turn rows into files and directories. A row gives a file's name, who may read and write it, and its kind.

A name with ``<…>`` in it stands for many files: ``<id>`` for the members of a collection, ``events.<seq>`` for a stream that goes on
after a number. So a directory needs no code of its own: it finds a name among its rows, and lists what they list.

Kinds have no state: one serves every file of its rows. They get the file, or the directory in which it is (:class:`Place`).

Threads: as in ``p9/tree.py``; nodes are made for each lookup and belong to the fid that asked for them.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from anvilsrv.errors import Denied
from anvilsrv.p9.tree import Dir, File, Handle, Later, Node, Request, stable_path
from anvilsrv.sessions.state import View
from anvilsrv.tree import access
from anvilsrv.tree.access import Who
from anvilsrv.tree.domain import Domain
from anvilsrv.words import USER

DIGITS = 22  # of the number in a name

path_of = lru_cache(maxsize=1 << 14)(stable_path)  # a hash of the name; what is used again and again is looked up


class Place(NamedTuple):
    """A directory as one caller sees it: what the rows of its files work with."""

    domain: Domain
    who: Who
    names: tuple[str, ...] = ()  # from the root, each member by its id: qid paths are made of this
    session: str = ""  # to which it belongs; "": to none
    member: str = ""  # the id of the nearest member of a collection; "": none
    born: int = 0  # epoch s; its files are as old. 0: as old as their lookup

    @property
    def view(self) -> View:
        """The session. Raises NotFound."""
        return self.domain.get(self.session)

    @property
    def by(self) -> str:
        """Whose turn a job of this caller is (``Store.post``): that of a family of sessions; empty: the user's."""
        return self.who.by

    @property
    def owner(self) -> str:
        """Whose mailbox it is: the session's or the user's."""
        return self.session or USER

    @property
    def caller(self) -> str:
        """The caller's letters (``access.py``)."""
        return access.letters(self.who, self.session, self.domain.descends)

    def concerns(self, session: str) -> bool:
        """Return True if the caller may see what happens to ``session``."""
        return access.concerns(self.who, session, self.domain.descends)

    def report(self, why: str) -> None:
        """Report a failure after the write was acknowledged; as many at a time as may wait to be told."""
        allowance = self.who.allowance
        if allowance.may("mistakes"):
            self.domain.report(self.session or None, why, lambda: allowance.give("mistakes"), self.by)


class Kind:
    """What the files of a row are, and how they behave."""

    def find(self, row: "Row", at: Place, name: str) -> Node | None:
        """Return the file ``name`` in the directory ``at``, or None if this row does not have it."""
        raise NotImplementedError

    def listed(self, row: "Row", at: Place) -> Iterable[Node]:
        """Return the entries of this row in a listing of ``at``."""
        raise NotImplementedError

    def create(self, row: "Row", at: Place, name: str, mode: int, req: Request) -> tuple[File, Handle] | None:
        """Return a new file of this row and a handle for its first open; None if none can be made. The permission bits
        were checked.
        """
        return None


class Row(NamedTuple):
    """One file, or many of one form: the name, who reads and who writes (letters of ``access.py``), and the kind."""

    name: str
    read: str
    write: str
    kind: Kind

    @property
    def many(self) -> bool:
        """True if the name stands for many files."""
        return "<" in self.name


class Table:
    """The rows of one kind of directory, in the order of its listing."""

    def __init__(self, *rows: Row) -> None:
        self.rows = rows
        self.names = {row.name: row for row in rows if not row.many}
        self._many = [row for row in rows if row.many]

    def find(self, at: Place, name: str) -> Node | None:
        """Return the file called ``name``, listed or not; None if there is none. A row that knows better raises
        NotFound.
        """
        row = self.names.get(name)
        if row is not None:
            return row.kind.find(row, at, name)
        for row in self._many:
            found = row.kind.find(row, at, name)
            if found is not None:
                return found
        return None

    def create(self, at: Place, name: str, mode: int, req: Request) -> tuple[File, Handle]:
        """Return a new file and a handle for its first open. Raises Denied where there cannot be one of that name."""
        for row in self._many:
            if name not in self.names and (made := row.kind.create(row, at, name, mode, req)) is not None:
                return made
        raise Denied(f"permission denied: cannot create '{name}'")

    def listed(self, at: Place) -> Iterator[Node]:
        """Yield the entries of a listing, made as it is read."""
        return (node for row in self.rows for node in row.kind.listed(row, at))


class FileKind(Kind):
    """A plain file or a stream."""

    slow = slow_stat = False  # see p9/tree.py
    removable = False  # by who may write

    def find(self, row: Row, at: Place, name: str) -> Node | None:
        if not row.many:
            return RowFile(row, self, at, name)
        prefix = row.name.partition("<")[0]
        digits = name.removeprefix(prefix)
        if not name.startswith(prefix) or not digits.isdecimal() or len(digits) > DIGITS:
            return None
        return RowFile(row, self, at, name, int(digits))

    def listed(self, row: Row, at: Place) -> Iterable[Node]:
        return () if row.many else (RowFile(row, self, at, row.name),)

    def open(self, file: "RowFile", mode: int, req: Request) -> Handle | Later:
        """Return a handle for this open; the permission bits were checked."""
        raise NotImplementedError

    def length(self, file: "RowFile") -> int:
        """Return how many bytes a reader would get now; 0 for a stream."""
        return 0

    def version(self, file: "RowFile") -> int:
        """Return a number that changes with the content."""
        return 0

    def mtime(self, file: "RowFile") -> int:
        """Return the time of the last change, in epoch s."""
        return file.born

    def truncate(self, file: "RowFile") -> None:
        """Handle a change of its length to 0."""

    def remove(self, file: "RowFile") -> None:
        """Handle its removal."""


class RowFile(File):
    """The file of a row. ``number`` is that in its name, of a row ``NAME.<seq>``."""

    def __init__(self, row: Row, kind: FileKind, at: Place, name: str, number: int | None = None) -> None:
        super().__init__(name, path_of(*at.names, name))
        self.row = row
        self.kind = kind
        self.at = at
        self.number = number
        self.slow, self.slow_stat = kind.slow, kind.slow_stat
        self.born = at.born or self.born

    def permissions(self, who: Who) -> int:
        return access.bits(self.row.read, self.row.write, self.at.caller)

    def length(self, who: Who) -> int:
        return self.kind.length(self)

    def version(self, who: Who) -> int:
        return self.kind.version(self)

    def mtime(self, who: Who) -> int:
        return self.kind.mtime(self)

    def open(self, who: Who, mode: int, req: Request) -> Handle | Later:
        return self.kind.open(self, mode, req)

    def truncate(self, who: Who) -> None:
        self.kind.truncate(self)

    def removable(self, who: Who) -> bool:
        return self.kind.removable and bool(self.permissions(who) & 0o200)

    def remove(self, who: Who) -> None:
        self.kind.remove(self)


class Directory(Dir):
    """A directory of rows. ``changed`` tells its mtime (epoch s)."""

    def __init__(
        self, name: str, table: Table, at: Place, mode: int = 0o555, changed: Callable[[Place], float] | None = None
    ) -> None:
        super().__init__(name, path_of(*at.names) if at.names else 1, mode)
        self._table = table
        self._at = at
        self._changed = changed
        self.born = at.born or self.born

    def lookup(self, who: Who, name: str) -> Node | None:
        return self._table.find(self._seen(who), name)

    def children(self, who: Who) -> Iterable[Node]:
        return self._table.listed(self._seen(who))

    def create(self, who: Who, name: str, mode: int, req: Request) -> tuple[File, Handle]:
        return self._table.create(self._seen(who), name, mode, req)

    def mtime(self, who: Who) -> int:
        return int(self._changed(self._at)) if self._changed else self.born

    def _seen(self, who: Who) -> Place:
        """Return the place as this caller sees it: the root is made once for all, everything else for the caller that
        looked it up.
        """
        at = self._at
        return at if who is at.who else Place(at.domain, who, at.names, at.session, at.member, at.born)


def enter(row: Row, at: Place, name: str) -> None:
    """Raise Denied unless the caller may enter this directory of ``at``: who may read it may."""
    if "*" not in row.read and not access.allowed(row.read, at.caller):
        raise Denied(f"permission denied: {name}/ is the user's" if row.read == "U" else f"permission denied: '{name}'")


def searchable(row: Row) -> int:
    """Return the permission bits of a directory, which are the same for all callers."""
    return 0o555 if "*" in row.read else 0o500


@dataclass(frozen=True)
class Folder(Kind):
    """A directory with these rows; its listing and files in it are made on a worker if it is ``slow``.

    Who may write to it may make them."""

    table: Table
    slow: bool = False

    def find(self, row: Row, at: Place, name: str) -> Node:
        if not access.allowed(row.read, at.caller):
            raise Denied(
                f"permission denied: {name}/ is the user's" if row.read == "U" else f"permission denied: '{name}'"
            )
        return self._node(row, at)

    def listed(self, row: Row, at: Place) -> Iterable[Node]:
        return (self._node(row, at),)

    def _node(self, row: Row, at: Place) -> Node:
        inside = at._replace(names=(*at.names, row.name))
        writable = 0o200 if access.allowed(row.write, at.caller) else 0
        made = Directory(row.name, self.table, inside, searchable(row) | writable)
        made.slow = self.slow
        return made


@dataclass(frozen=True)
class Members(Kind):
    """The members of a collection, each a directory with these rows.

    ``ids`` are those that a listing shows, in its order. ``find_id`` gives the id of the member with that name, listed or not: an
    id, an alias; None, or NotFound, if there is none. ``changed`` tells the mtime of one (epoch s).
    """

    table: Table
    ids: Callable[[Place], Iterable[str]]
    find_id: Callable[[Place, str], str | None]
    changed: Callable[[Place], float] | None = None

    def find(self, row: Row, at: Place, name: str) -> Node | None:
        member = self.find_id(at, name)
        if member is None:
            return None
        enter(row, at, name)
        return self._node(row, at, member, name)

    def listed(self, row: Row, at: Place) -> Iterable[Node]:
        return (self._node(row, at, member, member) for member in self.ids(at))

    def _node(self, row: Row, at: Place, member: str, name: str) -> Node:
        return Directory(name, self.table, self.inside(at, member), searchable(row), self.changed)

    def inside(self, at: Place, member: str) -> Place:
        """Return the directory of one member."""
        return Place(at.domain, at.who, (*at.names, member), at.session, member)


class Sessions(Members):
    """A collection of sessions: who may do what inside is decided by the caller's relation to each."""

    def inside(self, at: Place, member: str) -> Place:
        return Place(at.domain, at.who, (*at.names, member), member, member)


def paths(table: Table, above: str = "") -> list[str]:
    """Return every file and directory of a table and of those below it, by the names of the rows: ``<id>/in``."""
    found: list[str] = []
    for row in table.rows:
        found.append(above + row.name)
        if isinstance(row.kind, Folder | Members):
            found += paths(row.kind.table, f"{above}{row.name}/")
    return found
