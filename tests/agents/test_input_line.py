"""What an agent's input shows, compared with what was typed, on the screens that agents draw."""

import re
from pathlib import Path

import pytest

from anvilsrv.agents.input_line import compare
from anvilsrv.backends.backend import Backend
from anvilsrv.backends.load import load
from anvilsrv.sessions.happened import Look
from anvilsrv.tmux.screen import Screen
from tests.conftest import ROOT

LONG = " ".join(f"word{number}" for number in range(120))
RULER = "─" * 60


def backend(name: str) -> Backend:
    return load(Path(ROOT / "cfg/backends" / f"{name}.yaml"))


def claude(*typed: str) -> list[str]:
    """Claude's input: between two rulers, its lines indented."""
    first, *others = typed or ("",)
    return [
        "● said before",
        "",
        RULER,
        f"❯ {first}".rstrip(),
        *(f"  {one}" for one in others),
        RULER,
        "  ⏵⏵ bypass permissions on",
    ]


def opencode(*typed: str) -> list[str]:
    """Return its box: the lines, and at the bottom which model it is."""
    return [
        "said before",
        "",
        "  ┃",
        *(f"  ┃  {one}".rstrip() for one in typed),
        "  ┃",
        "  ┃  Build · Model",
        "  ╹▀▀▀▀▀▀▀▀▀▀▀▀",
    ]


def shell(typed: str) -> list[str]:
    return ["output", f"$ {typed}".rstrip()]


def look(name: str, lines: list[str], words: str, *texts: str) -> Look:
    y = len(lines) - 1 if name == "shell" else 0
    return compare(backend(name), Screen(lines, 0, y, 60, 24), words, texts)


@pytest.mark.parametrize(
    ("name", "lines", "words", "expected"),
    [
        ("claude", claude(), "ours", Look.FREE),
        ("claude", claude("ours"), "ours", Look.OURS),
        ("claude", claude("first line", "second line"), "first line\nsecond line", Look.OURS),
        ("claude", claude("first", "", "third"), "first\n\nthird", Look.OURS),
        ("claude", claude("", "", "third line"), "\n\nthird line", Look.OURS),
        ("claude", claude("", "", "by hand"), "ours", Look.MIXED),
        ("claude", claude("wrapped here and", "there"), "wrapped here and there", Look.OURS),
        ("claude", claude("[Pasted text #1 +40 lines]"), "line\n" * 40, Look.OURS),
        ("claude", claude("[Pasted text #1 +40 lines]"), "short", Look.MIXED),
        ("claude", claude("oursz"), "ours", Look.AMONG),
        ("claude", claude("xours"), "ours", Look.AMONG),
        ("claude", claude("hdelivered text one…el"), "delivered text one", Look.AMONG),
        ("claude", claude("[Pasted text #1 +40 lines]x"), "line\n" * 40, Look.MIXED),
        ("claude", claude("by hand"), "ours", Look.MIXED),
        ("claude", claude("earlier"), "ours", Look.ONLY_OURS),
        ("claude", claude("earlierours"), "ours", Look.ONLY_OURS),
        ("claude", claude("oursours"), "ours", Look.ONLY_OURS),
        ("claude", claude("one", "two"), "one\ntwo\nthree", Look.ONLY_OURS),
        ("claude", claude("two", "three"), "one\ntwo\nthree", Look.ONLY_OURS),
        ("claude", claude("", "three"), "one\ntwo\nthree", Look.ONLY_OURS),
        ("claude", claude("one", "tw"), "one\ntwo\nthree", Look.MIXED),
        ("claude", ["Do you want to proceed?", " 1. Yes"], "ours", Look.MIXED),
        (
            "claude",
            ["❯ earlier", "", *["a line"] * 30, "─" * 40, "❯", "─" * 40, "  search prompts:  x"],
            "ours",
            Look.MIXED,
        ),
        ("claude", claude("a`b  c\\ d"), "a`b\tc\\ d", Look.OURS),
        ("claude", claude("👩\u200d👩\u200d👧\u200d  ok 👍"), "👩\u200d👩\u200d👧\u200d👦 ok 👍🏽", Look.OURS),
        ("claude", claude("👩\ufffd👩\ufffd👧\ufffd👦 ok 👍🏽"), "👩\u200d👩\u200d👧\u200d👦 ok 👍🏽", Look.OURS),
        ("claude", claude("👩\u200d👩  no 👍"), "👩\u200d👩 ok 👍🏽", Look.MIXED),
        ("opencode", opencode(""), "ours", Look.FREE),
        ("opencode", opencode("ours"), "ours", Look.OURS),
        ("opencode", opencode("first", "", "third"), "first\n\nthird", Look.OURS),
        ("opencode", opencode("oursz"), "ours", Look.AMONG),
        ("shell", shell(""), "ours", Look.FREE),
        ("shell", shell("echo 1⏎echo 2"), "echo 1\necho 2", Look.OURS),
        ("shell", shell("…" + LONG[-50:]), LONG, Look.OURS),
        ("shell", shell("…" + LONG[-50:] + "z"), LONG, Look.MIXED),
        ("shell", shell("echo 12345"), "echo 1", Look.AMONG),
    ],
)
def test_what_stands_in_an_input_is_compared(name: str, lines: list[str], words: str, expected: Look) -> None:
    assert look(name, lines, words, "earlier") == expected


def test_an_input_that_a_backend_does_not_describe_is_unknown(tmp_path: Path) -> None:
    text = (ROOT / "cfg/backends/shell.yaml").read_text()
    (tmp_path / "mute.yaml").write_text(re.sub(r"    empty: .*\n", "", text))
    made = load(tmp_path / "mute.yaml")
    assert compare(made, Screen(["$ x"], 3, 0, 60, 24), "ours", ()) == Look.UNKNOWN
