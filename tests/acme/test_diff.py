"""What a session has changed: addresses to click, comments that go back as a review, hunks that are taken back."""

import subprocess

import pytest

from acme.lib import change, edit_lines, patch

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


def opened(person, agent, assist, repository, **more):
    """Open the window of what a session has changed there, by the main window; returns the id and the window's name."""
    id = agent.add("claude", str(repository / "src"), alias="rev", **more)
    agent.texts[f"{id}/git/diff"] = run(repository, "diff")
    assist()
    person.select(MAIN, id)
    person.execute(MAIN, "Diff", tag=True)
    return id, f"{repository}/src/+Diff.rev"


def commented(drawn, *places):
    """Return the text with words of a person's beneath these lines of it."""
    text = drawn.text()
    for line, words in places:
        text = text.replace(f"{line}\n", f"{line}\n{words}\n")
    return text


def test_each_hunk_stands_beneath_its_address(repository):
    drawn = patch.draw("# a remark\n" + run(repository, "diff"), lambda path: f"../{path}")
    text = drawn.text()
    assert text.startswith(
        "# a remark\n4 hunks in 2 files\n\n../new.txt:1\n@@ -0,0 +1,2 @@\n+- new\n++ text\n\n../src/lex.py:3\n@@ -1,6 +1,6 @@"
    )
    assert "\n../src/lex.py:20\n@@ -17,7 +17,6 @@" in text
    assert patch.draw("diff --git a/x b/x\n+++ b/x\n@@ -1,2 +1,1 @@\n a\n-b\n", str).lines[0] == "1 hunk in 1 file"


def test_a_change_that_is_no_text_is_named_commented_and_taken_back(repository):
    (repository / "data").write_bytes(bytes(range(256)))
    (repository / "run").write_text("#!/bin/sh\n")
    (repository / "gone").write_text("")
    run(repository, "add", ".")
    run(repository, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "second")
    (repository / "data").write_bytes(b"\0" * 99)
    (repository / "run").chmod(0o755)
    (repository / "gone").unlink()
    (repository / "a b").write_text("")
    (repository / "more").write_bytes(b"\0\1")
    run(repository, "add", "-A")
    drawn = patch.draw(run(repository, "diff", "--binary", "--full-index", "--no-renames", "--cached"), str)
    text = drawn.text()
    assert text == (
        "5 hunks in 5 files\n\na b\nempty file, new\n\ndata\nbinary file, changed\n\ngone\nempty file, deleted\n\n"
        "more\nbinary file, new\n\nrun\nmode 100644 → 100755\n"
    )
    assert patch.comments(drawn, text.replace("new\n", "new\nwhy?\n", 1)) == ["a b:1: why?"]
    for name in ("a b", "data", "gone", "more", "run"):
        at = text.index(f"\n{name}\n") + 1
        run(repository, "apply", "--index", given=patch.taken_back(patch.touched(drawn, text, at, at)))
    assert run(repository, "status", "--short") == ""


def test_what_is_written_beneath_a_line_is_about_it(repository):
    drawn = patch.draw(run(repository, "diff"), str)
    body = commented(drawn, ("+line three", "why not 3?\nit was shorter"), ("-line 20", "\tkeep it"))
    assert patch.comments(drawn, body) == ["src/lex.py:3: why not 3?\n it was shorter", "src/lex.py:20: keep it"]
    cut = body.replace(" line 1\n line 2\n", "")
    assert patch.comments(drawn, cut) == patch.comments(drawn, body)
    assert patch.comments(drawn, drawn.text()) == []


def test_comments_that_were_kept_stand_beneath_their_lines_again(repository):
    drawn = patch.draw(run(repository, "diff"), str)
    body = commented(drawn, ("+line three", "why?\nit was shorter"), ("++ text", "what?"))
    kept = "\n".join(patch.comments(drawn, body))
    assert patch.commented(drawn, kept) == body
    assert patch.commented(drawn, "gone.py:3: why?\n not") == drawn.text() + "gone.py:3: why?\nnot\n"


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
    id, name = opened(person, agent, assist, repository)
    person.sees(name, "\nlex.py:20\n@@ -17")
    person.sees(name, "../new.txt:1\n")
    person.rewrite(name, "+line three\n", "+line three\nwhy?\n")
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


