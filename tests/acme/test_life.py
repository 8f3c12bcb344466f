"""Assist as a program: one for each acme, deleted windows, Load, the plumber, and the programs Kiro and Claude."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import quote

import pytest

from acme.lib.acme import Acme
from acme.lib.plumb import unpack
from anvilsrv import paths
from anvilsrv.p9.client import Client
from anvilsrv.p9.server import Server
from anvilsrv.p9.tree import LATER, File, Handle, StaticDir

ROOT = Path(__file__).resolve().parent.parent.parent
MAIN = "/AnviLLM/"


def test_a_second_assist_shows_the_first(person, agent, assist):
    assist()
    second = assist(wait=False)
    assert second.wait(10) == 0
    assert person.names().count(MAIN) == 1


def test_a_second_assist_opens_what_it_was_asked_for(person, agent, assist, project):
    id = agent.add("claude", project, alias="rev")
    assist()
    assert assist("log", "rev", wait=False).wait(10) == 0
    person.wait(lambda: person.has(f"{project}/+Log.rev"), "the log window")
    with Client(f"{os.environ['NAMESPACE']}/assist") as client:
        client.write("ctl", f"prompt {id}\n".encode())
    person.wait(lambda: person.has(f"{project}/+Prompt.rev"), "the prompt window")


def test_windows_of_an_assist_that_was_killed_are_taken_over(person, agent, assist):
    id = agent.add()
    process = assist()
    person.sees(MAIN, id)
    person.type_at_end(MAIN, "a note of mine\n")
    agent.logs[id].add(b"USER 2026-01-01T10:00:00\n\thello\n\n")
    person.select(MAIN, id)
    person.execute(MAIN, "Log", tag=True)
    log = f"/tmp/+Log.{id}"
    person.sees(log, "hello")
    person.type_at_end(log, "a draft")
    process.terminate()
    assert process.wait(30) == 0
    other = agent.add()
    assist()
    person.sees(MAIN, other)
    assert person.names().count(MAIN) == 1
    assert person.body(MAIN).count(id) == 1
    lines = [line.split() for line in person.body(MAIN).splitlines()]
    assert lines[-2:] == [["-", "idle", "claude", "/tmp", other], ["a", "note", "of", "mine"]]
    agent.logs[id].add(b"ASSISTANT 2026-01-01T10:00:01\n\tyes\n\n")
    person.sees(log, "\thello\n\nASSISTANT 2026-01-01 10:00\n\tyes\n\na draft")


def test_every_kind_of_window_is_taken_over_with_what_was_typed_in_it(person, agent, assist, project):
    id = agent.add("claude", project, alias="rev", state="running")
    agent.wait(id, (2, "queue", "run the tests"))
    agent.texts[f"{id}/git/diff"] = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n"
    agent.beads.append({"id": "bd-a1b.2", "title": "Mend", "status": "open", "priority": 2})
    mail = agent.mail("user", **{"from": id}, body="Which?")
    first = assist()
    asked = (
        "task bd-a1b.2",
        f"queued {id}/2",
        f"message user/inbox/{mail}",
        f"compose user/inbox/{mail}",
        f"compose {id}",
        f"diff {id}",
    )
    for words in asked:
        assert assist(*words.split(), wait=False).wait(10) == 0
    names = {
        "/AnviLLM/+Task.bd-a1b.2": "Fail",
        f"{project}/+Queued.rev.2": "Put Queue",
        f"{project}/+Mail.{mail[:8]}": "Reply Archive",
        f"/AnviLLM/+Reply.{mail[:8]}": "Send",
        "/AnviLLM/+Mail.to.rev": "Send",
        f"{project}/+Diff.rev": "Revert",
    }
    for name, word in names.items():
        person.wait(lambda name=name, word=word: person.has(name) and word in person.tag(name), name)
    person.sees(f"{project}/+Diff.rev", "+c\n")
    first.terminate()
    assert first.wait(30) == 0
    for name in names:
        if name != f"{project}/+Mail.{mail[:8]}":
            person.type_at_end(name, "mine too\n")
    assist()
    drafts = paths.state_dir() / "assist"
    for words in (*asked[:2], *asked[3:]):
        kept = drafts / quote(words, safe=" ")
        person.wait(lambda kept=kept: kept.exists() and "mine too" in kept.read_text(), words)
    assert "mine too" in person.body("/AnviLLM/+Task.bd-a1b.2")
    person.execute(f"{project}/+Queued.rev.2", "Put", tag=True)
    assert agent.await_written(f"{id}/turns/2/prompt") == "run the testsmine too\n"
    person.execute(f"{project}/+Diff.rev", "Put", tag=True)
    assert agent.await_written(f"{id}/git/review") == "x:2: mine too\n"
    for name in ("/AnviLLM/+Mail.to.rev", f"/AnviLLM/+Reply.{mail[:8]}"):
        person.execute(name, "Send", tag=True)
        assert json.loads(agent.await_written("user/mail"))["body"] == "mine too"
    person.execute(f"{project}/+Mail.{mail[:8]}", "Archive", tag=True)
    assert agent.await_written("user/ctl") == f"complete {mail}\n"


def test_what_was_typed_while_no_assist_ran_is_kept_on_disk_by_the_next_one(person, agent, assist, project):
    id = agent.add("claude", project, alias="rev")
    log = f"{project}/+Log.rev"
    first = assist("log", "rev")
    person.wait(lambda: person.has(log) and "Send" in person.tag(log), "the log window")
    first.terminate()
    assert first.wait(30) == 0
    person.type_at_end(log, "a draft")
    second = assist("log", "rev")
    agent.logs[id].add(b"USER 2026-01-01T10:00:00\n\thello\n\n")
    person.sees(log, "hello")
    second.terminate()
    assert second.wait(30) == 0
    acme = Acme.dial()
    acme.find(log).delete()
    acme.close()
    assist("log", "rev")
    person.sees(log, "hello")
    person.wait(lambda: person.body(log).endswith("a draft"), "the draft")


def test_without_acme_and_with_a_wrong_word_it_says_so(namespace):
    script = [sys.executable, str(ROOT / "acme" / "Assist")]
    done = subprocess.run(script, capture_output=True, text=True)
    assert (done.returncode, done.stderr[:27]) == (1, "Assist: no acme in '/tmp/ac")
    done = subprocess.run([*script, "frobnicate"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("Assist: no such window 'frobnicate'")


def test_assist_ends_with_its_last_window(person, agent, assist, project):
    id = agent.add("claude", project)
    process = assist()
    person.look(MAIN, id)
    name = f"{project}/+Prompt.{id}"
    person.wait(lambda: person.has(name) and "Send" in person.tag(name), "the prompt window")
    person.execute(MAIN, "Del", tag=True)
    person.misses(MAIN)
    assert process.poll() is None
    person.execute(name, "Del", tag=True)
    assert process.wait(30) == 0


@pytest.mark.slow(6)
def test_a_daemon_that_does_not_answer_holds_up_no_click(person, agent, assist):
    id = agent.add()
    assist()
    person.select(MAIN, id)
    person.execute(MAIN, "Context", tag=True)
    context = f"/tmp/+Context.{id}"
    person.wait(lambda: person.has(context) and "Put" in person.tag(context), "the context window")
    agent.frozen.set()
    try:
        person.execute(context, "Put", tag=True)

        def told():
            person.execute(context, "Prompt", tag=True)
            return person.has("/tmp/+Errors") and "not now" in person.body("/tmp/+Errors")

        person.wait(told, "to be told")
        person.execute(context, "Del", tag=True)
        person.misses(context)
        person.sees(MAIN, "daemon is away")
    finally:
        agent.frozen.clear()
    person.wait(lambda: "daemon is away" not in person.body(MAIN), "Assist to see it answer")


def test_what_the_daemon_takes_long_to_do_refuses_no_click(person, agent, assist, project):
    id = agent.add(cwd=project)
    assist()
    person.sees(MAIN, id)
    agent.slow.set()
    try:
        person.type_at_end(MAIN, f"Claude {project} alias=neu")
        person.execute(MAIN, f"Claude {project} alias=neu", sweep=True)
        person.wait(agent.starting.is_set, "the daemon to begin")
        before = agent.attached

        def doubted():
            person.execute(MAIN, "Daemon", tag=True)
            return agent.attached > before

        person.wait(doubted, "Assist to ask whether the daemon still answers")
    finally:
        agent.slow.clear()
    person.wait(lambda: person.has("/AnviLLM/+Daemon"), "the window")
    assert agent.await_written("ctl") == f"new claude {project} alias=neu\n"
    assert not person.has("/AnviLLM/+Errors")


def test_assist_ends_when_acme_ends(person, agent, assist):
    id = agent.add()
    process = assist("log", id)
    person.wait(lambda: person.has(f"/tmp/+Log.{id}"), "the log window")
    person.end_acme()
    assert process.wait(30) == 0


def test_the_log_tells_what_happens_to_windows(person):
    acme = Acme.dial()
    log = acme.log()
    seen: list[tuple[int, str, str]] = []
    reader = threading.Thread(target=lambda: seen.extend(next(log) for _ in range(2)))
    with acme.client.open("log", 0):  # the reader's own open is not seen: windows are made until it has one
        reader.start()
        while reader.is_alive():
            window = acme.new()
            window.name("/tmp/+One")
            window.delete()
            window.close()
            reader.join(0.05)
    log.close()
    acme.close()
    assert {operation for _, operation, _ in seen} <= {"new", "del", "focus"}
    assert all(name in ("", "/tmp/+One") for _, _, name in seen)


def test_each_window_tells_acme_how_to_load_it_again(person, agent, assist, project):
    if person.real:
        pytest.skip("shown by test_load_brings_windows_back")
    agent.add("claude", project, alias="rev")
    assist("log", "rev")
    window = person.wait(lambda: person.acme.find(f"{project}/+Log.rev"), "the log window")
    person.wait(lambda: window.dump, "the dump command")
    person.wait(lambda: "dumpdir" in window.dump, "the dump directory")
    assert re.fullmatch(r".*Assist log a0000001", window.dump["dump"])
    assert window.dump["dumpdir"] == os.environ["NAMESPACE"]


def test_load_brings_windows_back(person, agent, assist, project, namespace):
    if not person.real:
        pytest.skip("only acme itself can Load")
    id = agent.add("claude", project, alias="rev")
    process = assist("log", "rev")
    person.wait(lambda: person.has(f"{project}/+Log.rev"), "the log window")
    person.new("/tmp/notes", f"Dump {namespace}/dump\nLoad {namespace}/dump\n")
    person.execute("/tmp/notes", f"Dump {namespace}/dump", sweep=True)
    person.wait(lambda: os.path.exists(f"{namespace}/dump"), "the dump file")
    process.terminate()
    process.wait(10)
    acme = Acme.dial()
    for name in (MAIN, f"{project}/+Log.rev"):
        acme.find(name).delete()
    acme.close()
    person.execute("/tmp/notes", f"Load {namespace}/dump", sweep=True)
    person.sees(MAIN, id)
    person.wait(lambda: person.has(f"{project}/+Log.rev"), "the log window")
    for name in (MAIN, f"{project}/+Log.rev"):
        person.wait(lambda name=name: "Attach" in person.tag(name), "its tag")
        person.execute(name, "Del", tag=True)
        person.misses(name)


def test_what_is_plumbed_opens_a_prompt_window(person, agent, assist, project, port):
    id = agent.add("claude", project, alias="rev")
    assist()
    port.say(plumbed(f"anvil:{id}", "/tmp"))
    person.wait(lambda: person.has(f"{project}/+Prompt.rev"), "the prompt window")


def test_a_name_that_is_plumbed_and_of_no_session_is_said_where_it_was_clicked(person, agent, assist, namespace, port):
    assist()
    person.new("/tmp/notes", "ask anvil:nobody about it\n")
    port.say(plumbed("anvil:nobody", "/tmp"))
    person.sees("/tmp/+Errors", "Assist: no such session 'nobody'\n")


def test_a_name_that_is_plumbed_from_no_window_is_said_in_the_main_one(person, agent, assist, namespace, port):
    assist()
    port.say(plumbed("anvil:nobody", "/no/such"))
    person.sees("/AnviLLM/+Errors", "Assist: no such session 'nobody'\n")


def test_a_session_that_was_begun_just_now_is_found_when_it_is_plumbed(person, agent, assist, project, port):
    assist()
    agent.quiet = True
    id = agent.add("claude", project, alias="rev")
    port.say(plumbed(f"anvil:{id}", "/tmp"))
    person.wait(lambda: person.has(f"{project}/+Prompt.rev"), "the prompt window")


def plumbed(text, directory):
    """A message of the plumber."""
    return f"acme\nanvil\n{directory}\ntext\n\n{len(text)}\n{text}".encode()


@pytest.fixture
def port(namespace):
    """The plumber, and its port."""
    port = Port()
    server = Server()
    server.listen(f"{namespace}/plumb", StaticDir("/", [port]))
    server.start()
    yield port
    server.stop()


class Port(File):
    """A port of the plumber with one message in it."""

    def __init__(self):
        super().__init__("anvil")
        self.data, self.waiting = b"", None

    def say(self, data):
        self.data = data
        if self.waiting is not None:
            self.waiting.done(data)

    def open(self, who, mode, req):
        return Waiting(self)


class Waiting(Handle):
    def __init__(self, port):
        self.port, self.read_once = port, False

    def read(self, offset, count, req):
        if self.port.data and not self.read_once:
            self.read_once = True
            return self.port.data
        self.port.waiting = req
        return LATER


def test_plumb_messages_may_come_in_pieces():
    message = b"acme\nanvil\n/tmp\ntext\nclick=3\n10\nanvil:aaaa"
    assert unpack(message[:-3]) is None
    assert unpack(message + b"next") == ("anvil:aaaa", "/tmp", b"next")
    assert unpack(b"acme\n\n") is None


def test_the_plumbing_rule_is_one_the_plumber_takes(namespace):
    if not shutil.which("plumber"):
        pytest.skip("no plumber is installed")
    rules = ROOT / "acme" / "anvil.plumbing"
    said = Path(namespace, "said")
    with said.open("wb") as errors:
        process = subprocess.Popen(["plumber", "-f", "-p", str(rules)], stdout=errors, stderr=errors)
    try:
        deadline = time.monotonic() + 10
        while not Path(namespace, "plumb").exists():
            assert process.poll() is None, said.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        with Client(f"{namespace}/plumb") as client:
            assert "anvil" in [stat.name for stat in client.ls()]
        assert said.read_text() == ""
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.parametrize(("word", "backend"), [("Kiro", "kiro-cli"), ("Claude", "claude")])
def test_the_programs_start_a_session_where_they_are_called(agent, project, word, backend):
    script = [sys.executable, str(ROOT / "acme" / word)]
    done = subprocess.run([*script, "alias=here"], cwd=project, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("anvil:a0000001\n", "")
    assert agent.await_written("ctl") == f"new {backend} {project} alias=here\n"
    done = subprocess.run([*script, "/no/such"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, f"{word}: no directory '/no/such'\n")
