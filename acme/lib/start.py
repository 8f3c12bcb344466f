"""The programs `Kiro` and `Claude`: start a session in a directory, from any acme window or shell."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from acme.lib.agent import Agent
from acme.lib.begin import checked, directory, options
from acme.lib.usage import answered
from anvilsrv.errors import AnvilError, NotFound, Unavailable
from anvilsrv.front.program import anvilsrv


def main(word: str, words: Sequence[str]) -> int:
    """Run ``<word> [directory] [role=R] [tasks=a,b] [alias=N] [branch=B]``; prints ``anvil:<id>``, which can be
    right-clicked.
    """
    if (status := answered(word, "[directory] [role=R] [tasks=a,b] [alias=N] [branch=B]", words)) is not None:
        return status
    try:
        text, wanted = options(" ".join(words))
        where = directory(text or ".", None, os.getcwd())
        print(f"anvil:{begin(word, where, wanted)}")
    except AnvilError as error:
        print(f"{word}: {error}", file=sys.stderr)
        return 1
    return 0


def begin(word: str, where: str, wanted: Sequence[str]) -> str:
    """Return the id of the new session; the daemon is started if it has to be."""
    agent = Agent()
    try:
        try:
            backends = agent.roster()
        except Unavailable:
            worked, said = anvilsrv("start")
            if not worked:
                raise Unavailable(said) from None
            backends = agent.roster()
        backend = backends.backend(word)
        if backend is None:
            raise NotFound(f"no such backend '{word}'")
        return agent.new(checked(backend).name, where, wanted)
    finally:
        agent.forget()
