"""What a person who looks at an agent is told of its questions."""

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from anvilsrv.agents.banners import Banner, banner
from anvilsrv.errors import AnvilError
from anvilsrv.sessions.state import View
from tests.conftest import Daemon, wait_until
from tests.scripted import install, script
from tests.session import Session


def question(ident: str, text: str, *choices: str) -> dict[str, Any]:
    return {"id": ident, "text": text, "choices": list(choices)}


SURE = question("q000001", "Bash: rm\n  -r build", "allow", "deny")
COLOUR = question("q000002", "Which?", "the first of them", "the second of them")


@pytest.mark.parametrize(
    ("asked", "shown"),
    [((), None),
     ((SURE,), ("allow, deny? Bash: rm -r build", "CHOICE")),
     ((COLOUR,), ("asks: Which? (the first of them, the second of them)", "CHOICE")),
     ((question("q000003", "Name?"),), ("asks: Name?", "CHOICE")),
     ((SURE, COLOUR), ("q000001 of 2: allow, deny? Bash: rm -r build", "'q000001 CHOICE'")),
     ((question("q000004", "x" * 9999),), (f"asks: {'x' * 500}...", "CHOICE"))],
)  # fmt: skip
def test_the_oldest_question_stands_there_with_how_it_is_answered(
    asked: tuple[dict[str, Any], ...], shown: tuple[str, str] | None
) -> None:
    found = banner(view(asked))
    if shown is None:
        assert found is None
    else:
        words, given = shown
        file = "agent/ab12cd34/answer"
        assert found == Banner(words, f"echo {given} | anvil9p write {file}", f"to {file}")


def view(asked: tuple[dict[str, Any], ...]) -> View:
    return cast(View, SimpleNamespace(id="ab12cd34", ask=asked))


def shown(session: Session) -> str:
    return session.tmux("display-message", "-p", "-t", session.id, "#{@ask}|#{@answer}").strip()


def test_it_is_shown_while_the_question_is_open_and_over_a_kill_of_the_daemon(stopped_daemon: Daemon) -> None:
    daemon = stopped_daemon
    install(daemon.home.config)
    script(daemon.home.work, turns=[{"ask": "really #[fg=red]?", "say": ""}])
    agent = Session.new(daemon.start(), "scripted")
    agent.prompt("go")
    agent.question()
    wait_until(lambda: "yes, no? really ##[fg=red]?" in shown(agent), shown(agent))
    daemon.kill()
    daemon.start()
    agent = agent.again()
    wait_until(lambda: agent.read("ask"), "it is asked again")
    assert "really" in shown(agent)
    wait_until(lambda: _answers(agent), "it is answered")
    wait_until(lambda: shown(agent) == "|", shown(agent))


def _answers(agent: Session) -> bool:
    """Return whether the answer is accepted: the hook program may not have asked the new daemon yet."""
    try:
        agent.write("answer", f"{json.loads(agent.read('ask').splitlines()[0])['id']} no")
    except AnvilError:
        return False
    return True


def test_its_window_is_called_by_its_alias_as_soon_as_it_has_one(daemon: Daemon) -> None:
    install(daemon.home.config)
    agent = Session.new(daemon, "scripted")
    called = lambda: agent.tmux("display-message", "-p", "-t", agent.id, "#{@label}").strip()  # noqa: E731
    wait_until(lambda: called() == agent.id, called)
    agent.write("alias", "reviewer")
    wait_until(lambda: called() == "reviewer", called)
