"""What may happen in a random run, as data: one row for each thing that the agent, the person, the user or the machine may do.

``LIMITS`` is the one place that says what is left out, since today's table cannot hold it. Who mends that lifts the limit.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from anvilsrv.sessions.machine import Status
from anvilsrv.sessions.state import State
from tests.sessions.model import invariants
from tests.sessions.model.pane import KINDS, Kind
from tests.sessions.model.typist import BEFORE
from tests.sessions.model.world import REPORTS_FIRST, REPORTS_LAST, World


@dataclass
class Limits:
    """What happens in random runs. The numbers are those of the stories in ``test_turns_machine.py``."""

    rewrites: bool = False  # 1: an agent reports other words than it was given
    dies_untold: bool = False  # 2, 9: an agent ends before its reports are in, or without any
    adds_keys: bool = False  # 3, 10: a person types into our text, or half a line before our Enter
    fails_unasked: bool = False  # 4, 5, 11: a failure is reported while a prompt is on its way
    enters_ours: bool = False  # 6: a person presses Enter on our text once something else came first
    late: bool = False  # 6: a report comes later than the typist waits for it
    overtakes: bool = False  # 7, 8, 9: an end is heard before its submit, or an older report after our paste
    reply_lost: bool = False  # 12: the daemon is killed between the row and the reply that hands mail over
    silent: bool = (
        False  # 8: where the agent does not tell what was submitted, it may be something else than what is on its way
    )
    untitled: bool = (
        False  # what a title alone tells is believed some time later, and something else begins before that
    )
    most_pastes: int = 1000  # of one prompt; 2 once they are counted


LIMITS = Limits()


class Move(NamedTuple):
    """``do(world, choice)`` with one of the ``choices``, ``when`` it can happen, and only once ``limit`` is lifted.

    ``weight``: how often in a walk, beside the others.
    """

    name: str
    when: Callable[[World], object]
    do: Callable[[World, Any], object]
    choices: tuple[Any, ...] = (None,)
    weight: int = 2
    limit: str = ""

    @property
    def allowed(self) -> bool:
        return not self.limit or bool(getattr(LIMITS, self.limit))


def at_ease(world: World) -> bool:
    """Whether a person's keys cannot get among ours, nor be taken for ours."""
    ours = any(piece.prompt for piece in world.pane.box)
    apart = LIMITS.adds_keys or (world.typist.at in ("", *BEFORE) and not ours)
    return world.pane.alive and apart and (world.pane.kind.text or LIMITS.silent)


def may_enter(world: World) -> bool:
    """Whether a person's prompt is none that today's table takes for another."""
    pane = world.pane
    untold = not pane.kind.line and bool(world.view.in_turn) and pane.turn is None
    ours = {piece.prompt for piece in pane.box} - {0}
    expected = world.view.on_its_way and ours == {world.view.prompt} and not pane.coming
    return (
        (LIMITS.untitled or not untold)
        and (LIMITS.enters_ours or not ours or expected)
        and (LIMITS.silent or pane.kind.text or bool(ours))
    )


def may_interrupt(world: World) -> bool:
    status = world.view.status if world.view.state == State.RUNNING else None
    return status is not None and (world.pane.kind.text or LIMITS.silent or status in (Status.CHOSEN, Status.TAKEN))


def go_on(world: World, choice: tuple[int, str]) -> None:
    steps, order = choice
    while steps and world.step(lambda: world.goes_on(order)):
        steps -= 1
        invariants.check(world, LIMITS.most_pastes)


def kill(world: World, when: str) -> None:
    world.ledger.cut = when == LATER
    if not world.ledger.cut:
        world.kill()


def killed_in_reply(world: World) -> None:
    world.ledger.cut = True
    world.report()


def mail(world: World, who: str) -> None:
    world.mail(world.session if who == "itself" else "user")


