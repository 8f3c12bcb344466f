"""What is tried on a full disk: a program, run by test_full_disk.py where ``$1`` is a small file system of its own."""

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from anvilsrv.errors import AnvilError, Unavailable
from anvilsrv.inside import hook
from anvilsrv.p9 import wire
from anvilsrv.store.store import Full, Need, Store, Tx
from tests.chaos.disk import Small
from tests.conftest import Daemon, temporary_home, wait_until
from tests.desk.parts import Asker, Parts
from tests.session import Session

BIG = 1 << 20


def fill(top: Path) -> None:
    """Leave not a byte."""
    with open(top / "filler", "ab", buffering=0) as file:
        for size in (1 << 20, 4096):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                pass


def soon(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not true():
        assert time.monotonic() < until
        time.sleep(0.02)


def add(tx: Tx, name: str, size: int = 0) -> None:
    tx.run("INSERT INTO chunks VALUES((SELECT count(*) FROM chunks), ?, ?)", name, bytes(size))


def names(store: Store) -> list[str]:
    return store.call(lambda tx: [str(row["offset"]) for row in tx.all("SELECT offset FROM chunks ORDER BY draft")])


def refused(store: Store, name: str, need: Need, size: int = 0, key: str = "") -> type[AnvilError]:
    try:
        store.call(lambda tx: add(tx, name, size), need=need, key=key)
    except AnvilError as error:
        return type(error)
    raise AssertionError("it was saved")


def store(top: Path) -> None:
    """What clients ask for is refused, what has happened is kept, and is on disk in its order once there is space."""
    made = Store(top / "store.db", lambda tx, touched, effects: None, lambda error: None)
    made.start()
    assert (top / "reserve").stat().st_blocks
    fill(top)
    assert refused(made, "8", Need.ASKED, BIG) is Full and (top / "reserve").exists()
    made.call(lambda tx: add(tx, "1", BIG), need=Need.HAPPENED)
    assert not (top / "reserve").exists()
    fill(top)
    assert refused(made, "2", Need.HAPPENED, 4 * BIG) is Full
    assert refused(made, "3", Need.HAPPENED) is Full
    assert refused(made, "9", Need.OWN, 4 * BIG) is Full
    assert refused(made, "8", Need.ASKED) is Full
    assert names(made) == ["1"]
    (top / "filler").unlink()
    soon(lambda: names(made) == ["1", "2", "3"])
    soon(lambda: (top / "reserve").exists())
    made.call(lambda tx: add(tx, "4"))
    made.stop()


def again(top: Path) -> None:
    """Who tries again what is kept already is told the same, and it is done once."""
    made = Store(top / "store.db", lambda tx, touched, effects: None, lambda error: None)
    made.start()
    fill(top)
    made.call(lambda tx: add(tx, "1", BIG), need=Need.HAPPENED)
    fill(top)
    for _ in range(3):
        assert refused(made, "2", Need.HAPPENED, 4 * BIG, key="two") is Full
        assert refused(made, "3", Need.HAPPENED) is Full
    (top / "filler").unlink()
    soon(lambda: names(made) == ["1", "2", "3", "3", "3"])
    made.stop()


def small(top: Path) -> None:
    """A reader, and a small write of a client, do not use up what is kept for what has happened."""
    made = Store(top / "store.db", lambda tx, touched, effects: None, lambda error: None)
    made.start()
    fill(top)
    made.call(lambda tx: add(tx, "1", BIG), need=Need.HAPPENED)
    assert refused(made, "8", Need.ASKED) is Full
    made.call(lambda tx: add(tx, "2"), need=Need.OWN)
    assert names(made) == ["1", "2"]
    made.stop()


def begin(top: Path) -> None:
    """A daemon that starts on a full disk uses the room to open its store."""
    for _ in range(2):
        made = Store(top / "store.db", lambda tx, touched, effects: None, lambda error: None)
        made.start()
        made.stop()
        fill(top)


def turn(top: Path) -> None:
    """The end of a turn, whose answer has no room: the hook is refused and cannot spool; the answer comes when there is space."""
    parts = Parts(top).start()
    agent = parts.idle()
    prompt = parts.taken(agent)
    fill(top)
    parts.store.call(lambda tx: add(tx, "1", BIG), need=Need.HAPPENED)
    fill(top)
    ns = top / "state" / "sessions" / agent / "ns"
    try:
        parts.report(agent, "Stop", "r-stop", response="y" * 4 * BIG)
        raise AssertionError("it was saved")
    except Unavailable:
        pass
    try:
        hook.spool(str(ns), "r-stop", b"{}" * BIG)
        raise AssertionError("it was spooled")
    except OSError:
        assert not ns.exists() or not [one for one in (ns / "spool").iterdir() if one.name.endswith(".tmp")]
    assert parts.row(agent).state == "running"
    (top / "filler").unlink()
    parts.clock.now += 1
    soon(lambda: parts.row(agent).state == "idle")
    assert parts.get(prompt).response == b"y" * 4 * BIG
    assert parts.report(agent, "Stop", "r-stop", response="other") and parts.get(prompt).response == b"y" * 4 * BIG
    parts.close()


def handover(top: Path) -> None:
    """Mail that waits is not handed over to a hook that was refused: it is delivered as if there had been none."""
    parts = Parts(top).start()
    agent = parts.idle()
    prompt = parts.taken(agent)
    parts.mail(agent)
    fill(top)
    parts.store.call(lambda tx: add(tx, "1", BIG), need=Need.HAPPENED)
    fill(top)
    asker = Asker()
    try:
        parts.reports.take(agent, parts.found("Stop", response="y" * 4 * BIG), asker)
        raise AssertionError("it was saved")
    except Unavailable:
        pass
    (top / "filler").unlink()
    parts.clock.now += 1
    soon(lambda: parts.get(prompt).response is not None)
    assert asker.replies == [] and parts.open_turns(agent) == 0 and len(parts.queue(agent)) == 1
    parts.close()


def start(top: Path) -> None:
    """An agent that cannot be started for want of space is started when there is some, and its queue goes on."""
    with temporary_home() as home:
        disk, daemon = Small(home.home), Daemon(home)
        try:
            agent = Session.new(daemon.start())
            disk.fill()
            os.kill(agent.pid, signal.SIGKILL)
            soon(lambda: disk.fill() or "cannot prepare" in daemon.words())  # the room that was kept is filled, too
            disk.free()
            soon(lambda: "tried again" in daemon.words())
            assert agent.wait("idle") and agent.ask("echo on") == "on\n"
            assert daemon.words().count("tried again") == 1
        finally:
            daemon.close()
            disk.close()


def started(top: Path, reserve: bool = True) -> None:
    """A daemon that is started on a full disk serves; what was written to the one before it takes effect, when there is space."""
    with temporary_home() as home:
        disk, daemon = Small(home.home), Daemon(home)
        try:
            agent = Session.new(daemon.start())
            agent.client.open(f"{agent.id}/in", wire.OWRITE).write(b"echo kept | tee -a ran")
            daemon.kill()
            if not reserve:
                next(home.home.glob(".local/state/anvillm/*/reserve")).unlink()
            disk.fill()
            agent = Session(daemon.start(), agent.id)
            disk.free()
            wait_until(lambda: "done" in agent.read("turns/list"), "what was written is lost")
            assert agent.out() == "kept\n" and (home.work / "ran").read_text() == "kept\n"
        finally:
            daemon.close()
            disk.close()


def started_without(top: Path) -> None:
    """The same where the room that was kept is used up."""
    started(top, reserve=False)


if __name__ == "__main__":
    try:
        globals()[sys.argv[1]](Path(sys.argv[2]))
    except BaseException:
        traceback.print_exc()
        os._exit(1)  # the store's thread would keep the process
