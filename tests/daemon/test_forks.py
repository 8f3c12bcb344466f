"""A session goes on with the conversation of another."""

from pathlib import Path

import pytest

from anvilsrv.errors import AnvilError
from tests.conftest import ROOT, Daemon, wait_until
from tests.daemon.test_branches import command, commit
from tests.daemon.test_git import git
from tests.session import Session


@pytest.fixture
def twin(daemon: Daemon) -> str:
    """A shell that keeps a conversation: how each of its starts was asked for."""
    text = (ROOT / "cfg/backends/shell.yaml").read_text().replace("  aliases: [sh]\n", "")
    line = next(line for line in text.splitlines() if line.startswith("  command: "))
    argv = line.removeprefix("  command: [").removesuffix("]")
    said = [
        f"""  {key}: [/bin/sh, -c, 'echo "$1" >> "$2/kept"; shift 2; exec "$@"', sh, "{words}", "{{DATA}}", {argv}]"""
        for key, words in (("command", "new {CONVERSATION}"), ("resume", "again {CONVERSATION}"),
                           ("fork", "as {FORKED} is {CONVERSATION}"))
    ]  # fmt: skip
    backends = daemon.home.config / "backends"
    backends.mkdir(parents=True)
    (backends / "twin.yaml").write_text(text.replace(line, "\n".join([*said, "  conversation: uuid"])))
    return "twin"


def fork(agent: Session, words: str = "") -> Session:
    made = agent.client.write_read(f"{agent.id}/ctl", f"fork {words}".strip().encode()).decode().strip()
    found = Session(agent.daemon, made)
    found.wait("idle")
    return found


def kept(agent: Session) -> list[str]:
    return (agent.daemon.home.state / "sessions" / agent.id / "data/kept").read_text().splitlines()


def test_a_fork_begins_with_the_conversation_and_goes_on_by_itself(daemon: Daemon, twin: str, repository: Path) -> None:
    agent = Session.new(daemon, twin, "alias=first", cwd=repository)
    agent.write("context", "a context")
    with pytest.raises(AnvilError, match="has no conversation yet"):
        fork(agent)
    agent.ask("echo new > new")
    other = fork(agent, "alias=second")
    assert other.read("cwd") == agent.read("cwd") and other.row["alias"] == "second"
    assert other.read("context").strip() == "a context"
    (first,), (same, begun) = kept(agent), kept(other)
    assert same == first and begun.startswith(f"as {first.removeprefix('new ')} is ")
    assert other.ask("cat new") == "new\n"
    other.write("ctl", "restart")
    wait_until(lambda: len(kept(other)) == 3, "it starts again")
    assert kept(other)[2] == f"again {begun.rpartition(' ')[2]}" and len(kept(agent)) == 1
    assert not list((daemon.home.state / "sessions").glob("fork-*"))


def test_a_fork_on_a_branch_begins_with_the_files_as_they_are(daemon: Daemon, twin: str, repository: Path) -> None:
    (daemon.home.home / ".gitconfig").write_text("[user]\n\tname = u\n\temail = u@example.org\n")
    agent = Session.new(daemon, twin, "branch=one", cwd=repository)
    agent.ask(f"{commit('a')}; echo new > new")
    other = fork(agent, "branch=two")
    tree = repository.with_name("repository.two")
    assert other.read("cwd").strip() == str(tree) and other.row["branch"] == "two"
    assert (tree / "a").read_text() == "x\n" and (tree / "new").read_text() == "new\n"
    assert other.ask("git status --short") == "?? new\n"
    other.ask(f"rm new; {commit('b')}")
    command(other, "merge")
    assert git(repository, "log", "--format=%s") == "add b\nadd a\none\n"


def test_what_cannot_be_forked_is_said(daemon: Daemon, twin: str, repository: Path) -> None:
    shell = Session.new(daemon, "shell", cwd=repository)
    with pytest.raises(AnvilError, match="backend 'shell' cannot fork a conversation"):
        fork(shell)
    agent = Session.new(daemon, twin, cwd=repository)
    agent.ask("true")
    for words, why in (
        ("name=x", "unknown argument"),
        ("alias=a/b", "invalid alias"),
        ("branch=main", "the branch already exists"),
    ):
        with pytest.raises(AnvilError, match=why):
            fork(agent, words)
    agent.write("in", "echo > begun; read line < fifo || sleep 60")
    wait_until((repository / "begun").exists, "the turn")
    with pytest.raises(AnvilError, match="is in a turn"):
        fork(agent)
    assert sorted(path.name for path in (daemon.home.state / "sessions").iterdir()) == sorted([shell.id, agent.id])
