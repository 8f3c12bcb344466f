"""Mail between sessions and the user: delivery, answers that come by themselves, withdrawal."""

import json
from typing import Any

import pytest

from anvilsrv.p9 import wire
from anvilsrv.p9.client import P9Error
from tests.conftest import Daemon, wait_until
from tests.scripted import install, script
from tests.session import Session


def send(agent: Session, sender: str, **fields: Any) -> None:
    agent.client.write(f"{sender}/mail", json.dumps(fields).encode())


def inbox(agent: Session, owner: str = "user") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(agent.client.read(f"{owner}/inbox"))
    return found


def test_a_request_of_the_user_is_run_and_its_exact_response_mailed_back(agent: Session) -> None:
    send(agent, "user", to=agent.id, type="PROMPT_REQUEST", subject="sum", body="echo $((1+1)); echo done")
    [answer] = wait_until(lambda: inbox(agent), "no answer came")  # type: ignore[misc]
    assert (answer["type"], answer["subject"], answer["body"]) == ("PROMPT_RESPONSE", "Re: sum", "2\ndone\n")
    assert answer["metadata"]["in_reply_to"] == json.loads(agent.read("archive"))[0]["id"]
    assert agent.read("inbox") == "[]\n"


def test_a_reply_of_the_type_that_a_shells_answer_names_is_not_executed(agent: Session) -> None:
    send(agent, "user", to=agent.id, type="PROMPT_REQUEST", subject="", body="echo ready")
    [answer] = wait_until(lambda: inbox(agent), "no answer came")  # type: ignore[misc]
    send(agent, "user", to=answer["from"], type=answer["reply_type"], subject="", body="touch executed")
    wait_until(lambda: len(json.loads(agent.read("archive"))) == 2, "the reply was not delivered")
    agent.wait("idle")
    assert "executed" not in agent.ask("ls")


def test_mail_of_another_session_is_never_executed_by_a_shell(daemon: Daemon) -> None:
    one, two = Session.new(daemon), Session.new(daemon)
    send(one, one.id, to=two.id, type="PROMPT_REQUEST", subject="x", body="touch pwned\ntouch pwned")
    wait_until(lambda: json.loads(two.read("archive")), "the mail was not delivered")
    two.wait("idle")
    assert not (daemon.home.work / "pwned").exists()


@pytest.mark.parametrize("control", ["false", "true"])
def test_a_shell_runs_what_its_parent_asks_for_only_where_that_controls_it(daemon: Daemon, control: str) -> None:
    roles = daemon.home.config / "roles"
    roles.mkdir(parents=True)
    (roles / "lead.yaml").write_text(
        f"filesystem: {{rwx: ['{{CWD}}', '{{TMPDIR}}']}}\nagents: {{spawn: true, control: {control}}}\n"
    )
    parent = Session.new(daemon, "shell", "role=lead")
    client = daemon.client(parent.id)
    child = Session(daemon, client.write_read("ctl", f"new shell {daemon.home.work}".encode()).decode().strip())
    child.wait("idle")
    request = {"to": child.id, "type": "PROMPT_REQUEST", "subject": "x", "body": "touch ran"}
    client.write(f"{parent.id}/mail", json.dumps(request).encode())
    wait_until(lambda: json.loads(child.read("archive")), "the mail was not delivered")
    child.wait("idle")
    assert ("ran" in child.ask("ls")) is (control == "true")
    sibling = Session(daemon, client.write_read("ctl", f"new shell {daemon.home.work}".encode()).decode().strip())
    sibling.wait("idle")
    for to in (sibling, parent):  # which it did not start
        body = "`touch up`\n$(touch up)\r\ntouch up\\\ntouch up\u2028touch up"
        send(child, child.id, to=to.id, type="PROMPT_REQUEST", subject="touch up", body=body)
        wait_until(lambda to=to: child.id in to.read("archive"), "the mail was not delivered")  # type: ignore[misc]
        to.wait("idle")
    assert "up" not in parent.ask("ls").split()


def test_a_shell_that_cannot_answer_a_request_says_so(daemon: Daemon) -> None:
    one = Session.new(daemon)
    send(one, "user", to=one.id, type="REVIEW_REQUEST", subject="r", body="?")
    [answer] = wait_until(lambda: inbox(one), "no answer came")  # type: ignore[misc]
    assert (answer["type"], "does not answer" in answer["body"]) == ("LOG_ERROR", True)


def test_a_response_causes_no_automatic_answer(daemon: Daemon) -> None:
    install(daemon.home.config)
    one, two = Session.new(daemon, "scripted"), Session.new(daemon, "scripted")
    send(one, one.id, to=two.id, type="QUERY_REQUEST", subject="q", body="?")
    wait_until(lambda: any(m["type"] == "QUERY_RESPONSE" for m in json.loads(one.read("archive"))), "no answer came")
    one.wait("idle")
    two.wait("idle")
    kinds = [m["type"] for m in json.loads(two.read("archive")) + json.loads(one.read("archive"))]
    assert kinds == ["QUERY_REQUEST", "QUERY_RESPONSE"]


