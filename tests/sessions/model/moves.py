"""What may happen in a random run, as data: one row for each thing that the agent, the person, the user or the machine may do."""

import random
from collections.abc import Callable
from typing import Any, NamedTuple

from anvilsrv.sessions.machine import ON_ITS_WAY, Status
from tests.sessions.model import invariants
from tests.sessions.model.pane import KINDS, Kind
from tests.sessions.model.world import REPORTS_FIRST, REPORTS_LAST, World


class Move(NamedTuple):
    """``do(world, choice)`` with one of the ``choices``, ``when`` it can happen. ``weight``: how often in a walk, beside the others."""

    name: str
    when: Callable[[World], object]
    do: Callable[[World, Any], object]
    choices: tuple[Any, ...] = (None,)
    weight: int = 2


def go_on(world: World, choice: tuple[int, str]) -> None:
    steps, order = choice
    while steps and world.step(lambda: world.goes_on(order)):
        steps -= 1
        invariants.check(world)


def kill(world: World, when: str) -> None:
    world.ledger.cut = when == LATER
    if not world.ledger.cut:
        world.kill()


def mail(world: World, who: str) -> None:
    world.mail(world.session if who == "itself" else "user")


def names_turns(world: World) -> bool:
    """Return whether reports may be heard in any order: an agent whose turns have no names has its hooks handled in
    order.
    """
    return world.pane.kind.ident


def tells_apart(world: World) -> bool:
    """Return whether a person's Enter can be told from ours: where the agent does not say what was submitted, theirs
    would be the same.
    """
    ours = {piece.prompt for piece in world.pane.box} == {world.view.prompt} and world.view.on_its_way
    return world.pane.kind.text or (ours and not world.pane.coming)


def keys_are_told(world: World) -> bool:
    """Return whether it shows that a person pressed keys between our look and our Enter: not where the agent does not
    tell its text.
    """
    return world.pane.kind.text or world.typist.at != "key"


def waiting(world: World) -> int:
    """Return a prompt that the agent has not taken; 0: there is none."""
    return next((one.id for one in world.prompts(Status.QUEUED, *ON_ITS_WAY) if not one.message), 0)


