"""Limits in layers, and how they are held: by control groups where this machine gives some, else by each process."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sandbox_world import World

from sandbox import delegation, groups, layers, limit_values, limits
from sandbox.errors import PolicyError
from sandbox.limits import PROCESS, Limit, Way
from sandbox.plan import specification

ROOM = "def attempt():\n    s = os.statvfs('/dev/shm')\n    return s.f_blocks * s.f_frsize >> 20"
GROUPS = Path("/sys/fs/cgroup")
WITH_GROUPS = (
    os.access(GROUPS / "cgroup.subtree_control", os.W_OK) and "memory" in (GROUPS / "cgroup.controllers").read_text()
)
need_groups = pytest.mark.skipif(not WITH_GROUPS, reason="no cgroup v2 with a memory controller is ours here")


def said(text: str, tmp_path: Path) -> layers.Layer:
    path = tmp_path / "layer.yaml"
    path.write_text(text)
    return layers.read("test", path)


@pytest.mark.parametrize(
    ("name", "text", "value", "again"),
    [
        ("memory", "8G", 8 << 30, "8G"),
        ("memory", "1.5G", 3 << 29, "1536M"),
        ("memory", 100 << 20, 100 << 20, "100M"),
        ("cpu", "150%", 150, "150%"),
        ("pids", 500, 500, "500"),
        ("pids", "500", 500, "500"),
        ("time", "1d2h", 26 * 3600, "1d2h"),
        ("time", "90s", 90, "1m30s"),
        ("time", "none", None, "none"),
    ],
)
def test_a_limit_is_read_as_people_write_it_and_written_again(name: str, text: object, value: int, again: str) -> None:
    assert limit_values.parse(name, text) == value
    assert limit_values.written(name, value) == again
    assert limit_values.parse(name, again) == value


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("limits: {memory: lots}", "limits.memory: 'lots' is not a limit (such as 8G, or none)"),
        ("limits: {memory: 1M}", "limits.memory: 1M is less than 32M"),
        ("limits: {memory: true}", "limits.memory: True is not a limit"),
        ("limits: {cpu: 2}", "limits.cpu: 2 is not a limit (such as 200%, or none)"),
        ("limits: {cpu: 0%}", "limits.cpu: 0% is less than 1%"),
        ("limits: {pids: -1}", "limits.pids: -1 is not a limit"),
        ("limits: {time: 8}", "limits.time: 8 is not a limit (such as 8h, or none)"),
        ("limits: {tokens: 8}", "limits.tokens: no such key (known: memory, cpu, pids, time)"),
        ("limits: [memory]", "limits: must be a mapping"),
    ],
)
def test_what_is_no_limit_is_refused_with_file_line_and_key(text: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(PolicyError) as error:
        said(f"# a comment\n{text}\n", tmp_path)
    assert str(error.value).startswith(f"{tmp_path}/layer.yaml:2: {why}")


def test_the_highest_that_any_layer_names_holds_and_a_default_where_none_does(tmp_path: Path) -> None:
    low, high = said("limits: {memory: 1G, pids: 100}", tmp_path), said("limits: {memory: 2G, time: 8h}", tmp_path)
    open_ = said("limits: {pids: none}", tmp_path)
    found = limits.figures(limits.united([low, high]))
    assert found == {"memory": 2 << 30, "cpu": None, "pids": 100, "time": 8 * 3600}
    assert limits.united([low, open_])["pids"].value is None
    assert limits.united([])["pids"].value == 2000
    assert 0.7 < (limits.united([])["memory"].value or 0) / limits.machine() <= 0.75


def test_a_session_has_no_more_than_the_one_that_started_it() -> None:
    mine, origin = limits.defaults() | {"cpu": Limit(None), "time": Limit(60)}, layers.Origin("parent", "", 0)
    found = limits.within(mine, {"memory": 1 << 30, "cpu": 50, "pids": None, "time": 3600}, origin)
    assert limits.figures(found) == {"memory": 1 << 30, "cpu": 50, "pids": 2000, "time": 60}
    assert found["cpu"].origins == (origin,)


def test_a_listing_says_by_what_each_limit_is_held() -> None:
    mine = limits.defaults() | {
        "cpu": Limit(50),
        "time": Limit(3600),
        "memory": Limit(1 << 30, (layers.Origin("task x", "", 0),)),
    }
    held = dict(line.split("\t")[1:3] for line in limits.lines(mine, PROCESS, "weak", "the daemon").splitlines())
    assert held == {
        "memory": "1G (each process)", "cpu": "50% (not held here)", "pids": "2000 (not held here)", "time": "1h (the daemon)",
    }  # fmt: skip
    group = Way("group", "/x", "/x/y", frozenset({"memory", "cpu"}))
    assert "limit\tmemory\t1G (control group)\ttask x\n" in limits.lines(mine, group, "full")
    assert limits.specified(mine, group, "full", "a")["process"].get("memory") is None


def test_each_process_holds_the_memory_that_was_asked_for_where_there_is_no_group(world: World) -> None:
    big = "def attempt():\n    return len(bytearray(200 << 20)) >> 20"
    assert world.attempt(big, {"limits": {"memory": "1G"}}) == "200"
    code = "def attempt():\n    try:\n        return len(bytearray(200 << 20))\n    except MemoryError:\n        return 'no memory'"
    assert world.attempt(code, {"limits": {"memory": "100M"}}) == "no memory"


def test_a_default_keeps_no_process_from_reserving_what_it_does_not_use(world: World) -> None:
    code = "def attempt():\n    import resource\n    return resource.getrlimit(resource.RLIMIT_DATA)[0]"
    assert world.attempt(code) == "-1"


FORKS = """
def attempt():
    children = []
    try:
        for _ in range(60):
            pid = os.fork()
            if not pid:
                signal.pause()
            children.append(pid)
    except BlockingIOError:
        return "refused"
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
"""


def test_only_the_processes_of_the_sandbox_count_where_there_is_no_group(user_world: World) -> None:
    assert user_world.attempt(FORKS) == "did it"
    assert user_world.attempt(FORKS, {"limits": {"pids": 30}}) == "refused"


def test_what_is_in_memory_inside_has_less_room_than_the_memory_limit(world: World) -> None:
    assert world.attempt(ROOM, {"limits": {"memory": "256M"}}) == "64"  # /tmp has as much


def test_the_room_of_tmp_is_told_as_it_is(world: World) -> None:
    found = world.policy({"limits": {"memory": "256M"}})
    room = "def attempt():\n    s = os.statvfs('/tmp')\n    return s.f_blocks * s.f_frsize >> 20"
    told = limits.temporary(found.limits, 1)
    assert told == f"limit\ttmp\t{world.attempt(room, {'limits': {'memory': '256M'}})}M (in memory)\n"
    private = {"limits": {"memory": "256M"}, "filesystem": {"private": ["{HOME}/.tool"]}}
    assert world.attempt(room, private) == "42" and limits.temporary(found.limits, 2).startswith("limit\ttmp\t42M (")


def test_a_tmp_that_is_kept_is_told_to_have_no_limit(tmp_path: Path) -> None:
    assert (
        limits.temporary(limits.defaults(), kept="/dev/shm/no/such")
        == "limit\ttmp\tnone (in memory, where it counts)\n"
    )
    if not limits.in_memory(str(tmp_path)):
        assert (
            limits.temporary(limits.defaults(), kept=f"{tmp_path}/x") == "limit\ttmp\tnone (on disk, not in memory)\n"
        )


def test_control_groups_are_never_writable_inside(world: World) -> None:
    found = world.policy({"filesystem": {"rwx": ["/sys/fs"]}})
    assert "w" not in found.rights("/sys/fs/cgroup/memory")


def test_a_group_is_given_by_its_name_alone() -> None:
    """The group in which these tests run is nobody's to change."""
    assert delegation.find(daemon=True).word != "group"


