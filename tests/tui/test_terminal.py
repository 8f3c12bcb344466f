"""anvillm in a real terminal: every key, what is on the screen, and what comes out of the program."""

import json
import os
import re
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from anvilsrv.front import requests
from tests.conftest import PATIENCE, ROOT, Daemon, Home, wait_until
from tests.scripted import install, script
from tests.session import Session
from tests.tui.conftest import Terminal, new


@pytest.fixture
def running(daemon: Daemon, terminal: Terminal) -> Terminal:
    """anvillm before a daemon."""
    terminal.anvillm()
    terminal.shows("No sessions. s starts one.")
    return terminal


def test_a_session_is_started_prompted_named_stopped_restarted_and_killed(running: Terminal, daemon: Daemon) -> None:
    t, client = running, daemon.client()
    t.keys("s")
    t.shows("Start a session", "backend     shell", str(daemon.home.work))
    t.keys("Tab", "Tab")
    t.type("dev")
    t.keys("Enter")
    t.shows("1 session", "dev", "idle")
    session = client.read("list").decode().split("\t")[0]
    t.keys("p")
    t.shows("Prompt for dev")
    t.type("echo $((40+2)) > made.txt")
    t.keys("Enter")
    wait_until(lambda: (daemon.home.work / "made.txt").exists(), "the prompt did not arrive")
    t.keys("a")
    t.shows(f"Alias of {session}")
    t.keys("C-u")
    t.type("renamed")
    t.keys("Enter")
    t.shows("renamed")
    t.keys("t")
    t.shows("stopped")
    t.keys("R")
    t.shows("idle")
    t.keys("K")
    t.shows("Kill renamed?")
    t.keys("n")
    t.hides("Kill renamed?")
    t.shows("renamed")
    t.keys("K")
    t.shows("Kill renamed?")
    t.keys("y")
    t.shows("No sessions")
    t.keys("q")
    wait_until(lambda: t.ended == 0, "q does not end it")


def test_the_list_moves_by_letters_and_by_control_keys(daemon: Daemon, terminal: Terminal) -> None:
    for name in ("one", "two", "three"):
        new(daemon, f"alias={name}", f"role={'default'}")
    terminal.anvillm()
    terminal.shows("three")

    def at(name: str) -> None:
        def here() -> bool:
            line = next(line for line in terminal.screen("-e").splitlines() if name in line)
            return "\x1b[7" in line or ";7m" in line or ";7;" in line

        wait_until(here, f"the cursor is not on {name}\n{terminal.screen('-e')}")

    at("one")
    for key, name in (
        ("j", "two"),
        ("C-n", "three"),
        ("j", "three"),
        ("k", "two"),
        ("C-p", "one"),
        ("Down", "two"),
        ("G", "three"),
        ("g", "one"),
    ):
        terminal.keys(key)
        at(name)


def test_the_conversation_follows_what_is_said_and_keeps_drafts(daemon: Daemon, terminal: Terminal) -> None:
    session = new(daemon, "alias=talker")
    terminal.anvillm()
    terminal.shows("talker")
    terminal.keys("Enter")
    terminal.shows(f"talker · {session} · shell · idle")
    terminal.type("echo one")
    terminal.keys("C-j")
    terminal.type("echo two")
    terminal.keys("Enter")
    screen = terminal.shows("── you", "── agent", "\n two")
    assert re.search(r" echo one\n echo two\n ── agent .*\n one\n two\n", re.sub(" +\n", "\n", screen)), screen
    daemon.client().write(f"{session}/in", b"echo from elsewhere")
    terminal.shows(" from elsewhere")
    talker = Session(daemon, session)
    wait_until(lambda: talker.row["needs"] == "", "the answer is on the screen, and counts as not seen")
    terminal.type("half a thought")
    terminal.shows("half a thought")
    terminal.keys("Escape")
    terminal.shows("1 session")
    talker.ask("echo not seen")
    terminal.shows("1 needs you (n)", "new answer")
    terminal.keys("Enter")
    terminal.shows("half a thought")
    terminal.keys("C-u")
    terminal.type("seq 100")
    terminal.keys("Enter")
    terminal.shows("\n 99\n 100")
    terminal.keys("PageUp")
    terminal.hides("\n 99\n 100")
    terminal.shows("\n 80")
    daemon.client().write(f"{session}/in", b"echo news")
    daemon.client().read(f"{session}/out")
    terminal.keys("PageDown")
    terminal.keys("PageDown")
    terminal.shows(" news")