def can_wake(world: World) -> object:
    """Not before the end of its last turn was heard: two wakes that are heard without an end between them were one."""
    pane = world.pane
    over = not any(one.kind in ("stop", "fail", "told") for one in pane.reports)
    return pane.works and pane.turn is None and pane.alive and pane.frozen is None and over


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
    Move("the typist does a step", lambda w: w.typist.due(late=True), lambda w, lost: w.typist.step(lost), (False, False, True), 6),
    Move("a report comes", lambda w: w.pane.reports, lambda w, _: w.report(), weight=4),
    Move("a report overtakes", lambda w: len(w.pane.reports) > 1 and names_turns(w), lambda w, _: w.report(1)),
    Move("a line is read", lambda w: w.joined_lines(), lambda w, _: w.line(), weight=8),
    Move("a line is written", lambda w: w.pane.unwritten, lambda w, _: w.pane.flushes()),
    Move("a hook waits no longer", lambda w: w.pane.held_up, lambda w, _: w.pane.gives_up()),
    Move("a hook asks for what it got", lambda w: w.replies, lambda w, _: w.takes(), weight=8),
    Move("a hook ends before it asks", lambda w: w.replies, lambda w, _: w.loses_reply(), weight=6),
    Move("a hook ends before it gives it on", lambda w: w.replies and w.pane.alive, lambda w, alone: w.keeps_reply(alone),
         (True, False), weight=4),
    Move("the daemon is killed", lambda w: True, kill, (NOW, LATER)),
    Move("the daemon is killed and hooks take longer", names_turns, lambda w, _: w.kill(spooled=False)),
    # the user
    Move("a prompt is written", lambda w: w.view.live, lambda w, _: w.write(), weight=3),
    Move("a request is mailed", lambda w: True, mail, ("user", "user", "itself")),
    Move("a message is completed", lambda w: w.inbox(), lambda w, _: w.complete(), weight=1),
    Move("a prompt is dropped", waiting, lambda w, _: w.drop(waiting(w)), weight=1),
    Move("a prompt is edited", waiting, lambda w, _: w.edit(waiting(w)), weight=1),
    Move("the queue is held", lambda w: True, lambda w, _: w.hold(), weight=1),
    Move("the queue goes on", lambda w: not w.view.gate.open, lambda w, _: w.go(), weight=3),
    Move("the turn is interrupted", lambda w: w.busy, lambda w, _: w.interrupt()),
    Move("the session is stopped", lambda w: True, lambda w, _: w.stop(), weight=1),
    Move("the session is restarted", lambda w: True, lambda w, _: w.restart(), weight=1),
    Move("the session is killed", lambda w: len(w.prompts()) > 5, lambda w, _: w.end(), weight=1),
    # the person
    Move("a person types", lambda w: w.pane.alive and keys_are_told(w), lambda w, _: w.types()),
    Move("a person types and presses Enter", lambda w: w.pane.alive and w.pane.kind.text, lambda w, _: w.types(enter=True)),
    Move("a person presses Enter", lambda w: w.pane.box and tells_apart(w), lambda w, _: w.pane.enters()),
    Move("a person clears the input", lambda w: w.pane.box and keys_are_told(w), lambda w, _: w.pane.clears(), weight=1),
    Move("a person presses Escape", lambda w: w.pane.turn, lambda w, back: w.pane.escapes(back), (False, True), 1),
    # the agent
    Move("its title is believed", lambda w: not w.pane.kind.line and w.view.in_turn and w.pane.turn is None and not w.pane.coming,
         lambda w, _: w.titled(), weight=8),
    Move("the agent begins", lambda w: w.pane.can_begin, lambda w, _: w.pane.begins(), weight=4),
    Move("the agent begins with other words", lambda w: w.pane.can_begin, lambda w, says: w.pane.begins(says), ("[Image #1]",), 3),
    Move("what was entered ends the agent", lambda w: w.pane.can_begin, lambda w, _: w.pane.quits(), weight=2),
    Move("what was entered is refused", lambda w: w.pane.can_begin, lambda w, _: w.pane.refuses(), weight=1),
    Move("what was entered joins the turn", lambda w: w.pane.can_join, lambda w, _: w.pane.joins(), weight=6),
    Move("a tool is used", lambda w: w.pane.can_end, lambda w, _: w.pane.uses_a_tool()),
    Move("the turn ends", lambda w: w.pane.can_end, lambda w, _: w.pane.ends(), weight=4),
    Move("the turn ends and goes on", lambda w: w.pane.can_end and names_turns(w),
         lambda w, _: w.pane.ends(goes_on=True)),
    Move("the turn ends and work goes on", lambda w: w.pane.can_end, lambda w, _: w.pane.ends(pending=True), weight=4),
    Move("the agent wakes", can_wake, lambda w, which: w.pane.wakes(which), (0, -1)),
    Move("the agent wakes for two works at once", lambda w: can_wake(w) and len(w.pane.works) > 1 and names_turns(w),
         lambda w, which: w.pane.wakes(*which), ((0, 1), (-1, 0)), 40),
    Move("the turn fails", lambda w: w.pane.can_end, lambda w, _: w.pane.fails()),
    Move("the agent fails unasked", lambda w: w.pane.alive and w.pane.turn is None, lambda w, _: w.pane.fails(), weight=1),
    Move("the agent freezes", lambda w: w.pane.alive and w.pane.frozen is None, lambda w, _: w.pane.freezes(), weight=1),
    Move("the agent thaws", lambda w: w.pane.frozen is not None, lambda w, _: w.pane.thaws()),
    Move("the agent dies", lambda w: w.can_die, lambda w, status: w.pane.dies(status), (0, 1, 137)),
)  # fmt: skip


def can(world: World, move: Move) -> bool:
    """Return whether it may happen now. To a session that was killed nothing happens but to its daemon."""
    return bool(move.when(world)) if not world.gone else move.do is kill


def do(world: World, move: Move, choice: Any) -> None:
    """Let it happen, and see that what must hold holds."""
    world.step(lambda: move.do(world, choice))
    invariants.check(world)


def come_to_rest(world: World) -> None:
    """The end of a run."""
    world.ledger.cut = False
    invariants.rest(world)


def walk(seed: int, steps: int) -> list[str]:
    """Make a random run. Returns what happened in it. Raises AssertionError with that."""
    chance = random.Random(seed)
    kind: Kind = chance.choice(KINDS)
    world, happened = World(kind, late=chance.random() < 0.5), [f"an agent with {kind}"]
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
