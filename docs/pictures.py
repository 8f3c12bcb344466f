"""Make the pictures of the README from the real programs: ``.venv/bin/python docs/pictures.py [terminal] [emacs] [web] [acme]``.

A daemon of its own, in a home that is gone afterwards, has three sessions; a scripted agent plays Claude Code: in one it is in the
middle of a turn, in another it asks, with a diff. A picture whose program is missing is left as it is, and that is said.
"""

import io
import json
import os
import shutil
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "tests/acme")]

from playwright.sync_api import Page, sync_playwright  # noqa: E402

from tests.conftest import ROOT, Daemon, Home, temporary_home, wait_until  # noqa: E402
from tests.scripted import install  # noqa: E402
from tests.session import Session  # noqa: E402
from tests.web.conftest import CHROMIUM, FLAGS, Site  # noqa: E402

COLUMNS, ROWS = 110, 34  # of a terminal
GIT = ("git", "-c", "user.name=me", "-c", "user.email=me@localhost")

RED, GREEN, YELLOW, BLUE, MAGENTA, CYAN = (
    (232, 92, 92),
    (126, 200, 80),
    (222, 190, 90),
    (110, 160, 240),
    (214, 130, 220),
    (90, 205, 215),
)
COLOURS = [(0, 0, 0), RED, GREEN, YELLOW, BLUE, MAGENTA, CYAN, (200, 200, 200)]
THEME = TerminalTheme((0, 0, 0), (220, 220, 220), COLOURS, [(110, 110, 110), *COLOURS[1:7], (255, 255, 255)])

LEX = '''"""Words of a line."""


def words(line: str) -> list[str]:
    return line.split(" ")
'''
EDIT = '''@@ -4,2 +4,4 @@
 def words(line: str) -> list[str]:
-    return line.split(" ")
+    """Its words; blanks and tabs separate them."""
+    return line.split()
'''
TEST = """@@ -0,0 +1,6 @@
+from lex import words
+
+
+def test_tabs_separate_words_too():
+    assert words("a\\tb") == ["a", "b"]
+    assert words("") == []
"""
FOUND = "src/lex.py:4:def words(line: str) -> list[str]:\nsrc/main.py:11:    for word in words(line):\n"
TURN = (
    {
        "type": "text",
        "id": "m1",
        "text": '`split(" ")` keeps empty words and knows no tabs. I\'ll look at its callers first.',
    },
    {"type": "tool", "id": "t1", "name": "Bash", "input": {"command": "grep -rn 'words(' src tests"}},
    {"type": "output", "id": "t1", "part": FOUND},
    {"type": "output", "id": "t1", "status": "0", "exit": 0},
    {"type": "tool", "id": "t2", "name": "Edit", "input": {"file": "src/lex.py"}},
    {"type": "edit", "id": "t2", "file": "src/lex.py", "diff": EDIT},
    {"type": "output", "id": "t2", "status": "0"},
    {"type": "text", "id": "m2", "text": "Both callers only iterate, so nothing else changes. Now the tests:"},
    {"type": "tool", "id": "t3", "name": "Bash", "input": {"command": "make check"}},
    {"type": "output", "id": "t3", "part": "python3 -m pytest -q\n..........\n"},
)
SCRIPT = {
    "turns": [
        {"match": "words", "tell": [*([0.05, one] for one in TURN), ["never", ""]], "say": "Done.", "times": 1},
        {"match": "test", "ask": "Write tests/test_lex.py?", "diff": TEST},
        {"match": "", "say": "There is one module, `src/lex.py`. It has no test for tabs and none for empty lines."},
    ]
}