def test_what_a_command_or_a_turn_has_changed_is_shown_unless_something_is_written_there(
    person, agent, assist, repository
):
    id, name = opened(person, agent, assist, repository, branch="work", state="running")
    person.sees(name, "4 hunks in 2 files")
    agent.texts[f"{id}/git/diff"] = run(repository, "diff", "--", "new.txt")
    agent.change(id, state="idle", answered=1)
    person.sees(name, "1 hunk in 1 file")
    agent.texts[f"{id}/git/diff"] = ""
    person.type_at_end(MAIN, f"Merge {id}\n")
    person.execute(MAIN, f"Merge {id}", sweep=True)
    person.sees(name, "nothing was changed")
    agent.texts[f"{id}/git/diff"] = run(repository, "diff")
    person.execute(name, "Merge", tag=True)
    person.sees(name, "4 hunks in 2 files")
    person.rewrite(name, "+line three\n", "+line three\nwhy?\n")
    agent.texts[f"{id}/git/diff"] = ""
    person.execute(name, "Merge", tag=True)
    person.execute(name, "Discard", tag=True)
    person.sees(name, "the session is gone; it had changed: 4 hunks")
    assert "why?\n" in person.body(name)


def test_get_leaves_the_selection_where_it_is(person, agent, assist, repository):
    id, name = opened(person, agent, assist, repository)
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


TEXT = "".join(f"line {n}\n" for n in range(1, 31)) + "def f():\n    return line 3\n    return line 31\n"


@pytest.mark.parametrize(
    ("diff", "shown"),
    [
        ("@@\n-line 20\n+line twenty\n", "a.py:20\n-line 20\n+line twenty"),
        ("@@\n line 19\n-line 20\n+20\n", "a.py:20\n line 19\n-line 20\n+20"),
        ("@@\n-line 3\n+x\n", "a.py:3\n-line 3\n+x"),  # whole lines, where there are some
        ("@@\n-    return\n+    yield\n", "a.py:32 a.py:33\n-    return\n+    yield"),
        ("@@\n-line\n+x\n", " ".join(f"a.py:{n}" for n in range(1, 9)) + "\n-line\n+x"),  # of many, the first
        ("@@\n-no such line\n+x\n", "a.py\n-no such line\n+x"),
        ("@@ -0,0 +1,1 @@\n+all\n", "a.py:1\n+all"),
        ("@@\n-line 1\n+a\n@@\n-line 2\n+b\n", "a.py:1\n-line 1\n+a\na.py:2\n-line 2\n+b"),
        (
            "--- b.py\n+++ b.py\n@@ -7,2 +7,2 @@\n x\n--- y\n+++ z\n--- a.py\n+++ a.py\n@@ def f\n-line 9\n",
            "--- b.py\n+++ b.py\nb.py:8\n x\n--- y\n+++ z\n--- a.py\n+++ a.py\na.py:9\n-line 9",
        ),
    ],
)
def test_what_an_agent_asks_to_change_stands_below_its_place_in_the_file(tmp_path, diff, shown):
    (tmp_path / "a.py").write_text(TEXT)
    assert change.drawn(diff, str(tmp_path / "a.py"), str(tmp_path)) == shown
    assert change.drawn(diff, "a.py", str(tmp_path)) == shown


def test_a_question_about_an_edit_says_in_which_file_it_is():
    assert change.path_of("Edit: /w/a.py", '{"file_path": "/w/b.py"}') == "/w/b.py"
    assert change.path_of("replace: /w/a.py\n", "") == "/w/a.py"
    assert change.drawn("@@\n-x\n", change.path_of("Sure?", ""), "/w") == "@@\n-x"


def test_an_edit_in_a_log_has_the_address_that_is_known():
    lines = {"@@ -7,2 +7,2 @@\n x\n-y\n+z\n": "a.py:8\n\t\t x\n\t\t-y\n\t\t+z", "@@\n-y\n+z\n": "a.py\n\t\t-y\n\t\t+z"}
    for diff, shown in lines.items():
        assert edit_lines.drawn({"path": "a.py", "diff": diff}) == f"\t\t{shown}\n"
    assert edit_lines.drawn({"path": "a.py", "diff": "@@\n-y\n", "line": 4}) == "\t\ta.py:4\n\t\t-y\n"
    assert edit_lines.drawn({"path": "a.py", "diff": ""}) == ""