class Given:
    """A group of the tests, as a daemon gets it: this process is in its leaf."""

    def __init__(self, name: str) -> None:
        self.top, self.before = GROUPS / name, groups.own(str(GROUPS))
        self.leaf = self.top / delegation.LEAF
        self.leaf.mkdir(parents=True)
        root = groups.own(str(GROUPS)) == str(GROUPS)
        if root:
            groups.enable(str(GROUPS))
        groups.write(f"{self.leaf}/cgroup.procs", str(os.getpid()))

    def close(self) -> None:
        groups.write(f"{self.before}/cgroup.procs", str(os.getpid()))
        for path in [*self.top.glob("session-*"), self.leaf, self.top]:
            path.rmdir()


@pytest.fixture
def given() -> Iterator[Given]:
    made = Given(f"anvillm-test-{os.getpid()}")
    yield made
    made.close()


def through(world: World, given: Given, code: str, most: dict[str, object], **more: object) -> tuple[int, str, str]:
    """Run a program in a group. Returns its status, what it printed, and what the launcher wrote."""
    for path in (given.top, given.top / "cgroup.procs", given.top / "cgroup.subtree_control"):
        os.chown(path, world.uid, world.uid)
    way = delegation.find(daemon=True)
    assert way.word == "group", way
    status = world.run / "status"
    spec = specification(
        world.policy({"limits": most}), ["/usr/bin/python3", "-I", "-c", code], tier="full", namespace_source=str(world.sess),
        tmpdir="", env=world.env, way=way, session="test", status_file=str(status),
    )  # fmt: skip
    result = world.start(spec)
    return result.returncode, result.stdout, status.read_text()


