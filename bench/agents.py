"""Twelve sessions of all real agents for an hour among people and accidents; see that each prompt has one outcome.

    python bench/agents.py [--minutes 60] [--seed N] [--keep DIRECTORY]

Claude Code, Codex, Gemini CLI and opencode on stand-ins for their services, which answer, fail, hang, use tools and wake their agents.
Half of the sessions ask for permissions, several at once too; a person types into each pane; prompts are interrupted. Every few minutes
the daemon or tmux is killed (-9). At the end every prompt that was accepted has exactly one outcome, the services saw each once, and
what was allowed was run and nothing else.

The seed says what is prompted and when what is killed; agents take their time, so a run with the same seed is like the other and not
the same. Exit status: 0 all is well; 1 not, and what.
"""

import sys
from pathlib import Path

import ended  # noqa: F401

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.accidents import among, arguments, told  # noqa: E402
from tests.conftest import temporary_home  # noqa: E402
from tests.fleet.fleet import Fleet  # noqa: E402


def main() -> int:
    args = arguments("Run all real agents among people and accidents.")
    with temporary_home() as home:
        return among(Fleet(home, args.seed, told), home, args, "prompt")


if __name__ == "__main__":
    sys.exit(main())
