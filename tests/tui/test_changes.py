"""What a session has changed, on the terminal: shown, taken back, merged, discarded."""

from pathlib import Path

from tests.conftest import Daemon, wait_until
from tests.daemon.test_git import IDENTITY, git
from tests.session import Session
from tests.tui.conftest import Terminal


def test_what_was_changed_is_shown_by_a_key_taken_back_merged_and_discarded(daemon: Daemon, terminal: Terminal) -> None:
    repository = daemon.home.top / "repository"
    repository.mkdir()
    git(repository, "init", "-q", "-b", "main")
    git(repository, "commit", "-q", "--allow-empty", "-m", "one")
    (daemon.home.home / ".gitconfig").write_text("[user]\n\tname = u\n\temail = u@example.org\n")
    agent = Session.new(daemon, "shell", "alias=talker", "branch=b", cwd=repository)
    agent.ask("echo '[b]one[/b]' > one")
    agent.ask("echo two > two")
    terminal.anvillm()
    terminal.shows("talker")
    terminal.keys("D")
    terminal.shows("changes of talker · all · branch b · 2 files +2 -0", "\n +[b]one[/b]\n", "\n +two\n")
    terminal.keys("t")
    terminal.shows("turn 2 · branch b · 1 file +1 -0", "\n +two\n")
    terminal.keys("u")
    terminal.shows("Take back what turn 2 of talker changed?")
    terminal.keys("y")
    wait_until(lambda: not (Path(agent.read("cwd").strip()) / "two").exists(), "it is not taken back")
    agent.ask(f"git add one && {IDENTITY} git commit -qm one")
    terminal.keys("m")
    terminal.shows("Merge the branch of talker?")
    terminal.keys("y")
    wait_until((repository / "one").exists, "it is not merged")
    terminal.keys("X")
    terminal.shows("Discard talker?")
    terminal.keys("y")
    terminal.hides("changes of talker")
    wait_until(lambda: not daemon.client().read("list"), "it is not discarded")
