"""What stays closed whatever a layer grants, and what must go on working."""

import os
import sys
from pathlib import Path

import pytest
from sandbox_world import World

from sandbox.errors import PolicyError
from sandbox.plan import specification


def test_the_daemons_tmux_and_what_lies_in_its_state_are_let_in_by_nobody(world: World) -> None:
    state = world.home / ".local/state/anvillm"
    state.mkdir(parents=True)
    world.own()
    for path in ("{NAMESPACE}/anvillm.tmux", "{NAMESPACE}/agent", f"{state}/x.sock"):
        (world.config / "global.yaml").write_text(f"unix: ['{path}']\n")
        with pytest.raises(PolicyError, match="never reachable"):
            world.policy()
        with pytest.raises(PolicyError, match="never reachable"):
            world.policy({"unix": [path]})


@pytest.mark.parametrize("top", [".local", ".local/state", ".local/state/anvillm", ".local/state/anvillm/sessions"])
def test_the_state_of_the_daemon_is_not_seen_whoever_grants_it(world: World, top: str) -> None:
    secret = world.home / ".local/state/anvillm/sessions/x/secret"
    secret.parent.mkdir(parents=True)
    secret.write_text("another session's")
    world.own()
    assert world.attempt(
        f"def attempt(): return open('{secret}').read()", {"filesystem": {"rw": [str(world.home / top)]}}
    ) in (
        "ENOENT",
        "EACCES",
    )


def test_granting_proc_shows_no_process_outside(world: World) -> None:
    code = """def attempt():
        numbers = [n for n in os.listdir("/proc") if n.isdigit()]
        return len(numbers) < 10, any(b"pytest" in open(f"/proc/{n}/cmdline", "rb").read().split(b"PRELUDE")[0][:200] for n in numbers)
    """.replace("\n    ", "\n")
    assert world.attempt(code, {"filesystem": {"ro": ["/proc", f"/proc/{os.getpid()}"]}}) == "(True, False)"


def test_a_home_that_is_reached_through_a_link_can_be_worked_in(world: World) -> None:
    link = world.top / "link"
    link.symlink_to(world.top / "home")
    env = {**world.env, "HOME": str(link)}
    spec = specification(
        world.policy(env=env), ["true"], tier="full", namespace_source=str(world.sess), tmpdir="", env=env
    )
    assert spec["directories"] == [str(world.home)]
    assert [str(link), str(world.home)] in spec["links"]


def test_the_directory_of_our_commands_is_read_only_where_the_rest_of_the_home_is_not(world: World) -> None:
    (world.home / "bin").mkdir()
    (world.home / "bin" / "anvilsrv").symlink_to(Path(sys.prefix) / "bin" / "anvilsrv")
    world.own()
    code = f"def attempt(): os.replace('{world.home}/secret', '{world.home}/bin/anvilsrv')"
    assert world.attempt(code, {"filesystem": {"rw": [str(world.home), str(world.home / "bin")]}}) in (
        "EROFS",
        "EXDEV",
        "EACCES",
    )
    assert os.readlink(world.home / "bin" / "anvilsrv").startswith(sys.prefix)
