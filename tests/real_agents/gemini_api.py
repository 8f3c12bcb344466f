"""A stand-in for the Gemini API, as gemini-cli uses it (ai.google.dev/api/generate-content)."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from typing import Any

from tests.real_agents.model import Ask, Fail, Reply, Say
from tests.real_agents.service import Handler, Service

ERRORS = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 429: "RESOURCE_EXHAUSTED",
          500: "INTERNAL", 503: "UNAVAILABLE"}  # fmt: skip
NOTES = ("This is the Gemini CLI", "<session_context>", "<system", "<hook_context>")
USAGE = {"promptTokenCount": 100, "candidatesTokenCount": 7, "cachedContentTokenCount": 3, "totalTokenCount": 107}


def understand(body: dict[str, Any]) -> Ask:
    """Return the newest text of a person, and the results of tools that came after it."""
    prompt, results = "", []
    for content in body.get("contents") or ():
        if content.get("role") != "user":
            continue
        for part in content["parts"]:
            if "text" in part and not part["text"].lstrip().startswith(NOTES):
                prompt, results = part["text"], []
            elif "functionResponse" in part:
                response = part["functionResponse"].get("response") or {}
                results.append(str(response.get("output") or response.get("error") or response))
    declared = [one for tool in body.get("tools") or () for one in tool.get("functionDeclarations") or ()]
    tools = tuple(one["name"] for one in declared)
    system = "".join(part.get("text", "") for part in (body.get("systemInstruction") or {}).get("parts", ()))
    return Ask(prompt, tuple(results), tools, system, side=not tools, raw=body)


class GeminiApi(Service):
    def answer(self, http: Handler, path: str, body: dict[str, Any]) -> None:
        method = path.rpartition(":")[2]
        if method == "countTokens":
            http.send_json(200, {"totalTokens": 100})
        elif method in ("generateContent", "streamGenerateContent"):
            self._generate(http, body, stream=method.startswith("stream"))
        else:
            http.send_json(404, {"error": {"code": 404, "message": f"no such path {path}", "status": "NOT_FOUND"}})

    def _generate(self, http: Handler, body: dict[str, Any], stream: bool) -> None:
        reply = self.model.reply(understand(body))
        if isinstance(reply, Fail):
            status = ERRORS.get(reply.status, "UNKNOWN")
            error = {"code": reply.status, "message": reply.message, "status": status}
            http.send_json(reply.status, {"error": error}, reply.headers)
            return
        if isinstance(reply, Say):
            self.model.open(reply)
        wanted = (body.get("generationConfig") or {}).get("responseJsonSchema")
        if wanted:
            reply = Say(json.dumps(instance(wanted)))
        if stream:
            http.send_events((None, chunk) for chunk in self._chunks(reply))
        else:
            http.send_json(200, candidate(parts(reply), done=True))

    def _chunks(self, reply: Say | Any) -> Iterator[dict[str, Any]]:
        if isinstance(reply, Say):
            for piece in self.model.pieces(reply):
                yield candidate([{"text": piece}], done=False)
            yield candidate([{"text": ""}], done=True)
        else:
            yield candidate(parts(reply), done=True)


def instance(schema: dict[str, Any]) -> Any:
    """Some value of a JSON schema: what the model answers when the agent's own housekeeping asks for structure."""
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            return {name: instance(one) for name, one in (schema.get("properties") or {}).items()}
        case "array":
            return []
        case "number" | "integer":
            return 1
        case "boolean":
            return True
        case _:
            return "housekeeping"


def parts(reply: Reply) -> list[dict[str, Any]]:
    if isinstance(reply, Say):
        return [{"text": reply.text}]
    assert not isinstance(reply, Fail)
    return [{"functionCall": {"name": tool, "args": arguments}} for tool, arguments in reply.tools]


def candidate(content: list[dict[str, Any]], done: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"content": {"role": "model", "parts": content}, "index": 0}
    if done:
        found["finishReason"] = "STOP"
    return {"candidates": [found], "usageMetadata": USAGE, "modelVersion": "stand-in"}


class _Loud(GeminiApi):
    def record(self, method: str, path: str, headers: dict[str, str], body: dict[str, Any]) -> None:
        super().record(method, path, headers, body)
        ask = understand(body)
        print(method, path, len(ask.tools), repr(ask.prompt[:300]), flush=True)


if __name__ == "__main__":
    with _Loud(port=int(sys.argv[1]) if sys.argv[1:] else 0) as service:
        print(service.url, flush=True)
        threading.Event().wait()
