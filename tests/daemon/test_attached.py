"""Files for an agent: made by the user over 9P, read by the agent in its sandbox, kept as long as the session is there."""

import subprocess
import sys
from pathlib import Path

import pytest

from anvilsrv.p9.client import P9Error
from anvilsrv.p9.wire import OWRITE
from tests.conftest import Daemon, wait_until
from tests.session import Session


def attach(agent: Session, name: str, data: bytes) -> Path:
    """Make one; where it is."""
    with agent.client.create(f"{agent.id}/attach/{name}", OWRITE) as file:
        file.write(data)
    return agent.daemon.home.state / "sessions" / agent.id / "run" / "attach" / name


def test_an_agent_reads_a_file_that_its_prompt_names_and_cannot_change_it(agent: Session) -> None:
    path = attach(agent, "note.txt", b"remember\n")
    assert agent.ask("cat attach/note.txt") == "remember\n"
    assert agent.read("turns/1/prompt") == f"cat {path}"
    assert agent.ask("echo x > attach/note.txt || echo no; rm -f attach/note.txt || echo no").count("no\n") == 2
    assert agent.ask(f"touch {path.parent}/other || echo no").endswith("no\n")
    assert path.read_bytes() == b"remember\n"


def test_the_session_may_read_and_nothing_more(agent: Session, daemon: Daemon) -> None:
    attach(agent, "a", b"1")
    own = daemon.client(agent.id)
    assert own.read(f"{agent.id}/attach/a") == b"1"
    for do in (
        lambda: own.create(f"{agent.id}/attach/b", OWRITE),
        lambda: own.write(f"{agent.id}/attach/a", b"2"),
        lambda: own.remove(f"{agent.id}/attach/a"),
    ):
        with pytest.raises(P9Error, match="permission denied"):
            do()


def test_files_are_there_after_a_restart_of_agent_and_daemon_and_go_with_the_session(
    agent: Session, daemon: Daemon
) -> None:
    path = attach(agent, "a", b"x" * 100_000)
    agent.write("ctl", "restart")
    wait_until(lambda: agent.state == "idle" and path.exists(), "it is there again")
    daemon.kill()
    daemon.start()
    agent = agent.again()
    assert [(one.name, one.length) for one in agent.client.ls(f"{agent.id}/attach")] == [("a", 100_000)]
    assert agent.ask("wc -c < attach/a") == "100000\n"
    agent.client.remove(f"{agent.id}/attach/a")
    assert not path.exists() and agent.client.ls(f"{agent.id}/attach") == []
    attach(agent, "b", b"1")
    agent.write("ctl", "kill")
    wait_until(lambda: not path.parent.exists(), "it is gone with its session")


def test_the_commands_of_9p_make_write_list_and_remove_one(agent: Session, daemon: Daemon) -> None:
    def p9(*words: str, data: bytes = b"") -> str:
        argv = [sys.executable, "-m", "anvilsrv.inside.anvil9p", *words]
        done = subprocess.run(argv, input=data, capture_output=True, env=daemon.home.env, check=False, timeout=30)
        assert (done.returncode, done.stderr) == (0, b""), done
        return done.stdout.decode()

    file = f"agent/{agent.id}/attach/shot.png"
    p9("create", file)
    p9("write", file, data=bytes(range(256)) * 40)
    p9("write", file, data=b"y" * 9000)
    assert p9("read", file) == "y" * 9000
    assert p9("ls", f"agent/{agent.id}/attach") == "shot.png\n"
    p9("rm", file)
    assert p9("ls", f"agent/{agent.id}/attach") == ""
