"""Texts that people type and agents do not take as they are: each real agent gets what was meant, or the prompt is refused before."""

import base64
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from anvilsrv.agents.delivery import CLEARS
from anvilsrv.errors import AnvilError
from anvilsrv.sessions.facts import HIDDEN, squeezed
from anvilsrv.tmux.screen import Screen
from tests.real_agents.conftest import Bench, Benches, wait_until
from tests.real_agents.golden import SHIPPED
from tests.real_agents.model import heard
from tests.session import Session

pytestmark = pytest.mark.timeout(300)
each = pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow(20)) for name in ("claude", "codex", "gemini", "opencode")],
    scope="module",
)
PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
TEXTS = {
    "claude": [
        "text\ufeff", "\ufefftext", "a\u200bb\u202ec", "trail\u3000", "e\u0301",
        "look at {PICTURE}", "a {PICTURE} /etc", "two\nlines {PICTURE}",
    ],
    "codex": ["text\ufeff", "\ufeff", "a\u200bb\u202ec", "look at {PICTURE}", "exit", ":q"],
    "gemini": ["text\ufeff", "\ufefftext", "a\u200bb\u202ec", "look at {PICTURE}", "{PICTURE}", "exit", "/quit"],
    "opencode": ["text\ufeff", "\ufefftext", "a\u200bb\u202ec", "look at {PICTURE}", ":wq", "/exit"],
}  # fmt: skip
REFUSED = {
    "claude": ["{PICTURE}", "exit", ":wq!\n", "\ufeff"],
    "codex": ["{PICTURE}", "picture.png"],
    "gemini": ["\u200b", "x" * 20_001],
    "opencode": ["{PICTURE}", "exit", "\ufeff"],
}


@pytest.fixture
def bench(name: str, at: Benches) -> Iterator[Bench]:
    found = at(name)
    (found.daemon.home.work / "picture.png").write_bytes(PICTURE)
    yield found


def filled(bench: Bench, text: str) -> str:
    return text.replace("{PICTURE}", str(Path(bench.daemon.home.work) / "picture.png"))


@pytest.mark.slow(5)
@each
def test_texts_that_agents_change_arrive_once_as_they_were_typed(bench: Bench) -> None:
    agent, backend = bench.agent(), SHIPPED.get(bench.backend)
    for text in TEXTS[bench.backend]:
        typed, before = backend.prompt_text(filled(bench, text)), len(bench.model.prompts())
        agent.ask(filled(bench, text))
        assert [drawn(one, bench) for one in bench.model.prompts()[before:]] == [drawn(once_taken(typed), bench)], text
        assert not agent.row["held"], text


def drawn(text: str, bench: Bench) -> str:
    """Return a text without characters that are not drawn: which of them Claude Code keeps differs from release to
    release.
    """
    return HIDDEN.sub("", text) if bench.backend == "claude" else text


def once_taken(typed: str) -> str:
    """Blanks at the ends are of no account, and characters are composed."""
    return typed.replace("e\u0301", "é")


@pytest.mark.slow(6)
@each
def test_a_long_text_with_characters_that_are_not_drawn_is_taken_once_as_ours(bench: Bench) -> None:
    agent, before = bench.agent(), len(bench.model.prompts())
    text = f"a \u202eb\u2066c\u2069\u200b d\n{'word ' * 400}\nlast \u200e, the end"
    agent.ask(text)
    assert [squeezed(one) for one in bench.model.prompts()[before:]] == [squeezed(text)]
    assert not agent.row["held"]


@pytest.mark.slow(6)
@each
def test_what_is_no_prompt_to_the_agent_is_refused_and_the_next_one_goes(bench: Bench) -> None:
    agent = bench.agent()
    for text in REFUSED[bench.backend]:
        assert "cannot be typed" in refusal(agent, filled(bench, text)), text
    assert agent.ask("next").startswith("heard")
    assert bench.model.prompts() == ["next"]
    wait_until(lambda: agent.state == "idle", "it lives")


def refusal(agent: Session, text: str) -> str:
    with pytest.raises(AnvilError) as caught:
        agent.prompt(text)
    return str(caught.value)


@pytest.mark.slow(30)
@pytest.mark.parametrize("name", ["gemini"], scope="module")
def test_a_megabyte_in_lines_is_given_once_and_the_next_prompt_goes(bench: Bench) -> None:
    agent = bench.agent()
    text = "\n".join(f"line {n} {'x' * 90}" for n in range(9000))
    assert agent.ask(text) == heard(text)
    assert agent.ask("next") == heard("next")
    assert len(bench.model.prompts()) == 2


@pytest.mark.slow(8)
@each
@pytest.mark.parametrize("cursor", ["end", "start", "above"])
def test_what_stands_in_the_input_is_cleared_wherever_the_cursor_is(bench: Bench, cursor: str) -> None:
    agent, backend = bench.agent(), SHIPPED.get(bench.backend)
    styled = ["-e"] if backend.input.styled else []

    def free() -> bool:
        lines = agent.tmux("capture-pane", "-p", *styled, "-t", agent.id).split("\n")
        return backend.free(Screen(lines, 0, 0, 200, 50))

    agent.ask("one that goes before")
    wait_until(free, "nothing stands there")
    for text in ("one line", "three\n\nlines", "word " * 80, "l\n" * 30 + "end"):
        agent.tmux("set-buffer", "-b", "draft", text)
        agent.tmux("paste-buffer", "-p", "-d", "-b", "draft", "-t", agent.id)
        wait_until(lambda: not free(), f"{text!r} stands there")
        if cursor == "start":
            agent.keys("C-a")
        if cursor == "above" and "\n" in text:
            agent.keys("Up", "Up")
        for _ in range(CLEARS):  # as a delivery does it
            agent.keys(*backend.input.clear)
            with suppress(AssertionError):
                wait_until(free, "", 5)
                break
        wait_until(free, f"{text!r} is gone")
