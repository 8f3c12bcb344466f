"""Who may do what: the socket that was connected to is the identity, and nothing else is."""

import json
import subprocess

import pytest

from anvilsrv.p9.client import Client, P9Error
from tests.conftest import Daemon, wait_until
from tests.session import Session

ROLE = """
agents: {spawn: true, control: true}
filesystem: {rwx: ["{CWD}", "{TMPDIR}"]}
"""


def refused(client: Client, name: str, data: bytes = b"x") -> None:
    with pytest.raises(P9Error, match="permission denied"):
        client.write(name, data)


def hidden(client: Client, name: str) -> None:
    with pytest.raises(P9Error, match="permission denied"):
        client.read(name)


def test_an_agent_reads_its_own_files_and_little_of_others(daemon: Daemon) -> None:
    one, two = Session.new(daemon), Session.new(daemon)
    mine = daemon.client(one.id)
    for name in ("state", "alias", "context", "inbox", "archive", "cwd", "sandbox", "usage", "ask", "pid", "backend"):
        mine.read(f"{one.id}/{name}")
    for name in ("state", "alias", "backend"):
        mine.read(f"{two.id}/{name}")
    for name in ("context", "inbox", "archive", "out", "log", "cwd", "sandbox", "tmux", "hook", "ask"):
        hidden(mine, f"{two.id}/{name}")
    hidden(mine, f"{one.id}/tmux")
    assert mine.read("list").count(b"\n") == 2


def test_an_agent_writes_its_own_mail_state_and_alias_and_nothing_else(daemon: Daemon) -> None:
    one, two = Session.new(daemon), Session.new(daemon)
    mine = daemon.client(one.id)
    for name in (b"Claude", b"u-ser", b"GEMINI_acp"):  # no session of these is there
        with pytest.raises(P9Error, match="that is the name of the user or of a backend"):
            mine.write(f"{one.id}/alias", name)
    mine.write(f"{one.id}/alias", b"me")
    mine.write("me/mail", json.dumps({"to": two.id, "type": "LOG_ERROR", "body": "x", "from": "user"}).encode())
    sent = wait_until(lambda: json.loads(two.read("archive")), "no mail")
    assert sent[0]["from"] == one.id  # type: ignore[index]
    for name in ("in", "context", "answer"):
        refused(mine, f"{one.id}/{name}")
    for name in ("in", "context", "answer", "ctl", "alias", "state", "mail", "hook"):
        refused(mine, f"{two.id}/{name}")
    for command in (b"stop", b"kill", b"restart", b"interrupt"):
        refused(mine, f"{one.id}/ctl", command)


def test_an_agent_may_file_its_own_mail(daemon: Daemon) -> None:
    one = Session.new(daemon)
    one.write("in", "sleep 0.5")
    one.client.write("user/mail", json.dumps({"to": one.id, "type": "LOG_ERROR", "body": "x"}).encode())
    mine = daemon.client(one.id)
    [message] = json.loads(mine.read(f"{one.id}/inbox"))
    mine.write(f"{one.id}/ctl", f"complete {message['id']}".encode())
    assert json.loads(mine.read(f"{one.id}/archive")) == [message]


def test_the_users_mailbox_is_closed_and_new_is_refused(daemon: Daemon) -> None:
    one = Session.new(daemon)
    mine = daemon.client(one.id)
    hidden(mine, "user/inbox")
    refused(mine, "user/mail")
    refused(mine, "ctl", f"new shell {daemon.home.work}".encode())
    with pytest.raises(P9Error, match="permission denied"):
        mine.ls("user")


def test_sessions_events_and_log_show_an_agent_only_what_concerns_it(daemon: Daemon) -> None:
    one, two = Session.new(daemon), Session.new(daemon)
    mine = daemon.client(one.id)
    assert [found["id"] for found in json.loads(mine.read("sessions"))] == [one.id]
    events = mine.open("events").lines()
    log = mine.open("log").lines()
    for sender, to in ((two.id, "user"), (two.id, one.id)):
        one.client.write(f"{sender}/mail", json.dumps({"to": to, "type": "LOG_ERROR", "subject": to}).encode())
    assert json.loads(next(events))["subject"] == one.id
    assert f"-> {one.id} LOG_ERROR" in next(log).decode()


def test_an_agent_whose_role_grants_it_spawns_and_controls_what_it_spawned(daemon: Daemon) -> None:
    roles = daemon.home.config / "roles"
    roles.mkdir(parents=True)
    (roles / "lead.yaml").write_text(ROLE)
    lead, other = Session.new(daemon, "shell", "role=lead"), Session.new(daemon)
    mine = daemon.client(lead.id)
    child = mine.write_read("ctl", f"new shell {daemon.home.work} role=lead".encode()).decode().strip()
    wait_until(lambda: mine.read(f"{child}/state") == b"idle\n", "the child never became idle")
    mine.write(f"{child}/in", b"echo child")
    assert mine.read(f"{child}/out") == b"child\n"
    refused(mine, f"{other.id}/in")
    refused(mine, f"{child}/answer")
    (daemon.home.work / "elsewhere").mkdir()
    with pytest.raises(P9Error, match="policy exceeds the spawning session's"):
        mine.write_read("ctl", f"new shell {daemon.home.home}".encode())
    mine.write(f"{child}/ctl", b"kill")


