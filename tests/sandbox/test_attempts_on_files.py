"""Attempts on the user's files from inside the full tier, each with its expected result."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from sandbox_world import World

# name: (code, results that are right). {outside} and {proj} are directories; the attempt works where there is no wall.
ATTEMPTS = {
    "read": ("open('{outside}/secret').close()", {"ENOENT"}),
    "read through the parent": ("open('../outside/secret').close()", {"ENOENT"}),
    "read the home": ("open('{home}/secret').close()", {"ENOENT"}),
    "list": ("os.listdir('{outside}')", {"ENOENT"}),
    "overwrite": ("open('{outside}/secret', 'w').close()", {"ENOENT", "EROFS"}),
    "append": ("open('{outside}/secret', 'a').close()", {"ENOENT", "EROFS"}),
    "create": ("open('{outside}/new', 'w').close()", {"ENOENT", "EROFS"}),
    "create in the home": ("open('{home}/.profile', 'w').close()", {"EACCES", "EROFS"}),
    "make a directory": ("os.mkdir('{outside}/new')", {"ENOENT", "EROFS", "EACCES"}),
    "delete": ("os.unlink('{outside}/secret')", {"ENOENT"}),
    "truncate": ("os.truncate('{outside}/secret', 0)", {"ENOENT"}),
    "hard link in": ("os.link('{outside}/secret', 'stolen')", {"ENOENT"}),
    "hard link out": ("open('mine', 'w').close() or os.link('mine', '{outside}/mine')", {"ENOENT"}),
    "rename out": ("open('mine', 'w').close() or os.rename('mine', '{outside}/mine')", {"ENOENT"}),
    "rename in": ("os.rename('{outside}/secret', 'stolen')", {"ENOENT"}),
    "read through a new link": ("os.symlink('{outside}/secret', 'way') or open('way').close()", {"ENOENT"}),
    "chmod": ("os.chmod('{outside}/secret', 0o666)", {"ENOENT"}),
    "chmod a directory above": ("os.chmod('{top}', 0o777)", {"EROFS", "EPERM", "ENOENT"}),
    "chown": ("os.chown('{outside}/secret', os.getuid(), os.getgid())", {"ENOENT"}),
    "utime": ("os.utime('{outside}/secret', (0, 0))", {"ENOENT"}),
    "setxattr": ("os.setxattr('{outside}/secret', 'user.x', b'1')", {"ENOENT"}),
    "read the daemon's environment": ("open('/proc/{pid}/environ').close()", {"ENOENT"}),
    "read its memory": ("open('/proc/{pid}/mem').close()", {"ENOENT"}),
    "enter its root": ("os.listdir('/proc/{pid}/root')", {"ENOENT"}),
}


@pytest.mark.parametrize("name", ATTEMPTS)
def test_nothing_outside_the_grants_is_reached(world: World, name: str) -> None:
    """Each attempt is tried without the sandbox first: one that would fail anyway proves nothing."""
    code, right = ATTEMPTS[name]
    names = {"outside": world.outside, "proj": world.proj, "home": world.home, "top": world.top, "pid": os.getpid()}
    attempt = "def attempt(): " + code.format(**names) + "\n"
    before = _state(world.top)
    assert world.attempt(attempt) in right
    for made in ("mine", "way"):
        (world.proj / made).unlink(missing_ok=True)
    assert _state(world.top) == before
    if "/proc/" not in code or world.uid == 0:
        assert world.freely(attempt) in ("did it", "ENOTSUP", "EOPNOTSUPP"), "this attempt proves nothing"


def _state(top: Path) -> dict[str, tuple[int, int, float]]:
    """Return every file outside the project with what an attempt could change of it."""
    found = {}
    for path in [top, *top.rglob("*")]:
        if path.relative_to(top).parts[:1] not in (("proj",), ("run",), ("lib",)):
            status = path.lstat()
            found[str(path)] = (status.st_mode, status.st_size, status.st_mtime if path.is_file() else 0.0)
    return found


SYSTEM = {
    "write into /usr": ("open('/usr/bin/anvil-test', 'w').close()", {"EROFS", "EACCES"}),
    "chmod in /usr": ("os.chmod('/usr/bin/env', 0o777)", {"EROFS", "EPERM"}),
    "write a device": ("os.mknod('node', 0o600 | 0o020000, os.makedev(1, 1))", {"EPERM", "EACCES"}),
    "make a block device": ("os.mknod('node', 0o600 | 0o060000, os.makedev(8, 0))", {"EPERM", "EACCES"}),
    "read the shadow file": ("open('/etc/shadow').close()", {"ENOENT"}),
    "write /etc": ("open('/etc/passwd', 'a').close()", {"EROFS", "EACCES"}),
    "write /": ("open('/x', 'w').close()", {"EROFS", "EACCES"}),
    "set a kernel parameter": ("open('/proc/sys/kernel/core_pattern', 'w').close()", {"EROFS", "EACCES"}),
    "press a magic key": ("open('/proc/sysrq-trigger', 'w').close()", {"EROFS", "EACCES", "ENOENT"}),
    "look into init": ("open('/proc/1/environ').close()", {"EACCES"}),
    "write init's memory": ("open('/proc/1/mem', 'r+b').close()", {"EACCES"}),
    "use init's root": ("os.listdir('/proc/1/root/')", {"EACCES"}),
    "close a device to everybody": (
        "open('/dev/null', 'w').write('x') and None or os.chmod('/dev/null', 0o600)",
        {"EROFS"},
    ),
    "close the terminals": ("os.chmod('/dev/tty', 0)", {"EROFS"}),
    "date a device": ("os.utime('/dev/urandom', (0, 0))", {"EROFS"}),
    "read the disks": ("os.listdir('/dev/disk')", {"ENOENT"}),
    "see the kernel": ("os.listdir('/sys/kernel')", {"ENOENT"}),
    "see control groups": ("os.listdir('/sys/fs')", {"ENOENT"}),
}


@pytest.mark.parametrize("name", SYSTEM)
def test_nothing_of_the_system_can_be_changed(world: World, name: str) -> None:
    """Also where files belong to root and so does the agent."""
    code, right = SYSTEM[name]
    assert world.attempt(f"def attempt(): {code}\n") in right


# Each makes or changes `sh`, a copy of a shell, and a directory; whoever runs it afterwards would be its owner.
SET_ID = {
    "chmod": "os.chmod('sh', 0o4755)",
    "chmod of the group": "os.chmod('sh', 0o2755)",
    "chmod of a descriptor": "os.fchmod(os.open('sh', os.O_RDONLY), 0o6755)",
    "chmod from a directory": "os.chmod('sh', 0o4755, dir_fd=os.open('.', os.O_RDONLY))",
    "chmod of a directory": "os.chmod('directory', 0o2755)",
    "open": "os.open('new', os.O_CREAT | os.O_WRONLY, 0o4755)",
    "open without a name": "os.open('.', os.O_TMPFILE | os.O_WRONLY, 0o4755)",
    "mknod": "os.mknod('node', 0o104755)",
    "the shell": "subprocess.run(['chmod', 'u+s', 'sh'])",
    "the shell, in symbols": "subprocess.run(['chmod', '6755', 'sh'])",
    "install": "subprocess.run(['install', '-m', '4755', 'sh', 'other'])",
    "tar": "subprocess.run('cp sh here; tar cf a.tar --mode=4755 here && rm here && tar xpf a.tar', shell=True)",
}


@pytest.mark.parametrize("name", SET_ID)
def test_no_agent_leaves_a_program_that_runs_as_the_user(world: World, name: str) -> None:
    """In no way that works outside."""

    def marked() -> set[str]:
        return {path.name for path in world.proj.iterdir() if path.lstat().st_mode & 0o6000}

    attempt = f"def attempt(): {SET_ID[name]}\n"
    for tried in (world.attempt, world.freely):
        for path in world.proj.iterdir():
            path.rmdir() if path.is_dir() else path.unlink()
        shutil.copy("/bin/sh", world.proj / "sh")
        (world.proj / "directory").mkdir()
        world.own()
        tried(attempt)
        assert bool(marked()) == (tried == world.freely and name != "open without a name"), marked()


def test_an_agent_that_crashes_leaves_no_core(world: World) -> None:
    """The kernel would write it, with the user's rights, to wherever it is told."""
    assert (
        world.attempt("import resource\ndef attempt(): return resource.getrlimit(resource.RLIMIT_CORE)\n") == "(0, 0)"
    )
    raised = "subprocess.run('ulimit -c 1', shell=True, stderr=subprocess.DEVNULL).returncode"
    assert world.attempt(f"def attempt(): return {raised} != 0\n") == "True"


