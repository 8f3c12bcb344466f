"""The OpenAPI document, made from the table of operations, so that it cannot say anything else."""

from typing import Any

from web.api import OPERATIONS, Operation
from web.schema import SEQ, SESSION, Schema, array, record, ref, word

STRING: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
ASK = {
    "type": "object",
    "description": "What the agent waits for",
    "properties": {
        "id": STRING, "text": STRING, "choices": array(STRING), "detail": {},
        "diff": {"type": "string", "description": "what it would change, a unified diff"},
        "what": {"type": "string", "enum": ["permission", "question", "plan"]},
        "free": {"type": "boolean", "description": "any text is an answer"},
        "questions": {"type": "array", "items": {"type": "object"}, "description": "of a dialog with several: text, choices, multiple"},
    },
    "required": ["id", "text", "choices"],
}  # fmt: skip
STATES = ["starting", "idle", "running", "stopped", "error", "exited"]
COMPONENTS: dict[str, Schema] = {
    "Error": record({"error": {"type": "string", "description": "a short sentence"}}),
    "Session": {
        "type": "object",
        "description": "One session, as in the file `sessions` of anvilsrv(4)",
        "properties": {
            "id": {"type": "string", "pattern": "^[0-9a-f]{8}$"}, "alias": STRING, "backend": STRING, "cwd": STRING,
            "state": {"type": "string", "enum": STATES}, "pid": {"type": "integer"}, "role": STRING, "tasks": array(STRING),
            "parent": {"type": ["string", "null"]}, "tmux": STRING,
            "ask": {"anyOf": [ASK, {"type": "null"}], "description": "the oldest of asks"},
            "asks": {"type": "array", "items": ASK, "description": "every open question, oldest first"},
            "unread": {"type": "integer"}, "queued": {"type": "integer"}, "background": {"type": "integer"},
            "doing": {"type": "string", "description": "what it does while it runs, in a line"},
            "since": {"type": ["number", "null"], "description": "when it began to do that, or came into its state, s since the epoch"},
            "seen": {"type": "integer", "description": "the number of the last prompt whose answer was looked at"},
            "answered": {"type": "integer", "description": "the number of the last prompt that is answered, or failed"},
            "needs": {"type": "string", "description": "`ask`, `error`, `held`, `mail`, `done`, or empty"},
            "model": {"type": "string", "description": "as it was chosen, or as the agent tells it; empty: unknown"},
            "mode": {"type": "string", "description": "the same"},
            "context_left": {"type": ["integer", "null"], "description": "percent; null: the agent does not tell"},
            "branch": {"type": "string", "description": "its own; empty: it works on the user's"},
            "beside": {"type": "string", "description": "the session whose sandbox it shares; empty: it has its own"},
            "forwards": {"type": "array", "items": {"type": "integer"}, "description": "ports that are served on the loopback"},
            "emacs": {"type": "array", "items": STRING, "description": "what it may ask an editor"},
            "held": STRING, "usage": {"type": "object"},
            "error": STRING, "sandbox_tier": STRING, "sandbox_gaps": array(STRING), "left": array(STRING), "context": STRING,
            "created": NUMBER, "changed": NUMBER,
            "notes": {"type": "array", "items": STRING, "description": "what to say beside the state, the most urgent first"},
        },
        "required": ["id", "alias", "backend", "cwd", "state", "ask", "asks", "unread", "queued", "error", "context", "notes"],
    },
    "Queued": record({
        "n": {"type": "integer", "description": "its number in the session"},
        "origin": {"type": "string", "description": "`queue`, or `mail` for a delivered message"},
        "when": {"type": "string", "description": "when it came, ISO 8601"},
        "words": {"type": "string", "description": "how it begins, on one line"},
        "state": {"type": "string", "description": "`queued`, or `sending` while the agent is being given it"},
    }),
    "Changed": record({
        "n": {"type": "integer", "description": "the number of the turn's prompt"},
        "plus": {"type": "integer", "description": "lines added"}, "minus": {"type": "integer", "description": "lines removed"},
    }),
    "Backend": record({"name": STRING, "title": STRING, "status": {"type": "string", "description": "`ok`, or why not"}}),
    "Layer": record({"name": STRING, "label": STRING, "file": STRING}),
    "Message": {
        "type": "object",
        "properties": {
            "id": STRING, "from": STRING, "to": STRING, "type": STRING, "subject": STRING, "body": STRING,
            "reply_type": {"type": "string", "description": "the type to answer with"},
            "timestamp": NUMBER, "metadata": {"type": "object"},
        },
        "required": ["id", "from", "to", "type", "reply_type", "subject", "body", "timestamp"],
    },
    "Bead": {
        "type": "object",
        "description": "A record in the format of bd (issues.jsonl)",
        "properties": {"id": STRING, "title": STRING, "status": STRING, "description": STRING, "assignee": STRING},
        "required": ["id", "title", "status"],
    },
}  # fmt: skip
STREAM = {
    "operationId": "stream",
    "summary": "What happens, as server-sent events",
    "description": (
        "`sessions` {rows, gone}: sessions that are new or changed (all at first), ids that are gone. `events`: an array of"
        " events of the tree. `away` {why}: the daemon cannot be reached; `sessions` follows when it is back. With `session`,"
        " `pieces`: an array of {role, time, text}; with a role it begins a block of the conversation, without one it goes on"
        " with the last. With `as=turns` instead `first` {turn}, the first turn that is told (0: none), and `activity`, an array of"
        " objects as in the file `activity`; with `after`, those after that number, and no `first`."
        " `follows` {}: the turns that were over have been told."
        " `ended` {why}: the conversation can go on no more."
    ),
    "parameters": [{"name": "session", "in": "query", "required": False, "schema": SESSION},
                   {"name": "as", "in": "query", "required": False, "schema": word("turns")},
                   {"name": "after", "in": "query", "required": False, "schema": SEQ}],
}  # fmt: skip