@pytest.mark.slow(7)
def test_a_turn_is_seen_while_it_happens(daemon: Daemon, terminal: Terminal) -> None:
    install(daemon.home.config)
    lines = [
        {"type": "text", "id": "m1", "part": "I shall look at ", "index": 0},
        {"type": "text", "id": "m1", "part": "the lexer.\n", "index": 1},
        {"type": "tool", "id": "t1", "name": "Bash", "input": {"command": "make check"}},
        {"type": "output", "id": "t1", "part": "one\n"},
        {"type": "output", "id": "t1", "part": "two \u202e2\n"},
        {"type": "output", "id": "t1", "status": "1", "exit": 2},
        {"type": "tool", "id": "t2", "name": "Edit", "input": {"file": "src/lex.py"}},
        {
            "type": "edit",
            "id": "t2",
            "file": "src/lex.py",
            "diff": "@@ -3,2 +3,3 @@\n def f():\n-    b = 1\n+    c = 2\n+    d = 3\n",
        },
        {"type": "retry", "attempt": 3, "of": 10, "reason": "overloaded"},
        {"type": "text", "id": "m2", "part": "It is nearly", "index": 0},
    ]
    turn = {"tell": [*([0.1, one] for one in lines), ["looked at", ""]], "say": "It is nearly done.", "times": 1}
    script(daemon.home.work, turns=[turn, {"say": "x"}])
    session = new(daemon, "alias=seen", backend="scripted")
    terminal.anvillm()
    terminal.shows("seen")
    terminal.keys("Enter")
    terminal.shows("seen ·")
    terminal.type("mend it")
    terminal.keys("Enter")
    screen = terminal.shows(" I shall look at the lexer.", " ✗ Bash make check exit 2", " ✓ Edit src/lex.py:4 +2 −1",
                            " retrying 3 of 10: overloaded", " It is nearly\n", "running · answering")  # fmt: skip
    assert "two" not in screen
    terminal.keys("C-o")
    terminal.shows("two \ufffd2", "     -    b = 1", "     +    d = 3")
    assert re.search(r"\x1b\[32m[^\x1b]*\+    c = 2", terminal.screen("-e"))
    if where := os.environ.get("ANVILLM_SCREENSHOTS"):
        (Path(where) / "tui.txt").write_text(terminal.screen("-e"))
    terminal.keys("C-o")
    terminal.hides("two")
    (daemon.home.work / "looked at").touch()
    terminal.shows(" It is nearly done.")
    agent = Session(daemon, session)
    for number in range(5):
        agent.ask(f"again {number}")
    terminal.keys("Escape")
    terminal.shows("NOTES")
    terminal.keys("Enter")
    terminal.shows("again 4")
    terminal.keys("PageUp", "PageUp")
    terminal.shows(" mend it", "It is nearly done.")


def test_what_is_typed_ahead_is_taken_in_its_order(daemon: Daemon, terminal: Terminal) -> None:
    """Over a slow line many keys arrive in one piece."""
    new(daemon, "alias=typed")
    terminal.anvillm()
    terminal.shows("typed")
    terminal.keys("p")
    terminal.shows("Prompt for")
    burst = "echo wronk\x7fg; rm -rf x\x15echo right > burst.txt\r"
    subprocess.run(["tmux", "-S", terminal.socket, "send-keys", "-t", "t", "-l", burst], check=True)
    wait_until(lambda: (daemon.home.work / "burst.txt").exists(), "the prompt did not arrive")
    terminal.keys("a")
    terminal.shows("Alias of")
    subprocess.run(["tmux", "-S", terminal.socket, "send-keys", "-t", "t", "-l", "x\x15neww\x7f\r"], check=True)
    terminal.hides("Alias of")
    terminal.shows(" new ")