def run(script: str, daemon: Daemon) -> None:
    env = {
        **daemon.home.env,
        **{f"GIT_{who}_{what}": "x" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    }
    subprocess.run(["sh", "-euc", script], cwd=daemon.home.work, env=env, check=True)


LAYOUTS = {
    "a repository": ("git init -q .; touch .envrc; git commit -qm x --allow-empty", "."),
    "a linked work tree": ("git init -q a; cd a; git commit -qm x --allow-empty; git worktree add -q ../b", "b"),
    "a part of one": ("git init -q .; mkdir p; touch p/f; git add p; git commit -qm x", "p"),
    "a repository below": ("git init -q a; cd a; git commit -qm x --allow-empty; mkdir .vscode", "."),
}


@pytest.mark.parametrize(
    "layout", [one if one == "a repository" else pytest.param(one, marks=pytest.mark.slow(3)) for one in LAYOUTS]
)
def test_an_agent_spawns_where_its_own_git_directory_lies_over_the_users(daemon: Daemon, layout: str) -> None:
    roles = daemon.home.config / "roles"
    roles.mkdir(parents=True)
    (roles / "lead.yaml").write_text(ROLE)
    (roles / "more.yaml").write_text(f"filesystem: {{rwx: ['{{CWD}}', '{{TMPDIR}}', '{daemon.home.home}']}}\n")
    script, place = LAYOUTS[layout]
    run(script, daemon)
    where = (daemon.home.work / place).resolve()
    lead = Session.new(daemon, "shell", "role=lead", cwd=where)
    for _ in range(2):  # a child, and what that spawns
        client = daemon.client(lead.id)
        with pytest.raises(P9Error, match=f"policy exceeds the spawning session's: {daemon.home.home}"):
            client.write("ctl", f"new shell {where} role=more".encode())
        made = client.write_read("ctl", f"new shell {where} role=lead".encode())
        lead = Session(daemon, made.decode().strip())
        lead.wait("idle")


@pytest.fixture
def family(daemon: Daemon) -> tuple[Session, Session]:
    """A session that may spawn, and one that it spawned; a path that both are granted does not exist yet."""
    roles = daemon.home.config / "roles"
    roles.mkdir(parents=True)
    later = daemon.home.top / "later"
    (roles / "lead.yaml").write_text(ROLE)
    (roles / "helper.yaml").write_text(f"filesystem: {{rwx: ['{{CWD}}', '{{TMPDIR}}'], ro: ['{later}']}}\n")
    lead = Session.new(daemon, "shell", "role=lead")
    made = daemon.client(lead.id).write_read("ctl", f"new shell {daemon.home.work} role=helper".encode())
    child = Session(daemon, made.decode().strip())
    child.wait("idle")
    return lead, child


@pytest.mark.parametrize("gone", [False, True], ids=["its parent lives", "its parent was killed"])
def test_a_child_gets_no_more_than_its_parent_at_any_later_start(
    daemon: Daemon, family: tuple[Session, Session], gone: bool
) -> None:
    """Here a path that was granted all along, and comes to be only now."""
    lead, child = family
    (daemon.home.top / "later").mkdir()
    if gone:
        lead.write("ctl", "kill")
        wait_until(lambda: lead.id not in lead.client.read("list").decode(), "it is not killed")
    child.write("ctl", "restart")
    child.wait("error")
    assert (
        f"policy exceeds the spawning session's: {daemon.home.top}/later: r is not the parent's" in child.row["error"]
    )
    (daemon.home.top / "later").rmdir()
    child.write("ctl", "restart")
    child.wait("idle")
    assert child.ask("echo back") == "back\n"


def test_inside_its_sandbox_an_agent_finds_only_its_own_socket(agent: Session) -> None:
    assert agent.ask('ls "$NAMESPACE"') == "agent\nspool\n"
    assert agent.ask('echo "$ANVILLM_SESSION"') == f"{agent.id}\n"


def test_the_sandbox_file_shows_what_this_start_was_given(daemon: Daemon, agent: Session) -> None:
    shown = agent.read("sandbox")
    for line in ("limit\tconnections\t64 ", "limit\tmessages\t1,000 ", "limit\topen\t48 MiB "):
        assert line in shown
    assert "sessions/new" not in shown
    for name in ("data", "run"):
        assert f"{daemon.home.state}/sessions/{agent.id}/{name}" in shown
    role = daemon.home.home / ".config/anvillm/roles/default.yaml"
    role.parent.mkdir(parents=True, exist_ok=True)
    extra = daemon.home.top / "extra"
    extra.mkdir()
    role.write_text(f"filesystem: {{ro: ['{extra}']}}\n")
    agent.write("ctl", "restart")
    wait_until(lambda: str(extra) in agent.read("sandbox"), "the next start has the old policy, or shows it")


def test_a_link_that_an_agent_planted_leads_nobody_astray_ever_after(daemon: Daemon) -> None:
    """While it lives, after it was killed, and after the daemon was started anew."""
    secret = daemon.home.top / "private"
    secret.mkdir()
    (daemon.home.work / "sub").mkdir()
    one = Session.new(daemon)
    one.ask(f"rmdir sub && ln -s '{secret}' sub")

    def astray() -> None:
        with pytest.raises(
            P9Error, match=f"permission denied: an agent may have made the link '{daemon.home.work}/sub'"
        ):
            Session.starting(daemon, cwd=daemon.home.work / "sub")

    astray()
    one.write("ctl", "kill")
    astray()
    daemon.kill()
    daemon.start()
    astray()
    assert Session.new(daemon, cwd=secret).ask("pwd") == f"{secret}\n"
