"""A stand-in for `kiro-cli acp`, from what is public of it: the engines v2 (`kiro-cli acp`) and v3 (`--agent-engine=v3`).

Its model repeats the prompt; one that begins with `tool` asks leave to run a tool. What sessions said is kept in ~/.kiro/sessions/cli.
`renew` has it renew its login, and `token` say which it has, as kiro_login.py says.
Faults are words in ./kiro-faults: `load hangs`, `load exits`, `late history` (told after the answer to load), `logged out`.
"""

import json
import os
import sys
from pathlib import Path

import kiro_login

V3 = "--agent-engine=v3" in sys.argv
VENDOR = "_kiro/" if V3 else "_kiro.dev/"
SESSIONS = Path(os.environ.get("KIRO_HOME") or Path(os.environ["HOME"]) / ".kiro") / "sessions/cli"
FAULTS = Path("kiro-faults")


def fault(word):
    return FAULTS.exists() and word in FAULTS.read_text()


def write(**message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


class Kiro:
    def __init__(self):
        self.session = ""
        self.now = {"mode": "vibe" if V3 else "kiro_default", "model": "auto", "autopilot": True}
        self.later = []
        self.number = 0

    def update(self, **update):
        write(method="session/update", params={"sessionId": self.session, "update": update})

    def vendor(self, name, **params):
        write(method=VENDOR + name, params={"sessionId": self.session, **params})

    def ask(self, method, params):
        """Ask the client; its result, or None."""
        self.number += 1
        write(id=f"k{self.number}", method=method, params=params)
        for line in sys.stdin:
            found = json.loads(line)
            if found.get("id") == f"k{self.number}" and "method" not in found:
                return found.get("result")
            self.later.append(found)
        return sys.exit(0)

    def say(self, text, kind="agent_message_chunk"):
        replay = {"_meta": {"kiro": {"replayId": "r"}}} if V3 else {}
        self.update(sessionUpdate=kind, content={"type": "text", "text": text}, **replay)

    # -- requests

    def initialize(self, params):
        if V3 and "--auth-method=cli" not in sys.argv:
            self.ask("_kiro/auth/getAccessToken", {})
        able = {
            "loadSession": True, "mcpCapabilities": {"http": True, "sse": V3}, "sessionCapabilities": {},
            "promptCapabilities": {"image": True, "audio": False, "embeddedContext": V3},
        }  # fmt: skip
        info = {"name": "Kiro CLI Agent", "version": "2.28.0"}
        return {"protocolVersion": 1, "agentInfo": info, "agentCapabilities": able, "authMethods": []}

    def state(self):
        modes = ["vibe", "spec", "plan"] if V3 else ["kiro_default", "kiro_planner", "kiro_guide"]
        models = ["auto", "claude-sonnet"]
        told = {
            "modes": {"currentModeId": self.now["mode"], "availableModes": [{"id": one, "name": one} for one in modes]}
        }
        if not V3:
            return told | {
                "models": {
                    "currentModelId": self.now["model"],
                    "availableModels": [{"modelId": one, "name": one} for one in models],
                }
            }
        choice = lambda name, values: {"id": name, "name": name, "type": "select", "currentValue": self.now[name],  # noqa: E731
                                       "options": [{"value": one, "name": one} for one in values]}  # fmt: skip
        switch = {"id": "autopilot", "name": "Autopilot", "type": "boolean", "currentValue": self.now["autopilot"]}
        return told | {"configOptions": [choice("mode", modes), choice("model", models), switch]}

    def told(self):
        if V3:
            self.vendor("mcp/status", servers=[])
        else:
            rows = [{"name": "/compact", "description": "shorten the conversation", "meta": {}}]
            self.vendor("commands/available", commands=rows, prompts=[], tools=[], mcpServers=[])
            self.vendor("metadata", contextUsagePercentage=1.5)

    def new(self, params):
        assert isinstance(params["mcpServers"], list)
        self.session = os.urandom(4).hex()
        if V3:
            self.told()  # before the answer
        return {"sessionId": self.session, **self.state()}

    def load(self, params):
        self.session = params["sessionId"]
        if fault("load exits"):
            sys.exit(0)
        if fault("load hangs"):
            return None
        if not fault("late history"):
            self.history()
        return self.state()

    def history(self):
        for text in self.said():
            self.say(text, "user_message_chunk")
            self.say(f"you said: {text}")

    def said(self):
        path = SESSIONS / f"{self.session}.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def prompt(self, params):
        text = "".join(one.get("text", "") for one in params["prompt"])
        before = self.said()
        SESSIONS.mkdir(parents=True, exist_ok=True)
        with (SESSIONS / f"{self.session}.jsonl").open("a") as file:
            file.write(json.dumps(text) + "\n")
        if V3:
            self.update(sessionUpdate="session_info_update", _meta={"kiro": {"kind": "turn_start"}})
        if text.startswith("tool"):
            return self.tool()
        if text in ("renew", "token"):
            self.say(kiro_login.renew() if text == "renew" else kiro_login.token())
            return {"stopReason": "end_turn"}
        self.say(f"{len(before)} before; you said: {text}" if text.startswith("count") else f"you said: {text}")
        return {"stopReason": "end_turn"}

    def tool(self):
        call = {"toolCallId": f"tooluse_{self.number}", "title": "Running: true", "kind": "execute"}
        if not V3:
            self.vendor("session/update", update={"sessionUpdate": "tool_call_chunk", **call})
        self.update(sessionUpdate="tool_call", status="pending", **call)
        chosen = "allow_once"
        if not (self.now["autopilot"] if V3 else "--trust-all-tools" in sys.argv):
            kinds = ["allow_once", "allow_always", "reject_once", *(["reject_always"] if V3 else [])]
            options = [{"optionId": one, "name": one, "kind": one} for one in kinds]
            found = self.ask(
                "session/request_permission", {"sessionId": self.session, "toolCall": call, "options": options}
            )
            chosen = (found or {}).get("outcome", {}).get("optionId", "cancelled")
        done = chosen.startswith("allow")
        self.update(
            sessionUpdate="tool_call_update", toolCallId=call["toolCallId"], status="completed" if done else "failed",
            rawOutput={"items": [{"Text": "it ran"}]},
        )  # fmt: skip
        self.say(chosen)
        return {"stopReason": "end_turn"}

    def serve(self):
        methods = {
            "initialize": self.initialize,
            "session/new": self.new,
            "session/load": self.load,
            "session/prompt": self.prompt,
        }
        while True:
            line = None if self.later else sys.stdin.readline()
            if line == "":
                return
            found = self.later.pop(0) if line is None else json.loads(line)
            method, params = found.get("method", ""), found.get("params", {})
            if "id" not in found or not method:
                continue
            result = self.setting(method, params) if method not in methods else methods[method](params)
            if result is None and method in methods:
                continue  # it hangs
            if result is None:
                write(id=found["id"], error={"code": -32601, "message": "Method not found"})
                continue
            write(id=found["id"], result=result)
            self.after(method)

    def after(self, method):
        if method == "session/load" and fault("late history"):
            self.history()
        if method in ("session/new", "session/load") and not V3:
            self.told()
        if method == "session/prompt" and not V3:
            spent = [{"value": 0.25, "unit": "credit", "unitPlural": "credits"}]
            self.vendor("metadata", meteringUsage=spent, contextUsagePercentage=2.0, turnDurationMs=5)

    def setting(self, method, params):
        """Modes and models are not checked; commands are no prompts."""
        if method == "session/set_mode":
            self.now["mode"] = params["modeId"]
        elif method == "session/set_model" and not V3:
            self.now["model"] = params["modelId"]
        elif method == "session/set_config_option" and V3:
            self.now[params["configId"]] = params["value"]
            return self.state()
        elif method == "_kiro.dev/commands/execute" and not V3:
            self.vendor("compaction/status", status={"type": "completed"})
            return {"success": True, "message": f"did {params['command']['command']}"}
        else:
            return None
        return {}


kiro_login.run(sys.argv[1:])
if fault("logged out"):
    sys.exit("error: You are not logged in, please log in with kiro-cli login")
Kiro().serve()
