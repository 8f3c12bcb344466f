"""The launcher starts the program inside, or says why not and exits 126: nothing runs with less than was asked."""

import json
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sandbox_world import World

from sandbox import kernel, mounts, seccomp
from sandbox.errors import PolicyError, SandboxRefused
from sandbox.pathnames import resolve
from sandbox.plan import specification

KNOWN = {"landlock_create_ruleset": (444, 444), "landlock_add_rule": (445, 445), "landlock_restrict_self": (446, 446),
         "prctl": (157, 167), "capset": (126, 91), "openat2": (437, 437)}  # fmt: skip


def interfering(monkeypatch: pytest.MonkeyPatch, call: str, answer: int, *tests: seccomp.Test) -> Callable[[], None]:
    """Return a function that makes a child see ``call`` answered with an errno, or with success though nothing was done
    (0).
    """
    for name, numbers in KNOWN.items():
        monkeypatch.setitem(seccomp.CALLS, name, numbers)
    program = seccomp.assemble([seccomp.Rule(call, 9999, tests)])
    program = [(op, t, f, 0x00050000 | answer if k == 0x00050000 | 9999 else k) for op, t, f, k in program]

    def install() -> None:
        kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
        seccomp.install(program)

    return install


CASES = {
    "Landlock is missing": ("landlock_create_ruleset", 38, (), "this kernel has no Landlock"),
    "Landlock is switched off": ("landlock_create_ruleset", 95, (), "this kernel has no Landlock"),
    "a Landlock rule fails": ("landlock_add_rule", 22, (), "nothing was started"),
    "Landlock fails": ("landlock_restrict_self", 1, (), "nothing was started"),
    "Landlock only pretends": ("landlock_restrict_self", 0, (), "self test: Landlock does not hold"),
    "the filter fails": ("prctl", 22, (seccomp.Test(0, 0xFF, (22,)),), "nothing was started"),
    "the filter only pretends": ("prctl", 0, (seccomp.Test(0, 0xFF, (22,)),), "self test: "),
    "capabilities only seem dropped": ("capset", 0, (), "self test: CapPrm is not empty"),
    "no user namespaces": ("unshare", 1, (), "no user namespace"),
    "a user namespace without rights": ("unshare", 1, (seccomp.Test(0, 0x20000, (0x20000,)),), "AppArmor"),
    "no new mounts": ("mount", 1, (), "nothing was started"),
    "mounts only pretend": ("mount", 0, (), "nothing was mounted on /tmp"),
    "the root only seems changed": ("pivot_root", 0, (), ""),
    "the old root only seems gone": ("umount2", 0, (), "self test: the old root is still there"),
    "read-only only pretends": ("mount_setattr", 0, (), "self test: "),
    "a kernel without openat2": ("openat2", 38, (), ""),
}


