"""What an agent's open files hold is counted as its own, and given back when they are closed."""

import pytest

from anvilsrv.allowance import BOUNDS, Allowance
from anvilsrv.errors import Conflict, Invalid
from anvilsrv.p9.tree import Handle
from anvilsrv.p9.wire import ORDWR, OREAD, OTRUNC, OWRITE
from anvilsrv.tree.access import Who
from anvilsrv.tree.table import LONGEST, Tree
from tests.tree.world import Request, World, call, open_file

ONE, CHILD = "00000001", "00000002"
LONG = b'{"body":"' + b"x" * 400


@pytest.fixture
def who(world: World, monkeypatch: pytest.MonkeyPatch) -> Who:
    """A session that may have a thousand bytes and three streams."""
    world.add(ONE)
    world.add(CHILD, parent=ONE)
    for name, most in (("open", 1000), ("streams", 3), ("drafts", 1000)):
        monkeypatch.setitem(BOUNDS, name, BOUNDS[name]._replace(most=most))
    return Who(ONE, True, True, ONE, Allowance())


@pytest.mark.parametrize("file", ["mail", "hook"])
def test_unfinished_json_of_all_files_is_bounded_together(tree: Tree, who: Who, file: str) -> None:
    files = [open_file(tree, f"{ONE}/{file}", OWRITE, who) for _ in range(3)]
    for one in files[:2]:
        call(one.write, 0, LONG)
    with pytest.raises(Conflict, match=r"^busy: open files of this session hold"):
        call(files[2].write, 0, LONG)
    files[0].hangup()
    call(files[2].write, 0, LONG)
    for one in files[1:]:
        one.hangup()
    assert who.allowance.has("open") == 0


def test_a_message_that_was_sent_is_held_no_longer(tree: Tree, who: Who) -> None:
    one = open_file(tree, f"{ONE}/mail", OWRITE, who)
    for _ in range(5):
        call(one.write, 0, LONG + b'"}')
    assert who.allowance.has("open") == 0


def test_a_report_is_held_until_it_is_answered(tree: Tree, world: World, who: Who) -> None:
    world.reports_wait = True
    one = open_file(tree, f"{ONE}/hook", ORDWR, who)
    call(one.write, 0, LONG + b'"}')
    call(one.write, 0, LONG + b'"}')
    with pytest.raises(Conflict):
        call(one.write, 0, LONG + b'"}')
    first, second = world.asking
    world.store.call(lambda tx: first.answer({}))
    call(one.write, 0, LONG + b'"}')
    world.store.call(lambda tx: second.answer({}))
    one.hangup()
    assert who.allowance.has("open") == 0


def test_what_is_being_read_counts_until_it_is_closed(tree: Tree, world: World, who: Who) -> None:
    world.blocks[ONE] = [b"x" * 300]

    def opened(path: str) -> Handle:
        return open_file(tree, path, OREAD, who)

    held = [opened("sessions"), opened(f"{ONE}/archive"), opened(f"{CHILD}/context")]
    assert who.allowance.has("open") > 0
    for one in held:
        one.hangup()
    assert who.allowance.has("open") == 0


def test_files_that_wait_are_few(tree: Tree, who: Who) -> None:
    held = [open_file(tree, path, OREAD, who) for path in ("events", "log", f"{ONE}/log")]
    for path in ("events", "log", f"{ONE}/out"):
        with pytest.raises(Conflict, match="3 open files of this session wait"):
            open_file(tree, path, OREAD, who)
    held[0].hangup()
    call(held[1].clunk)
    for one in (open_file(tree, "events", OREAD, who), open_file(tree, "log", OREAD, who), held[2]):
        one.hangup()
    assert who.allowance.has("streams") == 0


def test_texts_that_it_has_begun_are_bounded_together(tree: Tree, world: World, who: Who) -> None:
    first, second = (open_file(tree, f"{CHILD}/{name}", OWRITE, who) for name in ("in", "context"))
    call(first.write, 0, b"x" * 600)
    with pytest.raises(Conflict, match=r"^busy: texts of"):
        call(second.write, 0, b"x" * 600)
    call(first.clunk)
    assert who.allowance.has("drafts") == 0
    call(second.write, 0, b"x" * 600)
    second.hangup()
    world.store.call(lambda tx: None)
    world.store.call(lambda tx: None)
    assert who.allowance.has("drafts") == 0


def test_commands_that_are_not_whole_are_held(tree: Tree, who: Who, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BOUNDS, "open", BOUNDS["open"]._replace(most=5000))
    one, other = (open_file(tree, f"{ONE}/ctl", OWRITE, who) for _ in range(2))
    call(one.write, 0, b"x" * 4096)
    with pytest.raises(Conflict):
        call(other.write, 0, b"x" * 4096)
    one.hangup()
    call(other.write, 0, b"x" * 4096)


def test_mistakes_that_cannot_be_told_yet_are_few(tree: Tree, world: World, who: Who) -> None:
    who.allowance.take("mistakes", BOUNDS["mistakes"].most)
    one = open_file(tree, f"{ONE}/mail", OWRITE, who)
    call(one.write, 0, LONG)
    with pytest.raises(Exception, match="incomplete JSON"):
        one.clunk(Request())
    assert not world.done


def test_readers_of_activity_are_few(tree: Tree, who: Who) -> None:
    held = [open_file(tree, f"{ONE}/{path}", OREAD, who) for path in ("activity", "activity.2", "log")]
    with pytest.raises(Conflict, match="3 open files of this session wait"):
        open_file(tree, f"{ONE}/activity", OREAD, who)
    for one in held:
        one.hangup()
    assert (who.allowance.has("open"), who.allowance.has("streams")) == (0, 0)


def test_an_agent_writes_a_short_context_for_another_and_the_user_a_longer_one(tree: Tree, who: Who) -> None:
    most = BOUNDS["context"].most
    one = open_file(tree, f"{CHILD}/context", OWRITE | OTRUNC, Who(ONE, True, True, ONE, Allowance()))
    with pytest.raises(Conflict, match="16,384 bytes of context at most"):
        call(one.write, 0, b"x" * (most + 1))
    mine = open_file(tree, f"{CHILD}/context", OWRITE | OTRUNC)
    call(mine.write, 0, b"x" * (most + 1))
    with pytest.raises(Invalid, match="context: more than 1 MiB"):
        call(mine.write, 0, b"x" * LONGEST)
    for handle in (one, mine):
        handle.hangup()
