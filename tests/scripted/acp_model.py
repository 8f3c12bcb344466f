"""A small agent that speaks the Agent Client Protocol and asks a model for what it does: the Messages API at ``FAKE_MODEL_URL``.

    python acp_model.py

It has the tools ``Bash`` and ``Edit``, asks for them in the mode ``default``, and keeps its conversations in ``./.fake-<session>``.
Standard library alone. One thread reads; each prompt has one of its own.
"""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.parse

TOOLS = [{"name": name, "description": name, "input_schema": {"type": "object"}} for name in ("Bash", "Edit")]
OPTIONS = [("yes", "allow_once"), ("ever", "allow_always"), ("no", "reject_once")]
MODES = ("default", "plan", "free")


class Cancelled(Exception):
    """The turn is over."""


class Refused(Exception):
    """The service refuses."""


class Agent:
    """One session. The lock guards what is written, and who waits for an answer."""

    def __init__(self):
        self.lock = threading.Lock()
        self.session, self.mode, self.model = "", "default", "m1"
        self.messages = []
        self.number = 0
        self.waiting = {}  # id of a request of ours -> [event, answer]
        self.cancelled = threading.Event()
        self.child = self.connection = None

    # -- lines

    def write(self, message):
        data = json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n"
        with self.lock:
            while data:
                data = data[os.write(1, data) :]

    def update(self, kind, /, **fields):
        self.write(
            {
                "method": "session/update",
                "params": {"sessionId": self.session, "update": {"sessionUpdate": kind, **fields}},
            }
        )

    def demand(self, method, params):
        self.number += 1
        mine = self.waiting[f"a{self.number}"] = [threading.Event(), {}]
        self.write({"id": f"a{self.number}", "method": method, "params": {"sessionId": self.session, **params}})
        mine[0].wait()
        return mine[1]

    def serve(self):
        for line in sys.stdin.buffer:
            found = json.loads(line)
            method, ident = found.get("method"), found.get("id")
            if method == "session/cancel":
                self.cancel()
            elif method == "session/prompt":
                self.cancelled.clear()
                threading.Thread(target=self.turn, args=(ident, found["params"]["prompt"]), daemon=True).start()
            elif method:
                answer = self.answer(method, found.get("params", {}))
                self.write({"id": ident, **answer})
                if method in ("session/new", "session/load"):
                    told = [{"name": "compact", "description": "make it short"}]
                    self.update("available_commands_update", availableCommands=told)
            elif ident in self.waiting:
                event, answer = self.waiting.pop(ident)
                answer.update(found.get("result", {}))
                event.set()

    def answer(self, method, params):
        """The result of a request that is no prompt."""
        if method == "initialize":
            takes = {"image": True, "embeddedContext": True}
            return {
                "result": {
                    "protocolVersion": 1,
                    "agentCapabilities": {"loadSession": True, "promptCapabilities": takes},
                }
            }
        if method == "session/set_mode":
            self.mode = params["modeId"]
        elif method == "session/set_model":
            self.model = params["modelId"]
        elif method == "session/load":
            self.session = params["sessionId"]
            with open(f".fake-{self.session}", encoding="utf-8") as file:
                self.messages = json.load(file)
            for one in self.messages:
                kind = "user_message_chunk" if one["role"] == "user" else "agent_message_chunk"
                for block in one["content"]:
                    if block["type"] == "text":
                        self.update(kind, content=block)
        elif method == "session/new":
            self.session = os.urandom(8).hex()
        else:
            return {"error": {"code": -32601, "message": f"Method not found: {method}"}}
        modes = [{"id": one, "name": one} for one in MODES]
        models = [{"modelId": one, "name": one} for one in ("m1", "m2")]
        state = {
            "modes": {"currentModeId": self.mode, "availableModes": modes},
            "models": {"currentModelId": self.model, "availableModels": models},
        }
        return {"result": ({"sessionId": self.session} if method == "session/new" else {}) | state}

    def cancel(self):
        """The turn is over, whatever it waits for."""
        self.cancelled.set()
        for one in (self.child, self.connection):
            try:
                if isinstance(one, subprocess.Popen):
                    os.killpg(one.pid, signal.SIGKILL)
                elif one is not None and one.sock is not None:
                    one.sock.shutdown(2)
            except OSError:
                pass  # it is gone

    # -- a turn

    def turn(self, ident, prompt):
        kept = len(self.messages)
        content = [made for one in prompt if (made := block(one)) is not None]
        try:
            if content[0].get("text", "").strip() == "/compact":
                self.update("agent_message_chunk", content={"type": "text", "text": "it is short now"})
            else:
                self.messages.append({"role": "user", "content": content})
                while self.ask():
                    pass
        except Refused as error:
            del self.messages[kept:]
            self.write(
                {"id": ident, "error": {"code": -32603, "message": "Internal error", "data": {"details": f"{error}"}}}
            )
            return
        except (Cancelled, OSError, http.client.HTTPException):
            del self.messages[kept:]
            self.write({"id": ident, "result": {"stopReason": "cancelled"}})
            return
        with open(f".fake-{self.session}", "w", encoding="utf-8") as file:
            json.dump(self.messages, file)
        self.write(
            {
                "id": ident,
                "result": {"stopReason": "end_turn", "usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2}},
            }
        )

    def ask(self):
        """Ask the model; whether it is to be asked again, since it has used a tool."""
        said, uses = "", []
        for event in self.stream():
            if event["type"] == "content_block_start" and event["content_block"]["type"] == "tool_use":
                uses.append({**event["content_block"], "input": ""})
            elif event["type"] == "content_block_delta" and "text" in event["delta"]:
                said += event["delta"]["text"]
                self.update(
                    "agent_message_chunk",
                    content={"type": "text", "text": event["delta"]["text"]},
                    messageId=self.message,
                )
            elif event["type"] == "content_block_delta":
                uses[-1]["input"] += event["delta"]["partial_json"]
        uses = [{**one, "input": json.loads(one["input"] or "{}")} for one in uses]
        self.messages.append(
            {"role": "assistant", "content": ([{"type": "text", "text": said}] if said else []) + uses}
        )
        results = [
            {"type": "tool_result", "tool_use_id": one["id"], "content": [{"type": "text", "text": self.use(one)}]}
            for one in uses
        ]
        if results:
            self.messages.append({"role": "user", "content": results})
        return bool(results)

    def stream(self):
        """The events of an answer."""
        where = urllib.parse.urlsplit(os.environ["FAKE_MODEL_URL"])
        self.connection = http.client.HTTPConnection(where.hostname, where.port)
        body = {"model": self.model, "messages": self.messages, "tools": TOOLS, "stream": True, "max_tokens": 100}
        self.connection.request("POST", "/v1/messages", json.dumps(body), {"Content-Type": "application/json"})
        if self.cancelled.is_set():
            raise Cancelled
        answer = self.connection.getresponse()
        if answer.status != 200:
            raise Refused(json.loads(answer.read())["error"]["message"])
        for line in answer:
            if self.cancelled.is_set():
                raise Cancelled
            if line.startswith(b"data: "):
                event = json.loads(line[6:])
                if event["type"] == "message_start":
                    self.message = event["message"]["id"]
                yield event
        if self.cancelled.is_set():
            raise Cancelled

    def use(self, one):
        """Use a tool, if it may be; what it gives."""
        given, ident = one["input"], one["id"]
        edit = one["name"] == "Edit"
        title = f"Edit {given['file_path']}" if edit else given["command"]
        call = {"toolCallId": ident, "title": title, "kind": "edit" if edit else "execute", "rawInput": given}
        if edit:
            diff = {
                "type": "diff",
                "path": given["file_path"],
                "oldText": given["old_string"],
                "newText": given["new_string"],
            }
            call |= {"content": [diff], "locations": [{"path": given["file_path"], "line": 1}]}
        self.update("tool_call", status="pending", **call)
        if self.mode == "default":
            options = [{"optionId": name, "name": name, "kind": kind} for name, kind in OPTIONS]
            outcome = self.demand("session/request_permission", {"toolCall": call, "options": options})["outcome"]
            if self.cancelled.is_set() or outcome["outcome"] == "cancelled":
                raise Cancelled
            if outcome["optionId"] == "no":
                self.update("tool_call_update", toolCallId=ident, status="failed")
                return "denied"
        self.update("tool_call_update", toolCallId=ident, status="in_progress")
        text = self.edit(given) if edit else self.run(given["command"])
        if self.cancelled.is_set():
            raise Cancelled
        told = [] if edit else [{"type": "content", "content": {"type": "text", "text": text}}]
        self.update("tool_call_update", toolCallId=ident, status="completed", **({"content": told} if told else {}))
        return text

    def run(self, command):
        self.child = subprocess.Popen(
            ["sh", "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        return self.child.communicate()[0].decode("utf-8", "replace")

    @staticmethod
    def edit(given):
        with open(given["file_path"], encoding="utf-8") as file:
            text = file.read()
        with open(given["file_path"], "w", encoding="utf-8") as file:
            file.write(text.replace(given["old_string"], given["new_string"], 1))
        return "edited"


def block(one):
    """A block of a prompt, as the model gets it."""
    if one["type"] == "image":
        return {"type": "image", "source": {"type": "base64", "media_type": one["mimeType"], "data": one["data"]}}
    if one["type"] == "resource":
        return {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": one["resource"]["text"]},
        }
    return {"type": "text", "text": one["text"]} if one["type"] == "text" else None


if __name__ == "__main__":
    Agent().serve()
