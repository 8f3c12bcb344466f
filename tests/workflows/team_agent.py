"""An agent that plays its part in any of the workflows, as its context tells it to: for the tests of the workflows.

It finds out from the context who it is and whom it works with. Who leads does the work in two goes, since who judges
objects once and is then content. It talks to the daemon as a real agent does: over its own socket, and by hooks.
"""

import json
import os
import re
import subprocess
import sys
import termios

sys.path.insert(0, os.environ["ANVIL_SOURCES"])

from anvilsrv.inside import hook
from anvilsrv.inside.shell_editor import Editor
from anvilsrv.p9.client import dial

ME = os.environ["ANVILLM_SESSION"]
MAIL = re.compile(r"^\[mail from .*? · (\w+) · id [0-9a-f-]+\]\n(?:Subject: .*\n)?\n(.*)", re.DOTALL | re.MULTILINE)


def mail(to: str, kind: str, body: str) -> None:
    with dial() as client:
        client.write(f"{ME}/mail", json.dumps({"to": to, "type": kind, "subject": "work", "body": body}).encode())


def bead(command: str) -> str:
    with dial() as client:
        return client.write_read("beads/ctl", command.encode()).decode().strip()


class Lead:
    """Does the task, asks its peers one after another, and reports to the user."""

    def __init__(self, context: str) -> None:
        self.peers = re.findall(r"\bsession ([0-9a-f]{8})\b", context)
        self.asks = re.findall(r"\b(REVIEW|APPROVAL|QUERY)_REQUEST", context)
        # An engineer asks the researcher before the editor; a developer the reviewer before the tester.
        self.steps = list(zip(dict.fromkeys(self.peers), dict.fromkeys(self.asks), strict=True))
        self.step = 0
        self.bead = ""

    def told(self, kind: str, body: str) -> str:
        if kind == "":
            found = re.search(r"Claim bead (\S+),", body)
            self.bead = bead(f"claim {found[1]}") if found else ""
        elif kind.endswith("_RESPONSE") and (kind.startswith("QUERY") or body.strip() in ("LGTM", "PASS")):
            self.step += 1
        elif not kind.endswith("_RESPONSE"):
            return f"not for me: {kind}"
        with open("work.txt", "a", encoding="utf-8") as work:
            work.write(f"{kind or 'TASK'}: {body.strip()}\n")
        if self.step < len(self.steps):
            peer, what = self.steps[self.step]
            mail(peer, f"{what}_REQUEST", "see work.txt")
            return f"asked {peer}"
        if self.bead:
            bead(f"complete {self.bead}")
        mail("user", "PROMPT_RESPONSE", "all have agreed: see work.txt")
        return "done"


class Judge:
    """Objects once, then agrees in the word that its context asks for."""

    def __init__(self, context: str) -> None:
        found = re.search(r"exactly (LGTM|PASS)", context)
        self.word = found[1] if found else ""
        self.asked = 0

    def told(self, kind: str, body: str) -> str:
        self.asked += 1
        if not self.word:
            return "it stands in work.txt, line 1"
        return "1. work.txt:1 is not enough" if self.asked == 1 else self.word


class Committer:
    """Does what it is told in a file, and commits it."""

    def told(self, kind: str, body: str) -> str:
        with open("work.txt", "a", encoding="utf-8") as work:
            work.write("better\n" if "is not enough" in body else "done\n")
        who = ["-c", "user.name=d", "-c", "user.email=d@x"]
        subprocess.run(["git", "add", "work.txt"], check=True)
        subprocess.run(["git", *who, "commit", "-q", "-m", "work"], check=True)
        found = re.search(r"Claim bead (\S+),", body)
        if found:
            bead(f"claim {found[1]}")
            bead(f"complete {found[1]}")
        return "committed"


class Reader:
    """Judges the diff that it is shown."""

    def told(self, kind: str, body: str) -> str:
        return "LGTM" if "+better" in body else "work.txt:1: is not enough"


Part = Lead | Judge | Committer | Reader


def answer(text: str, part: Part | None) -> tuple[str, Part]:
    if part is None and "commit all of it" in text:
        part = Committer()
    if part is None and "as a diff" in text:
        part = Reader()
    if part is None:
        part = Lead(text) if re.search(r"send user a\s+PROMPT_RESPONSE", text) else Judge(text)
    found = MAIL.search(text)
    kind, body = (found[1], found[2]) if found else ("", text)
    return part.told(kind, body), part


def main() -> None:
    mode = termios.tcgetattr(0)
    mode[0] &= ~termios.ICRNL
    mode[3] &= ~(termios.ECHO | termios.ICANON | termios.ISIG)
    termios.tcsetattr(0, termios.TCSANOW, mode)
    sys.stdout.write("\x1b[?2004h$ ")
    sys.stdout.flush()
    editor, part = Editor(), None
    hook.send("Ready", {})
    while data := os.read(0, 1 << 16):
        event = "more"
        while event:
            event, data = editor.feed(data)
            if event == "end":
                return
            if event == "enter":
                text = editor.take()
                hook.send("Submit", {"text": text})
                said, part = answer(text, part)
                sys.stdout.write(f"{said}\n$ ")
                sys.stdout.flush()
                hook.send("Stop", {"text": said})


if __name__ == "__main__":
    main()
