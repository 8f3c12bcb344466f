"""A run: a daemon, its sessions and writers, the accidents, and the judgement."""

import random
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from anvilsrv.errors import AnvilError
from tests import scripted
from tests.chaos import judge, load
from tests.chaos.accidents import Accidents, plan
from tests.chaos.disk import Disk, Limit, Small
from tests.conftest import Daemon, Home, wait_until
from tests.session import Session

AGENTS = {"a": "shell", "b": "scripted", "c": "shell", "d": "scripted"}
SETTLE = 120.0  # s in which everything that was accepted must come to its end


def text(kind: str, token: str, slow: bool) -> str:
    """Return a prompt whose answer is its token, or, of a scripted agent, the prompt itself."""
    if kind == "shell":
        return f"{'sleep 1;' * slow} echo {token} | tee -a ran".strip()
    return f"{token}{' slow' * slow}"


class Chaos:
    """One run in ``home``; ``told`` hears what happens."""

    def __init__(self, home: Home, seed: int, small: bool, told: Callable[[str], None]) -> None:
        self._home = home
        self._seed = seed
        self._told = told
        offset = home.top / "offset"
        offset.write_text(f"{0.0:<31}\n")
        self.daemon = Daemon(home, program=("-P", str(Path(__file__).with_name("moved_clock.py")), str(offset)))
        self._disk: Disk = Small(home.home) if small else Limit(self.daemon)
        self._accidents = Accidents(self.daemon, self._disk, offset, told)
        self._ledgers = {name: load.Ledger() for name in AGENTS}
        self._sessions: dict[str, Session] = {}
        self._looked: dict[str, tuple[str, list[judge.Row]]] = {}
        self._over = threading.Event()

    def run(self, seconds: float) -> list[str]:
        """Return what is wrong afterwards."""
        scripted.install(self._home.config)
        self.daemon.start()
        for name, kind in AGENTS.items():
            (self._home.work / name).mkdir()
            scripted.script(self._home.work / name, turns=[{"match": "slow", "delay": 1.0}])
            self._sessions[name] = Session.new(self.daemon, kind, f"alias={name}", cwd=self._home.work / name)
        writers = self._writers()
        for one in writers:
            one.thread.start()
        try:
            self._accidents.run(plan(seconds, self._seed), seconds)
        finally:
            load.end(writers, self._over)
        self._sessions = {name: one.again() for name, one in self._sessions.items()}
        try:
            wait_until(self._settled, "not everything comes to its end", SETTLE)
        except AssertionError as error:
            self._told(f"{error}: {[(one.id, one.row['state'], one.row['held']) for one in self._sessions.values()]}")
        return self._judged()

    def _writers(self) -> list[load.Writer]:
        made: list[load.Writer] = []
        for name, session in self._sessions.items():
            rng = [random.Random(f"{self._seed} {name} {what}") for what in ("prompts", "mail")]
            ledger, others = self._ledgers[name], [one for one in self._sessions if one != name]
            words = lambda token, slow, kind=AGENTS[name]: text(kind, token, slow)  # noqa: E731
            made.append(load.Prompter(session, name, words, ledger, self._over, rng[0]))
            made.append(load.Mailer(session, name, others, ledger, self._over, rng[1]))
        return made

    def _settled(self) -> bool:
        """Return whether all is over, and was when last looked: the end of one session may be mail for one looked at
        before.
        """
        looked = {name: (one.state, judge.rows(one)) for name, one in self._sessions.items()}
        busy = [
            name
            for name, (state, rows) in looked.items()
            if state != "idle" or any(row.state not in judge.OVER for row in rows)
        ]
        for name in busy:
            load.help_on(self._sessions[name].client, self._sessions[name].id)
        same, self._looked = looked == self._looked, looked
        return same and not busy

    def _judged(self) -> list[str]:
        there = {name: judge.found(one, self._home.work / name) for name, one in self._sessions.items()}
        wrong = [what for name, one in there.items() for what in judge.prompts(name, self._ledgers[name], one)]
        wrong += judge.mail(self._ledgers, there)
        wrong += [f"daemon: {line}" for line in self.daemon.words().splitlines() if "internal error" in line]
        states = Counter(row.state for one in there.values() for row in one.rows)
        refused = sum((one.refused for one in self._ledgers.values()), Counter[str]())
        accepted = sum(len(one.accepted) for one in self._ledgers.values())
        self._told(
            f"{accepted} prompts were accepted, {sum(len(one.mailed) for one in self._ledgers.values())} messages taken; "
            f"prompts, with those of mail: {dict(states)}; refused: {dict(refused)}"
        )
        return wrong

    def close(self) -> None:
        """End the daemon and what it started."""
        try:
            for one in self._sessions.values():
                one.write("ctl", "kill")
        except AnvilError as error:
            print(error, file=sys.stderr)
        self.daemon.close()
        self._disk.close()
