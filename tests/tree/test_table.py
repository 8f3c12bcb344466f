"""The file table: every file is a row, and a row is all that a file needs."""

import json
from typing import Any

import pytest

from anvilsrv import words
from anvilsrv.errors import Denied, NotFound
from anvilsrv.p9.tree import stable_path
from anvilsrv.tree.access import Who
from anvilsrv.tree.files import Text
from anvilsrv.tree.nodes import Directory, Folder, Members, Place, Row, Table, paths
from anvilsrv.tree.streams import Events
from anvilsrv.tree.table import BEAD, MAILBOX, ROOT, SESSION, Tree
from tests.tree.world import CREATED, USER, World, call, node, open_file

ONE, TWO, CHILD = "00000001", "00000002", "00000003"
LEAD = Who(ONE, spawn=True, control=True)

# Every file of the tree: its path, and the bits of the user, the session itself, one that controls it, any other
FILES = [
    ("ctl", 0o600, 0o000, 0o600, 0o000),
    ("list", 0o444, 0o444, 0o444, 0o444),
    ("sessions", 0o444, 0o444, 0o444, 0o444),
    ("backends", 0o444, 0o444, 0o444, 0o444),
    ("roles", 0o444, 0o444, 0o444, 0o444),
    ("tasks", 0o444, 0o444, 0o444, 0o444),
    ("events", 0o444, 0o444, 0o444, 0o444),
    ("events.<seq>", 0o444, 0o444, 0o444, 0o444),
    ("log", 0o444, 0o444, 0o444, 0o444),
    ("log.now", 0o444, 0o444, 0o444, 0o444),
    ("user", 0o500, None, None, None),
    ("user/inbox", 0o400, None, None, None),
    ("user/archive", 0o400, None, None, None),
    ("user/mail", 0o600, None, None, None),
    ("user/ctl", 0o600, None, None, None),
    ("beads", 0o555, 0o555, 0o555, 0o555),
    ("beads/ctl", 0o600, 0o600, 0o600, 0o600),
    ("beads/list", 0o444, 0o444, 0o444, 0o444),
    ("beads/ready", 0o444, 0o444, 0o444, 0o444),
    ("beads/<bead-id>", 0o555, 0o555, 0o555, 0o555),
    ("beads/<bead-id>/status", 0o444, 0o444, 0o444, 0o444),
    ("beads/<bead-id>/title", 0o444, 0o444, 0o444, 0o444),
    ("beads/<bead-id>/description", 0o444, 0o444, 0o444, 0o444),
    ("beads/<bead-id>/assignee", 0o444, 0o444, 0o444, 0o444),
    ("beads/<bead-id>/json", 0o444, 0o444, 0o444, 0o444),
    ("<id>", 0o555, 0o555, 0o555, 0o555),
    ("<id>/in", 0o600, 0o000, 0o600, 0o000),
    ("<id>/out", 0o400, 0o400, 0o400, 0o000),
    ("<id>/log", 0o400, 0o400, 0o400, 0o000),
    ("<id>/log.now", 0o400, 0o400, 0o400, 0o000),
    ("<id>/activity", 0o400, 0o400, 0o400, 0o000),
    ("<id>/activity.<seq>", 0o400, 0o400, 0o400, 0o000),
    ("<id>/ctl", 0o600, 0o600, 0o600, 0o000),
    ("<id>/state", 0o600, 0o600, 0o400, 0o400),
    ("<id>/hook", 0o000, 0o600, 0o000, 0o000),
    ("<id>/editor", 0o600, 0o600, 0o000, 0o000),
    ("<id>/turns", 0o500, 0o500, 0o500, None),
    ("<id>/turns/list", 0o400, 0o400, 0o400, None),
    ("<id>/turns/<n>", 0o500, 0o500, 0o500, None),
    ("<id>/turns/<n>/prompt", 0o600, 0o400, 0o600, None),
    ("<id>/turns/<n>/out", 0o400, 0o400, 0o400, None),
    ("<id>/turns/<n>/activity", 0o400, 0o400, 0o400, None),
    ("<id>/turns/<n>/diff", 0o400, 0o400, 0o400, None),
    ("<id>/turns/<n>/ctl", 0o600, 0o000, 0o600, None),
    ("<id>/git", 0o500, 0o500, 0o500, None),
    ("<id>/git/branch", 0o400, 0o400, 0o400, None),
    ("<id>/git/base", 0o400, 0o400, 0o400, None),
    ("<id>/git/status", 0o400, 0o400, 0o400, None),
    ("<id>/git/diff", 0o400, 0o400, 0o400, None),
    ("<id>/git/review", 0o600, 0o400, 0o600, None),
    ("<id>/git/apply", 0o200, 0o000, 0o000, None),
    ("<id>/git/ctl", 0o600, 0o000, 0o000, None),
    ("<id>/ask", 0o400, 0o400, 0o400, 0o000),
    ("<id>/answer", 0o200, 0o000, 0o000, 0o000),
    ("<id>/context", 0o600, 0o400, 0o600, 0o000),
    ("<id>/seen", 0o600, 0o400, 0o400, 0o000),
    ("<id>/alias", 0o600, 0o600, 0o400, 0o400),
    ("<id>/inbox", 0o400, 0o400, 0o000, 0o000),
    ("<id>/archive", 0o400, 0o400, 0o000, 0o000),
    ("<id>/mail", 0o200, 0o200, 0o000, 0o000),
    ("<id>/pid", 0o400, 0o400, 0o400, 0o000),
    ("<id>/cwd", 0o400, 0o400, 0o400, 0o000),
    ("<id>/backend", 0o400, 0o400, 0o400, 0o400),
    ("<id>/role", 0o400, 0o400, 0o400, 0o000),
    ("<id>/tasks", 0o400, 0o400, 0o400, 0o000),
    ("<id>/options", 0o600, 0o400, 0o600, 0o000),
    ("<id>/commands", 0o400, 0o400, 0o400, 0o000),
    ("<id>/attach", 0o700, 0o500, 0o500, None),
    ("<id>/attach/<name>", 0o600, 0o400, 0o400, None),
    ("<id>/tmux", 0o400, 0o000, 0o000, 0o000),
    ("<id>/sandbox", 0o400, 0o400, 0o400, 0o000),
    ("<id>/limits", 0o600, 0o400, 0o400, 0o000),
    ("<id>/usage", 0o400, 0o400, 0o400, 0o000),
]