@need_groups
def test_who_uses_up_the_memory_is_ended_alone_and_that_is_the_reason(world: World, given: Given) -> None:
    code, out, status = through(
        world,
        given,
        "import os\nif os.fork() == 0:\n    x = bytearray(b'x') * (300 << 20)\nos.wait()\nprint('lives')",
        {"memory": "100M"},
    )
    assert code == -9
    assert out == ""
    assert status == "137\nout of memory: its limit of 100M was reached\n"
    assert not (given.top / "session-test").exists()
    assert through(world, given, "print('lives')", {"memory": "100M"})[1] == "lives\n"


FORK_BOMB = """
import os, signal
try:
    while True:
        if not os.fork():
            signal.pause()
except BlockingIOError:
    print("refused")
"""


@need_groups
def test_a_group_holds_processes_and_processor_too(world: World, given: Given) -> None:
    assert through(world, given, FORK_BOMB, {"pids": 40}) == (0, "refused\n", "0\n")
    spin = "import time\na, b = time.monotonic(), time.process_time()\nwhile time.process_time() - b < 0.3: pass\n"
    spin += "print(time.monotonic() - a > 1.0)"
    assert through(world, given, spin, {"cpu": "20%"})[1] == "True\n"


@need_groups
def test_limits_of_a_group_that_runs_can_be_changed(given: Given) -> None:
    way = delegation.find(daemon=True)
    path = Path(way.parent, "session-x")
    path.mkdir()
    groups.put(str(path), {"memory": 64 << 20, "cpu": 50, "pids": 20})
    groups.put(str(path), {"memory": None})
    assert (path / "memory.max").read_text() == "max\n"
    assert (path / "cpu.max").read_text() == "50000 100000\n"
    assert (path / "pids.max").read_text() == "20\n"


def test_systemd_makes_a_scope_for_each_where_no_group_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for systemd-run, which says what systemd would have made."""
    program = tmp_path / "systemd-run"
    program.write_text('#!/bin/sh\necho "$@" >> $0.log\necho cpu memory pids io\n')
    program.chmod(0o755)
    (tmp_path / "systemd").mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(delegation, "mounted", lambda: "/sys/fs/cgroup")
    monkeypatch.setattr("sandbox.outside.which", lambda name: str(program))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    way = delegation.find(daemon=False)
    assert way.word == "scope"
    assert way.controllers == {"memory", "cpu", "pids"}
    asked = (tmp_path / "systemd-run.log").read_text().split()
    assert list(way.prefix) == [str(program), *asked[: asked.index("/bin/sh")], "--"]
    assert {"--user", "--scope", "Delegate=yes"} <= set(way.prefix)
    program.write_text("#!/bin/sh\nexit 1\n")
    assert delegation.find(daemon=False) == PROCESS


@pytest.mark.slow(5)
def test_in_a_scope_of_a_real_systemd_the_memory_of_a_sandbox_is_held(world: World) -> None:
    """The user's own manager, or root's."""
    if world.uid != os.geteuid():
        pytest.skip("only whose manager it is can ask for a scope")
    way = delegation.find(daemon=False)
    if way.word != "scope":
        pytest.skip("no systemd here that gives scopes")
    assert {"memory", "pids"} <= way.controllers
    status = world.run / "status"
    code = "import os\nif os.fork() == 0:\n    x = bytearray(b'x') * (300 << 20)\nos.wait()\nprint('lives')"
    spec = specification(
        world.policy({"limits": {"memory": "100M"}}), ["/usr/bin/python3", "-I", "-c", code], tier="full",
        namespace_source=str(world.sess), tmpdir="", env=world.env, way=way, session="test", status_file=str(status),
    )  # fmt: skip
    result = subprocess.run(
        [*way.prefix, *world.command(spec)], capture_output=True, text=True, cwd=world.proj, check=False
    )
    assert (result.returncode, result.stdout) == (-9, ""), result.stderr
    assert status.read_text() == "137\nout of memory: its limit of 100M was reached\n"
