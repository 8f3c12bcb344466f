"""The OpenAPI document is true: it names every operation, and what is asked and answered is as it says."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from starlette.routing import Route

from anvilsrv.p9.channel import P9Error
from tests.conftest import Daemon, wait_until
from tests.daemon.test_git import made_repository
from tests.session import Session
from tests.web.conftest import Reply, Site
from web.api import OPERATIONS, status_of
from web.app import PAGE, build
from web.guard import Names, Secrets
from web.openapi import document

DOCUMENT = document("test")
METHODS = [(path, method, one) for path, item in DOCUMENT["paths"].items() for method, one in item.items()]
NAMES = [one["operationId"] for _, _, one in METHODS]
WITH_BODY = [row for row in METHODS if "requestBody" in row[2]]
TRIED: set[str] = set()


def check(value: Any, schema: dict[str, Any]) -> None:
    whole = schema | {"components": DOCUMENT["components"]}
    Draft202012Validator(whole).validate(value)


def call(site: Site, name: str, /, body: Any = None, **params: str) -> Any:
    """Call an operation by its name; request and answer must be as the document says."""
    path, method, operation = next(row for row in METHODS if row[2]["operationId"] == name)
    if body is not None:
        check(body, operation["requestBody"]["content"]["application/json"]["schema"])
    reply = site.ask(method.upper(), path.format(**params), body)
    TRIED.add(name)
    return checked(reply, operation)


def checked(reply: Reply, operation: dict[str, Any]) -> Any:
    assert str(reply.status) in operation["responses"], reply
    described = operation["responses"][str(reply.status)]
    if "content" not in described:
        assert reply.body == b""
        return None
    assert reply.headers["Content-Type"] == "application/json"
    check(reply.json, described["content"]["application/json"]["schema"])
    assert reply.status < 400, reply.body
    return reply.json


def test_the_document_names_every_route_and_no_other() -> None:
    page = {f"/{name}" for name in PAGE} | {"/"}
    routes = build(Secrets(), Names(), 1).routes
    served = {(route.path, method) for route in routes if isinstance(route, Route) for method in route.methods or ()}
    served = {(path, method) for path, method in served if path not in page and method != "HEAD"}
    assert served == {(path, method.upper()) for path, method, _ in METHODS}
    assert len(set(NAMES)) == len(NAMES)


def test_the_document_is_well_formed() -> None:
    text = json.dumps(DOCUMENT)
    for name in re.findall(r'"#/components/schemas/(\w+)"', text):
        assert name in DOCUMENT["components"]["schemas"]
    for schema in DOCUMENT["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    for path, _, operation in METHODS:
        assert {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"} == set(
            re.findall(r"\{(\w+)\}", path)
        )
        assert operation["summary"]
        for response in operation["responses"].values():
            assert response["description"]
            for content in response.get("content", {}).values():
                Draft202012Validator.check_schema(content["schema"])


def test_the_server_serves_the_document(site: Site) -> None:
    served = call(site, "openapi")
    assert served["paths"] == json.loads(json.dumps(DOCUMENT["paths"]))


def sample(schema: dict[str, Any]) -> Any:
    """Return a value that fits."""
    if schema["type"] == "object":
        return {key: sample(one) for key, one in schema["properties"].items()}
    return schema["enum"][0] if "enum" in schema else "a"


def misfits(schema: dict[str, Any]) -> Iterator[Any]:
    """Yield values that do not fit, each wrong in one way."""
    good = sample(schema)
    yield good | {"surprise": 1}
    for key, one in schema["properties"].items():
        if key in schema["required"]:
            yield {k: v for k, v in good.items() if k != key}
        yield from (good | {key: wrong} for wrong in (None, 1, True, [], {}, "\ud800"))
        if "maxLength" in one:
            yield good | {key: "x" * (one["maxLength"] + 1)}
        if one.get("minLength"):
            yield good | {key: ""}
        if "enum" in one or "pattern" in one:
            yield good | {key: "no/such"}
            yield good | {key: f"{good[key]}\n"}


@pytest.mark.parametrize(("path", "method", "operation"), WITH_BODY, ids=[row[2]["operationId"] for row in WITH_BODY])
def test_what_does_not_fit_the_document_is_refused(
    site: Site, path: str, method: str, operation: dict[str, Any]
) -> None:
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    params = dict.fromkeys(re.findall(r"\{(\w+)\}", path), "1")
    for body in misfits(schema):
        with pytest.raises(Exception):  # noqa: B017  the document refuses it too
            check(body, schema) if "\ud800" not in body.values() and not any(
                str(v).endswith("\n") for v in body.values()
            ) else 1 / 0
        reply = site.ask(method.upper(), path.format(**params), body)
        assert (reply.status, set(reply.json)) == (400, {"error"}), body


@pytest.mark.parametrize("operation", [one for one in OPERATIONS if one.params], ids=lambda one: one.name)
def test_a_malformed_name_in_the_path_is_not_found(site: Site, operation: Any) -> None:
    body = sample(operation.body) if operation.body else None
    for bad in ("%0a", "a%20b", "..%2f", "x" * 300, "%E2%80%AE"):
        reply = site.ask(operation.method, re.sub(r"\{\w+\}", bad, operation.path), body)
        assert reply.status == 404
        check(reply.json, DOCUMENT["components"]["schemas"]["Error"])


def test_every_operation_does_what_it_says(site: Site, shared: Daemon) -> None:
    at = made_repository(shared.home.top / "repository")
    work = str(at)
    assert "shell" in {one["name"] for one in call(site, "listBackends") if one["status"] == "ok"}
    session = call(site, "startSession", {"backend": "shell", "cwd": work, "alias": "dev"})["id"]
    row = next(row for row in call(site, "listSessions") if row["id"] == session)
    assert (row["alias"], row["cwd"]) == ("dev", work)
    call(site, "rename", {"alias": "built"}, session=session)
    call(site, "setContext", {"context": "be brief\n"}, session="built")
    row = next(row for row in call(site, "listSessions") if row["id"] == session)
    assert (row["alias"], row["context"]) == ("built", "be brief\n")
    assert "tier" in call(site, "sandbox", session=session)["policy"]
    call(site, "prompt", {"text": "echo seen > seen.txt; echo ok"}, session=session)
    assert shared.client().read(f"{session}/out", timeout=30) == b"ok\n"
    assert (at / "seen.txt").read_text() == "seen\n"
    assert "\n+seen\n" in call(site, "turnDiff", session=session, prompt="1")["diff"]
    assert call(site, "listChanges", session=session) == [{"n": 1, "plus": 1, "minus": 0}]
    assert "\n+seen\n" in call(site, "diff", session=session)["diff"]
    call(site, "press", {"keys": "C-l"}, session=session)
    call(site, "control", {"command": "hold"}, session=session)
    for text in ("echo two", "echo three", "echo four"):
        call(site, "prompt", {"text": text}, session=session)
    assert [(one["n"], one["words"]) for one in call(site, "listQueue", session=session)][::2] == [
        (2, "echo two"), (4, "echo four"),
    ]  # fmt: skip
    call(site, "moveQueued", {"move": "first"}, session=session, prompt="4")
    call(site, "moveQueued", {"move": "drop"}, session=session, prompt="2")
    call(site, "editQueued", {"text": "echo third"}, session=session, prompt="3")
    assert call(site, "queued", session=session, prompt="3") == {"text": "echo third"}
    assert [one["n"] for one in call(site, "listQueue", session=session)] == [4, 3]
    call(site, "control", {"command": "go"}, session=session)
    assert shared.client().read(f"{session}/turns/3/out", timeout=30) == b"third\n"
    assert [one["kind"] for one in call(site, "turn", session=session, prompt="3")] == ["prompt", "text", "end"]
    call(site, "see", {"prompt": "3"}, session=session)
    assert shared.client().read(f"{session}/seen") == b"3\n"
    assert "reader" in {one["name"] for one in call(site, "listRoles")}
    assert "git" in {one["name"] for one in call(site, "listTasks")}
    call(site, "control", {"command": "stop"}, session=session)
    wait_until(lambda: shared.client().read(f"{session}/state") == b"stopped\n", "it does not stop")

    shared.client().write(f"{session}/mail", b'{"to":"user","type":"QUERY_REQUEST","subject":"s","body":"b"}')
    message = call(site, "listMail", owner="user", name="inbox")[-1]
    assert (message["from"], message["body"]) == (session, "b")
    call(site, "replyMail", {"message": message["id"], "body": "from the page"}, owner="user")
    answer = call(site, "listMail", owner="built", name="inbox")[-1]
    assert (answer["type"], answer["subject"], answer["body"]) == ("QUERY_RESPONSE", "Re: s", "from the page")
    assert call(site, "listMail", owner="user", name="inbox") == []
    shared.client().write(f"{session}/mail", b'{"to":"user","type":"QUERY_REQUEST","subject":"s","body":"b"}')
    message = call(site, "listMail", owner="user", name="inbox")[-1]
    call(
        site,
        "sendMail",
        {"to": session, "type": "QUERY_RESPONSE", "subject": "Re: s", "body": "c", "in_reply_to": message["id"]},
    )
    assert call(site, "listMail", owner="built", name="inbox")[-1]["metadata"] == {"in_reply_to": message["id"]}
    call(site, "archiveMail", {"message": message["id"]}, owner="user")
    assert call(site, "listMail", owner="user", name="inbox") == []
    assert [one["id"] for one in call(site, "listMail", owner="user", name="archive")][-1] == message["id"]

    bead = call(site, "newBead", {"title": "it's a <b>title</b>", "description": "two\nlines"})["id"]
    found = next(one for one in call(site, "listBeads") if one["id"] == bead)
    assert (found["title"], found["description"]) == ("it's a <b>title</b>", "two\nlines")
    assert bead in {one["id"] for one in call(site, "listReadyBeads")}
    call(site, "changeBead", {"action": "claim"}, bead=bead)
    call(site, "failBead", {"reason": "it isn't possible"}, bead=bead)
    assert next(one for one in call(site, "listBeads") if one["id"] == bead)["status"] == "blocked"

    refused = site.ask("POST", f"/api/sessions/{session}/answer", {"choice": "yes", "ask": "none"})
    assert (refused.status, refused.json) == (409, {"error": "the question is gone"})
    assert set(NAMES) - {"stream", "answer", "openapi"} <= TRIED


def test_refusals_of_the_daemon_keep_their_sentence_and_have_a_fitting_status(site: Site) -> None:
    for method, path, body, status, words in (
        ("POST", "/api/sessions", {"backend": "nope", "cwd": "/tmp"}, 404, "nope"),
        ("POST", "/api/sessions", {"backend": "shell", "cwd": "/no/such/dir"}, 400, "/no/such/dir"),
        ("POST", "/api/sessions/deadbeef/prompt", {"text": "x"}, 404, "deadbeef"),
        ("GET", "/api/sessions/deadbeef/queue", None, 404, "deadbeef"),
        ("POST", "/api/sessions/deadbeef/queue/1", {"move": "drop"}, 404, "deadbeef"),
        ("POST", "/api/mail", {"to": "nobody", "type": "QUERY_REQUEST"}, 404, "nobody"),
        ("POST", "/api/mail/user/complete", {"message": "nope"}, 404, "nope"),
        (
            "POST",
            "/api/mail/user/reply",
            {"message": "nope", "body": "x"},
            404,
            "no such message 'nope' in the mail of user",
        ),
        ("POST", "/api/beads/nope-1/action", {"action": "claim"}, 404, "nope-1"),
    ):
        reply = site.ask(method, path, body)
        assert words in reply.json["error"]
        assert reply.status == status, reply


def test_without_the_daemon_it_says_so(site: Site, stopped_daemon: Daemon, tmp_path: Path) -> None:
    lonely = Site(stopped_daemon.home)
    try:
        reply = lonely.ask("GET", "/api/sessions")
        assert reply.status == 503
        assert "anvilsrv" in reply.json["error"]
    finally:
        lonely.close()


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("no such session 'busy'", 404),
        ("mail: no such session 'x'", 404),
        ("no such directory '/x'", 400),
        ("invalid alias 'a b'", 400),
        ("new: unknown argument 'x=1'", 400),
        ("permission denied: only the user may import", 403),
        ("busy: 'bd-1' waits for 'bd-2'", 409),
        ("not permitted: prompt 1 is running", 409),
        ("not permitted: there is no such branch to merge into", 409),
        ("alias 'x' already exists: it is taken by a3f2b9d1", 409),
        ("i/o error: cannot save: the disk is full", 503),
    ],
)
def test_what_the_daemon_says_is_told_with_its_status(text: str, status: int) -> None:
    assert status_of(P9Error(text)) == status


def test_every_key_of_a_session_is_described(daemon: Daemon) -> None:
    assert set(Session.new(daemon).row) == set(DOCUMENT["components"]["schemas"]["Session"]["properties"])