@pytest.fixture
def bead(world: World) -> str:
    """Two sessions, a third that the first one spawned, and a bead."""
    world.add(ONE, alias="bob")
    world.add(TWO)
    world.add(CHILD, parent=ONE)
    made = world.beads.command(["new", "a bead"], "user", True)
    assert made is not None
    world.attachments.create(CHILD, "shot.png")
    return made


def named(path: str, bead: str) -> str:
    """Return a file of that row."""
    for many, one in (("<seq>", "7"), ("<bead-id>", bead), ("<id>", CHILD), ("<n>", "1"), ("<name>", "shot.png")):
        path = path.replace(many, one)
    return path


def test_every_file_of_the_tree_is_a_row_and_the_other_way_round() -> None:
    assert paths(ROOT) == [path for path, *_ in FILES]


@pytest.mark.parametrize(("path", "user", "own", "control", "other"), FILES, ids=[path for path, *_ in FILES])
def test_the_permission_bits_are_those_of_the_design(
    tree: Tree, world: World, bead: str, path: str, user: int, own: int | None, control: int | None, other: int | None
) -> None:
    world.prompts[1] = "echo one"
    path = named(path, bead)
    callers = (USER, user), (Who(CHILD), own), (LEAD, control), (Who(TWO), other)
    for who, bits in callers:
        if bits is None and path == "user":  # seen by all, entered by the user
            assert next(one for one in tree.children(who) if one.name == path).permissions(who) == user
        if bits is None:
            with pytest.raises(Denied, match=r"^permission denied: (user/ is the user's|'turns'|'git'|'attach')$"):
                node(tree, who, path)
        else:
            assert oct(node(tree, who, path).permissions(who)) == oct(bits), who


def names(node: Any, who: Who = USER) -> list[str]:
    return [one.name for one in node.children(who)]


def test_listings_show_the_rows_in_their_order_and_then_the_members(tree: Tree, bead: str) -> None:
    fixed = ["ctl", "list", "sessions", "backends", "roles", "tasks", "events", "log", "user", "beads"]
    assert names(tree) == [*fixed, ONE, TWO, CHILD]
    assert names(node(tree, USER, "user")) == [row.name for row in MAILBOX.rows]
    assert names(node(tree, USER, "beads")) == ["ctl", "list", "ready", bead]
    assert names(node(tree, USER, f"beads/{bead}")) == [row.name for row in BEAD.rows]
    assert names(node(tree, USER, ONE)) == [row.name for row in SESSION.rows if not row.many and row.name != "log.now"]


def test_an_alias_may_not_be_a_name_of_the_root() -> None:
    """Those to come as well."""
    assert set(ROOT.names) <= words.ROOT


def test_a_session_is_found_by_its_alias_and_its_files_are_the_same_ones(tree: Tree, bead: str) -> None:
    by_alias, by_id = node(tree, USER, "bob"), node(tree, USER, ONE)
    assert (by_alias.name, by_id.name) == ("bob", ONE)
    assert by_alias.path == by_id.path == stable_path(ONE)
    assert node(tree, USER, "bob/in").path == node(tree, USER, f"{ONE}/in").path == stable_path(ONE, "in")


@pytest.mark.parametrize("name", ["nobody", "events.", "events.x", "events.-1", f"events.{'9' * 23}"])
def test_a_name_that_is_no_file_of_the_root_is_a_session_that_does_not_exist(tree: Tree, name: str) -> None:
    with pytest.raises(NotFound, match=rf"^no such session '{name}'$"):
        tree.lookup(USER, name)


def test_in_other_directories_a_wrong_name_is_nothing(tree: Tree, bead: str) -> None:
    for directory in ("user", "beads", f"beads/{bead}", ONE):
        assert node(tree, USER, directory).lookup(USER, "nothing") is None