def document(version: str) -> dict[str, Any]:
    """Return the whole document (OpenAPI 3.1)."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    stream = STREAM | {
        "responses": {"200": {"description": "a stream", "content": {"text/event-stream": {"schema": STRING}}}}
    }
    paths["/api/stream"] = {"get": stream | {"responses": stream["responses"] | _errors("400", "401", "403", "503")}}  # type: ignore[operator]
    paths["/api/openapi.json"] = {
        "get": {
            "operationId": "openapi", "summary": "This document",
            "responses": {"200": _content("the document", {"type": "object"})} | _errors("401", "403"),
        }
    }  # fmt: skip
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "AnviLLM", "version": version,
            "description": "The file tree of anvilsrv(4) for a web page. Programs had better speak 9P.",
        },
        "paths": paths,
        "components": {
            "schemas": COMPONENTS,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "the token of the link that anvilweb prints"},
                "cookie": {"type": "apiKey", "in": "cookie", "name": "anvilweb-8080", "description": "the number is the port"},
                "key": {"type": "apiKey", "in": "header", "name": "X-Anvil-Key"},
            },
        },
        "security": [{"token": []}, {"cookie": [], "key": []}],
    }  # fmt: skip


def _operation(operation: Operation) -> dict[str, Any]:
    status = str(operation.status)
    found: dict[str, Any] = {"operationId": operation.name, "summary": operation.summary}
    if operation.params:
        found["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": schema}
            for name, schema in operation.params.items()
        ]
    if operation.body is not None:
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": operation.body}}}
    done = (
        {"description": "done"}
        if operation.reply is None
        else _content("found" if status == "200" else "made", operation.reply)
    )
    errors = (
        ["400", "401", "403", "404", "409", "413", "415", "503"]
        if operation.body
        else ["401", "403", "404", "409", "503"]
    )
    found["responses"] = {status: done} | _errors(*errors)
    return found


def _content(description: str, schema: Schema) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


WHY = {
    "400": "malformed", "401": "no token", "403": "not from here, or refused by the daemon", "404": "no such thing",
    "409": "refused by the daemon", "413": "too large", "415": "not JSON", "503": "the daemon is away",
}  # fmt: skip


def _errors(*statuses: str) -> dict[str, Any]:
    return {status: _content(WHY[status], ref("Error")) for status in statuses}
