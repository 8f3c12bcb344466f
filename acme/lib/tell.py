"""The program `Tell`: what comes on standard input is a prompt. In acme ``>Tell rev`` gives it the selection, of any size.

acme tells the programs that it runs the number of their window (``winid``), and its name (``%``).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from acme.lib.acme import Acme
from acme.lib.agent import Agent
from acme.lib.usage import answered
from anvilsrv.errors import AnvilError, Invalid


def main(words: Sequence[str]) -> int:
    """Run ``Tell <id> [words ...]``: the words come first, then where the text is from, then the text."""
    if (status := answered("Tell", "id [words]...", words)) is not None:
        return status
    agent = Agent()
    try:
        if not words:
            raise Invalid("which session? >Tell id")
        session = agent.roster().get(words[0])
        text = sys.stdin.buffer.read().decode("utf-8", "replace")
        if not text.strip():
            raise Invalid(f"nothing to send to {session.label}: select a text first")
        where = source()
        said = [" ".join(words[1:]), f"From {where}" if where else "", text.rstrip("\n")]
        agent.prompt(session.id, "\n\n".join(part for part in said if part))
    except AnvilError as error:
        print(f"Tell: {error}", file=sys.stderr)
        return 1
    finally:
        agent.forget()
    return 0


def source() -> str:
    """Return the window that this was given in, and its selection: ``/a/x.go:#12,#80``. Empty outside of acme."""
    number, name = os.environ.get("winid", ""), os.environ.get("%", "")  # noqa: SIM112
    if not number.isdecimal():
        return name
    try:
        acme = Acme.dial()
        try:
            q0, q1 = acme.window(int(number)).dot()
        finally:
            acme.close()
    except AnvilError:
        return name  # the text is what counts
    return f"{name}:#{q0},#{q1}"
