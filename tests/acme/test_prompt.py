"""Prompts: the window that a right click opens, and the selection that a chord fires."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

MAIN = "/AnviLLM/"


@pytest.mark.parametrize("click", ["id", "alias"])
def test_a_right_click_on_an_id_or_alias_opens_a_prompt_window(person, agent, assist, project, click):
    id = agent.add("claude", project, alias="code-review")
    assist()
    person.look(MAIN, id if click == "id" else "review")  # acme itself takes only the part behind the hyphen
    name = f"{project}/+Prompt.code-review"
    person.wait(lambda: person.has(name) and "Send Put" in person.tag(name), "the prompt window")
    person.type(name, "Größe 1\nline two\n")
    person.execute(name, "Send", tag=True)
    assert agent.await_written(f"{id}/in") == "Größe 1\nline two"
    person.misses(name)


def test_put_sends_too_and_a_refusal_keeps_the_window(person, agent, assist, project):
    id = agent.add("claude", project)
    assist()
    person.look(MAIN, id)
    name = f"{project}/+Prompt.{id}"
    person.wait(lambda: person.has(name) and "Send Put" in person.tag(name), "the prompt window")
    person.execute(name, "Send", tag=True)
    person.sees(f"{project}/+Errors", "Assist: nothing to send\n")
    person.type(name, "do it")
    agent.refuse[f"{id}/in"] = "busy: session 'x' has exited"
    person.execute(name, "Put", tag=True)
    person.sees(f"{project}/+Errors", "Assist: busy: session 'x' has exited\n")
    assert person.body(name) == "do it"
    del agent.refuse[f"{id}/in"]
    person.execute(name, "Put", tag=True)
    assert agent.await_written(f"{id}/in") == "do it"
    person.misses(name)


def test_a_long_prompt_arrives_whole(person, agent, assist, project):
    id = agent.add("claude", project)
    assist()
    text = "ünï " * 6000 + "end"
    name = f"{project}/+Prompt.{id}"
    person.new(name, text)  # left by an earlier Assist: it is taken over, and what was typed is kept
    person.look(MAIN, id)
    person.wait(lambda: "Send Put" in person.tag(name), "Send in the tag")
    person.execute(name, "Send", tag=True)
    assert agent.await_written(f"{id}/in") == text


def test_a_second_right_click_shows_the_window_that_is_there(person, agent, assist, project):
    id = agent.add("claude", project)
    assist()
    name = f"{project}/+Prompt.{id}"
    person.look(MAIN, id)
    person.wait(lambda: person.has(name) and "Send Put" in person.tag(name), "the prompt window")
    person.type(name, "draft")
    person.look(MAIN, id)
    person.look(MAIN, id)
    person.execute(MAIN, "Get", tag=True)
    assert person.names().count(name) == 1
    assert person.body(name) == "draft"


def test_del_on_a_written_prompt_warns_once(person, agent, assist, project):
    id = agent.add("claude", project)
    assist()
    name = f"{project}/+Prompt.{id}"
    person.look(MAIN, id)
    person.wait(lambda: person.has(name) and "Send Put" in person.tag(name), "the prompt window")
    person.type(name, "draft")
    person.execute(name, "Del", tag=True)
    person.sees("+Errors", f"{name} modified\n")
    assert person.has(name)
    person.execute(name, "Del", tag=True)
    person.misses(name)


@pytest.mark.parametrize("target", ["id", "alias"])
def test_a_chord_fires_the_selection_with_its_origin(person, agent, assist, project, target):
    id = agent.add("claude", project, alias="fix")
    assist()
    person.new("/tmp/notes.txt", "please: mend the größe here\n")
    person.execute(MAIN, id if target == "id" else "fix", chord=("/tmp/notes.txt", "mend the größe"))
    assert agent.await_written(f"{id}/in") == "From /tmp/notes.txt:#8,#22\n\nmend the größe"


def test_a_chord_that_is_refused_says_so(person, agent, assist):
    id = agent.add()
    assist()
    agent.refuse[f"{id}/in"] = "busy: session is gone"
    person.new("/tmp/notes.txt", "mend\n")
    person.execute(MAIN, id, chord=("/tmp/notes.txt", "mend"))
    person.sees("/AnviLLM/+Errors", "Assist: busy: session is gone\n")


def test_a_middle_click_on_an_id_attaches_a_terminal(person, agent, assist, namespace, monkeypatch):
    monkeypatch.setenv("ANVILLM_TERMINAL", f"{namespace}/term -x")
    with open(f"{namespace}/term", "w") as script:
        script.write(f'#!/bin/sh\necho "$@" > {namespace}/said.tmp; mv {namespace}/said.tmp {namespace}/said\n')
    os.chmod(f"{namespace}/term", 0o755)
    id = agent.add()
    assist()
    person.execute(MAIN, id)
    person.wait(lambda: os.path.exists(f"{namespace}/said"), "the terminal to start")
    with open(f"{namespace}/said") as said:
        assert said.read() == f"-x -e sh -c echo attached {id}\n"


def test_when_no_terminal_opens_it_says_what_each_said_and_what_to_run(person, agent, assist, namespace, monkeypatch):
    for name, said in (("term", "no display"), ("win", "no acme")):
        with open(f"{namespace}/{name}", "w") as script:
            script.write(f"#!/bin/sh\necho {name}: {said} >&2; exit 1\n")
        os.chmod(f"{namespace}/{name}", 0o755)
    monkeypatch.setenv("ANVILLM_TERMINAL", f"{namespace}/term")
    if hand := shutil.which("xdotool"):
        os.symlink(hand, f"{namespace}/xdotool")
    monkeypatch.setenv("PATH", namespace)  # no other terminal
    id = agent.add()
    assist()
    person.execute(MAIN, id)
    said = f"Assist: no terminal opened: term: no display; win: no acme; run it yourself: echo attached {id}\n"
    person.sees("/AnviLLM/+Errors", said)


def test_a_terminal_that_cannot_open_says_why(person, agent, assist, monkeypatch):
    monkeypatch.setenv("ANVILLM_TERMINAL", "no-such-terminal")
    id = agent.add()
    assist()
    person.select(MAIN, id)
    person.execute(MAIN, "Attach", tag=True)
    person.sees("/AnviLLM/+Errors", "Assist: no terminal 'no-such-terminal': see $ANVILLM_TERMINAL\n")


def test_tell_gives_a_session_a_text_of_any_size_and_where_it_stands(person, agent, monkeypatch):
    id = agent.add(alias="rev")
    text = "größe " * 2000
    person.new("/tmp/notes.txt", f"see {text}\n")
    from acme.lib.acme import Acme

    acme = Acme.dial()
    window = acme.find("/tmp/notes.txt")
    window.select(4, 4 + len(text))
    monkeypatch.setenv("winid", str(window.id))
    monkeypatch.setenv("%", "/tmp/notes.txt")
    window.close()
    acme.close()
    tell = [sys.executable, str(Path(__file__).parents[2] / "acme" / "Tell")]
    done = subprocess.run([*tell, "rev", "look", "here"], input=text, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert agent.await_written(f"{id}/in") == f"look here\n\nFrom /tmp/notes.txt:#4,#{4 + len(text)}\n\n{text}"
    done = subprocess.run([*tell, "nobody"], input=text, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "Tell: no such session 'nobody'\n")


@pytest.mark.parametrize("terminal", ["win", "9term"])
def test_a_terminal_of_plan_9_shows_the_conversation_line_by_line(terminal):
    from anvilsrv.front.terminal import candidates

    plain = ["-n", "Talk.rev", "python3", "Assist", "talk", "a1"]
    words = plain if terminal == "win" else plain[2:]
    assert next(candidates("tmux attach", plain, {"ANVILLM_TERMINAL": terminal})) == [terminal, *words]
    assert next(candidates("tmux attach", [], {"ANVILLM_TERMINAL": terminal})) == [
        terminal,
        "-e",
        "sh",
        "-c",
        "tmux attach",
    ]
