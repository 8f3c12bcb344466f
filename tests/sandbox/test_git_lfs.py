"""Large files that an agent commits come along with their pointers; what is not what its name says does not."""

import hashlib
import os
import shutil

import pytest
from git_world import LAYER
from sandbox_world import World
from test_git_land import Session

CONTENT = "large\n"
NAME = hashlib.sha256(CONTENT.encode()).hexdigest()
PATH = f"lfs/objects/{NAME[:2]}/{NAME[2:4]}/{NAME}"
#: What git-lfs makes of a file that is added.
POINTER = (
    f"printf 'version https://git-lfs.github.com/spec/v1\\noid sha256:{NAME}\\nsize {len(CONTENT)}\\n' > large && "
    f"mkdir -p .git/{os.path.dirname(PATH)} && {{what}} && git add large && git commit -qm large"
)


def test_a_large_file_comes_with_the_commit_that_names_it(world: World) -> None:
    """As git-lfs keeps it."""
    session = Session(world).begin()
    session.work(POINTER.format(what=f"printf '{CONTENT}' > .git/{PATH}"))
    assert "on your branch" in session.land()
    assert (session.proj / ".git" / PATH).read_text() == CONTENT
    assert list((session.proj / ".git" / PATH).parent.iterdir()) == [session.proj / ".git" / PATH]


WRONG = {
    "another content": f"printf 'larg!\\n' > .git/{PATH}",
    "more than it says": f"printf '{CONTENT}.' > .git/{PATH}",
    "a link": f"rm -rf .git/{PATH} && ln -s {{secret}} .git/{PATH}",
    "a link above": f"d=.git/{os.path.dirname(PATH)} && rm -rf $d && ln -s {{outside}} $d",
    "a FIFO": f"mkfifo .git/{PATH}",
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_not_what_its_name_says_does_not_come(user_world: World, name: str) -> None:
    """Nor the commit; and it is told."""
    session = Session(user_world).begin()
    secret = user_world.outside / NAME
    secret.write_text(CONTENT)
    session.work(POINTER.format(what=WRONG[name].format(secret=secret, outside=user_world.outside)))
    assert "and not on your branch: its large file" in session.land()
    assert not (session.proj / ".git" / PATH).exists()
    assert session.user("git log --format=%s") == "one\n"


@pytest.mark.slow(5)
def test_git_lfs_works_inside(user_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's large files are there, and new ones come to the user."""
    program = shutil.which("git-lfs")
    if program is None:
        pytest.skip("no git-lfs")
    session, where = Session(user_world), os.path.dirname(program)
    session.env["PATH"] += f":{where}"
    session.layer = LAYER | {
        "filesystem": {"rwx": ["{CWD}", "{TMPDIR}"], "rox": [program]},
        "env": [f"PATH={session.env['PATH']}"],
    }
    session.user(
        "git lfs install --local && git lfs track '*.big' && echo large > a.big && git add . && git commit -qm big"
    )
    session.begin()
    assert session.work("git lfs ls-files; git status --short") == session.user("git lfs ls-files")
    session.work(
        "rm a.big && git checkout -q a.big && grep -q large a.big && echo larger > b.big && git add b.big && git commit -qm b"
    )
    assert "on your branch" in session.land()
    assert session.user("git lfs fsck && git status --short && git show HEAD:b.big | head -1").endswith("spec/v1\n")
    session.user("git lfs checkout && grep -q larger b.big && git lfs fsck")