def test_a_key_pressed_twice_leaves_one_screen(daemon: Daemon, terminal: Terminal) -> None:
    """The second one comes before the screen has gone: it left the one below too, and of the last one nothing was left."""
    new(daemon, "alias=twice")
    terminal.anvillm()
    terminal.shows("twice")
    subprocess.run(["tmux", "-S", terminal.socket, "send-keys", "-t", "t", "-l", "/twi\r\r"], check=True)
    terminal.shows("/twi: 1")
    terminal.keys("K")
    terminal.shows("Kill twice?")
    subprocess.run(["tmux", "-S", terminal.socket, "send-keys", "-t", "t", "-l", "nn"], check=True)
    terminal.hides("Kill twice?")
    terminal.shows("/twi: 1")


def test_a_pasted_text_keeps_its_lines(daemon: Daemon, terminal: Terminal) -> None:
    session = new(daemon)
    terminal.anvillm()
    terminal.shows(session)
    terminal.keys("p")
    terminal.shows("Prompt for")
    subprocess.run(["tmux", "-S", terminal.socket, "load-buffer", "-"], input=b"echo a\necho b\n\necho c", check=True)
    subprocess.run(["tmux", "-S", terminal.socket, "paste-buffer", "-p", "-t", "t"], check=True)
    terminal.shows("echo c")
    terminal.keys("Enter")
    terminal.hides("Prompt for")
    wait_until(lambda: b"ASSISTANT" in peek(daemon, session), "no answer")
    assert daemon.client().read(f"{session}/out") == b"a\nb\nc\n"


def test_letters_that_are_joined_and_wide_arrive_as_they_were_typed(daemon: Daemon, terminal: Terminal) -> None:
    session = new(daemon)
    terminal.anvillm()
    terminal.shows(session)
    terminal.keys("p")
    terminal.shows("Prompt for")
    typed = "echo 👩\u200d👩\u200d👧 e\u0301 नि 漢\u3000字 \ue0a0 off"
    terminal.type(typed)
    terminal.shows("off")
    terminal.keys("Enter")
    terminal.hides("Prompt for")
    wait_until(lambda: b"ASSISTANT" in peek(daemon, session), "no answer")
    assert daemon.client().read(f"{session}/turns/1/prompt").decode() == typed


def peek(daemon: Daemon, session: str) -> bytes:
    """Return the conversation as far as it is."""
    with daemon.client().open(f"{session}/log") as file:
        seen = b""
        while b"ASSISTANT" not in seen:
            seen += file.read(timeout=PATIENCE)
        return seen


def test_a_question_is_shown_and_answered(daemon: Daemon, terminal: Terminal) -> None:
    install(daemon.home.config)
    diff = "@@ -1,1 +1,1 @@\n-old \u202eline\n+new line\n"
    script(daemon.home.work, turns=[{"ask": "really delete it?", "diff": diff, "say": ""}])
    session = new(daemon, "alias=asker", backend="scripted")
    new(daemon, "alias=other")
    client = daemon.client()
    terminal.anvillm()
    terminal.shows("asker", "other")
    for keys, answer in ((("1",), b"answer: yes\n"), (("Down", "Enter"), b"answer: no\n")):
        client.write(f"{session}/in", b"do it")
        terminal.shows("asks", "1 ASK (w)")
        terminal.keys("G", "w")  # the other one is selected: w goes to who asks
        terminal.shows("asker asks", "really delete it?", "-old \ufffdline", "+new line", "1 yes", "2 no")
        terminal.keys(*keys)
        assert client.read(f"{session}/out", timeout=PATIENCE) == answer
        terminal.hides("ASK")
    client.write(f"{session}/in", b"do it")
    asker = Session(daemon, session)
    first = asker.question()["id"]
    asker.asks_too("make it?")
    second = json.loads(asker.read("ask").splitlines()[1])["id"]
    terminal.shows("asks (2)")
    terminal.keys("w")
    terminal.shows(f"asker asks (1 of 2, {first})", "really delete it?")
    terminal.keys("Escape")
    terminal.shows(f"asker asks (2 of 2, {second})", "make it?")
    terminal.keys("2")
    wait_until(lambda: second not in asker.read("ask"), "the second is answered")
    assert first in asker.read("ask")
    asker.write("answer", f"{first} no")
    terminal.hides("ASK")
    terminal.keys("g", "Enter")
    terminal.shows("asker ·")
    terminal.type("again")
    terminal.keys("Enter")
    terminal.shows("asks: really delete it? (Ctrl-W answers)")
    terminal.keys("C-w")
    terminal.shows("your own words")
    terminal.keys("Tab")
    terminal.type("maybe")
    terminal.keys("Enter")
    assert client.read(f"{session}/out", timeout=PATIENCE) == b"answer: maybe\n"
    terminal.shows("answer: maybe")


