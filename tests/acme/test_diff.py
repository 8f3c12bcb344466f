"""What a session has changed: addresses to click, comments that go back as a review, hunks that are taken back."""

import subprocess

import pytest

from acme.lib import patch

MAIN = "/AnviLLM/"


@pytest.fixture
def repository(tmp_path):
    """A work tree in which two places of a file and an end without a line end were changed, and a file is new."""
    run(tmp_path, "init", "-q")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "lex.py").write_text("".join(f"line {n}\n" for n in range(1, 31)) + "end")
    run(tmp_path, "add", ".")
    run(tmp_path, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "first")
    lines = (
        (tmp_path / "src" / "lex.py")
        .read_text()
        .replace("line 3\n", "line three\n")
        .replace("line 20\n", "")
        .replace("end", "END")
    )
    (tmp_path / "src" / "lex.py").write_text(lines)
    (tmp_path / "new.txt").write_text("- new\n+ text\n")
    run(tmp_path, "add", "-N", ".")
    return tmp_path


def run(where, *words, given=""):
    return subprocess.run(["git", *words], cwd=where, input=given, capture_output=True, text=True, check=True).stdout


def test_each_hunk_stands_beneath_its_address(repository):
    drawn = patch.draw("# a remark\n" + run(repository, "diff"), lambda path: f"../{path}")
    text = drawn.text()
    assert text.startswith(
        "# a remark\n4 hunks in 2 files\n\n../new.txt:1\n@@ -0,0 +1,2 @@\n+- new\n++ text\n\n../src/lex.py:3\n@@ -1,6 +1,6 @@"
    )
    assert "\n../src/lex.py:20\n@@ -17,7 +17,6 @@" in text
    assert patch.draw("diff --git a/x b/x\n+++ b/x\n@@ -1,2 +1,1 @@\n a\n-b\n", str).lines[0] == "1 hunk in 1 file"


def test_what_is_written_beneath_a_line_is_about_it(repository):
    drawn = patch.draw(run(repository, "diff"), str)
    body = (
        drawn.text()
        .replace("+line three\n", "+line three\nwhy not 3?\nit was shorter\n")
        .replace("-line 20\n", "-line 20\n\tkeep it\n")
    )
    assert patch.comments(drawn, body) == ["src/lex.py:3: why not 3?\n it was shorter", "src/lex.py:20: keep it"]
    cut = body.replace(" line 1\n line 2\n", "")
    assert patch.comments(drawn, cut) == patch.comments(drawn, body)
    assert patch.comments(drawn, drawn.text()) == []


def test_what_is_taken_back_is_as_it_was(repository):
    before = run(repository, "show", "HEAD:src/lex.py")
    drawn = patch.draw(run(repository, "diff"), str)
    body = drawn.text()
    at = body.index("-line 20")
    (hunk,) = patch.touched(drawn, body, at, at)
    run(repository, "apply", given=patch.taken_back([hunk]))
    now = (repository / "src" / "lex.py").read_text()
    assert "line 20\n" in now
    assert "line three\n" in now
    rest = patch.hunks(run(repository, "diff"))
    run(repository, "apply", given=patch.taken_back(rest))
    assert (repository / "src" / "lex.py").read_text() == before
    assert not (repository / "new.txt").exists()


def test_a_diff_is_commented_and_a_hunk_of_it_taken_back(person, agent, assist, repository):
    id = agent.add("claude", str(repository / "src"), alias="rev")
    agent.texts[f"{id}/git/diff"] = run(repository, "diff")
    assist()
    person.select(MAIN, id)
    person.execute(MAIN, "Diff", tag=True)
    name = f"{repository}/src/+Diff.rev"
    person.sees(name, "\nlex.py:20\n@@ -17")
    person.sees(name, "../new.txt:1\n")
    person.select(name, "+line three\n")
    person.type(name, "+line three\nwhy?\n")
    person.execute(name, "Del", tag=True)
    person.sees("+Errors", f"{name} modified\n")
    person.execute(name, "Put", tag=True)
    assert agent.await_written(f"{id}/git/review") == "src/lex.py:3: why?\n"
    person.wait(lambda: "why?" not in person.body(name), "the comment to go")
    person.select(name, "line 20")
    person.execute(name, "Revert", tag=True)
    taken = agent.await_written(f"{id}/git/apply")
    assert "\n+line 20\n" in taken
    assert "three" not in taken


def test_get_leaves_the_selection_where_it_is(person, agent, assist, repository):
    id = agent.add("claude", str(repository / "src"), alias="rev")
    agent.texts[f"{id}/git/diff"] = run(repository, "diff")
    assist()
    person.select(MAIN, id)
    person.execute(MAIN, "Diff", tag=True)
    name = f"{repository}/src/+Diff.rev"
    person.sees(name, "+line three\n")
    person.select(name, "+line three")
    (repository / "src" / "lex.py").write_text((repository / "src" / "lex.py").read_text() + "\none more\n")
    agent.texts[f"{id}/git/diff"] = run(repository, "diff")
    person.execute(name, "Get", tag=True)
    person.sees(name, "+one more\n")
    person.execute(name, "Revert", tag=True)
    taken = agent.await_written(f"{id}/git/apply")
    assert "-line three\n" in taken
    assert "one more" not in taken