def test_a_file_in_rw_does_not_run_and_one_in_rwx_does(world: World) -> None:
    """``x`` is what makes the difference; a library in rw cannot be loaded either."""
    program = world.proj / "program"
    program.write_text("#!/bin/sh\necho ran\n")
    program.chmod(0o755)
    world.own()
    run = "def attempt(): return subprocess.run(['{}/program'], capture_output=True, text=True).stdout.strip()\n"
    assert world.attempt(run.format(world.proj)) == "EACCES"
    assert world.attempt(run.format(world.proj), {"filesystem": {"rwx": ["{CWD}"]}}) == "ran"
    load = "def attempt(): mmap.mmap(os.open('program', os.O_RDONLY), 10, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC)\n"
    assert world.attempt(load) == "EPERM"


def test_a_read_only_grant_beneath_a_writable_one_does_not_narrow_it(world: World) -> None:
    """Rights are united: this is what 'most permissive wins' means."""
    (world.proj / "sub").mkdir()
    world.own()
    attempt = "def attempt(): open('sub/new', 'w').close()\n"
    assert world.attempt(attempt, {"filesystem": {"ro": ["{CWD}/sub"]}}) == "did it"


def test_metadata_of_a_read_only_grant_cannot_change(world: World) -> None:
    """Landlock does not know chmod, utime and xattr; the read-only mount does."""
    world.own()
    layer = {"filesystem": {"ro": [str(world.outside)]}}
    for change in (
        "os.chmod(p, 0o666)",
        "os.utime(p, (0, 0))",
        "os.setxattr(p, 'user.x', b'1')",
        "os.chown(p, -1, -1)",
    ):
        code = f"def attempt():\n  p = '{world.outside}/secret'\n  open(p).close()\n  {change}\n"
        assert world.attempt(code, layer) == "EROFS", change