GO_ON = (
    (1, REPORTS_LAST),
    (2, REPORTS_LAST),
    (5, REPORTS_LAST),
    (2, REPORTS_FIRST),
    (5, REPORTS_FIRST),
    (13, REPORTS_FIRST),
)
NOW, LATER = "now", "after the next commit"
MOVES: tuple[Move, ...] = (
    Move("things go on", lambda w: True, go_on, GO_ON, 12),
    Move("the typist does a step", lambda w: w.typist.due(LIMITS.late), lambda w, lost: w.typist.step(lost), (False, False, True), 6),
    Move("a report comes", lambda w: w.pane.reports, lambda w, _: w.report(), weight=4),
    Move("a report overtakes", lambda w: len(w.pane.reports) > 1, lambda w, _: w.report(1), limit="overtakes"),
    Move("a hook waits no longer", lambda w: w.pane.held_up, lambda w, _: w.pane.gives_up(), limit="late"),
    Move("the daemon is killed", lambda w: True, kill, (NOW, LATER)),
    Move("the daemon is killed as it replies to the end of a turn", lambda w: w.pane.reports and w.pane.reports[0].kind == "stop",
         lambda w, _: killed_in_reply(w), limit="reply_lost"),
    Move("the daemon is killed and hooks take longer", lambda w: True, lambda w, _: w.kill(spooled=False), limit="late"),
    # the user
    Move("a prompt is written", lambda w: w.view.live, lambda w, _: w.write(), weight=3),
    Move("a request is mailed", lambda w: True, mail, ("user", "user", "itself")),
    Move("a message is completed", lambda w: w.inbox(), lambda w, _: w.complete(), weight=1),
    Move("the turn is interrupted", may_interrupt, lambda w, _: w.interrupt()),
    Move("the session is stopped", lambda w: True, lambda w, _: w.stop(), weight=1),
    Move("the session is restarted", lambda w: True, lambda w, _: w.restart(), weight=1),
    Move("the limit is over", lambda w: w.view.held, lambda w, _: w.release()),
    Move("the session is killed", lambda w: len(w.prompts()) > 5, lambda w, _: w.end(), weight=1),
    # the person
    Move("a person types", at_ease, lambda w, _: w.types()),
    Move("a person types and presses Enter", lambda w: at_ease(w) and may_enter(w), lambda w, _: w.types(enter=True)),
    Move("a person presses Enter", lambda w: w.pane.box and may_enter(w), lambda w, _: w.pane.enters()),
    Move("a person clears the input", lambda w: w.pane.box, lambda w, _: w.pane.clears(), weight=1),
    Move("a person presses Escape", lambda w: w.pane.turn, lambda w, back: w.pane.escapes(back), (False, True), 1),
    # the agent
    Move("its title is believed", lambda w: not w.pane.kind.line and w.view.in_turn and w.pane.turn is None and not w.pane.coming,
         lambda w, _: w.titled()),
    Move("the agent begins", lambda w: w.pane.can_begin, lambda w, _: w.pane.begins(), weight=4),
    Move("the agent begins with other words", lambda w: w.pane.can_begin, lambda w, says: w.pane.begins(says), ("[Image #1]",),
         limit="rewrites"),
    Move("the turn ends", lambda w: w.pane.can_end, lambda w, _: w.pane.ends(), weight=4),
    Move("the turn fails", lambda w: w.pane.can_end, lambda w, _: w.pane.fails()),
    Move("the agent fails unasked", lambda w: w.pane.alive, lambda w, _: w.pane.fails(), limit="fails_unasked"),
    Move("the agent dies", lambda w: w.can_die, lambda w, status: w.pane.dies(status), (0, 1, 137)),
)  # fmt: skip


def can(world: World, move: Move) -> bool:
    """Whether it may happen now. To a session that was killed nothing happens but to its daemon."""
    return move.allowed and bool(move.when(world)) if not world.gone else move.do is kill


def do(world: World, move: Move, choice: Any) -> None:
    """Let it happen, and see that what must hold holds."""
    if not LIMITS.reply_lost and world.pane.reports and world.pane.reports[0].kind == "stop":
        world.ledger.cut = False
    world.step(lambda: move.do(world, choice))
    invariants.check(world, LIMITS.most_pastes)


def come_to_rest(world: World) -> None:
    """The end of a run."""
    world.ledger.cut = False
    invariants.rest(world, LIMITS.most_pastes)


def walk(seed: int, steps: int) -> list[str]:
    """A random run; what happened in it. Raises AssertionError with that."""
    chance = random.Random(seed)
    kind: Kind = chance.choice(KINDS)
    world, happened = World(kind, LIMITS.late, LIMITS.dies_untold), [f"an agent with {kind}"]
    try:
        for _ in range(steps):
            moves = [move for move in MOVES if can(world, move)]
            move = chance.choices(moves, [move.weight for move in moves])[0]
            choice = chance.choice(move.choices)
            happened.append(move.name if choice is None else f"{move.name}: {choice}")
            do(world, move, choice)
        happened.append("it comes to rest")
        come_to_rest(world)
    except AssertionError as error:
        raise AssertionError(f"seed {seed}: {error}\n  " + "\n  ".join(happened)) from error
    finally:
        world.close()
    return happened
