"""A fake agent that speaks the Agent Client Protocol and follows a script, so that every deviation of real ones can be played.

    python acp_agent.py [--flags that are logged]        (the script is ./acp.json, if any; it is read again at each message)

Keys of the script, all optional::

    {"start": [ACTION, ...]                  before anything is read
     "initialize": {...}                     laid over the result of initialize
     "session": {...}                        laid over the results of session/new, load and resume
     "on": {METHOD: [ACTION, ...]}           played in place of what is done for that request
     "turns": [{"match": "regex", "times": 1, "do": [ACTION, ...]}, ...]    the first that matches the prompt; none: it is repeated
     "cancel": "ignore"                      a cancel changes nothing
     "eof": "ignore", "term": "ignore"}      it goes on when its input closes, or at SIGTERM

An ACTION has one of these keys::

    {"text": "…", "message": "m1"}  {"thought": "…"}  {"user": "…"}      a piece of text; ``{prompt}`` and ``{answer}`` are filled in
    {"update": {...}}  {"notify": METHOD, "params": {...}}               any update, any notification
    {"raw": "…"}  {"zeros": 20000000}                                    a line as it stands; one of so many bytes
    {"raw": "…", "of": 1000}                                             so many lines, ``{n}`` in them is the number of each
    {"ask": [[id, kind], ...], "call": {...}}                            a permission; its answer is ``{answer}``
    {"request": METHOD, "params": {...}}                                 any request; waits for its answer
    {"flood": 10000}                                                     so many pieces of text
    {"wait": 0.5}  {"until": "file"}                                     ends early at a cancel
    {"child": true}                                                      a process that outlives it
    {"exit": 3}  {"kill": true}  {"hang": true}                          the end of it, or of what it does
    {"result": {...}}  {"error": {"code": -32603, "message": "…"}}       the answer; else end_turn, or cancelled after a cancel

What it receives and does stands in ``acp.log``, a JSON object a line.
"""

import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time

OPTIONS = [["allow", "allow_once"], ["always", "allow_always"], ["deny", "reject_once"]]


class Over(Exception):
    """What is played has come to its end, with this answer."""