class Scene:
    """The daemon and its sessions: ``lexer`` works, ``tests`` asks, ``notes`` is a shell and idle."""

    def __init__(self, home: Home) -> None:
        self.home = home
        install(home.config, name="claude", title="Claude")
        self.daemon = Daemon(home).start()
        self.lexer, self.tests = self._agent("lexer"), self._agent("tests")
        self.notes = Session.new(self.daemon, "shell", "alias=notes", cwd=self.project("notes"))
        self.notes.ask("uname -s")
        for session, words in ((self.lexer, "What is here?"), (self.tests, "What is here?")):
            session.ask(words)
        self.lexer.prompt("words() should take tabs too, and no empty words. Change it, and run the tests.")
        self.tests.prompt("Write a test for tabs.")
        wait_until(lambda: "make check" in self.lexer.row["doing"], "it works")
        wait_until(lambda: self.tests.read("ask"), "it asks")

    def project(self, name: str) -> Path:
        at = self.home.home / "src" / name
        (at / "src").mkdir(parents=True)
        (at / "src/lex.py").write_text(LEX)
        (at / "script.json").write_text(json.dumps(SCRIPT))
        (at / ".gitignore").write_text("script.*\n")
        for line in (("init", "-q", "-b", "main"), ("add", "."), ("commit", "-qm", "words")):
            subprocess.run([*GIT, *line], cwd=at, check=True, capture_output=True)
        return at

    def _agent(self, alias: str) -> Session:
        session = Session.new(self.daemon, "claude", f"alias={alias}", cwd=self.project(alias))
        session.wait("idle")
        return session

    def close(self) -> None:
        self.daemon.close()


class Screen:
    """A program in a terminal of its own."""

    def __init__(self, scene: Scene, *argv: str) -> None:
        self.socket = str(scene.home.top / "picture")
        env = scene.home.env | {
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(ROOT),
        }
        size = ("-x", str(COLUMNS), "-y", str(ROWS))
        command = ["tmux", "-S", self.socket, "-f", "/dev/null", "new-session", "-d", *size, *argv]
        subprocess.run(command, check=True, env=env, cwd=scene.lexer.row["cwd"])

    def tmux(self, *argv: str) -> str:
        return subprocess.run(["tmux", "-S", self.socket, *argv], check=True, capture_output=True, text=True).stdout

    def sees(self, words: str) -> None:
        try:
            wait_until(lambda: words in self.tmux("capture-pane", "-p"), f"{words!r} on the screen")
        except AssertionError as error:
            raise AssertionError(f"{error}:\n{self.tmux('capture-pane', '-p')}") from None

    def keys(self, *names: str) -> None:
        self.tmux("send-keys", *names)

    def still(self) -> str:
        """What it shows, with its colours, once its text has not changed for a second (a cursor may blink)."""
        was, since, end = "", time.monotonic(), time.monotonic() + 10
        while time.monotonic() < min(since + 1, end):
            now = self.tmux("capture-pane", "-p")
            if now != was:
                was, since = now, time.monotonic()
            time.sleep(0.1)
        return self.tmux("capture-pane", "-p", "-e")

    def close(self) -> None:
        self.tmux("kill-server")


@contextmanager
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser.new_page(viewport={"width": 1280, "height": 800}, color_scheme="dark")
        browser.close()


def drawn(screen: str, name: str, width: int = COLUMNS) -> None:
    """A terminal's text, with its escape sequences, as a picture."""
    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text.from_ansi(screen.rstrip("\n")), soft_wrap=True)
    style = "pre{margin:0;padding:12px;display:inline-block;font:14px/1.2 'DejaVu Sans Mono',monospace!important}body{margin:0}"
    html = console.export_html(theme=THEME, inline_styles=True).replace("</head>", f"<style>{style}</style></head>")
    with page() as shown:
        shown.set_content(html)
        shown.locator("pre").screenshot(path=HERE / name)


def terminal(scene: Scene) -> None:
    screen = Screen(scene, sys.executable, "-m", "tui")
    try:
        screen.sees("lexer")
        screen.still()
        screen.keys("j", "j", "Enter")  # before it are those that ask and that have an answer
        screen.sees("lexer · ")
        screen.sees("make check")
        screen.still()
        screen.keys("C-o")
        screen.sees("line.split()")
        drawn(screen.still(), "terminal.png")
    finally:
        screen.close()


