"""A run: a daemon, twelve sessions of all real agents, those who work with them, accidents, and the judgement."""

import json
import os
import random
import signal
import subprocess
import threading
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from anvilsrv.errors import AnvilError
from anvilsrv.sessions.conversation import BEGINS, ENDS
from tests.chaos import judge, load
from tests.conftest import Daemon, Home, wait_until
from tests.fleet.work import TOKEN, Answerer, Person, Prompter, allowed, emptied, shapes
from tests.real_agents import conftest
from tests.real_agents.model import Ask
from tests.session import Session

AGENTS = {name: ("claude", "codex", "gemini", "opencode")[n % 4] for n, name in enumerate("abcdefghijkl")}
KINDS = {
    "claude": conftest.claude_with_a_key, "codex": conftest.codex_with_a_provider, "gemini": conftest.gemini_with_a_key,
    "opencode": conftest.opencode_with_a_provider,
}  # fmt: skip
ASKS = "bdfhgck"  # those that ask for permissions
SETTLE = 300.0  # s in which everything that was accepted must come to its end
EVERY = {"daemon": 150.0, "tmux": 240.0}  # s between kills, on average


class Fleet:
    """One run in ``home``; ``told`` hears what happens."""

    def __init__(self, home: Home, seed: int, told: Callable[[str], None]) -> None:
        self._home = home
        self._seed = seed
        self._told = told
        self._stack = ExitStack()
        self.services = {
            kind: self._stack.enter_context(contextmanager(prepared)(home)) for kind, prepared in KINDS.items()
        }
        self.daemon = Daemon(home)
        self._ledgers = {name: load.Ledger() for name in AGENTS}
        self._typed = {name: load.Ledger() for name in AGENTS}
        self._sessions: dict[str, Session] = {}
        self._over = threading.Event()
        self._answers: Counter[str] = Counter()
        self._starts: dict[str, list[int]] = {
            kind: [] for kind in KINDS
        }  # how many requests came before each kill of tmux

    def run(self, seconds: float) -> list[str]:
        """Return what is wrong afterwards."""
        roles = self._home.config / "roles"
        roles.mkdir(parents=True, exist_ok=True)
        (roles / "careful.yaml").write_text('permissions: ask\nfilesystem: {rwx: ["{CWD}", "{TMPDIR}"]}\n')
        self.daemon.start()
        for name, kind in AGENTS.items():
            (self._home.work / name).mkdir()
            options = [f"alias={name}", *(["role=careful"] if name in ASKS else [])]
            self._sessions[name] = Session.starting(self.daemon, kind, *options, cwd=self._home.work / name)
        for name, one in self._sessions.items():
            one.patience = SETTLE
            self._told(f"{name} ({AGENTS[name]}) {one.wait('idle')}")
        writers = self._writers()
        for writer in writers:
            writer.thread.start()
        try:
            self._accidents(seconds)
        finally:
            load.end(writers, self._over)
        self._sessions = {name: one.again() for name, one in self._sessions.items()}
        return [*self._settle(), *self._judged()]

    def _writers(self) -> list[load.Writer]:
        made: list[load.Writer] = []
        for name, session in self._sessions.items():
            rng = [random.Random(f"{self._seed} {name} {n}") for n in range(3)]
            kind, ledger = AGENTS[name], self._ledgers[name]
            release = self.services[kind].model.release
            made.append(Prompter(session, name, shapes(kind, name in ASKS), release, ledger, self._over, rng[0]))
            made.append(Answerer(session, load.Ledger(refused=self._answers), self._over, rng[1]))
            made.append(Person(session, name, self._typed[name], self._over, rng[2]))
        return made

    # -- accidents ------------------------------------------------------------------------------------------------------

    def _accidents(self, seconds: float) -> None:
        began, rng = time.monotonic(), random.Random(self._seed)
        planned = sorted(
            (rng.uniform(20.0, max(30.0, seconds - 20.0)), what)
            for what, every in EVERY.items()
            for _ in range(max(1, round(seconds / every)))
        )
        for at, what in [*planned, (seconds, "end")]:
            threading.Event().wait(max(0.0, began + at - time.monotonic()))
            self._told(f"{time.monotonic() - began:6.1f} s: {what}")
            if what == "daemon":
                self.daemon.kill()
                self._start_again()
            elif what == "tmux":
                self._kill_tmux()

    def _start_again(self) -> None:
        """A machine on which twelve agents start is slow."""
        try:
            self.daemon.start()
        except AssertionError:
            if self.daemon.process is None or self.daemon.process.poll() is not None:
                raise
            wait_until(self._serves, "the daemon does not serve", SETTLE)

    def _serves(self) -> bool:
        try:
            self.daemon.client().read("list")
        except AnvilError:
            return False
        return True

    def _kill_tmux(self) -> None:
        argv = ["tmux", "-S", str(self._home.namespace / "anvillm.tmux"), "display-message", "-p", "#{pid}"]
        pid = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30).stdout.strip()
        if pid.isdecimal():
            os.kill(int(pid), signal.SIGKILL)
            for kind, service in self.services.items():
                self._starts[kind].append(len(service.model.asks))

    # -- the end --------------------------------------------------------------------------------------------------------

    def _settle(self) -> list[str]:
        """Wait for everything to come to its end; what does not."""
        for service in self.services.values():
            service.model.close()  # what a model holds goes on
        try:
            wait_until(self._settled, "not everything comes to its end", SETTLE)
        except AssertionError:
            return [f"{name} does not settle: {shown(one)}" for name, one in self._sessions.items() if not settled(one)]
        return []

    def _settled(self) -> bool:
        over = True
        for one in self._sessions.values():
            if not settled(one):
                over = False
                load.help_on(one.client, one.id)
                emptied(one, one.row["held"])
                for line in one.read("ask").splitlines():
                    number = line.split('"id":"')[1].split('"')[0]
                    with_token = TOKEN.search(line)
                    choice = "allow" if with_token is not None and allowed(with_token[0]) else "deny"
                    one.write("answer", f"{number} {choice}")
        return over

    def _judged(self) -> list[str]:
        wrong, states = [], Counter[str]()
        seen = {kind: saw(service.model.asks, self._starts[kind]) for kind, service in self.services.items()}
        heard = {kind: answered(service.model.asks) for kind, service in self.services.items()}
        for name, session in self._sessions.items():
            rows = judge.rows(session)
            texts = {row.number: session.read(f"turns/{row.number}/prompt") for row in rows}
            states.update(row.state for row in rows)
            cwd = self._home.work / name
            wrong += outcomes(name, self._ledgers[name], rows, texts, seen[AGENTS[name]])
            over = {row.number: row.state for row in rows}
            wrong += answers(name, self._ledgers[name], cwd, over, heard[AGENTS[name]])
            wrong += typed(name, self._typed[name], seen[AGENTS[name]])
        wrong += [f"daemon: {line}" for line in self.daemon.words().splitlines() if "internal error" in line]
        accepted = sum(len(one.accepted) for one in self._ledgers.values())
        self._told(f"{accepted} prompts were accepted; outcomes: {dict(states)}; answers: {dict(self._answers)}")
        return wrong

    def close(self) -> None:
        """End the daemon and what it started, then the services."""
        for one in self._sessions.values():
            try:
                one.again().write("ctl", "kill")
            except (AnvilError, StopIteration) as error:
                self._told(f"{one.id}: {error}")
        self.daemon.close()
        self._stack.close()


