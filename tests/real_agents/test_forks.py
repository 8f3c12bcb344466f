"""A conversation goes on in two sessions, with the real agents: each knows what was said before, and nothing that came after."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.real_agents.conftest import Bench, Benches, wait_until
from tests.session import Session

pytestmark = [pytest.mark.timeout(300), pytest.mark.slow(40)]


def fork(bench: Bench, agent: Session, words: str) -> Session:
    made = agent.client.write_read(f"{agent.id}/ctl", f"fork {words}".strip().encode()).decode().strip()
    found = Session(bench.daemon, made, patience=agent.patience)
    assert found.wait("idle", "error") == "idle", f"{found.row['error']}\n{found.screen}"
    return found


def said(bench: Bench) -> str:
    """Return all that the model was sent with the last prompt."""
    return json.dumps(bench.model.last.raw)


@pytest.mark.slow(11)
@pytest.mark.parametrize("kind", ["claude", "codex", "opencode"])
def test_a_fork_knows_what_was_said_before_it(fresh: Benches, kind: str) -> None:
    bench = fresh(kind)
    at = bench.daemon.home.top / "repository"
    at.mkdir()
    for words in (["init", "-q", "-b", "main"], ["commit", "-q", "--allow-empty", "-m", "one"]):
        who = ["-c", "user.name=u", "-c", "user.email=u@example.org"]
        subprocess.run(["git", *who, *words], cwd=at, check=True)
    agent = bench.new(cwd=Path(at))
    answer = agent.ask("remember 42")
    if kind == "claude":  # it saves a conversation a moment later
        kept = bench.daemon.home.home.rglob
        wait_until(lambda: any(answer in one.read_text() for one in kept("claude/projects/*/*.jsonl")), "it is saved")
    for words in ("", "branch=two") if kind == "claude" else ("",):
        other = fork(bench, agent, words)
        other.ask(f"what was it {words or 'here'}?")
        assert "remember 42" in said(bench), words
        rows = other.read("turns/list").splitlines()
        assert len(rows) == 1, rows
        other.write("ctl", "restart")
        other.ask("and now?")
        assert f"what was it {words or 'here'}?" in said(bench) and "remember 42" in said(bench)
    agent.ask("still there?")
    assert "what was it" not in said(bench) and "remember 42" in said(bench)
