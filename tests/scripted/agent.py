"""A fake terminal agent that follows a script, so that every trouble of real ones can be played.

    python agent.py [--resume] --conversation UUID --source <anvilsrv>      (in a pane; the script is ./script.json, if any)

``script.json`` in the working directory is read again at each turn, so a test may change it. Keys, all optional::

    {"start": {"delay": 0.5,                 s before anything is drawn
               "exit": 3,                    ends at once with that status ("times": only the first so many starts)
               "times": 2,
               "dialog": "Trust this folder? 1. No 2. Yes",   waits for "2" and Enter; any other answer ends it with status 5
               "ready": "hook"|"missing"|"late"|"double"},    "late" s later, see below
     "late": 0.5,                            s by which late hooks are late
     "swallow_enter": 1,                     the first so many Enters of each prompt do nothing
     "startup": "file",                      until that file exists it keeps what was entered in its input, and says so below
     "swallow_paste": 1,                     the first so many pastes of this process are lost
     "split": 1,                             the first so many prompts are submitted in two halves
     "turns": [TURN, ...]}                   the first whose conditions hold is played; none: {"echo": true}

    TURN: {"match": "regex",                 of the prompt
           "times": 1,                       applies only the first so many times, counted over restarts
           "echo": true, "say": "text", "size": 1000000,   the response: the prompt itself, a text, that many bytes of lines
           "delay": 1.0,                     s of work before the response; Escape ends the turn without any hook
           "until": "file",                  works until that file exists in the directory
           "submit": "hook"|"missing"|"late"|"double",     the Submit hook ("late": s after the turn began)
           "stop": "hook"|"missing"|"late"|"double",
           "crash": 3 or "crash": -9,        ends in the middle of the turn with that status, or by that signal
           "ask": "question",                asks (choices yes, no, or any text); the answer is part of the response
           "fail": "reason",                 an API failure instead of a Stop ("… resets in 3 s" is a limit with its end)
           "tell": [[0.1, {...}], ...],      s before each, or a file that is waited for, and what is appended to told.jsonl, as other
                                             agents tell what they do
           "subagent": true,                 hooks of a subagent come first; they must be ignored
           "draft": "text"}                  afterwards a person has half typed this into the input line
"""

import json
import os
import re
import select
import signal
import sys
import termios
import time

sys.path.insert(0, os.path.dirname(sys.argv[sys.argv.index("--source") + 1]))
from anvilsrv.inside import hook
from anvilsrv.inside.shell_editor import PASTE_OFF, PASTE_ON, Editor

CONVERSATION = sys.argv[sys.argv.index("--conversation") + 1]
PROMPT = "> "


