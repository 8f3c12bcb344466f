"""What no agent may ever write, whatever its layers grant."""

import pytest
from sandbox_world import World

HOME = {"filesystem": {"rwx": ["{HOME}"]}}


def attempt(world: World, code: str) -> str:
    names = "  home = os.environ['HOME']\n  config = home + '/.config/anvillm'\n"
    return world.attempt(f"def attempt():\n{names}  {code}\n", HOME)


EDITS = {
    "write a role": "open(config + '/roles/default.yaml', 'w').close()",
    "overwrite global.yaml": "open(config + '/global.yaml', 'w').close()",
    "delete it": "os.unlink(config + '/global.yaml')",
    "replace it": "open(home + '/mine', 'w').close() or os.replace(home + '/mine', config + '/global.yaml')",
    "make it writable": "os.chmod(config + '/global.yaml', 0o666)",
    "move the directory away": "os.rename(config, home + '/moved')",
    "move the directory above away": "os.rename(home + '/.config', home + '/moved')",
    "remove the directory": "os.rmdir(config + '/roles')",
    "link into it": "open(home + '/mine', 'w').close() or os.link(home + '/mine', config + '/tasks.yaml')",
}


@pytest.mark.parametrize("name", EDITS)
def test_an_agent_cannot_edit_its_own_policy(world: World, name: str) -> None:
    """Not even where its home is granted whole."""
    (world.config / "global.yaml").write_text("general: {log_level: info}\n")
    world.own()
    assert attempt(world, EDITS[name]) in ("EROFS", "EBUSY", "EXDEV")
    assert (world.config / "global.yaml").read_text() == "general: {log_level: info}\n"
    assert sorted(path.name for path in world.config.iterdir()) == ["global.yaml", "roles"]


def test_a_configuration_that_does_not_exist_yet_cannot_be_made(world: World) -> None:
    """The directories are made before the agent starts, so that they can be read-only."""
    for path in ("roles", "."):
        (world.config / path).rmdir()
    world.config.parent.rmdir()
    for code in (
        "os.makedirs(config + '/roles')",
        "open(config + '/global.yaml', 'w')",
        "os.rename(home + '/.config', home + '/x')",
    ):
        assert attempt(world, code) in ("EROFS", "EBUSY")
    assert list(world.config.iterdir()) == []


def test_the_rest_of_such_a_home_is_writable(world: World) -> None:
    """The protection takes no more than it must; and a note says what it means."""
    world.own()
    assert attempt(world, "open(home + '/.config/other', 'w').close()") == "did it"
    assert attempt(world, "os.rename(home + '/.config/other', home + '/.config/other2')") == "did it"
    assert (world.home / ".config/other2").exists()
    assert any(
        "is writable: what the agent puts there may run outside later" in note for note in world.policy(HOME).notes
    )


def test_sessions_and_their_sockets_are_not_in_sight_in_a_granted_home(world: World) -> None:
    """The state of the daemon is hidden, except what the daemon itself grants in it."""
    state = world.home / ".local/state/anvillm/s/files"
    state.mkdir(parents=True)
    (state / "settings").write_text("x")
    (state.parent / "spec").write_text("x")
    world.own()
    assert attempt(world, "return os.listdir(home + '/.local/state/anvillm')") == "[]"
    layer = {"filesystem": {"rw": ["{HOME}"], "ro": [str(state)]}}
    code = f"def attempt(): return (os.listdir('{state.parent}'), os.listdir('{state}'))\n"
    assert world.attempt(code, extra=[("daemon", layer)]) == "(['files'], ['settings'])"
    assert world.attempt(code, layer) == "ENOENT"  # from nobody else, a command line least of all
    assert world.attempt(f"def attempt(): open('{state}/new', 'w')\n", extra=[("daemon", layer)]) in ("EROFS", "EACCES")
    assert (
        world.attempt("def attempt(): os.rename(os.environ['HOME'] + '/.local', os.environ['HOME'] + '/x')\n", layer)
        == "EBUSY"
    )


def test_protected_parts_of_a_backends_directory_stay(world: World) -> None:
    """Data is written, what runs code later is not; what is missing of it is made, so that the agent cannot."""
    (world.home / ".tool/data").mkdir(parents=True)
    (world.home / ".tool/settings.json").write_text("{}")
    world.own()
    layer = {
        "filesystem": {"rw": ["~/.tool"], "protect": ["~/.tool/settings.json", "~/.tool/hooks/", "~/.tool/none.json"]}
    }
    tool = "def attempt():\n  os.chdir(os.environ['HOME'] + '/.tool')\n  "
    assert world.attempt(tool + "open('data/x', 'w').close(); open('new', 'w').close()\n", layer) == "did it"
    for code in ("open('settings.json', 'w')", "open('hooks/x', 'w')", "open('none.json', 'w')", "os.rename('hooks', 'x')",
                 "open('a', 'w').close() or os.replace('a', 'settings.json')", "os.unlink('none.json')"):  # fmt: skip
        assert world.attempt(tool + code + "\n", layer) in ("EROFS", "EBUSY"), code
    assert (world.home / ".tool/hooks").is_dir()


def test_the_program_itself_is_protected(world: World) -> None:
    """A session that works in the checkout that runs it can read it."""
    from sandbox import policy

    program = policy.__file__
    found = world.policy({"filesystem": {"rwx": [program.rsplit("/", 2)[0]]}})
    assert "w" not in found.rights(program)
    assert any("is never writable" in note for note in found.notes)


def test_the_namespace_cannot_be_taken_over_from_a_directory_above(world: World) -> None:
    """An agent that may write where the namespace lies could otherwise serve the user a socket of its own."""
    world.own()
    layer = {"filesystem": {"rwx": [str(world.top)]}}
    for code in (f"os.rename('{world.ns}', '{world.ns}x')", f"os.mkdir('{world.ns}/x')"):
        assert world.attempt(f"def attempt(): {code}\n", layer) in ("EBUSY", "EROFS", "EACCES")
    deep = world.top / "a/b/ns"
    deep.mkdir(parents=True, mode=0o700)
    world.own()
    code = f"def attempt(): os.rename('{world.top}/a', '{world.top}/c')\n"
    assert world.attempt(code, layer, namespace=str(deep)) == "EBUSY"