def test_an_inherited_descriptor_is_closed(world: World) -> None:
    """What the daemon had open is not the agent's."""
    with open(world.outside / "secret") as secret:
        code = "def attempt(): return sorted(int(n) for n in os.listdir('/proc/self/fd'))\n"
        found = world.attempt(code, launch={"pass_fds": [secret.fileno()]})
    assert found == "[0, 1, 2, 3]"  # 3 is the listing itself


def test_a_directory_as_a_standard_descriptor_is_refused(world: World) -> None:
    """It would be a way out of the mount namespace: openat(0, '..')."""
    fd = os.open(world.outside, os.O_RDONLY)
    try:
        for standard in ("stdin", "stdout", "stderr"):
            quiet = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL) | {standard: fd}
            assert world.start(world.spec(["touch", "ran"]), capture_output=False, **quiet).returncode != 0
    finally:
        os.close(fd)
    assert not (world.proj / "ran").exists()


def test_a_set_uid_program_gains_nothing(world: World) -> None:
    """No new privileges, no capabilities, nosuid."""
    code = "def attempt(): return [l.split()[1] for l in open('/proc/self/status') if l.startswith(('Cap', 'NoNew'))]\n"
    assert world.attempt(code) == str(["0" * 16] * 5 + ["1"])
    where = os.statvfs("/usr")
    assert where is not None
    code = "def attempt(): return bool(os.statvfs('/usr').f_flag & os.ST_NOSUID and os.statvfs('.').f_flag & os.ST_NOSUID)\n"
    assert world.attempt(code) == "True"


def test_files_inside_belong_to_the_user(world: World) -> None:
    """The user namespace maps the user to itself."""
    (world.proj / "mine").touch()
    world.own()
    code = (
        "def attempt(): return (os.getuid(), os.getgid(), os.stat('mine').st_uid, os.stat(os.environ['HOME']).st_uid)\n"
    )
    assert world.attempt(code) == str((world.uid,) * 4)
    assert stat.S_ISREG((world.proj / "mine").stat().st_mode)
