"""Deliver prompts of every shape to an agent in whose pane a person works, and see that each has one outcome, and a true one.

    python bench/deliveries.py [--prompts 500] [--huge 4] [--agent scripted] [--seed N] [--pace 1]

The person turns the wheel, types half lines and takes them back, answers questions, and resizes the window. Agents: scripted
(tests/scripted), or with a stand-in for their service claude, codex, gemini, opencode. ANVILLM_TEST_TMUX names the directory of another
tmux. The same for some prompts is tests/daemon/test_deliveries.py.
Exit status: 0 all is well; 1 not, and what.
"""

import argparse
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import ended  # noqa: F401

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
if os.environ.get("ANVILLM_TEST_TMUX"):
    os.environ["PATH"] = os.environ["ANVILLM_TEST_TMUX"] + os.pathsep + os.environ["PATH"]

from anvilsrv.backends.backend import Backend  # noqa: E402
from anvilsrv.backends.registry import Backends  # noqa: E402
from tests.conftest import Daemon, temporary_home  # noqa: E402
from tests.deliveries.run import deliver  # noqa: E402
from tests.deliveries.shapes import texts  # noqa: E402
from tests.real_agents.model import heard  # noqa: E402
from tests.scripted import BACKEND, install, script, seen  # noqa: E402
from tests.session import Session  # noqa: E402

SLOW = {**BACKEND["input"], "settle": 0.3}  # s between paste and Enter in which a person can type, as with real agents
TURNS = [{"match": "is a number", "ask": "really?"}, {"match": "0n", "delay": 0.3}]


@contextmanager
def scripted() -> Iterator[tuple[Session, Backend, Callable[[], list[str]]]]:
    with temporary_home() as home:
        install(home.config, input=SLOW)
        script(home.work, turns=TURNS)
        daemon = Daemon(home)
        try:
            agent = Session.new(daemon.start(), "scripted")
            backend = Backends(home.config / "backends").get("scripted")
            yield agent, backend, lambda: [one["text"] for one in seen(home.work, "turn")]
        finally:
            daemon.close()


@contextmanager
def real(kind: str) -> Iterator[tuple[Session, Backend, Callable[[], list[str]]]]:
    from tests.real_agents.conftest import a_bench
    from tests.real_agents.golden import SHIPPED

    with a_bench(kind) as bench:
        yield bench.new(), SHIPPED.get(kind), bench.model.prompts


def main() -> int:
    parser = argparse.ArgumentParser(description="Deliver prompts of every shape while a person works in the pane.")
    parser.add_argument("--prompts", type=int, default=500, help="how many (default 500)")
    parser.add_argument("--huge", type=int, default=4, help="how many of them have a megabyte (default 4)")
    parser.add_argument("--agent", default="scripted", choices=("scripted", "claude", "codex", "gemini", "opencode"))
    parser.add_argument(
        "--seed", type=int, default=random.randrange(1 << 30), help="of all that is by chance (default: another)"
    )
    parser.add_argument(
        "--pace", type=float, default=0.3, help="seconds between what the person does, at most (default 0.3)"
    )
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    began = time.monotonic()
    with scripted() if given.agent == "scripted" else real(given.agent) as (agent, backend, taken):
        progress = lambda number: print(f"\r{number}", end="", file=sys.stderr, flush=True)  # noqa: E731
        answer, made = (str if given.agent == "scripted" else heard), texts(given.prompts, given.seed, given.huge)
        result = deliver(agent, backend, made, given.seed, taken, answer, given.pace, progress)
        screen, words = agent.screen, agent.daemon.words()
    print(
        f"\r{len(result.outcomes)} prompts to {given.agent} in {time.monotonic() - began:.0f} s; the person: {dict(result.did)}"
    )
    for what, count in result.counts().most_common():
        print(f"{count:6} {what}")
    if result.wrong:
        print(f"WRONG with --agent {given.agent} --seed {given.seed} --pace {given.pace:g}:", file=sys.stderr)
        print("\n".join([*result.wrong[:50], screen.rstrip(), words[-2000:]]), file=sys.stderr)
    return 1 if result.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
