"""An agent that is written with another implementation of the protocol (agent-client-protocol, PyPI).

It repeats its prompt; ``ask`` asks leave for an edit, ``wait`` goes on until it is cancelled."""

import asyncio
import uuid
from typing import Any

import acp
from acp.schema import AgentCapabilities, PermissionOption, ToolCallUpdate

OPTIONS = (("yes", "allow_once"), ("no", "reject_once"))


class Agent(acp.Agent):  # type: ignore[misc]
    """See above."""

    def on_connect(self, conn: Any) -> None:
        self.client = conn
        self.cancelled = asyncio.Event()

    async def initialize(self, protocol_version: int, **kwargs: Any) -> Any:
        return acp.InitializeResponse(
            protocol_version=acp.PROTOCOL_VERSION, agent_capabilities=AgentCapabilities(load_session=True)
        )

    async def new_session(self, cwd: str, mcp_servers: Any = None, **kwargs: Any) -> Any:
        return acp.NewSessionResponse(session_id=str(uuid.uuid4()))

    async def load_session(self, cwd: str, session_id: str, mcp_servers: Any = None, **kwargs: Any) -> Any:
        await self.client.session_update(session_id, acp.update_agent_message_text("OLD"))
        return acp.LoadSessionResponse()

    async def cancel(self, session_id: str, **kwargs: Any) -> None:
        self.cancelled.set()

    async def prompt(self, session_id: str, prompt: list[Any], **kwargs: Any) -> Any:
        self.cancelled.clear()
        text = "".join(one.text for one in prompt if one.type == "text")
        say = lambda words: self.client.session_update(session_id, acp.update_agent_message_text(words))  # noqa: E731
        if text == "wait":
            await say("I wait")
            await self.cancelled.wait()
            return acp.PromptResponse(stop_reason="cancelled")
        if text == "ask":
            text = await self.edit(session_id)
        for piece in (text[: len(text) // 2], text[len(text) // 2 :]):
            await say(piece)
        return acp.PromptResponse(stop_reason="end_turn")

    async def edit(self, session_id: str) -> str:
        """Ask for an edit, and tell it; what was answered."""
        start = acp.start_edit_tool_call("e1", "Edit a.txt", "/w/a.txt", "new\n")
        await self.client.session_update(session_id, start)
        call = ToolCallUpdate(tool_call_id="e1", title="Edit a.txt")
        options = [PermissionOption(option_id=name, name=name, kind=kind) for name, kind in OPTIONS]
        found = await self.client.request_permission(session_id, call, options)
        chosen: str = getattr(found.outcome, "option_id", "cancelled")
        content = [acp.tool_diff_content("/w/a.txt", "new\n", "old\n")]
        await self.client.session_update(
            session_id,
            acp.update_tool_call("e1", status="completed" if chosen == "yes" else "failed", content=content),
        )
        return chosen


asyncio.run(acp.run_agent(Agent()))