def test_mail_is_read_answered_and_filed(daemon: Daemon, terminal: Terminal) -> None:
    client = daemon.client()
    session = new(daemon, "alias=writer")
    terminal.anvillm()
    terminal.shows("writer")
    client.write(
        f"{session}/mail", b'{"to":"user","type":"REVIEW_REQUEST","subject":"look here","body":"at this\\nand that"}'
    )
    client.write(f"{session}/mail", b'{"to":"user","type":"LOG_ERROR","subject":"oh dear","body":"broken"}')
    terminal.shows("mail from writer", "2 mail (i)")
    terminal.keys("i")
    terminal.shows("inbox of you · 2 messages", "look here", "oh dear", "broken")
    terminal.keys("a")
    terminal.shows("inbox of you · 1 message", "and that")
    terminal.keys("Enter")
    terminal.shows("Reply to writer: look here")
    terminal.type("looks good")
    terminal.keys("Enter")
    terminal.shows("inbox of you · 0 messages", "No messages.")
    terminal.keys("v")
    terminal.shows("archive of you · 2 messages", "look here")
    wait_until(lambda: b"looks good" in client.read(f"{session}/inbox") + client.read(f"{session}/archive"), "no reply")
    terminal.keys("Escape")
    terminal.shows("1 session")
    terminal.keys("I")
    terminal.shows("inbox of writer")


def test_attaching_shows_the_agents_own_terminal_and_comes_back(daemon: Daemon, terminal: Terminal) -> None:
    new(daemon, "alias=seen")
    terminal.anvillm()
    terminal.shows("seen")
    terminal.keys("A")
    terminal.hides("s start")
    terminal.shows("$")
    terminal.type("echo typed by hand")
    terminal.keys("Enter")
    terminal.shows("typed by hand\n")
    terminal.keys("C-b", "d")
    terminal.shows("s start", "seen")


def test_the_daemon_is_started_after_asking(home: Home, stopped_daemon: Daemon, terminal: Terminal) -> None:
    terminal.anvillm()
    terminal.shows("The daemon", f"not running in namespace '{home.namespace}'", "y start   n leave it")
    terminal.keys("n")
    terminal.hides("y start")
    terminal.shows("DAEMON AWAY", "d starts the daemon")
    terminal.keys("d")
    terminal.shows("y start")
    terminal.keys("y")
    try:
        terminal.shows("No sessions. s starts one.")
        assert home.anvilsrv("status").returncode == 0
        terminal.keys("d")
        terminal.shows("R restart", "0 session(s)")
        terminal.keys("t")
        terminal.shows("Stop the daemon?", "0 agents will end")
        terminal.keys("n")
        terminal.shows("R restart")
        terminal.keys("t")
        terminal.shows("Stop the daemon?")
        terminal.keys("y")
        terminal.shows("DAEMON AWAY")
    finally:
        home.anvilsrv("stop")


