"""The tier without namespaces, for kernels that give none: what Landlock and the filter hold by themselves."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from sandbox_world import PYTHON, World

from sandbox import landlock


def attempt(world: World, code: str, layer: dict[str, object] | None = None, abi: int = landlock.NEWEST) -> str:
    from sandbox_world import PRELUDE, REPORT

    spec = world.spec(
        [PYTHON, "-I", "-c", PRELUDE + "def attempt(): " + code + REPORT], layer, tier="weak", tmpdir=str(world.proj)
    )
    result = world.start({**spec, "abi": abi, "best_effort": True})
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.mark.parametrize("program", ["inside/hook.py", "inside/shellagent.py", "hook.py", "shellagent.py"])
def test_programs_of_ours_start_where_the_directory_above_them_is_closed(world: World, program: str) -> None:
    """A source tree is not granted whole: without mounts its top cannot even be listed, which is how Python finds a package."""
    package = world.top / "tree/anvilsrv"
    shutil.copytree(
        Path(__file__).parent.parent.parent / "anvilsrv", package, ignore=shutil.ignore_patterns("__pycache__")
    )
    world.own()
    argv = [PYTHON, "-I", "-S", str(package / program), "--help"]
    spec = world.spec(argv, {"filesystem": {"rox": [str(package)]}}, tier="weak", tmpdir=str(world.proj))
    result = world.start({**spec, "best_effort": True})
    assert "ModuleNotFoundError" not in result.stderr
    assert program.endswith("shellagent.py") or result.stdout.startswith("usage: anvillm-hook")


FILES = {
    "open('{o}/secret')": "EACCES",
    "open('{o}/secret', 'a')": "EACCES",
    "open('{o}/new', 'w')": "EACCES",
    "os.unlink('{o}/secret')": "EACCES",
    "os.listdir('{o}')": "EACCES",
    "os.mkdir('{o}/new')": "EACCES",
    "open('/etc/shadow')": "EACCES",
    "open('/proc/{pid}/environ')": "EACCES",
    "open('/proc/{pid}/mem')": "EACCES",
    "os.symlink('{o}/secret', 'way') or open('way')": "EACCES",
    "os.mknod('node', 0o020600, os.makedev(1, 1))": "EACCES",
    "open('made', 'w').close()": "did it",
}


@pytest.mark.parametrize("abi", [1, 2, 3, 4, 5, 6, 7])
def test_files_outside_are_closed_under_every_abi(world: World, abi: int) -> None:
    """Older kernels are simulated by asking only for what they know."""
    lines = ["", "  found = {}"]
    for code, right in FILES.items():
        code = code.format(o=world.outside, pid=os.getppid())
        lines += [
            "  try:",
            f"    {code}; got = 'did it'",
            "  except OSError as error: got = errno.errorcode[error.errno]",
        ]
        lines += [f"  if got not in ({right!r}, 'EPERM'): found[{code!r}] = got"]
    assert attempt(world, "\n".join([*lines, "  return found", ""]), abi=abi) == "{}"


@pytest.mark.parametrize("abi", [1, 2, 3, 7])
def test_truncation_is_closed_from_abi_3(world: World, abi: int) -> None:
    """Before that it is one of the things this tier does not stop, as SECURITY.md says."""
    got = attempt(world, f"os.truncate('{world.outside}/secret', 0)\n", abi=abi)
    assert got == ("EACCES" if abi >= 3 else "did it")


def test_renames_between_grants_are_closed_under_abi_1(world: World) -> None:
    """Without REFER the kernel denies every move between directories."""
    (world.proj / "a").mkdir()
    world.own()
    code = "open('f', 'w').close() or os.rename('f', 'a/f')\n"
    assert attempt(world, code, abi=1) == "EXDEV"
    assert attempt(world, code, abi=2) == "did it"


def test_only_granted_ports_are_reached_from_abi_4(world: World) -> None:
    """And there is no network at all without a grant."""
    listener = world.listen(("127.0.0.1", 0))
    port = listener.sock.getsockname()[1]
    code = f"socket.create_connection(('127.0.0.1', {port})).close()\n"
    assert attempt(world, code) == "EACCES"
    assert attempt(world, code, {"network": {"enabled": True, "connect_tcp": [port]}}) == "did it"
    assert attempt(world, code, {"network": {"enabled": True, "connect_tcp": [1]}}) == "EACCES"
    assert attempt(world, "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n") == "EACCES"
    assert listener.counted(1) == 1


def test_abstract_sockets_and_signals_are_closed_from_abi_6(world: World) -> None:
    """Scopes."""
    name = f"\0anvil-weak-{os.getpid()}-{world.uid}"
    listener = world.listen(name)
    code = f"socket.socket(socket.AF_UNIX).connect({name!r})\n"
    assert attempt(world, code, abi=6) == "EPERM"
    assert attempt(world, code, abi=5) == "did it"
    assert listener.counted(1) == 1
    with subprocess.Popen(["sleep", "600"], **world.identity) as daemon:
        for code in (f"os.kill({daemon.pid}, 15)\n", f"signal.pidfd_send_signal(os.pidfd_open({daemon.pid}), 15)\n"):
            assert attempt(world, code, abi=6) == "EPERM"
        for code in (f"os.setpriority(0, {daemon.pid}, 5)\n", f"os.sched_setaffinity({daemon.pid}, [0])\n",
                     f"__import__('resource').prlimit({daemon.pid}, 7, (1, 1))\n"):  # fmt: skip
            assert attempt(world, code) == "EPERM", code
        assert daemon.poll() is None
        daemon.send_signal(signal.SIGKILL)


def test_sockets_by_path_stay_open_below_abi_9(world: World) -> None:
    """The reason why this tier is not taken unasked: this test says what is true, not what is wished."""
    if landlock.abi() >= 9:
        pytest.skip("this kernel closes them")
    listener = world.listen(f"{world.outside}/stream")
    assert attempt(world, f"socket.socket(socket.AF_UNIX).connect('{world.outside}/stream')\n") == "did it"
    assert listener.counted(1) == 1


def test_the_session_has_its_own_socket_in_this_tier(world: World) -> None:
    """NAMESPACE is the session's own directory."""
    own = world.listen(f"{world.sess}/agent", answer=b"own")
    code = "\n  s = socket.socket(socket.AF_UNIX); s.connect(os.environ['NAMESPACE'] + '/agent'); return s.recv(3)\n"
    assert attempt(world, code) == "b'own'"
    assert attempt(world, "open(os.environ['NAMESPACE'] + '/spool/x', 'w').close()\n") == "did it"
    assert attempt(world, "os.unlink(os.environ['NAMESPACE'] + '/agent')\n") == "EACCES"
    assert own.counted(1) == 1


def test_no_sandbox_at_all_is_loud(user_world: World) -> None:
    """best_effort: unsandboxed."""
    result = user_world.start(user_world.spec(["echo", "ran"], tier="none"))
    assert (result.stdout, result.stderr) == (
        "ran\n",
        "anvil-sandbox: warning: no sandbox at all, as global.yaml allows\n",
    )