def settled(session: Session) -> bool:
    """Return whether nothing is left to be done."""
    return session.state == "idle" and all(row.state in judge.OVER for row in judge.rows(session))


def shown(session: Session) -> str:
    """Return what is known of a session that does not settle."""
    row = session.row
    waiting = [one for one in judge.rows(session) if one.state not in judge.OVER]
    return f"{row['state']}, held {row['held']!r}, error {row['error']!r}, {waiting}\n{session.screen.rstrip()}"


def saw(asks: Sequence[Ask], starts: Sequence[int]) -> Counter[str]:
    """Return how often a service was asked each prompt; of a log that was carried over nothing counts.

    An agent repeats what it asked, as after an error: it is the same conversation, with as many mentions of each prompt in it, of the
    same process (before which of ``starts``, numbers of requests, it was). A prompt that was typed twice is mentioned once more; one
    that came together with what was typed after it is only mentioned.
    """
    found: Counter[str] = Counter()
    mentioned: set[str] = set()
    known: set[tuple[int, str, frozenset[str], frozenset[tuple[str, int]]]] = set()
    for at, ask in enumerate(asks):
        if ask.side or ask.results:
            continue
        mark, tokens = BEGINS in ask.prompt, newest(ask)
        mentions = Counter(TOKEN.findall(json.dumps(ask.raw).replace("\\n", " ")))
        for letter in {token[1] for token in tokens}:
            mine = frozenset(token for token in tokens if token[1] == letter)
            said = frozenset((token, many) for token, many in mentions.items() if token[1] == letter)
            one = (bisect_right(starts, at), letter, mine, said)
            if one not in known:
                found.update(token for token in mine if token in mentioned and token not in found)
                found.update(mine)
            known.add(one)
        mentioned.update(mentions if not mark else ())
    found.update(token for token in mentioned if token not in found)
    return found


