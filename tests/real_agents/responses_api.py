"""A stand-in for OpenAI's Responses API, as codex uses it (platform.openai.com/docs/api-reference/responses)."""

from __future__ import annotations

import itertools
import json
import sys
import threading
from collections.abc import Iterator
from typing import Any

from tests.real_agents.model import Ask, Fail, Say
from tests.real_agents.service import Handler, Service

NUMBERS = itertools.count(1)
NOTES = ("<environment_context>", "<user_instructions>", "<permissions", "# AGENTS.md", "<turn_aborted>", "<skill")


def texts(item: dict[str, Any]) -> list[str]:
    content = item.get("content")
    parts = [{"type": "input_text", "text": content}] if isinstance(content, str) else content or []
    return [part["text"] for part in parts if part.get("type") == "input_text"]


def understand(body: dict[str, Any]) -> Ask:
    """Return the newest text of a person, and the results of tools that came after it."""
    prompt, results = "", []
    for item in body.get("input") or ():
        if item.get("type", "message") == "message" and item.get("role") == "user":
            for text in texts(item):
                if not text.lstrip().startswith(NOTES):
                    prompt, results = text, []
        elif str(item.get("type", "")).endswith("_call_output"):
            output = item["output"]
            results.append(output if isinstance(output, str) else json.dumps(output))
    tools = tuple(tool.get("name") or tool.get("type", "") for tool in body.get("tools") or ())
    return Ask(prompt, tuple(results), tools, body.get("instructions") or "", side=not tools, raw=body)


class ResponsesApi(Service):
    def answer(self, http: Handler, path: str, body: dict[str, Any]) -> None:
        if path.endswith("/responses") and http.command == "POST":
            self._respond(http, body)
        elif path.endswith("/models"):
            http.send_json(200, {"object": "list", "data": [], "models": []})
        else:
            http.send_json(404, {"error": {"message": f"no such path {path}", "type": "not_found"}})

    def _respond(self, http: Handler, body: dict[str, Any]) -> None:
        reply = self.model.reply(understand(body))
        if isinstance(reply, Fail):
            kind = {429: "rate_limit_exceeded", 400: "invalid_request_error"}.get(reply.status, "server_error")
            error: dict[str, Any] = {"message": reply.message, "type": kind, "code": kind}
            if resets := reply.headers.get("resets_at"):  # a plan's usage limit, which is not tried again
                error = {
                    "type": "usage_limit_reached",
                    "message": reply.message,
                    "plan_type": "pro",
                    "resets_at": int(resets),
                }
            http.send_json(reply.status, {"error": error}, reply.headers)
            return
        if isinstance(reply, Say):
            self.model.open(reply)
        http.send_events(self._stream(body, reply))

    def _stream(self, body: dict[str, Any], reply: Any) -> Iterator[tuple[str, Any]]:
        number = next(NUMBERS)
        response: dict[str, Any] = {
            "id": f"resp_{number}",
            "object": "response",
            "model": body.get("model"),
            "output": [],
        }
        yield event("response.created", response={**response, "status": "in_progress"})
        if isinstance(reply, Say):
            item = {
                "type": "message",
                "id": f"msg_{number}",
                "role": "assistant",
                "status": "in_progress",
                "content": [],
            }
            yield event("response.output_item.added", output_index=0, item=item)
            for piece in self.model.pieces(reply):
                yield event(
                    "response.output_text.delta", item_id=item["id"], output_index=0, content_index=0, delta=piece
                )
            content = [{"type": "output_text", "text": reply.text, "annotations": []}]
            output = [{**item, "status": "completed", "content": content}]
        else:
            output = [
                {"type": "function_call", "id": f"fc_{number}_{index}", "call_id": f"call_{number}_{index}",
                 "name": tool, "arguments": json.dumps(arguments), "status": "completed"}
                for index, (tool, arguments) in enumerate(reply.tools)
            ]  # fmt: skip
        for index, item in enumerate(output):
            yield event("response.output_item.done", output_index=index, item=item)
        usage = {
            "input_tokens": 100, "input_tokens_details": {"cached_tokens": 3}, "output_tokens": 7,
            "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 107,
        }  # fmt: skip
        yield event(
            "response.completed", response={**response, "status": "completed", "output": output, "usage": usage}
        )


def event(kind: str, **values: Any) -> tuple[str, Any]:
    return kind, {"type": kind, **values}


class _Loud(ResponsesApi):
    def record(self, method: str, path: str, headers: dict[str, str], body: dict[str, Any]) -> None:
        super().record(method, path, headers, body)
        ask = understand(body)
        print(method, path, len(ask.tools), repr(ask.prompt[:300]), flush=True)


if __name__ == "__main__":
    with _Loud(port=int(sys.argv[1]) if sys.argv[1:] else 0) as service:
        print(service.url, flush=True)
        threading.Event().wait()
