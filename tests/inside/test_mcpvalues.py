"""Arguments are read as they are meant, and refused in words of ours: by every tool, every prompt and every resource."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from mcp import Client as McpClient
from mcp.shared.exceptions import MCPError
from mcp.types import Request
from pydantic import TypeAdapter

from anvilsrv.errors import Invalid, Unavailable
from anvilsrv.inside.mcpemacs import Emacs
from anvilsrv.inside.mcpserver import TOOLS, build
from anvilsrv.inside.mcptools import Tools
from anvilsrv.inside.mcpvalues import heeded
from anvilsrv.p9.client import Client
from anvilsrv.words import BEAD_TYPES, MAIL_TYPES
from tests.conftest import run_async
from tests.inside.conftest import MODES

WRONG: dict[str, tuple[Any, str]] = {
    "string": (["x"], 'text, not ["x"]'),
    "integer": ("x", 'an integer, not "x"'),
    "number": ("x", 'a number, not "x"'),
    "array": ("x", 'a list, such as ["a", "b"], not "x"'),
    "object": ("x", 'an object, such as {"a": "b"}, not "x"'),
}
"""For each type of the schemas a value that cannot be read so, and what is said of it."""


def alone() -> Tools:
    """Return tools that have no daemon: what is refused before one is asked does not need it."""

    def connect() -> Client:
        raise Unavailable("asked")

    return Tools(connect, "")


def mistakes(schema: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """For each argument of a tool one that cannot be read as its type, and what must be said."""
    for name, one in schema["properties"].items():
        (plain,) = [one for one in one.get("anyOf", [one]) if one.get("type") != "null"]
        value, said = WRONG[plain["type"]]
        if "enum" in plain:
            yield {name: "x"}, f'{name}: must be one of {", ".join(plain["enum"])}, not "x"'
        elif "maximum" in plain:
            yield {name: 99}, f"{name}: must be an integer from {plain['minimum']} to {plain['maximum']}, not 99"
        else:
            yield {name: value}, f"{name}: must be {said}"
    yield {"colour": 1}, f"unknown argument 'colour' (known: {', '.join(schema['properties']) or 'none'})"
    if needed := schema.get("required"):
        known = ", ".join(schema["properties"])
        yield {}, f"missing argument: {', '.join(needed)} (known: {known})"
        yield dict.fromkeys(needed), f"missing argument: {', '.join(needed)} (known: {known})"


@pytest.mark.parametrize("mode", MODES)
def test_every_tool_refuses_an_argument_that_cannot_be_read_with_what_is_wanted(mode: str) -> None:
    async def run() -> set[str]:
        server = build(alone())
        server.hides = tuple
        async with McpClient(server, mode=mode) as client:
            tools = (await client.list_tools()).tools
            for tool in tools:
                for arguments, said in mistakes(tool.input_schema):
                    found = await client.call_tool(tool.name, arguments)
                    assert (found.is_error, found.content[0].text) == (True, f"{tool.name}: {said}")
            return {tool.name for tool in tools}

    assert run_async(run()) == {*TOOLS, *Emacs.TOOLS}


def test_lists_of_values_are_in_the_schemas() -> None:
    async def run() -> dict[str, Any]:
        async with McpClient(build(alone())) as client:
            return {tool.name: tool.input_schema["properties"] for tool in (await client.list_tools()).tools}

    schemas = run_async(run())
    assert schemas["send_message"]["type"]["enum"] == list(MAIL_TYPES)
    assert schemas["bead_new"]["type"]["enum"] == list(BEAD_TYPES)
    assert schemas["set_state"]["state"]["enum"] == ["idle", "running", "stopped", "error"]


DOCS: dict[str, Any] = {"name": "docs"}
REQUESTS: list[tuple[str, dict[str, Any], str]] = [
    ("prompts/get", {"name": "nope"}, "prompts/get: unknown prompt 'nope' (known: dev_review, "),
    ("prompts/get", {}, "prompts/get: missing argument: name"),
    ("prompts/get", DOCS, "docs: missing argument: task, editor (known: task, editor)"),
    ("prompts/get", DOCS | {"arguments": {"task": "a", "editor": None}}, "missing argument: editor ("),
    ("prompts/get", DOCS | {"arguments": {"task": ["a"], "editor": "b"}}, 'task: must be text, not ["a"]'),
    ("prompts/get", DOCS | {"arguments": {"edtor": "b"}}, "unknown argument 'edtor' (known: task, editor)"),
    ("prompts/get", DOCS | {"arguments": "x"}, "arguments: must be an object, such as {"),
    ("resources/read", {"uri": "anvillm://a"}, "unknown resource 'anvillm://a' (known: anvillm://inbox, "),
    ("resources/read", {"uri": "anvillm://a"}, "anvillm://sessions/{session}/conversation)"),
    ("resources/read", {"uri": ["x"]}, 'resources/read: uri: must be text, not ["x"]'),
    ("tools/call", {"name": "read_inbox", "arguments": "x"}, "tools/call: arguments: must be an object"),
    ("tools/call", {"arguments": {}}, "tools/call: missing argument: name"),
]


@pytest.mark.parametrize(("method", "params", "said"), REQUESTS)
def test_requests_that_name_nothing_we_have_are_told_what_there_is(method: str, params: Any, said: str) -> None:
    assert said in request(method, params)


def test_an_unknown_tool_is_answered_with_those_there_are() -> None:
    found = request("tools/call", {"name": "read_mail"})
    assert found["content"][0]["text"].startswith("unknown tool 'read_mail' (known: read_inbox, send_message, ")


@pytest.mark.parametrize("arguments", ["{}", [], None, '{"limit": "3"}', {"limit": ""}, {"limit": "null"}])
def test_arguments_of_sloppy_clients_reach_the_tool(arguments: object) -> None:
    found = request("tools/call", {"name": "read_inbox", "arguments": arguments})
    assert found["content"][0]["text"] == "Error executing tool read_inbox: no AnviLLM here: asked (anvilsrv start)"


Raw = Request[dict[str, Any], str]


def request(method: str, params: dict[str, Any]) -> Any:
    """Return what the server answers to a request with these params, which no client of the SDK would send; or its
    error.
    """

    async def run() -> Any:
        async with McpClient(build(alone()), mode="legacy") as client:
            try:
                return await client.session.send_request(Raw(method=method, params=params), TypeAdapter(dict[str, Any]))
            except MCPError as error:
                return str(error)

    return run_async(run())


@pytest.mark.parametrize(
    ("kind", "given", "meant"),
    [
        ("string", 5, "5"),
        ("string", "null", "null"),
        ("string", "", ""),
        ("integer", " 5 ", 5),
        ("integer", "5.0", 5),
        ("integer", -5.0, -5),
        ("number", "0.5", 0.5),
        ("number", 3, 3),
        ("boolean", "True", True),
        ("boolean", False, False),
        ("array", '["a", 1]', ["a", "1"]),
        ("object", '{"a": [1]}', {"a": [1]}),
    ],
)
def test_a_value_is_read_as_it_is_meant(kind: str, given: object, meant: object) -> None:
    schema = {"properties": {"one": {"type": kind, "items": {"type": "string"}}}}
    found = heeded(schema, {"one": given})["one"]
    assert (found, type(found)) == (meant, type(meant))


@pytest.mark.parametrize(
    ("kind", "given", "said"),
    [
        ("string", True, "text, not true"),
        ("integer", True, "an integer, not true"),
        ("integer", 1.5, "an integer, not 1.5"),
        ("integer", 2**63, f"an integer, not {2**63}"),
        ("integer", "9" * 5000, f'an integer, not "{"9" * 59}…'),
        ("number", "nan", 'a number, not "nan"'),
        ("number", float("inf"), "a number, not Infinity"),
        ("boolean", "yes", 'true or false, not "yes"'),
        ("boolean", 1, "true or false, not 1"),
        ("array", "a, b", 'a list, such as ["a", "b"], not "a, b"'),
        ("array", "[" * 100_000, 'a list, such as ["a", "b"], not "['),
        ("object", [1], 'an object, such as {"a": "b"}, not [1]'),
    ],
)
def test_a_value_that_cannot_be_read_is_refused_with_what_is_wanted(kind: str, given: object, said: str) -> None:
    with pytest.raises(Invalid) as refused:
        heeded({"properties": {"one": {"type": kind}}}, {"one": given})
    assert str(refused.value).startswith(f"one: must be {said}")


def test_a_wrong_item_of_a_list_is_named() -> None:
    schema = {"properties": {"labels": {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]}}}
    with pytest.raises(Invalid, match=r"^labels\[1\]: must be text, not \{\"a\": 1\}$"):
        heeded(schema, {"labels": ["a", {"a": 1}]})
    assert heeded(schema, {"labels": None}) == {}


def test_half_of_a_surrogate_pair_is_refused_in_words() -> None:
    schema: dict[str, Any] = {"properties": {"title": {}, "labels": {}}}
    for arguments in ({"title": "a\ud800"}, {"labels": ["\udfff"]}, {"labels": [{"a": "\ud800"}]}):
        with pytest.raises(Invalid, match="unpaired surrogate"):
            heeded(schema, arguments)
    assert heeded(schema, {"title": "\U0001f600", "labels": None}) == {"title": "\U0001f600"}