def newest(ask: Ask) -> set[str]:
    """Return the prompts that are asked last; of a log that was carried over nothing counts."""
    before, mark, rest = ask.prompt.partition(BEGINS)
    return set(TOKEN.findall(before + rest.partition(ENDS)[2] if mark else ask.prompt))


def answered(asks: Sequence[Ask]) -> set[str]:
    """Return the prompts that a service answered: of what comes together with a line that a person typed, that line is answered."""
    return {token for ask in asks if not ask.side and not ask.results for token in newest(ask)}


def outcomes(
    name: str, ledger: load.Ledger, rows: list[judge.Row], texts: dict[int, str], seen: Counter[str]
) -> Iterator[str]:
    """Yield what is wrong with the prompts of a session."""
    states: dict[str, list[judge.Row]] = {}
    for row in rows:
        token = TOKEN.search(texts[row.number]) if row.origin == "queue" else None
        if token:
            states.setdefault(token[0], []).append(row)
        if row.state not in judge.OVER:
            yield f"{name}: prompt {row.number} is {row.state} for ever: {row.words}"
    for row in rows:
        token = TOKEN.search(texts[row.number])
        known = states.get(token[0], []) if token else []
        gone = any(one.state == "failed" for one in known)  # before the agent said that it had it
        if row.origin == "typed" and re_ours(texts[row.number]) and not gone:
            yield f"{name}: prompt {row.number} counts as typed by a person: {row.words}"
    for token in ledger.sent:
        known, times = states.get(token, []), seen[token]
        outcome = known[0].state if known else "nothing"
        if len(known) > 1 or (not known and token in ledger.accepted):
            yield f"{name}: {token} was accepted and has {len(known)} outcomes"
        if known and ledger.numbers.get(token, known[0].number) != known[0].number:
            yield f"{name}: {token} was told {ledger.numbers[token]} as its number and has {known[0].number}"
        if times > 1 or (outcome == "done" and times != 1):
            yield f"{name}: {token} is {outcome} and its service saw it {times} times: {ledger.sent[token][:80]!r}"


def re_ours(text: str) -> bool:
    """Return whether a text is one of a prompter's, and nothing else."""
    token = TOKEN.search(text)
    return token is not None and token[0].startswith("p") and "typed t" not in text


def answers(name: str, ledger: load.Ledger, cwd: Path, states: dict[int, str], heard: Container[str]) -> Iterator[str]:
    """Yield what was run although it was denied, or twice, or not although it was allowed and its service ``heard`` of it."""
    for file in ("ran", "ran2"):
        ran = Counter((cwd / file).read_text().split()) if (cwd / file).exists() else Counter[str]()
        for token, times in ran.items():
            if times > 1 or (name in ASKS and not allowed(token)):
                yield f"{name}: {token} was {'allowed' if allowed(token) else 'denied'} and run {times} times ({file})"
        for token, text in ledger.sent.items():
            wants = f">> {file}" in text and f'>> {file}"' in text and allowed(token) and token in heard
            if wants and states.get(ledger.numbers.get(token, 0)) == "done" and not ran[token]:
                yield f"{name}: {token} was allowed, is done, and was not run ({file})"


def typed(name: str, ledger: load.Ledger, seen: Counter[str]) -> Iterator[str]:
    """Yield what a person typed that came twice."""
    yield from (f"{name}: {token}, typed, was seen {seen[token]} times" for token in ledger.sent if seen[token] > 1)
