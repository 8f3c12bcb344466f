"""A stand-in for Anthropic's Messages API: streaming, tool use, errors (docs.anthropic.com/en/api/messages).

    python -m tests.real_agents.messages_api [port]

serves until interrupted and prints each request's path and newest prompt.
"""

from __future__ import annotations

import itertools
import json
import re
import sys
import threading
from collections.abc import Iterator
from typing import Any

from tests.real_agents.model import Ask, Call, Fail, Reply, Say
from tests.real_agents.service import Handler, Service

ERRORS = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error",
          413: "request_too_large", 429: "rate_limit_error", 500: "api_error", 529: "overloaded_error"}  # fmt: skip
NUMBERS = itertools.count(1)

CLOCK = re.compile(r"\A<current_datetime>[^<]*</current_datetime>\n\n")  # which copilot puts before each prompt
# Claude Code 2.1.332 wraps what wakes it, and a long text that was pasted; 2.1.197 does not.
WOKE = re.compile(r"<task-notification>.*</task-notification>|Stop hook feedback:.*(?=</system-reminder>)", re.DOTALL)
PASTED = re.compile(r'\A\s*<pasted_content id="(\w+)">\n(.*)\n</pasted_content id="\1">\n\Z', re.DOTALL)


def blocks(content: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def plain(content: Any) -> str:
    return "".join(block.get("text", "") for block in blocks(content))


def said(block: dict[str, Any], turn: bool) -> str | None:
    """Return the text of a person in a block, or what woke the agent; None: it is a note that the agent's program put
    in, as all are in a ``turn``.
    """
    text: str = block["text"] if block["type"] == "text" else "<system-reminder>"
    if text.lstrip().startswith("<system-reminder>"):
        woke = None if turn else WOKE.search(text)
        return woke[0] if woke else None
    return CLOCK.sub("", PASTED.sub(r"\2", text))


def understand(body: dict[str, Any]) -> Ask:
    """Return the newest text of a person, and the results of tools that came after it."""
    prompt, results = "", []
    for message in body["messages"]:
        if message["role"] != "user":
            continue
        found = blocks(message["content"])
        turn = any(block["type"] == "tool_result" for block in found)
        for block in found:
            if (text := said(block, turn)) is not None:
                prompt, results = text, []
            elif block["type"] == "tool_result":
                results.append(plain(block.get("content") or ""))
    tools = tuple(tool["name"] for tool in body.get("tools") or ())
    system = plain(body.get("system") or "")
    return Ask(prompt, tuple(results), tools, system, side=not tools, raw=body)


class MessagesApi(Service):
    def answer(self, http: Handler, path: str, body: dict[str, Any]) -> None:
        if path == "/v1/messages/count_tokens":
            http.send_json(200, {"input_tokens": len(json.dumps(body)) // 4})
        elif path == "/v1/messages":
            self._message(http, body)
        elif http.command == "HEAD":
            http.send_json(200, {})
        else:
            http.send_json(404, error(404, f"no such path {path}"))

    def _message(self, http: Handler, body: dict[str, Any]) -> None:
        reply = self.model.reply(understand(body))
        if isinstance(reply, Say):
            self.model.open(reply)
        if isinstance(reply, Fail):
            http.send_json(reply.status, error(reply.status, reply.message), reply.headers)
        elif body.get("stream"):
            http.send_events(self._stream(body, reply))
        else:
            http.send_json(200, message(body, reply))

    def _stream(self, body: dict[str, Any], reply: Say | Call) -> Iterator[tuple[str, Any]]:
        whole = message(body, reply)
        start = {**whole, "content": [], "stop_reason": None, "usage": {**whole["usage"], "output_tokens": 1}}
        yield event("message_start", message=start)
        yield event("ping")
        if isinstance(reply, Say):
            yield event("content_block_start", index=0, content_block={"type": "text", "text": ""})
            for piece in self.model.pieces(reply):
                yield event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})
            yield event("content_block_stop", index=0)
        else:
            for index, block in enumerate(whole["content"]):
                yield event("content_block_start", index=index, content_block={**block, "input": {}})
                for part in halves(json.dumps(block["input"])):
                    delta = {"type": "input_json_delta", "partial_json": part}
                    yield event("content_block_delta", index=index, delta=delta)
                yield event("content_block_stop", index=index)
        ending = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
        yield event("message_delta", delta=ending, usage={"output_tokens": whole["usage"]["output_tokens"]})
        yield event("message_stop")


def halves(text: str) -> tuple[str, str]:
    return text[: len(text) // 2], text[len(text) // 2 :]


def event(kind: str, **values: Any) -> tuple[str, Any]:
    return kind, {"type": kind, **values}


def error(status: int, text: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": ERRORS.get(status, "api_error"), "message": text}}


def message(body: dict[str, Any], reply: Reply) -> dict[str, Any]:
    number = next(NUMBERS)
    content: list[dict[str, Any]]
    if isinstance(reply, Call):
        content = [
            {"type": "tool_use", "id": f"toolu_{number:08d}_{index}", "name": tool, "input": arguments}
            for index, (tool, arguments) in enumerate(reply.tools)
        ]
    else:
        content = [{"type": "text", "text": reply.text if isinstance(reply, Say) else reply.message}]
    return {
        "id": f"msg_{number:08d}",
        "type": "message",
        "role": "assistant",
        "model": body.get("model", "stand-in"),
        "content": content,
        "stop_reason": "tool_use" if isinstance(reply, Call) else "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 100,
            "cache_creation_input_tokens": 20,
            "cache_read_input_tokens": 3,
            "output_tokens": 7,
            "service_tier": "standard",
        },
    }


class _Loud(MessagesApi):
    def record(self, method: str, path: str, headers: dict[str, str], body: dict[str, Any]) -> None:
        super().record(method, path, headers, body)
        prompt = understand(body).prompt if "messages" in body else ""
        print(method, path, body.get("model", ""), len(body.get("tools") or ()), repr(prompt[:300]), flush=True)


if __name__ == "__main__":
    with _Loud(port=int(sys.argv[1]) if sys.argv[1:] else 0) as service:
        print(service.url, flush=True)
        threading.Event().wait()
