"""The program itself, over standard input and output: with the SDK's client, and with the inspector of MCP."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mcp import Client as McpClient
from mcp import StdioServerParameters

from anvilsrv import __version__
from anvilsrv.inside.mcplines import refusal
from anvilsrv.inside.mcpserver import TOOLS
from tests.conftest import ROOT, run_async
from tests.inside.conftest import MODES, Desk
from tests.session import Session

PROGRAM = [sys.executable, "-m", "anvilsrv.inside.mcpserver"]
INSTALL = "npm install --no-save node@22 @modelcontextprotocol/inspector@2"


@pytest.mark.parametrize("mode", MODES)
def test_a_client_starts_the_program_and_calls_a_tool(desk: Desk, mode: str) -> None:
    async def run() -> tuple[str, str]:
        server = StdioServerParameters(command=PROGRAM[0], args=PROGRAM[1:], env=desk.daemon.home.env)
        async with McpClient(server, mode=mode) as client:
            found = await client.call_tool("list_sessions", {})
            return found.structured_content["me"], client.server_info.version

    assert run_async(run()) == ("user", __version__)


def test_who_waits_for_an_answer_is_told_what_the_session_does(desk: Desk) -> None:
    heard: list[str | None] = []
    agent = Session.new(desk.daemon, "shell", "alias=sleeper")
    go = desk.daemon.home.work / "go"

    async def progress(progress: float, total: float | None, message: str | None) -> None:
        heard.append(message)
        go.touch()

    async def run() -> str:
        server = StdioServerParameters(command=PROGRAM[0], args=PROGRAM[1:], env=desk.daemon.home.env)
        async with McpClient(server) as client:
            agent.prompt("echo one; while [ ! -e go ]; do sleep 0.1; done; echo done")
            found = await client.call_tool(
                "read_output", {"session": "sleeper", "wait": 30}, progress_callback=progress
            )
            return str(found.structured_content["response"])

    assert run_async(run()) == "one\ndone\n"
    assert "running" in heard


def cpu_seconds(pid: int) -> float:
    """Return what a process used so far; unlike the clock it does not depend on what else runs here."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_the_program_is_ready_soon_and_ends_with_its_input(desk: Desk) -> None:
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    request = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}
    with subprocess.Popen(
        PROGRAM, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=desk.daemon.home.env
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())
        assert cpu_seconds(process.pid) < 5  # about 1 s; a client gives up after 30 to 60 s of the clock
        assert answer["result"]["serverInfo"]["name"] == "anvillm"
        process.stdin.close()
        assert process.wait(60) == 0


@pytest.mark.parametrize(
    ("line", "known", "code", "why"),
    [
        ("nonsense", None, -32700, "invalid JSON"),
        ('{"jsonrpc": "2.0", "id": 7, "meth', None, -32700, "invalid JSON"),
        ('[{"jsonrpc": "2.0", "id": 7, "method": "ping"}]', None, -32600, "batches are not taken"),
        ('"ping"', None, -32600, "an object is expected"),
        ('{"id": 7, "method": "ping"}', 7, -32600, 'jsonrpc must be "2.0"'),
        ('{"jsonrpc": "2.0", "id": "a", "method": 7}', "a", -32600, "method must be a string"),
        ('{"jsonrpc": "2.0", "id": 7, "method": "ping", "params": [1]}', 7, -32600, "params must be an object"),
        ('{"jsonrpc": "2.0", "id": [], "method": "ping"}', None, -32600, "id must be a string or a number"),
        ('{"jsonrpc": "2.0", "id": null, "method": "ping"}', None, -32600, "id must be a string or a number"),
        ('{"jsonrpc": "2.0", "id": 7}', None, -32600, "a method, a result or an error is expected"),
        ("[" * 100_000, None, -32700, "invalid JSON"),
    ],
)
def test_what_is_not_json_rpc_is_answered_with_the_reason(line: str, known: object, code: int, why: str) -> None:
    found = refusal(line)
    assert found is not None
    assert (found.id, found.error.code) == (known, code)
    assert why in found.error.message