class Scripted:
    """The agent. What it does and sees is written to ``script.log``, a JSON object a line, for the test to read."""

    def __init__(self):
        self.editor = Editor(PROMPT)
        self.enters = 0
        self.pastes = 0
        self.prompts = 0
        self.rest = b""
        data = os.environ.get("DATA_DIR") or os.getcwd()
        self.transcript = os.path.join(data, f"{CONVERSATION}.jsonl")

    # -- what it knows ------------------------------------------------------------------------------------------

    @property
    def script(self):
        try:
            with open("script.json", encoding="utf-8") as file:
                return json.load(file)
        except (FileNotFoundError, ValueError):  # none, or half written
            return {}

    def log(self, event, **fields):
        line = json.dumps({"event": event, "pid": os.getpid(), "ts": time.time(), **fields}) + "\n"
        fd = os.open("script.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.write(fd, line.encode())
        os.close(fd)

    def used(self, key):
        """How often something was logged as played, by all processes in this directory."""
        try:
            with open("script.log", encoding="utf-8") as file:
                return sum(json.loads(line).get("key") == key for line in file)
        except FileNotFoundError:
            return 0

    def remember(self, kind, text, **more):
        try:
            with open(self.transcript, "a", encoding="utf-8") as file:
                file.write(json.dumps({"type": kind, "text": text, **more}) + "\n")
        except OSError as error:  # the disk is full
            self.log("not remembered", error=error.strerror)

    # -- hooks --------------------------------------------------------------------------------------------------

    def hook(self, name, how="hook", wait=False, **payload):
        payload |= {"session_id": CONVERSATION, "transcript_path": self.transcript}
        if how == "missing":
            return {}
        if how == "late":
            self.work(self.script.get("late", 0.5))
        reply = hook.send(name, payload, wait=wait)
        if how == "double":
            hook.send(name, payload, wait=wait)
        self.log("hook", name=name, reply=reply)
        return json.loads(reply["stdout"]) if reply.get("stdout") else {}

    # -- screen and keys ------------------------------------------------------------------------------------------

    def write(self, text):
        data = text.encode("utf-8", "replace")
        while data:
            data = data[os.write(1, data) :]

    def draw(self):
        self.write(self.editor.row(os.get_terminal_size(0).columns))

    def work(self, seconds, until=None):
        """Be busy; False when interrupted. What is typed meanwhile is logged: nobody but a person should do that."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline or (until and not os.path.exists(until)):
            left = 0.02 if until else max(0.0, deadline - time.monotonic())
            if select.select([0], [], [], left)[0]:
                data = os.read(0, 65536)
                if not data:
                    sys.exit(0)
                self.log("typed while busy", text=data.decode("utf-8", "replace"))
                if data in (b"\x1b", b"\x03"):
                    return False
                self.rest += data
        return True

    # -- life -----------------------------------------------------------------------------------------------------

    def run(self):
        start = self.script.get("start", {})
        self.log("start", argv=sys.argv[1:], key="start")
        time.sleep(start.get("delay", 0))
        if "exit" in start and self.used("start") <= start.get("times", 1 << 30):
            print("scripted: refusing to start")
            return int(start["exit"])
        self.write("\x1b[?2004h")
        if start.get("dialog") and not self.dialog(start["dialog"]):
            return 5
        if start.get("ready") != "late":
            self.draw()
        self.hook("Ready", start.get("ready", "hook"))
        self.draw()
        while True:
            data, self.rest = self.rest or os.read(0, 1 << 16), b""
            if not data:
                return 0
            if not self.keys(data):
                self.hook("End", reason="exit")
                return 0

    def dialog(self, text):
        self.write(f"{text}\n? ")
        answer = b""
        while not answer.endswith(b"\r"):
            answer += os.read(0, 100)
        self.log("dialog", answer=answer.decode())
        self.write("\x1b[H\x1b[2J")
        return answer == b"2\r"

    def keys(self, data):
        data = self.lose_pastes(data)
        while data:
            event, data = self.editor.feed(data)
            if event == "end":
                return False
            if event == "enter":
                self.enter()
                data, self.rest = self.rest + data, b""
            elif event == "interrupt":
                self.editor.drop()
        self.draw()
        return True

    def lose_pastes(self, data):
        while PASTE_ON in data and self.pastes < self.script.get("swallow_paste", 0):
            self.pastes += 1
            before, _, after = data.partition(PASTE_ON)
            while PASTE_OFF not in after:
                after += os.read(0, 1 << 16)
            data = before + after.partition(PASTE_OFF)[2]
            self.log("paste lost")
        return data

    def enter(self):
        if self.enters < self.script.get("swallow_enter", 0):
            self.enters += 1
            self.log("enter swallowed")
            return
        self.enters = 0
        if not os.path.exists(self.script.get("startup", ".")):
            self.draw()
            self.write("\x1b7\nWaiting for startup\x1b8")
            self.work(0, self.script["startup"])
            self.rest = b""
        text = self.editor.take()
        if not text.strip():
            self.log("empty enter")
            return
        self.prompts += 1
        if self.prompts <= self.script.get("split", 0):
            half = len(text) // 2
            self.turn(text[:half])
            text = text[half:]
        self.turn(text)

    # -- turns ----------------------------------------------------------------------------------------------------

    def choose(self, text):
        for number, turn in enumerate(self.script.get("turns", [])):
            key = f"turn {number} {turn.get('match', '')}"
            if re.search(turn.get("match", ""), text) and self.used(key) < turn.get("times", 1 << 30):
                return turn, key
        return {"echo": True}, "echo"

    def turn(self, text, continued=False):
        turn, key = self.choose(text)
        self.log("turn", text=text, key=key, continued=continued)
        self.write(f"\r\x1b[K> {text[:60]!r}\n* busy, escape to interrupt\n")
        if not continued:
            self.hook("Submit", turn.get("submit", "hook"), prompt=text)
        self.remember("user", text)
        if turn.get("subagent"):
            self.hook("Stop", response="of a subagent", agent_id="sub1")
        if not self.work(turn.get("delay", 0), turn.get("until")):
            self.log("interrupted")
            self.remember("user", "[Request interrupted by user]")
            self.write("interrupted\n")
            return
        if not all(self.tell(delay, line) for delay, line in turn.get("tell", [])):
            return
        said = self.said(turn, text)
        if "crash" in turn:
            self.crash(turn["crash"])
        if "ask" in turn:
            said += f"answer: {self.hook('Ask', wait=True, question=turn['ask'], diff=turn.get('diff', '')).get('choice')}\n"
        if "fail" in turn:
            self.hook("Fail", error=turn["fail"])
            self.write("API error\n")
            return
        self.over(turn, said, continued)

    def tell(self, delay, line):
        """Something is told in a file; False when interrupted before."""
        if not (self.work(0, delay) if isinstance(delay, str) else self.work(delay)):
            self.log("interrupted")
            self.remember("user", "[Request interrupted by user]")
            return False
        path = os.path.join(os.path.dirname(self.transcript), "told.jsonl")
        with open(path, "a", encoding="utf-8") as file:
            file.write((line if isinstance(line, str) else json.dumps({"at": time.time(), **line})) + "\n")
        return True

    def said(self, turn, text):
        if "size" in turn:
            line = "0123456789" * 7 + "\n"
            said = (line * (turn["size"] // len(line) + 1))[: turn["size"]]
        else:
            said = turn.get("say", text)
        self.write(said if len(said) < 2000 else said[:1000] + "\n…\n")
        return said

    def over(self, turn, said, continued):
        self.remember("assistant", said, usage={"input": len(said), "output": 7})
        self.write("\n")
        if turn.get("draft"):
            self.editor.feed(turn["draft"].encode())
        if turn.get("stop") == "late":
            self.draw()
        reply = self.hook("Stop", turn.get("stop", "hook"), response=said, stop_hook_active=continued)
        if reply.get("decision") == "block":
            self.turn(reply["reason"], continued=True)

    def crash(self, how):
        self.write("about to crash\n")
        if how < 0:
            os.kill(os.getpid(), -how)
            signal.pause()
        os._exit(how)


def main():
    before = termios.tcgetattr(0)
    raw = termios.tcgetattr(0)
    raw[0] &= ~(termios.ICRNL | termios.IXON)
    raw[3] &= ~(termios.ECHO | termios.ICANON | termios.ISIG | termios.IEXTEN)
    termios.tcsetattr(0, termios.TCSANOW, raw)
    try:
        return Scripted().run()
    finally:
        termios.tcsetattr(0, termios.TCSANOW, before)


if __name__ == "__main__":
    sys.exit(main())
