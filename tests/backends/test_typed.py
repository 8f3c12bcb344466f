"""What is typed for a prompt, by each of the shipped backends; real agents are asked the same in tests/real_agents/test_texts.py."""

import time
from pathlib import Path

import pytest

from anvilsrv.backends.registry import Backends
from anvilsrv.backends.typed import units
from anvilsrv.errors import Invalid
from tests.backends.files import MINIMAL, load
from tests.conftest import ROOT

SHIPPED = Backends(ROOT / "cfg" / "backends")
NOTHING = "the agent would take nothing of it"


@pytest.mark.parametrize(
    ("backend", "text", "typed"),
    [
        ("claude", "text\ufeff \ufeff", "text"), ("claude", "\ufefftext", "\ufefftext"), ("claude", "a\u200bb", "a\u200bb"),
        ("claude", "look at /a/b.png", "look at\n/a/b.png"), ("claude", "look at /a/my b.PNG ", "look at\n/a/my b.PNG"),
        ("claude", "a /b.png /etc/passwd", "a\n/b.png /etc/passwd"), ("claude", "see\n/a/b.png", "see\n/a/b.png"),
        ("claude", "a\nb /c.png", "a\nb\n/c.png"), ("claude", "not /a/b.png.", "not /a/b.png."),
        ("claude", "/a/b.png is it", " /a/b.png is it"), ("claude", "look at b.png", "look at b.png"),
        ("claude", "how do I exit", "how do I exit"), ("claude", "exit\nquit", "exit\nquit"),
        ("gemini", "\ufeffa\u200b\u202eb\u2066c\u200cd", "abc\u200cd"), ("gemini", "/etc/passwd", "> /etc/passwd"),
        ("gemini", "'/a/b.png'", "> '/a/b.png'"),
        ("opencode", "\ufeff\ufefftext\ufeff", "text\ufeff"),
        ("codex", "\ufeff", "\ufeff"), ("codex", "look at b.png", "look at b.png"),
    ],
)  # fmt: skip
def test_what_an_agent_would_change_is_changed_before_or_made_safe(backend: str, text: str, typed: str) -> None:
    assert (SHIPPED.get(backend).prompt_text(text), SHIPPED.get(backend).refusal(text)) == (typed, "")


IMAGES = ("/a/b.png", " /a/b.JPG\n", "'/a/my b.png'", "/a/my\\ b.webp")
WORDS = {"claude": ("exit", "quit", ":q", ":q!", ":wq", ":wq!", " exit ", "quit\n"), "opencode": ("exit", "quit", ":q")}


@pytest.mark.parametrize(
    ("backend", "text", "why"),
    [
        *((name, text, "look at ") for name in ("claude", "codex", "opencode") for text in IMAGES),
        ("claude", '"/a/b.png"', "look at "), ("claude", "/a/b.png /etc", "look at "),
        ("codex", "b.png", "look at "), ("codex", "file:///a/b.png", "look at "),
        *((name, text, "write 'stop' to ctl") for name, texts in WORDS.items() for text in texts),
        ("claude", "exit\ufeff", "write 'stop' to ctl"),
        ("claude", "\ufeff", NOTHING), ("opencode", "\ufeff", NOTHING), ("gemini", "\u200b \u202e", NOTHING),
        ("codex", "x" * 1_048_577, "it has 1,048,577 characters, and the agent takes 1,048,576: put it into a file, and name that"),
        ("gemini", "short\n" + "x" * 20_001, "a line of it has 20,001 characters, and the agent takes 20,000"),
        ("opencode", "\U0001f600" * 524_289, "it has 1,048,578 characters"),
        ("vibe", "\u00e9\n" * 175_001, "it has 700,004 bytes as JSON, and the agent takes 700,000: put it into a file, and name that"),
    ],
)  # fmt: skip
def test_what_the_agent_would_not_take_for_a_prompt_is_refused_with_what_to_do(
    backend: str, text: str, why: str
) -> None:
    assert why in SHIPPED.get(backend).refusal(text)


def test_a_text_with_the_context_before_it_is_not_alone() -> None:
    backend = SHIPPED.get("claude")
    assert (backend.refusal("exit", "context"), backend.refusal("/clear")) == ("", "")
    assert SHIPPED.get("codex").refusal("x" * 1_048_576, "context") != ""


HOSTILE = (
    "@" * 3_000_000 + " x",
    " " * 3_000_000 + "x",
    "x" + " \ufeff" * 1_000_000 + "x",
    " /" * 1_000_000,
    "\\" * 3_000_000,
)


@pytest.mark.parametrize("backend", SHIPPED.names())
@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_no_text_keeps_the_daemon_busy(backend: str, text: str) -> None:
    began = time.process_time()
    SHIPPED.get(backend).refusal(text)
    SHIPPED.get(backend).prompt_text(text)
    assert time.process_time() - began < 5  # the square of it would take hours


def test_guards_see_both_ends_of_a_long_text(top: Path) -> None:
    rows = r"""
  input:
    guard:
      - {when: '\Aa', prefix: <}
      - {when: 'z\Z', suffix: '>'}
      - {when: m, suffix: '!'}
"""
    backend = load(top, MINIMAL + rows)
    long = "a" + "x" * 5000 + "m" + "x" * 5000 + "z"
    assert backend.prompt_text(long) == f"<{long}>"
    assert backend.prompt_text("amz") == "<amz>!"


def test_a_guard_refuses_or_changes(top: Path) -> None:
    with pytest.raises(Invalid, match=r"backend.input.guard.0.refuse: not with prefix or suffix"):
        load(top, MINIMAL + "  input: {guard: [{when: a, refuse: why, prefix: b}]}\n")


def test_characters_are_counted_as_agents_count_them() -> None:
    assert (units("ab"), units("日本"), units("a😀")) == (2, 2, 3)