def emacs(scene: Scene) -> None:
    theme = "(progn (setq native-comp-deferred-compilation nil) (menu-bar-mode -1) (load-theme 'modus-vivendi t))"
    screen = Screen(
        scene, "emacs", "-nw", "-Q", "--eval", theme, "-L", str(ROOT / "emacs"), "-l", "anvillm", "-f", "anvillm"
    )
    try:
        screen.sees("lexer")
        screen.keys("C-s", *"lexer", "Enter", "Enter")
        screen.sees("Bash: make check")
        screen.keys("C-x", "1")
        screen.sees("line.split()")
        screen.still()
        screen.keys("M->", "!")
        screen.sees("test_tabs")
        drawn(screen.still(), "emacs.png")
    finally:
        screen.close()


def web(scene: Scene) -> None:
    site = Site(scene.home)
    try:
        with page() as shown:
            shown.goto(site.link)
            shown.locator(f'tr[data-id="{scene.lexer.id}"]').click()
            shown.locator(".step summary", has_text="lex.py").click()
            shown.locator(".step summary", has_text="make check").wait_for()
            shown.screenshot(path=HERE / "web.png")
    finally:
        site.process.terminate()
        site.process.wait(30)


def acme(scene: Scene) -> None:
    from realacme import SIZE, AtReal

    os.environ.update({name: scene.home.env[name] for name in ("HOME", "NAMESPACE")})
    person = AtReal(str(scene.home.namespace))
    assist = subprocess.Popen([sys.executable, str(ROOT / "acme/Assist")], cwd=scene.lexer.row["cwd"], env=os.environ)
    try:
        person.programs.append(assist)
        person.sees("/AnviLLM/", "lexer")
        person.look("/AnviLLM/", "lexer")
        directory = scene.lexer.row["cwd"]
        person.sees(f"{directory}/+Prompt.lexer", "")
        person.execute(f"{directory}/+Prompt.lexer", "Log", tag=True)
        person.sees(f"{directory}/+Log.lexer", "make check")
        (HERE / "acme.png").write_bytes(png(person.picture(), *SIZE))
    finally:
        assist.terminate()
        assist.wait(30)
        person.stop()


def png(pixels: bytes, width: int, height: int) -> bytes:
    """A picture of these pixels (blue, green, red, unused)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    def line(y: int) -> bytes:
        row = pixels[y * width * 4 : (y + 1) * width * 4]
        rgb = bytearray(width * 3)
        rgb[0::3], rgb[1::3], rgb[2::3] = row[2::4], row[1::4], row[0::4]
        return b"\0" + bytes(rgb)

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(b"".join(map(line, range(height))), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


PICTURES: dict[str, tuple[Callable[[Scene], None], tuple[str, ...]]] = {
    "terminal": (terminal, (CHROMIUM,)),
    "emacs": (emacs, (CHROMIUM, "emacs")),
    "web": (web, (CHROMIUM,)),
    "acme": (acme, ("acme", "9pserve", "Xvfb", "xdotool")),
}


def main(*names: str) -> int:
    """Make these pictures, all if none is named; 2 if one has no such name."""
    if unknown := set(names) - set(PICTURES):
        print(f"no picture '{unknown.pop()}': {' '.join(PICTURES)}", file=sys.stderr)
        return 2
    with temporary_home() as home:
        scene = Scene(home)
        try:
            for name in names or PICTURES:
                make, needed = PICTURES[name]
                lacking = [program for program in needed if shutil.which(program) is None]
                if lacking:
                    print(f"{name}: left as it is: no {', '.join(lacking)} here", file=sys.stderr)
                    continue
                make(scene)
                print(f"docs/{name}.png")
        finally:
            scene.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