def test_a_line_that_is_not_json_rpc_gets_an_answer_and_the_next_one_too(desk: Desk) -> None:
    ping = json.dumps({"jsonrpc": "2.0", "id": 2, "method": "ping"})
    with subprocess.Popen(
        PROGRAM, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=desk.daemon.home.env
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(f"nonsense\n\n{ping}\n")
        process.stdin.flush()
        answers = [json.loads(process.stdout.readline()) for _ in range(2)]
        process.stdin.close()
        assert process.wait(60) == 0
    wrong, right = sorted(answers, key=lambda one: "error" not in one)
    assert (wrong["id"], wrong["error"]["code"], right) == (None, -32700, {"jsonrpc": "2.0", "id": 2, "result": {}})


def test_half_of_a_surrogate_pair_gets_an_answer(desk: Desk) -> None:
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    call = r'{"name": "bead_new", "arguments": {"title": "a\\ud800 \ud83d\ude00 \udfff"}}'
    lines = [
        json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}),
        json.dumps({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        '{"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": ' + call + "}",
    ]
    with subprocess.Popen(
        PROGRAM, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=desk.daemon.home.env
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write("\n".join(lines) + "\n")
        process.stdin.flush()
        process.stdout.readline()
        answer = json.loads(process.stdout.readline())
        process.stdin.close()
        assert process.wait(60) == 0
    bead = answer["result"]["structuredContent"]["bead"]
    assert json.loads(desk.user.read(f"beads/{bead}/json"))["title"] == "a\\ud800 \U0001f600 \ufffd"


@pytest.mark.parametrize(("words", "status"), [(["--version"], 0), (["--help"], 0), (["--nonsense"], 2)])
def test_the_command_line_answers_without_serving(words: list[str], status: int) -> None:
    done = subprocess.run([*PROGRAM, *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == status
    assert "anvilmcp" in done.stdout + done.stderr


@pytest.fixture
def inspector() -> str:
    """The PATH on which the inspector and a node new enough for it are found."""
    path = f"{ROOT / 'node_modules/.bin'}:{os.environ['PATH']}"
    if shutil.which("mcp-inspector", path=path) is None:
        pytest.skip(f"the inspector of MCP is not installed: {INSTALL}")
    return path


def inspect(desk: Desk, path: str, *words: str) -> dict:
    env = desk.daemon.home.env | {"PATH": path}
    space = ["-e", f"NAMESPACE={desk.daemon.home.namespace}"]
    argv = ["mcp-inspector", "--cli", "--connect-timeout", "60000", *space, *PROGRAM, *words]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=90, env=env, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def test_the_inspector_finds_no_fault_with_the_tools(desk: Desk, inspector: str) -> None:
    found = inspect(desk, inspector, "--method", "tools/list", "--strict")
    assert [tool["name"] for tool in found["tools"]] == list(TOOLS)


@pytest.mark.slow(5)
def test_the_inspector_calls_tools(desk: Desk, inspector: str) -> None:
    call = ["--method", "tools/call", "--tool-name"]
    made = inspect(desk, inspector, *call, "bead_new", "--tool-arg", "title=by the inspector", "priority=0")
    bead = made["structuredContent"]["bead"]
    assert inspect(desk, inspector, *call, "bead_claim", "--tool-arg", f"bead={bead}")["structuredContent"] == {
        "bead": bead
    }
    shown = inspect(desk, inspector, *call, "bead_show", "--tool-arg", f"bead={bead}")["structuredContent"]
    assert (shown["title"], shown["assignee"]) == ("by the inspector", "user")


def test_the_client_of_the_typescript_sdk_lists_and_calls(desk: Desk, tmp_path: Path) -> None:
    if not (ROOT / "node_modules/@modelcontextprotocol/client").is_dir() or shutil.which("node") is None:
        pytest.skip("the TypeScript SDK of MCP is not installed: npm install --no-save @modelcontextprotocol/client@2")
    (tmp_path / "node_modules").symlink_to(ROOT / "node_modules")  # where its libraries are looked for
    script = shutil.copy(ROOT / "tests/inside/client.mjs", tmp_path)
    done = subprocess.run(
        ["node", script, *PROGRAM], capture_output=True, text=True, timeout=90, env=desk.daemon.home.env
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["tools"] == list(TOOLS)
    assert json.loads(desk.user.read(f"beads/{found['made']['bead']}/json"))["title"] == "by TypeScript"
    assert found["sessions"]["me"] == "user"
    assert "nonsense" in found["refused"]
    assert found["prompts"] and found["resources"]