def test_a_daemon_that_cannot_start_says_why(home: Home, terminal: Terminal) -> None:
    home.namespace.chmod(0o755)
    terminal.anvillm()
    terminal.shows("y start")
    terminal.keys("y")
    terminal.shows("is open to others: its mode is 0755", "s try again")
    home.namespace.chmod(0o700)


def test_it_goes_on_over_a_daemon_that_is_killed(daemon: Daemon, terminal: Terminal) -> None:
    session = new(daemon, "alias=lasting")
    daemon.client().write(f"{session}/in", b"echo before")
    terminal.anvillm()
    terminal.shows("lasting")
    terminal.keys("Enter")
    terminal.shows(" before")
    daemon.kill()
    terminal.shows("DAEMON AWAY")
    terminal.type("echo kept")
    terminal.keys("Enter")
    terminal.shows("anvilsrv does not answer")
    terminal.shows("echo kept")
    daemon.start()
    terminal.hides("DAEMON AWAY")
    terminal.shows("idle")
    terminal.keys("Enter")
    assert terminal.shows("\n kept").count("\n before") == 1


def test_what_an_agent_says_does_nothing_to_the_terminal(daemon: Daemon) -> None:
    session = new(daemon, "alias=hostile")
    bad = r"printf '\033]0;pwned\007\033[2J\233m\033c[bold]x[/bold] \342\200\256rtl \302\2332J done'"
    daemon.client().write(f"{session}/in", bad.encode())
    daemon.client().read(f"{session}/out")
    with open(daemon.home.top / "bytes", "wb") as log:
        child = pexpect.spawn(
            sys.executable,
            ["-m", "tui"],
            env=daemon.home.env | {"TERM": "xterm"},
            cwd=str(ROOT),
            dimensions=(24, 80),
            timeout=PATIENCE,
        )
        child.logfile_read = log
        try:
            child.expect("hostile")
            child.send("\r")
            child.expect("done")
            child.send("\x1b")
            child.expect("1 session")
            child.send("q")
            child.expect(pexpect.EOF)
        finally:
            child.close(force=True)
    seen = (daemon.home.top / "bytes").read_text()
    assert child.exitstatus == 0
    for what in ("\x1b]0;pwned", "\x1bc[", "\x9b", "\u202e"):
        assert what not in seen
    for what in ("␛]0;pwned␇␛[2J", "␛c[bold]x[/bold]"):
        assert what in seen


COLOUR = re.compile(r"\x1b\[([0-9;]*)m")


def colours(text: str) -> Iterator[str]:
    for found in COLOUR.finditer(text):
        yield from found[1].split(";")


def test_sixteen_colours_are_enough(daemon: Daemon) -> None:
    new(daemon, "alias=selected")
    new(daemon, "alias=plain")
    seen = raw(daemon, {"TERM": "xterm-16color"})
    assert "plain" in seen
    used = set(colours(seen))
    assert "38" not in used, "a colour beyond the terminal's own"
    assert "48" not in used
    assert {"32", "7"} <= used


def test_no_color_means_none_and_the_cursor_is_still_seen(daemon: Daemon) -> None:
    new(daemon, "alias=plain")
    seen = raw(daemon, {"TERM": "xterm-256color", "NO_COLOR": "1"})
    coloured = {one for one in colours(seen) if re.fullmatch(r"3[0-8]|4[0-8]|9[0-7]|10[0-7]", one)}
    assert coloured == set()
    assert "7" in set(colours(seen))


def raw(daemon: Daemon, env: dict[str, str]) -> str:
    """Return what anvillm writes until the list is there."""
    child = pexpect.spawn(
        sys.executable, ["-m", "tui"], env=daemon.home.env | env, cwd=str(ROOT), dimensions=(24, 80), timeout=PATIENCE
    )
    try:
        child.expect("full")
        seen = child.before + child.after
        child.send("q")
        child.expect(pexpect.EOF)
        return str((seen + child.before).decode("utf-8", "replace"))
    finally:
        child.close(force=True)


