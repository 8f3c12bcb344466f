"""``AGENTS.md`` against the repository: what it tells somebody to copy, change and run is there."""

import re

import pytest

from tests.conftest import ROOT, some
from tests.docs.code import file, is_path, names, references, spans

PAGE = (ROOT / "AGENTS.md").read_text()
RECIPES = dict(re.findall(r"^### (.+)\n((?:(?!#).*\n)+)", PAGE.partition("## Recipes\n")[2], re.MULTILINE))
NEW = {"cfg/backends/parrot.yaml", "cfg/backends/parrot.py"}  # what a reader makes


def test_it_is_one_page_to_which_readme_leads() -> None:
    assert len(PAGE) <= 10_000
    assert "](AGENTS.md)" in (ROOT / "README.md").read_text().partition("## How it is made")[2]


KNOWN = {
    "AGENTS.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "README.md",
    "SECURITY.md",
    "pyproject.toml",
    ".gitignore",
}


def test_everything_at_the_top_of_the_repository_has_a_line() -> None:
    made = set((ROOT / ".gitignore").read_text().replace("/", "").split()) | {".git"}
    tops = (
        {one.name for one in ROOT.iterdir() if not one.name.endswith(".egg-info") and not one.name.endswith("_cache")}
        - made
        - KNOWN
    )
    table = PAGE.partition("## What is where\n")[2].partition("\n`./check`")[0]
    named = {word.split("/")[0] for word in re.findall(r"`([^`]+)`", table)}
    assert not tops - named


def test_every_file_that_is_named_exists() -> None:
    assert not [
        span for span in some(span for span in spans(PAGE) if is_path(span)) if not file(span) and span not in NEW
    ]
    assert not [path for path in NEW if file(path)]


def test_every_name_is_in_the_file_that_it_is_said_to_be_in() -> None:
    for path, name in some(references(PAGE)):
        assert path, f"{name}: in which file?"
        where = file(path)
        assert where and name in names(where), f"{name} is not in {path}"


def test_there_is_a_recipe_for_each_thing_that_is_added_often() -> None:
    assert list(RECIPES) == ["A file of the tree", "A backend", "A command in Acme", "A change of mail delivery"]


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=list(RECIPES))
def test_a_recipe_names_the_code_the_page_and_the_test_to_copy(recipe: str) -> None:
    named = [span for span in spans(recipe) if is_path(span)]
    assert [path for path in named if path.startswith(("anvilsrv/", "acme/", "cfg/"))]
    assert [path for path in named if path.startswith(("man/", "docs/", "README.md"))]
    assert [name for _, name in references(recipe) if name.startswith("test_")]
    assert [path for path in re.findall(r"`(tests/[^`]+)`", recipe.rpartition("Run ")[2]) if file(path)]
