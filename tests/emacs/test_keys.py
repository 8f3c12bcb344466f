"""Emacs in a terminal, driven by real keys, against the real daemon: the main paths as a person walks them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from anvilsrv.p9 import wire
from anvilsrv.p9.client import File, P9Error
from tests.conftest import ROOT, Daemon, Home, wait_until
from tests.scripted import install, script


class Screen:
    """A terminal of tmux with Emacs in it."""

    def __init__(self, home: Home, *arguments: str) -> None:
        self.socket = home.top / "screen"
        quiet = "(setq native-comp-deferred-compilation nil)"  # in a new HOME each would compile the same once more
        command = ["emacs", "-nw", "-Q", "--eval", quiet, "-L", str(ROOT / "emacs"), "-l", "anvillm", *arguments]
        command += ["-f", "anvillm"]
        subprocess.run(
            ["tmux", "-S", str(self.socket), "-f", "/dev/null", "new-session", "-d", "-x", "110", "-y", "30", *command],
            check=True, cwd=home.work, env=home.env | {"TERM": "xterm-256color", "LANG": "C.UTF-8"},
        )  # fmt: skip

    def tmux(self, *words: str) -> str:
        return subprocess.run(
            ["tmux", "-S", str(self.socket), *words], check=True, capture_output=True, text=True
        ).stdout

    def text(self) -> str:
        return self.tmux("capture-pane", "-p")

    def key(self, *keys: str) -> "Screen":
        """Press keys, by their names in tmux."""
        self.tmux("send-keys", *keys)
        return self

    def type(self, text: str) -> "Screen":
        self.tmux("send-keys", "-l", text)
        return self

    def see(self, *words: str, patience: float = 30) -> str:
        """Wait until all of these are on the screen."""
        try:
            wait_until(lambda: all(word in self.text() for word in words), f"{words} on the screen", patience)
        except AssertionError:
            raise AssertionError(f"never saw {words}:\n{self.text()}") from None
        return self.text()

    def row(self, *words: str) -> str:
        """Wait until one line has all of these."""
        try:
            wait_until(lambda: any(all(w in line for w in words) for line in self.text().splitlines()), "the line", 30)
        except AssertionError:
            raise AssertionError(f"never saw a line with {words}:\n{self.text()}") from None
        return self.text()

    def close(self) -> None:
        subprocess.run(["tmux", "-S", str(self.socket), "kill-server"], capture_output=True, check=False)


@pytest.fixture
def screen(home: Home, stopped_daemon: Daemon) -> Iterator[Screen]:
    install(home.config)
    script(home.work, turns=[{"match": "ask", "ask": "May I delete it?"}, {"echo": True}])
    stopped_daemon.start()
    made = Screen(home)
    try:
        yield made
    finally:
        made.close()


def start(screen: Screen, backend: str = "shell", alias: str = "worker") -> None:
    """Start a session as a person does, and name it."""
    screen.see("AnviLLM)")
    wait_until(lambda: "Connecting" not in screen.text(), "the list")
    screen.key("s").see("Backend (default")
    screen.type(backend).key("Enter").see("In directory:")
    screen.key("Enter").row(backend, "idle")
    screen.key("a").see("Alias of")
    screen.type(alias).key("Enter").row(alias, backend, "idle")


def test_a_session_is_started_named_prompted_read_and_killed(screen: Screen) -> None:
    screen.see("No sessions", "starts one")
    start(screen)
    screen.key("p").see("Prompt to worker", "C-c C-c sends")
    screen.type("echo composed").key("Enter").type("seq 100").key("C-c", "C-c").see("Accepted")
    screen.row("worker *", "idle")
    screen.key("Enter").see("worker  idle", "more lines (TAB)")
    screen.key("[").key("Tab").see("composed")
    screen.key("q").key("P").see("Prompt to worker:")
    screen.type("sleep 30").key("Enter").row("worker", "running")
    screen.key("X").row("worker", "idle")
    screen.key("t").row("worker", "stopped")
    screen.key("R").row("worker", "idle")
    screen.key("K").see("Kill worker? (yes or no)")
    screen.type("yes").key("Enter").see("No sessions")


def test_a_question_is_answered_with_one_key(screen: Screen) -> None:
    start(screen, "scripted", "asker")
    screen.key("P").see("Prompt to asker:")
    screen.type("ask me").key("Enter").row("asker", "asks", "May I delete it?")
    screen.key("M-n").see("answers")
    screen.key("!").see("asker asks", "1   yes", "2   no", "q later")
    screen.key("2").row("asker", "idle")
    screen.key("Enter").see("no")


def test_a_conversation_goes_on_when_the_daemon_was_killed(screen: Screen, stopped_daemon: Daemon) -> None:
    start(screen)
    screen.key("Enter").see("worker  idle")
    screen.key("P").see("Prompt to worker:")
    screen.type("echo be$((1))fore").key("Enter").see("be1fore", "worker  idle")
    stopped_daemon.kill()
    screen.see("stale")
    screen.key("P").see("Prompt to worker:")
    screen.type("not lost").key("Enter").see("the prompt is in the kill ring", "nobody answers")
    stopped_daemon.start()
    wait_until(lambda: "stale" not in screen.text(), "the link up again")
    screen.key("h").see("Session worker (idle)", "Attach terminal")
    screen.key("P").see("Prompt to worker:", "be1fore")
    screen.type("echo af$((1))ter").key("Enter")
    assert screen.see("af1ter").count("be1fore") == 1


def test_a_window_that_was_small_for_a_while_shows_what_it_did(screen: Screen) -> None:
    whole = ("seq 5", "\n1\n", "\n5\n")  # and how long it took, if that is long
    start(screen)
    screen.key("Enter").see("worker  idle")
    screen.key("P").see("Prompt to worker:")
    screen.type("seq 5").key("Enter").see(*whole)
    screen.key("h").see("Session worker (idle)", "Attach terminal")
    wait_until(lambda: "seq 5" not in screen.text(), "the menu takes its lines")
    screen.key("C-g")
    wait_until(
        lambda: "Session worker" not in screen.text() or "Quit: " in screen.text(), "the menu goes, or says why not"
    )
    if "Quit: " in screen.text():  # that of Emacs 30, while it draws the menu for the first time
        screen.key("C-g")
    screen.see(*whole)
    screen.key("C-x", "2", "C-x", "2").key("M-x").see("M-x")
    assert "seq 5" not in screen.text()
    screen.key("C-g", "C-x", "1").see(*whole)
    screen.key("p").see("Prompt to worker  C-c C-c")
    screen.type("draft").key("C-c", "C-k").see("The draft is kept")
    screen.see("*anvillm worker*   All", *whole)


def test_a_terminal_is_attached_inside_emacs(screen: Screen) -> None:
    start(screen)
    screen.key("A").see("*attach worker*", "A prompt is a command")
    screen.type("echo by hand").key("Enter").see("\nby hand")


def test_keys_work_while_the_daemon_is_frozen(screen: Screen, stopped_daemon: Daemon) -> None:
    start(screen)
    assert stopped_daemon.process is not None
    os.kill(stopped_daemon.process.pid, signal.SIGSTOP)
    try:
        screen.key("g", "t", "l", "d").see("*anvillm daemon*")
        screen.key("C-x", "b").type("*anvillm*").key("Enter")
        screen.see("does not answer")
        for word in ("quick", "again"):
            started = time.monotonic()
            screen.key("M-x").type(word).see(f"M-x {word}")
            assert time.monotonic() - started < 5  # a few runs of tmux and one drawing; a wait would have no end
            screen.key("C-g").see("Quit")
    finally:
        os.kill(stopped_daemon.process.pid, signal.SIGCONT)
    screen.row("worker", "stopped")


def test_a_command_waits_in_the_minibuffer_for_a_daemon_that_is_frozen_from_the_beginning(
    home: Home, stopped_daemon: Daemon
) -> None:
    client = stopped_daemon.start().client()
    session = client.write_read("ctl", f"new shell '{home.work}' alias=worker\n".encode()).decode().strip()
    wait_until(lambda: client.read(f"{session}/state") == b"idle\n", "idle")
    assert stopped_daemon.process is not None
    os.kill(stopped_daemon.process.pid, signal.SIGSTOP)
    screen = Screen(home)
    try:
        screen.see("Connecting...")
        screen.key("M-x").type("anvillm-stop").key("Enter").see("Waiting for the daemon (C-g gives up)")
        screen.key("C-g").see("Quit")
        screen.key("M-x").type("anvillm-stop").key("Enter").see("Waiting for the daemon")
        # Emacs goes on meanwhile, and what is typed goes to what is asked afterwards.
        screen.key("C-x", "o", "?").see("Keys of anvillm")
        screen.key("C-x", "o", "C-x", "o").type("wor").key("Tab", "Enter")
        os.kill(stopped_daemon.process.pid, signal.SIGCONT)
        screen.row("worker", "stopped")
    finally:
        os.kill(stopped_daemon.process.pid, signal.SIGCONT)
        screen.close()


def test_a_proposed_edit_is_compared_edited_and_accepted(home: Home, stopped_daemon: Daemon) -> None:
    (home.config / "roles").mkdir(parents=True)
    (home.config / "roles/editor.yaml").write_text("filesystem: {rw: ['{CWD}']}\nemacs: [open_diff]\n")
    user = stopped_daemon.start().client()
    session = user.write_read("ctl", f"new shell '{home.work}' alias=worker role=editor\n".encode()).decode().strip()
    wait_until(lambda: user.read(f"{session}/state") == b"idle\n", "idle")
    (home.work / "plan.txt").write_text("one\ntwo\n")
    screen = Screen(home)
    agent = stopped_daemon.client(session)
    request = {"tool": "open_diff", "arguments": {"file": "plan.txt", "content": "one\nthree\n"}}
    try:
        screen.row("worker", "idle")
        for answer, found in (("y", {"accepted": True, "content": "really one\nthree\n", "edited": True}),
                              ("n", {"accepted": False})):  # fmt: skip
            with agent.open(f"{session}/editor", wire.ORDWR) as file:
                wait_until(lambda file=file: asked(file, request), "Emacs is attached")
                screen.row("worker", "proposes plan.txt")
                screen.key("E").see("two", "three", "accepts it as it is here", "At start of 1 diffs")
                if answer == "y":
                    screen.key("C-x", "o", "C-x", "o", "M-<").type("really ")
                    screen.see("really one")
                    screen.key("C-c", "C-c")
                else:
                    screen.key("q").see("Quit this Ediff session")
                    screen.key("y").see("Accept the edit, as it is here?")
                    screen.key("n")
                file.offset = 0
                result = json.loads(file.read_all(30))["result"]
                assert result == {"file": str(home.work / "plan.txt"), **found}
                wait_until(lambda: "proposes" not in screen.row("worker", "idle"), "the list as it was")
        assert (home.work / "plan.txt").read_text() == "one\ntwo\n"
    finally:
        screen.close()


def asked(file: File, request: object) -> bool:
    """Ask an editor, if one is attached."""
    try:
        file.write(json.dumps(request).encode())
    except P9Error as error:
        assert "no editor is attached" in str(error)
        return False
    return True


def test_emacs_starts_the_daemon_when_there_is_none(home: Home) -> None:
    program = home.top / "anvilsrv"
    program.write_text(f'#!/bin/sh\ncd {ROOT} && exec {sys.executable} -m anvilsrv.programs.cli "$@"\n')
    program.chmod(0o755)
    screen = Screen(home, "--eval", f'(setq anvillm-program "{program}")')
    try:
        screen.see("No daemon at", "Start it? (y or n)")
        screen.key("y").see("No sessions")
        screen.key("d").see("Link        up", "shell", "ok")
        screen.key("t").see("Stop the daemon")
        screen.type("yes").key("Enter").see("no daemon at", "no such socket")
    finally:
        home.anvilsrv("stop")
        screen.close()