def test_every_key_of_the_list_is_in_the_help_and_fits(running: Terminal) -> None:
    running.keys("?")
    screen = running.shows("Keys")
    for words in (
        "s  start",
        "p  prompt",
        "t  stop",
        "R  restart",
        "K  kill",
        "a  alias",
        "r  refresh",
        "d  the daemon",
        "?  these keys",
        "q  quit",
    ):
        assert words in screen
    assert "(the draft is kept)." in screen
    running.keys("Escape")
    running.hides("Keys")


def test_a_window_that_is_resized_is_filled_whatever_size_the_shell_exported(
    daemon: Daemon, terminal: Terminal
) -> None:
    terminal.run("env", "COLUMNS=70", "LINES=20", sys.executable, "-m", "tui")
    terminal.shows("No sessions. s starts one.")
    terminal.resize(110, 30)
    terminal.keys("?")
    terminal.shows("p  prompt                       A  attach a terminal (tmux)")


def test_in_sixty_columns_keys_are_one_column_and_dialogs_leave_the_list_in_sight(
    running: Terminal, daemon: Daemon
) -> None:
    new(daemon, "alias=narrow")
    new(daemon, "alias=wide")
    running.shows("narrow", "wide")
    running.resize(60, 20)
    running.keys("?")
    running.shows("\n│ p  prompt    ", "\n│ A  attach a terminal (tmux)    ")
    running.keys("Escape")
    running.hides("Keys")
    running.keys("/")
    running.shows("Enter keeps it", "narrow", "wide")
    running.type("narr")
    running.hides("wide")
    running.shows("Enter keeps it", "narrow")


def test_without_a_terminal_it_says_so(home: Home) -> None:
    done = home.run(sys.executable, "-m", "tui", cwd=ROOT)
    assert (done.returncode, done.stdout) == (1, "")
    assert "must be a terminal" in done.stderr


def test_the_first_paint_costs_less_than_a_second(home: Home) -> None:
    """Processor time, since other tests run beside this one; ``bench/tui.py`` measures what a person waits."""
    import pty

    master, slave = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "tui"],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=home.env | {"TERM": "xterm"},
        cwd=ROOT,
    )
    os.close(slave)
    try:
        seen = b""
        while b"s start" not in seen:
            assert select.select([master], [], [], PATIENCE)[0], seen
            seen += os.read(master, 65536)
        words = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
        assert (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK") < 1.0
    finally:
        child.terminate()
        child.wait(PATIENCE)
        os.close(master)


def test_what_waits_is_seen_edited_put_first_and_dropped(daemon: Daemon, terminal: Terminal) -> None:
    session, client = new(daemon, "alias=talker"), daemon.client()
    client.write(f"{session}/ctl", b"hold\n")
    for word in ("one", "two", "three"):
        client.write(f"{session}/in", f"echo {word}\necho [b]{word}[/b]".encode())
    terminal.anvillm()
    terminal.shows("talker")
    terminal.keys("Q")
    terminal.shows("queue of talker · 3 waiting · held: by the user", "\n echo one\n echo [b]one[/b]\n")
    terminal.keys("d")
    terminal.shows("2 waiting", "\n echo two\n")
    terminal.keys("j")
    terminal.shows("\n echo three\n")
    terminal.keys("f")
    wait_until(lambda: [one.n for one in requests.queue(client, session)] == [3, 2], "3 is not the first")
    client.write(f"{session}/in", b"echo four")
    terminal.shows("3 waiting", "echo four")
    terminal.keys("e")
    terminal.shows("Prompt 3 in the queue")
    terminal.keys("C-a", "C-k")
    terminal.type("echo THREE")
    terminal.keys("Enter")
    terminal.shows("echo three echo THREE")
    terminal.keys("g")
    terminal.shows("Nothing waits.")
    assert client.read(f"{session}/turns/3/out") == b"three\nTHREE\n"
    terminal.keys("h")
    terminal.shows("held: by the user")
    terminal.keys("Escape")
    terminal.shows("1 session")