class Agent:
    """The agent. One thread reads, one plays."""

    def __init__(self):
        self.came = queue.Queue()
        self.session = ""
        self.cancelled = False
        self.prompt = self.answer = ""
        self.number = 0
        self.later = []

    @property
    def script(self):
        try:
            with open("acp.json", encoding="utf-8") as file:
                return json.load(file)
        except (FileNotFoundError, ValueError):  # none, or half written
            return {}

    def log(self, event, **fields):
        line = json.dumps({"event": event, "pid": os.getpid(), **fields}) + "\n"
        fd = os.open("acp.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.write(fd, line.encode())
        os.close(fd)

    def used(self, key):
        """How often that was played, by all processes in this directory."""
        try:
            with open("acp.log", encoding="utf-8") as file:
                return sum(json.loads(line).get("key") == key for line in file)
        except FileNotFoundError:
            return 0

    # -- lines

    def read(self):
        for line in sys.stdin.buffer:
            self.came.put(json.loads(line))
        self.came.put(None)

    def write(self, message):
        self.line(json.dumps({"jsonrpc": "2.0", **message}, ensure_ascii=False).encode())

    def line(self, data):
        data += b"\n"
        while data:
            data = data[os.write(1, data) :]

    def update(self, **update):
        self.write({"method": "session/update", "params": {"sessionId": self.session, "update": update}})

    def say(self, kind, text, **more):
        self.update(sessionUpdate=kind, content={"type": "text", "text": text}, **more)

    # -- what comes

    def take(self, timeout=None):
        """Take the next message; None when that took too long. What is told at once is done."""
        try:
            found = self.came.get(timeout=timeout)
        except queue.Empty:
            return None
        if found is None:
            self.log("eof")
            if self.script.get("eof") == "ignore":
                while True:
                    time.sleep(60)
            sys.exit(0)
        self.log("received", message=found)
        if found.get("method") == "session/cancel" and self.script.get("cancel") != "ignore":
            self.cancelled = True
        return found

    def serve(self):
        while True:
            found = self.later.pop(0) if self.later else self.take()
            if found is not None and found.get("method") and "id" in found:
                self.cancelled = False
                self.request(found)

    def request(self, found):
        method, params, script = found["method"], found.get("params", {}), self.script
        result = {}
        try:
            if method in script.get("on", {}):
                self.play(script["on"][method])
            if method == "initialize":
                capabilities = {"loadSession": True, "promptCapabilities": {"image": True}}
                result = {
                    "protocolVersion": 1,
                    "agentCapabilities": capabilities,
                    "authMethods": [],
                    **script.get("initialize", {}),
                }
            elif method == "session/new":
                self.session = f"session-{os.getpid()}-{self.number}"
                result = {"sessionId": self.session, **script.get("session", {})}
            elif method in ("session/load", "session/resume"):
                self.session = params["sessionId"]
                result = script.get("session", {})
            elif method == "session/prompt":
                self.turn(params)
                result = {"stopReason": "cancelled" if self.cancelled else "end_turn"}
            elif method == "session/set_config_option":
                result = {"configOptions": script.get("session", {}).get("configOptions", [])}
            self.write({"id": found["id"], "result": result})
        except Over as over:
            if over.args[0] is not None:
                self.write({"id": found["id"], **over.args[0]})

    def turn(self, params):
        self.prompt = "".join(one.get("text", "") for one in params["prompt"])
        for at, one in enumerate(self.script.get("turns", [])):
            key = f"turn {at}"
            if re.search(one.get("match", ""), self.prompt) and self.used(key) < one.get("times", 1 << 30):
                self.log("turn", key=key, prompt=self.prompt[:1000])
                self.play(one["do"])
                return
        self.log("turn", key="echo", prompt=self.prompt[:1000])
        self.say("agent_message_chunk", f"you said: {self.prompt}")

    # -- what is played

    def play(self, actions):
        for one in actions:
            if self.cancelled:
                return
            self.act(one)

    def act(self, one):
        fill = lambda text: text.replace("{prompt}", self.prompt).replace("{answer}", self.answer)  # noqa: E731
        message = {"messageId": one["message"]} if "message" in one else {}
        if "text" in one:
            self.say("agent_message_chunk", fill(one["text"]), **message)
        elif "thought" in one:
            self.say("agent_thought_chunk", one["thought"])
        elif "user" in one:
            self.say("user_message_chunk", one["user"])
        elif "update" in one:
            self.update(**one["update"])
        elif "notify" in one:
            self.write({"method": one["notify"], "params": one.get("params", {})})
        elif "of" in one:
            for at in range(one["of"]):
                self.line(one["raw"].replace("{n}", str(at)).encode())
        elif "raw" in one:
            self.line(one["raw"].encode())
        elif "zeros" in one:
            self.line(b"0" * one["zeros"])
        elif "ask" in one:
            self.ask(one)
        elif "request" in one:
            self.log("answered", answer=self.demand(one["request"], one.get("params", {})))
        elif "flood" in one:
            for at in range(one["flood"]):
                self.say("agent_message_chunk", f"{at}\n")
        elif "wait" in one or "until" in one:
            self.idle(one.get("wait", 60), one.get("until"))
        elif "child" in one:
            child = subprocess.Popen(["sleep", "98765"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            self.log("child", child=child.pid)
        else:
            self.finish(one)

    def finish(self, one):
        if "exit" in one:
            self.log("exit", key="exit")
            os._exit(one["exit"])
        if "kill" in one:
            os.kill(os.getpid(), signal.SIGKILL)
        if "hang" in one:
            self.log("hang", key="hang")
            while True:
                self.take()
        raise Over(None if "nothing" in one else one)

    def ask(self, one):
        options = [{"optionId": ident, "name": ident, "kind": kind} for ident, kind in one["ask"] or OPTIONS]
        call = {"toolCallId": "asked", "title": "touch it", "kind": "execute", **one.get("call", {})}
        found = self.demand(
            "session/request_permission", {"sessionId": self.session, "toolCall": call, "options": options}
        )
        outcome = found.get("result", {}).get("outcome", {})
        self.answer = outcome.get("optionId", outcome.get("outcome", "nothing"))
        self.log("permission", answer=self.answer)

    def demand(self, method, params):
        """Ask the client, and wait for its answer."""
        self.number += 1
        ident = f"a{self.number}"
        self.write({"id": ident, "method": method, "params": params})
        while True:
            found = self.take()
            if found.get("id") == ident and "method" not in found:
                return found
            if found.get("method") and "id" in found:
                self.later.append(found)

    def idle(self, seconds, file):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self.cancelled and not (file and os.path.exists(file)):
            found = self.take(min(0.02 if file else 60, max(0.0, deadline - time.monotonic())))
            if found is not None and found.get("method") and "id" in found:
                self.log("second", message=found)
                self.later.append(found)


def main():
    agent = Agent()
    agent.log("start", argv=sys.argv[1:], group=os.getpgid(0))
    if agent.script.get("term") == "ignore":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    agent.play(agent.script.get("start", []))
    threading.Thread(target=agent.read, daemon=True).start()
    agent.serve()


if __name__ == "__main__":
    main()