def test_mail_to_a_stopped_session_waits_and_is_delivered_after_the_restart(agent: Session) -> None:
    agent.write("ctl", "stop")
    agent.wait("stopped")
    send(agent, "user", to=agent.id, type="PROMPT_REQUEST", subject="", body="echo late")
    assert len(inbox(agent, agent.id)) == 1
    agent.write("ctl", "restart")
    [answer] = wait_until(lambda: inbox(agent), "no answer came")  # type: ignore[misc]
    assert answer["body"] == "late\n"


def test_complete_withdraws_a_delivery_that_has_not_happened(agent: Session) -> None:
    agent.write("in", "sleep 0.5")
    send(agent, "user", to=agent.id, type="PROMPT_REQUEST", subject="", body="touch withdrawn")
    [message] = inbox(agent, agent.id)
    agent.write("ctl", f"complete {message['id']}")
    assert inbox(agent, agent.id) == []
    assert agent.ask("ls") == ""
    assert inbox(agent) == []


def test_the_users_mail_stays_until_it_is_completed(agent: Session) -> None:
    send(agent, agent.id, to="user", type="QUERY_REQUEST", subject="s", body="b", priority=3)
    [message] = inbox(agent)
    assert (message["from"], message["metadata"]) == (agent.id, {"priority": 3})
    agent.client.write("user/ctl", f"complete {message['id']}".encode())
    assert inbox(agent) == []
    assert json.loads(agent.client.read("user/archive")) == [message]
    with pytest.raises(P9Error, match="no such message"):
        agent.client.write("user/ctl", f"complete {message['id']}".encode())


def test_each_message_that_leaves_an_inbox_is_told(agent: Session) -> None:
    with agent.client.open("events") as events:
        told = (event for event in map(json.loads, events.lines()) if event["type"] == "archived")
        send(agent, agent.id, to="user", type="QUERY_REQUEST", subject="s", body="b")
        [message] = inbox(agent)
        agent.client.write("user/ctl", f"complete {message['id']}".encode())
        event = next(told)
        assert (event["session_id"], event["to"], event["id"]) == (None, "user", message["id"])
        send(agent, "user", to=agent.id, type="PROMPT_REQUEST", subject="", body="true")
        event = next(told)
        assert (event["session_id"], event["to"]) == (agent.id, agent.id)
        [delivered] = json.loads(agent.read("archive"))
        assert event["id"] == delivered["id"]


def test_who_has_mail_waiting_in_a_killed_session_is_told(daemon: Daemon) -> None:
    one, two = Session.new(daemon), Session.new(daemon)
    two.write("in", "sleep 60")
    send(one, "user", to=two.id, type="QUERY_REQUEST", subject="q", body="?")
    two.write("ctl", "kill")
    [answer] = wait_until(lambda: inbox(one), "nobody told")  # type: ignore[misc]
    assert (answer["type"], answer["subject"]) == ("LOG_ERROR", "Re: q")


@pytest.mark.slow(65)
def test_mail_whose_hook_and_daemon_are_killed_before_the_agent_has_it_is_in_doubt_and_the_queue_goes_on(
    daemon: Daemon,
) -> None:
    install(daemon.home.config)
    script(daemon.home.work, turns=[{"match": "^first", "say": "ok", "stop": "missing"}, {"echo": True}])
    agent = Session.new(daemon, "scripted")
    agent.prompt("first")
    log = lambda: agent.client.open(f"{agent.id}/log").read(4096).decode()  # noqa: E731
    wait_until(lambda: "USER" in log(), "it is not taken")
    send(agent, "user", to=agent.id, type="QUERY_REQUEST", subject="sum", body="add")
    hook = daemon.client(agent.id).open(f"{agent.id}/hook", wire.ORDWR)

    def tell(**report: Any) -> dict[str, Any]:
        """Return what the hook program of the end of the turn would say."""
        hook.write(json.dumps(report).encode())
        hook.offset = 0
        found: dict[str, Any] = json.loads(hook.read_all())
        return found

    take = tell(report="r1", hook="Stop", payload={"response": "ok"}, takes=True)["take"]
    assert tell(report="r2", take=take, of="r1", gives=True) == {"go": True}
    daemon.kill()
    daemon.start()
    agent = agent.again()
    wait_until(lambda: inbox(agent), "it stays in a turn that nobody runs", 90)
    [answer] = inbox(agent)
    assert (answer["type"], answer["body"][:8]) == ("LOG_ERROR", "in doubt")
    agent.wait("idle")
    assert agent.ask("after it") == "after it"