def test_files_of_permanent_directories_are_as_old_as_the_tree(tree: Tree, bead: str) -> None:
    for path in ("list", "events.7", "user", "user/inbox", "beads", "beads/list"):
        assert node(tree, USER, path).mtime(USER) == tree.born, path
    assert tree.mtime(USER) == CREATED + 9
    assert node(tree, USER, ONE).mtime(USER) == CREATED + 5
    assert node(tree, USER, f"{ONE}/pid").mtime(USER) == CREATED + 1


def test_lengths_are_those_of_the_contents_and_streams_have_none(tree: Tree, bead: str) -> None:
    for path, *_ in FILES:
        found = node(tree, USER, named(path, bead))
        if not isinstance(found, Directory) and found.permissions(USER) & 0o400 and found.length(USER):
            assert len(call(call(found.open, USER, 0).read, 0, 1 << 20)) == found.length(USER), path
    for path in ("events", "log", f"{ONE}/out", f"{ONE}/log"):
        assert node(tree, USER, path).length(USER) == 0


def test_the_version_of_a_bead_is_its_own_and_that_of_a_list_the_graphs(tree: Tree, world: World, bead: str) -> None:
    world.beads.command(["new", "another"], "user", True)
    assert node(tree, USER, f"beads/{bead}/title").version(USER) == world.beads.version(bead)
    assert node(tree, USER, "beads/list").version(USER) == world.beads.version() > world.beads.version(bead)


def test_sessions_shows_a_session_what_it_spawned_and_tells_nobody_but_the_user_how_to_attach(
    tree: Tree, bead: str
) -> None:
    def shown(who: Who) -> list[dict[str, str]]:
        found: list[dict[str, str]] = json.loads(call(open_file(tree, "sessions", who=who).read, 0, 1 << 20))
        return found

    assert [one["id"] for one in shown(USER)] == [ONE, TWO, CHILD]
    assert all(one["tmux"] for one in shown(USER))
    assert shown(LEAD) == [{"id": ONE, "tmux": ""}, {"id": CHILD, "tmux": ""}]


def test_writes_reach_the_domain_as_who_made_them(tree: Tree, world: World, bead: str) -> None:
    def write(path: str, data: bytes, who: Who = USER) -> None:
        handle = open_file(tree, path, 1 | 16, who)
        assert call(handle.write, 0, data) == len(data)
        call(handle.clunk)

    write("ctl", b"new shell /w", LEAD)
    write("user/ctl", b"complete x")
    write("bob/ctl", b"stop", USER)
    write("bob/in", b"hi there\n", LEAD)
    write("bob/context", b"kindly")
    write("bob/alias", b"al\n")
    write("bob/answer", b"2")
    write("bob/mail", b'{"to":"user"}', LEAD)
    write("user/mail", b'{"to":"bob"}')
    assert world.done == [
        ("root", LEAD, "new", "shell", "/w"),
        ("user", "complete", "x"),
        (ONE, USER, "stop"),
        ("accept", ONE, "hi there\n", ONE),
        ("context", ONE, "kindly"),
        ("alias", ONE, "al"),
        ("answer", ONE, "2"),
        ("send", ONE, {"to": "user"}),
        ("send", "user", {"to": "bob"}),
    ]


def test_a_collection_a_folder_and_a_stream_inside_a_session_are_rows_and_no_code(world: World, bead: str) -> None:
    turn = Table(Row("prompt", "UO", "U", Text(lambda at: f"{at.session} {at.member}".encode())))
    turns = Table(
        Row("list", "UO", "", Text(lambda at: b"1\n2\n")),
        Row(
            "<n>",
            "UO",
            "",
            Members(
                turn, ids=lambda at: ["1", "2"], find_id=lambda at, name: {"1": "1", "2": "2", "last": "2"}.get(name)
            ),
        ),
    )
    session = Table(
        Row("turns", "UO", "", Folder(turns)),
        Row("activity", "UO", "", Events()),
        Row("activity.<seq>", "UO", "", Events()),
    )
    for who, readable in ((USER, True), (Who(ONE), True), (Who(TWO), False)):
        at = Place(world, who, (ONE,), session=ONE, member=ONE)
        root = Directory(ONE, session, at)
        assert names(root, who) == ["turns", "activity"]
        stream = root.lookup(who, "activity.12")
        assert stream is not None and stream.permissions(who) == (0o400 if readable else 0)
        assert root.lookup(who, "activity.x") is None
        if not readable:
            with pytest.raises(Denied, match=r"^permission denied: 'turns'$"):
                root.lookup(who, "turns")
            continue
        found: Any = root.lookup(who, "turns")
        assert names(found, who) == ["list", "1", "2"]
        last = found.lookup(who, "last").lookup(who, "prompt")
        assert last.path == stable_path(ONE, "turns", "2", "prompt")
        assert call(call(last.open, who, 0).read, 0, 100) == f"{ONE} 2".encode()
        assert last.permissions(who) == (0o600 if who is USER else 0o400)
        assert found.lookup(who, "3") is None
