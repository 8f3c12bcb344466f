"""Files that make editors, shells and agents of the user's run something: what is there cannot be changed, nothing is made."""

from typing import Any

import pytest
from git_world import LAYER, GitWorld
from sandbox_world import World

from sandbox.errors import PolicyError
from sandbox.git_find import NAMES
from sandbox.layers import parse

PLACES = [name.replace("*", ".local") for name in NAMES]
CHANGE = "for f in {names}; do ( if [ -d $f ]; then echo x > $f/x; else echo x >> $f; fi; mv $f $f.gone; rm -rf $f ) || true; done"


def make(git: GitWorld) -> None:
    for name in PLACES:
        path = git.proj / name
        if not name.endswith((".json", "rc", ".el")):
            path /= "x"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("user\n")
    git.world.own()


def contents(git: GitWorld) -> str:
    return git.user("find . -path ./.git -prune -o -type f -print | sort | xargs md5sum")


def test_what_is_there_and_untracked_is_read_only(world: World) -> None:
    """Each of the names, files and directories."""
    git = GitWorld(world)
    make(git)
    before = contents(git)
    git.agent(CHANGE.format(names=" ".join(PLACES)), git.cover(), check=False)
    assert contents(git) == before


def test_nothing_is_made_where_nothing_is(world: World) -> None:
    """Neither on the host nor inside."""
    git = GitWorld(world)
    assert git.agent("ls -A", git.cover()) == ".git\nd\nfile\n"
    assert git.user("ls -A") == ".git\nd\nfile\n"


def test_what_git_keeps_stays_writable(world: World) -> None:
    """A checkout or a rebase must be able to change it."""
    git = GitWorld(world)
    git.user("echo a > .envrc && mkdir .vscode && echo b > .vscode/x && git add . && git commit -qm x")
    git.agent("git checkout -q HEAD~1 && git checkout -q main && echo more >> .envrc", git.cover())
    assert git.user("cat .envrc") == "a\nmore\n"


def test_a_role_opens_them_by_name(world: World) -> None:
    """And what is open is named."""
    git = GitWorld(world)
    make(git)
    layer: dict[str, Any] = {"filesystem": {**LAYER["filesystem"], "unprotect": [".envrc", ".claude/settings*.json"]}}
    covered = git.cover(layer)
    git.agent("echo a > .envrc; echo b > .claude/settings.local.json; echo c > .mcp.json", covered, check=False)
    assert git.user("cat .envrc .claude/settings.local.json .mcp.json") == "a\nb\nuser\n"
    assert f"unprotected\t{git.proj}/.envrc\ttest\n" in covered.text()
    assert f"read-only\t{git.proj}/.mcp.json\t" in covered.text()


def test_only_these_names_can_be_opened() -> None:
    """The error says which there are."""
    with pytest.raises(
        PolicyError, match=r"filesystem.unprotect: '.git' is not protected by its name \(those: .claude"
    ):
        parse("role x", {"filesystem": {"unprotect": [".git"]}})
