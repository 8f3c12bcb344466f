"""Windows of files that an agent has changed, or a command of ours: clean ones are read again, others are left alone and named."""

import subprocess

import pytest

MAIN = "/AnviLLM/"


def git(where, *words):
    subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@b", *words], cwd=where, check=True, capture_output=True
    )


@pytest.fixture
def trees(project):
    """A work tree and one linked with it, with a file each."""
    git(project, "init", "-q", "-b", "main")
    with open(f"{project}/lex.py", "w") as file:
        file.write("old\n")
    git(project, "add", ".")
    git(project, "commit", "-qm", "first")
    git(project, "worktree", "add", "-q", f"{project}.work", "-b", "work")
    return project, f"{project}.work"


def written(path):
    with open(path, "w") as file:
        file.write("new\nand more\n")


def test_after_a_turn_a_clean_window_of_a_file_is_read_again_and_one_with_changes_is_named(
    person, agent, assist, trees
):
    other, tree = trees
    id = agent.add("claude", tree, alias="rev", state="running")
    with open(f"{tree}/two.py", "w") as file:
        file.write("two\n")
    for path in (f"{tree}/lex.py", f"{other}/lex.py"):
        person.new(path, "old\n")
    person.new(f"{tree}/two.py", "two\n")
    person.type_at_end(f"{tree}/two.py", "mine")
    agent.logs[id].add(b"USER 2026-01-01T10:00:00\n\tgo\n")
    assist("log", id)
    person.sees(MAIN, id)
    for path in (f"{tree}/lex.py", f"{tree}/two.py", f"{other}/lex.py"):
        written(path)
    agent.change(id, state="idle", answered=1)
    person.sees(f"{tree}/+Log.rev", "\tchanged here and by the agent: two.py\n")
    person.sees(f"{tree}/lex.py", "new\nand more\n")
    assert "mine" in person.body(f"{tree}/two.py")
    assert person.body(f"{other}/lex.py") == "old\n"  # of that tree the agent knows nothing


def test_after_a_merge_the_windows_of_the_tree_into_which_it_went_are_read_again(person, agent, assist, trees):
    other, tree = trees
    id = agent.add("claude", tree, alias="rev", branch="work")
    person.new(f"{other}/lex.py", "old\n")
    assist()
    person.sees(MAIN, id)
    written(f"{other}/lex.py")
    person.select(MAIN, id)
    person.execute(MAIN, "Diff", tag=True)
    person.sees(f"{tree}/+Diff.rev", "nothing was changed")
    person.execute(f"{tree}/+Diff.rev", "Merge", tag=True)
    person.sees(f"{other}/lex.py", "new\nand more\n")