@pytest.mark.parametrize("case", CASES)
def test_a_sandbox_that_is_not_whole_does_not_run_anything(
    world: World, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel is made to fail, or to lie, at each step."""
    call, answer, tests, sentence = CASES[case]
    # Something writable in which something must not be: so that read-only mounts have something to prove.
    spec = world.spec(["touch", "ran"], {"filesystem": {"rw": ["{HOME}"]}})
    result = world.start(spec, preexec_fn=interfering(monkeypatch, call, answer, *tests))
    assert (result.returncode, result.stdout) == (126, "")
    assert result.stderr.startswith("anvil-sandbox: ")
    assert sentence in result.stderr
    assert not (world.proj / "ran").exists()


def test_a_root_that_is_not_mounted_leaves_nothing_in_the_users_tmp(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new root is put together on /tmp: without a mount of its own there, what is made for it would stay."""
    spec = world.spec(["true"])
    made = [mounts.CANARY, *(target for target, *_ in spec["binds"]), *(path for path, _ in spec["links"])]
    places = [Path("/tmp", name) for name in {path.split("/")[1] for path in made} - {"tmp"}]
    before = {place: place.lstat().st_mtime_ns for place in places if os.path.lexists(place)}
    result = world.start(spec, preexec_fn=interfering(monkeypatch, "mount", 0))
    assert result.returncode == 126
    assert {place: place.lstat().st_mtime_ns for place in places if os.path.lexists(place)} == before


def test_the_interference_itself_does_no_harm(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same outer filter around a call that the launcher does not make: it starts."""
    spec = world.spec(["touch", "ran"])
    result = world.start(spec, preexec_fn=interfering(monkeypatch, "swapon", 1))
    assert (result.returncode, result.stderr) == (0, "")
    assert (world.proj / "ran").exists()


@pytest.mark.parametrize("abi", [1, 2, 3, 4, 5, 6, 7])
def test_every_abi_holds_the_full_tier_without_network(user_world: World, abi: int) -> None:
    """Older kernels, simulated by using only what that ABI knows."""
    attempt = "def attempt(): open('/etc/shadow')\n"
    spec = user_world.spec(["sh", "-c", "touch ran && mv ran ran2 && : > ran2 && cat /.anvil-sandbox"])
    result = user_world.start({**spec, "abi": abi})
    assert result.returncode == 1
    assert "Permission denied" in result.stderr
    assert (user_world.proj / "ran2").exists()
    assert user_world.attempt(attempt) == "ENOENT"


@pytest.mark.parametrize(("abi", "network"), [(3, {"connect_tcp": [443]}), (5, {"unrestricted": True})])
def test_a_policy_that_the_kernel_cannot_hold_is_refused(
    user_world: World, abi: int, network: dict[str, object]
) -> None:
    """Ports need ABI 4, and abstract sockets on a shared network ABI 6; best_effort lets it run."""
    layer = {"network": {"enabled": True, **network}}
    spec = {**user_world.spec(["echo", "ran"], layer), "abi": abi}
    result = user_world.start(spec)
    assert (result.returncode, result.stdout) == (126, "")
    assert f"this kernel has {abi}" in result.stderr
    assert user_world.start({**spec, "best_effort": True}).stdout == "ran\n"


def test_a_grant_swapped_for_a_link_after_the_plan_is_refused(world: World) -> None:
    """The launcher opens every path without following links."""
    spec = world.spec(["cat", "secret"])
    world.proj.rmdir()
    world.proj.symlink_to(world.outside)
    result = world.start(spec, cwd="/")
    assert (result.returncode, result.stdout) == (126, "")
    assert f"{world.proj} was replaced by a symbolic link" in result.stderr


def test_a_directory_above_swapped_for_a_link_is_refused_too(world: World) -> None:
    """Not only the last name of the path."""
    deep = world.proj / "a/b"
    deep.mkdir(parents=True)
    (world.outside / "b").mkdir()
    spec = world.spec(["true"], cwd=str(deep))
    (world.proj / "a").rename(world.proj / "old")
    (world.proj / "a").symlink_to(world.outside)
    assert world.start(spec, cwd="/").returncode == 126
    with pytest.raises(PolicyError, match="reached through a link"):
        world.policy(cwd=str(deep))


def test_a_link_that_an_agent_could_have_made_is_not_followed(world: World) -> None:
    """A grant beneath the working directory that is a link now is left out, with a note."""
    (world.proj / "data").symlink_to(world.outside)
    (world.home / "data").symlink_to(world.outside)
    found = world.policy({"filesystem": {"ro": ["{CWD}/data"]}})
    assert str(world.outside) not in [grant.path for grant in found.grants]
    assert any("is a link where an agent can put links" in note for note in found.notes)
    mine = world.policy({"filesystem": {"ro": ["{HOME}/data"]}})
    assert str(world.outside) in [grant.path for grant in mine.grants]
    theirs = world.policy({"filesystem": {"ro": ["{HOME}/data"]}}, untrusted=[str(world.home)])
    assert str(world.outside) not in [grant.path for grant in theirs.grants]


def test_a_granted_link_of_the_users_works_inside(world: World) -> None:
    """Both names lead to the same place: the link is made again inside."""
    (world.home / "data").symlink_to("../outside")
    code = f"def attempt(): return open('{world.home}/data/secret').read().strip()\n"
    assert world.attempt(code, {"filesystem": {"ro": ["{HOME}/data"]}}) == "secret"
    assert resolve(f"{world.home}/data").links == ((f"{world.home}/data", "../outside"),)


def test_modules_planted_for_the_launcher_are_not_imported(world: World) -> None:
    """Neither from the working directory nor by the environment."""
    names = [
        "ctypes",
        "os",
        "json",
        "_json",
        "fcntl",
        "select",
        "sandbox",
        "encodings",
        "sitecustomize",
        "usercustomize",
    ]
    for name in names:
        (world.proj / f"{name}.py").write_text(f"open('{world.outside}/planted', 'a').write({name!r})\n")
    env = {
        **world.env,
        "PYTHONPATH": str(world.proj),
        "PYTHONSTARTUP": f"{world.proj}/os.py",
        "PYTHONHOME": "/nonexistent",
    }
    env |= {"PYTHONINSPECT": "1", "PYTHONUSERBASE": str(world.proj)}
    world.own()
    result = world.start(world.spec(["echo", "ran"]), env=env)
    assert (result.returncode, result.stdout) == (0, "ran\n"), result.stderr
    assert not (world.outside / "planted").exists()


def test_a_specification_that_others_can_write_is_refused(world: World) -> None:
    """What the agent could change is not obeyed."""
    command = world.command(world.spec(["true"]))
    os.chmod(command[-1], 0o666)
    result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, **world.identity)
    assert result.returncode == 126
    assert result.stderr == f"anvil-sandbox: {command[-1]} can be written by others\n"


@pytest.mark.parametrize("text", ["", "{", "not json", "[1]x"])
def test_a_broken_specification_is_refused(user_world: World, text: str) -> None:
    """In a sentence, not a traceback."""
    path = user_world.run / "broken"
    path.write_text(text)
    os.chown(path, user_world.uid, user_world.uid)
    command = [*user_world.command({})[:-1], str(path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, **user_world.identity)
    assert result.returncode == 126
    assert result.stderr.startswith("anvil-sandbox: ")
    assert "Traceback" not in result.stderr


def test_a_program_that_is_not_there_is_127_and_one_not_granted_126(user_world: World) -> None:
    """As a shell has it."""
    result = user_world.start(user_world.spec(["no-such-program"]))
    assert (result.returncode, result.stderr) == (127, "anvil-sandbox: no-such-program: not found inside the sandbox\n")
    (user_world.proj / "program").write_text("#!/bin/sh\n")
    (user_world.proj / "program").chmod(0o755)
    assert user_world.start(user_world.spec(["./program"])).returncode == 126


def test_a_working_directory_that_is_gone_is_refused(user_world: World) -> None:
    """At the plan and at the launch."""
    spec = user_world.spec(["true"])
    user_world.proj.rmdir()
    result = user_world.start(spec, cwd="/")
    assert (result.returncode, result.stderr) == (126, f"anvil-sandbox: {user_world.proj} does not exist\n")
    with pytest.raises(PolicyError, match=f"no directory '{user_world.proj}'"):
        user_world.policy()


def test_a_missing_grant_is_left_out(user_world: World) -> None:
    """Data of a backend that was never started: a note, no failure; also if it goes between plan and launch."""
    there = user_world.home / "there"
    there.mkdir()
    layer = {"filesystem": {"rw": ["{HOME}/missing", "{HOME}/there"]}}
    spec = user_world.spec(["echo", "ran"], layer)
    there.rmdir()
    assert user_world.start(spec).stdout == "ran\n"
    assert any("missing does not exist" in note for note in user_world.policy(layer).notes)


def test_the_environment_is_an_allow_list(user_world: World) -> None:
    """Nothing of the daemon's passes but what a layer names."""
    env = {
        **user_world.env,
        "SECRET": "s",
        "LC_TIME": "C",
        "TERM": "xterm",
        "SSH_AUTH_SOCK": "/x",
        "TMUX": "/y",
        "PLAIN": "p",
    }
    found = user_world.policy({"env": ["PLAIN", "SET=a=b", "IN={CWD}", 'JSON={"a": {}}', "T={TMPDIR}/x"]})
    spec = specification(found, ["env"], tier="full", namespace_source=str(user_world.sess), tmpdir="", env=env)
    result = user_world.start(spec, env=env)
    lines = dict(line.split("=", 1) for line in result.stdout.splitlines())
    assert not {"SECRET", "SSH_AUTH_SOCK", "TMUX"} & set(lines)
    assert (lines["PLAIN"], lines["SET"], lines["LC_TIME"], lines["TERM"]) == ("p", "a=b", "C", "xterm")
    assert (lines["IN"], lines["JSON"], lines["T"]) == (str(user_world.proj), '{"a": {}}', "/tmp/x")
    assert (lines["NAMESPACE"], lines["TMPDIR"]) == (str(user_world.ns), "/tmp")


def test_the_temporary_directory_is_private_and_kept_only_if_given(world: World) -> None:
    """A fresh one each time, or the directory that was given."""
    keep = world.top / "tmp"
    keep.mkdir(mode=0o700)
    world.own()
    write = "def attempt():\n  open('/tmp/x', 'x').close()\n  return os.listdir('/tmp')\n"
    assert world.attempt(write) == world.attempt(write) == "['x']"
    assert world.attempt(write, tmpdir=str(keep)) == "['x']"
    assert world.attempt(write, tmpdir=str(keep)) == "EEXIST"
    assert stat.S_IMODE(keep.stat().st_mode) == 0o700


def test_a_private_directory_is_empty_and_forgotten(world: World) -> None:
    """What is put beside the granted parts of a tool's directory does not stay."""
    tool = world.home / ".tool"
    (tool / "data").mkdir(parents=True)
    (tool / "settings.json").write_text("{}")
    world.own()
    layer = {"filesystem": {"private": ["~/.tool"], "rw": ["~/.tool/data"], "ro": ["~/.tool/settings.json"]}}
    code = (
        "def attempt():\n  os.chdir(os.environ['HOME'] + '/.tool'); open('hooks', 'w').close(); open('data/x', 'w').close()\n"
        "  try: open('settings.json', 'w')\n  except OSError as e: return e.errno, sorted(os.listdir('.'))\n"
    )
    assert world.attempt(code, layer) in [f"({n}, ['data', 'hooks', 'settings.json'])" for n in (30, 13)]
    assert sorted(path.name for path in tool.rglob("*")) == ["data", "settings.json", "x"]


def test_the_specification_is_json(user_world: World) -> None:
    """So that it can be written to a file, and read."""
    spec = user_world.spec(["true"])
    assert json.loads(json.dumps(spec)) == spec


def test_the_lower_tiers_refuse_what_they_cannot_protect(user_world: World) -> None:
    """Without a mount namespace nothing can be read-only inside something writable."""
    with pytest.raises(SandboxRefused, match=r"is writable and .* must not be: tier weak cannot enforce that"):
        user_world.spec(["true"], {"filesystem": {"rw": ["{HOME}"]}}, tier="weak")
    with pytest.raises(SandboxRefused, match="must not be seen"):
        user_world.spec(["true"], {"filesystem": {"ro": ["{HOME}"]}}, tier="weak")


def test_the_status_is_left_in_a_file(world: World) -> None:
    """For a daemon that was away: the exit status, the signal, or the refusal and its sentence."""
    status = world.run / "status"
    cases = {"exit 7": "7\n", "kill -9 $$": "137\n", "exit 0": "0\n", "kill -15 $$": "143\n"}
    for script, expected in cases.items():
        status.write_text("old")
        os.chown(status, world.uid, world.uid)
        world.start({**world.spec(["sh", "-c", f"test ! -e {status} && {script}"]), "status": str(status)})
        assert status.read_text() == expected
    world.start({**world.spec(["nothing"]), "status": str(status)})
    assert status.read_text() == "127\nnothing: not found inside the sandbox\n"
    world.start({**world.spec(["true"]), "status": str(status), "abi": 0})
    assert status.read_text().startswith("126\nthis kernel has no Landlock")
    broken = world.spec(["true"])
    broken["binds"].append([f"{world.home}/x", f"{world.home}/gone", "r", "refuse"])
    world.start({**broken, "status": str(status)})
    assert status.read_text() == f"126\n{world.home}/gone does not exist\n"
    assert [path.name for path in world.run.glob("status*")] == ["status"]


@pytest.fixture
def home_in_tmp(world: World) -> Iterator[Path]:
    """A home of the user beneath /tmp, where the agent has a /tmp of its own."""
    home = Path(tempfile.mkdtemp(prefix="asb-home-", dir="/tmp"))
    (home / ".tool").mkdir()
    (home / ".tool/settings").write_text("settings\n")
    for path in (home, *home.rglob("*")):
        os.chown(path, world.uid, world.uid)
    yield home
    shutil.rmtree(home)


def test_a_kept_temporary_directory_shows_nothing_of_the_users_own(world: World, home_in_tmp: Path) -> None:
    """Protected paths beneath /tmp are not pinned into it: what is there is not the user's /tmp."""
    (keep := world.top / "tmp").mkdir()
    world.own()
    env = {**world.env, "HOME": str(home_in_tmp)}
    attempt = (
        f"def attempt():\n  open('{home_in_tmp}/planted', 'w').close(); os.makedirs('{home_in_tmp}/.config/anvillm')\n"
    )
    for tmpdir in ("", str(keep)):
        assert world.attempt(attempt, env=env, tmpdir=tmpdir) in ("did it", "ENOENT")
    assert os.listdir(home_in_tmp) == [".tool"]


def test_grants_beneath_tmp_are_the_users_own_with_no_more_rights_than_granted(world: World, home_in_tmp: Path) -> None:
    """The rights of the private /tmp around them are not theirs, whether it is kept or not."""
    (keep := world.top / "tmp").mkdir()
    world.own()
    settings = f"{home_in_tmp}/.tool/settings"
    for path in (settings, f"{home_in_tmp}/.tool", f"{home_in_tmp}"):
        layer = {"filesystem": {"ro": [path], "rwx": ["{TMPDIR}"]}}
        for tmpdir in ("", str(keep)):
            read, write = f"open('{settings}').read().strip()", f"open('{settings}', 'a')"
            assert world.attempt(f"def attempt(): return {read}\n", layer, tmpdir=tmpdir) == "settings"
            assert world.attempt(f"def attempt(): {write}\n", layer, tmpdir=tmpdir) in ("EROFS", "EACCES")
    assert world.policy({"filesystem": {"rwx": ["{TMPDIR}/deep"]}}).grants[-1].path == "{TMPDIR}"


def test_a_program_tree_beneath_tmp_can_be_granted_inside(world: World, home_in_tmp: Path) -> None:
    """A checkout in /tmp: protected, and the part that the hooks need is granted to be run."""
    (keep := world.top / "tmp").mkdir()
    world.own()
    layer = {
        "filesystem": {"protect": [str(home_in_tmp)], "rox": [f"{home_in_tmp}/.tool"], "rwx": ["{TMPDIR}", "{CWD}"]}
    }
    for tmpdir in ("", str(keep)):
        code = f"def attempt():\n  open('{home_in_tmp}/.tool/settings').close(); open('{home_in_tmp}/.tool/new', 'w')\n"
        assert world.attempt(code, layer, tmpdir=tmpdir) in ("EROFS", "EACCES")
    assert os.listdir(home_in_tmp / ".tool") == ["settings"]
