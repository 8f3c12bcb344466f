"""The machine of prompt and turn in a world of accidents: whatever happens in whatever order, the invariants hold.

First random runs, without what today's table cannot hold (``model.moves.LIMITS``). Then deliveries with a kill at each step. Then the
stories that broke earlier tables, numbered: a story that today's table does not hold is expected to fail;
who mends that removes the mark and lifts the limit. ``bench/turns.py`` does random runs for minutes.
"""

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from anvilsrv.sessions.machine import Event, Status
from anvilsrv.sessions.turns import Happened
from tests.sessions.model import invariants
from tests.sessions.model.moves import LIMITS, MOVES, Move, can, come_to_rest, do, walk
from tests.sessions.model.pane import HOOKS, KINDS, Kind
from tests.sessions.model.rows import Cut
from tests.sessions.model.world import World

# -- random runs


class Machine(RuleBasedStateMachine):
    """Each move is a rule."""

    world: World | None = None

    @initialize(kind=st.sampled_from(KINDS))
    def begin(self, kind: Kind) -> None:
        self.world = World(kind, LIMITS.late, LIMITS.dies_untold)

    def teardown(self) -> None:
        if self.world is not None:
            try:
                come_to_rest(self.world)
            finally:
                self.world.close()


def rule_of(move: Move) -> Callable[..., None]:
    def step(self: Machine, choice: Any) -> None:
        assert self.world is not None
        do(self.world, move, choice)

    step.__name__ = move.name.replace(" ", "_")
    allowed = precondition(lambda self: self.world is not None and can(self.world, move))
    return allowed(rule(choice=st.sampled_from(move.choices))(step))


for move in MOVES:
    setattr(Machine, move.name.replace(" ", "_"), rule_of(move))

TestRandomRuns = Machine.TestCase
TestRandomRuns.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, derandomize=bool(os.environ.get("CI")),
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink), suppress_health_check=list(HealthCheck),
)  # fmt: skip


def test_random_walks_from_fixed_seeds() -> None:
    """They go deeper than the runs above, and what they find can be told by its seed."""
    happened = {line.partition(":")[0] for seed in range(40) for line in walk(seed, 45)}
    assert {move.name for move in MOVES if move.allowed} <= happened, "a move never happens"


# -- deliveries


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def type_on(world: World, to: str = "", swallowed: bool = False) -> None:
    """The typist goes on until the step ``to`` comes next ("": until it is through)."""
    while world.typist.at != to:
        assert world.typist.at, f"it never comes to '{to}'"
        world.typist.step(swallowed)


def take(world: World) -> None:
    """The agent takes up what was entered, and says so."""
    world.pane.begins()
    world.report()


def end(world: World) -> None:
    world.pane.ends()
    world.report()


def rest(world: World) -> None:
    invariants.rest(world, LIMITS.most_pastes)


STEPS_OF_A_DELIVERY = 14  # the typist's, and the agent's


@pytest.mark.parametrize("kind", KINDS, ids=repr)
@pytest.mark.parametrize("how", ["now", "now, with the spool", "after the next commit"])
def test_a_kill_between_any_two_steps_of_a_delivery_neither_loses_nor_doubles_it(kind: Kind, how: str) -> None:
    for steps in range(STEPS_OF_A_DELIVERY):
        world = World(kind)
        number, following = world.write(), world.mail()
        for _ in range(steps):
            world.goes_on()
        world.ledger.cut = how == "after the next commit"
        if not world.ledger.cut:
            world.kill(spooled=how != "now")
        world.step(world.goes_on)
        world.ledger.cut = False
        rest(world)
        assert [world.status(one) for one in (number, following)] == [Status.DONE, Status.DONE], f"after {steps} steps"
        assert {one: len(words) for one, words in world.pane.reached.items()} == {number: 1, following: 1}
        world.close()


@pytest.mark.parametrize("kind", KINDS, ids=repr)
def test_a_crash_between_any_two_steps_of_a_delivery_types_it_again_unless_it_was_taken(kind: Kind) -> None:
    for steps in range(STEPS_OF_A_DELIVERY):
        world = World(kind)
        number = world.write()
        for _ in range(steps):
            world.goes_on()
        if not world.pane.coming:
            taken = world.status(number) == Status.TAKEN
            world.pane.dies(1)
            rest(world)
            assert world.status(number) == (Status.FAILED if taken else Status.DONE), f"after {steps} steps"
        world.close()


def test_an_enter_that_the_agent_does_not_heed_is_pressed_again(world: World) -> None:
    number = world.write()
    type_on(world, "key 1")
    world.typist.step(swallowed=True)
    rest(world)
    assert (world.status(number), world.pastes[number]) == (Status.DONE, 1)


def test_what_was_given_up_counts_as_taken_when_its_report_comes_all_the_same(world: World) -> None:
    number, following = world.write(), world.write()
    type_on(world)
    assert (world.status(number), world.view.held) == (Status.QUEUED, "the agent did not take it")
    take(world)
    assert world.status(number) == Status.TAKEN
    end(world)
    rest(world)
    assert [world.status(one) for one in (number, following)] == [Status.DONE, Status.DONE]


def test_what_was_sent_is_looked_for_before_it_is_typed_again(world: World) -> None:
    """A person was faster; the agent takes ours up after theirs."""
    number = world.write()
    type_on(world, "key 1")
    world.pane.entered.append([*world.pane.box])  # the agent has it, and theirs first
    world.pane.clears()
    world.types("by hand", enter=True)
    world.pane.entered.rotate(1)
    take(world)
    assert world.status(number) == Status.QUEUED
    type_on(world)
    end(world)
    assert (world.status(number), world.typist.at) == (Status.PASTED, "look")
    rest(world)
    assert (world.status(number), world.pastes[number]) == (Status.DONE, 1)


def test_a_person_who_presses_enter_on_our_text_has_sent_it(world: World) -> None:
    number = world.write()
    type_on(world, "settle")
    world.pane.enters()
    take(world)
    type_on(world)
    end(world)
    assert (world.status(number), world.pane.box) == (Status.DONE, [])


def test_mail_that_is_handed_over_is_not_typed(world: World) -> None:
    first, second = world.write(), world.mail()
    type_on(world, "confirm 1")
    take(world)
    end(world)
    assert (world.status(first), world.status(second), world.typist.at) == (Status.DONE, Status.TAKEN, "confirm 1")
    rest(world)
    assert world.pastes[second] == 0


# -- stories


def story(number: int, why: str) -> pytest.MarkDecorator:
    """Story ``number``, which today's table does not hold, since …"""
    return pytest.mark.xfail(strict=True, raises=AssertionError, reason=f"story {number}: {why}")


@story(1, "other words than ours are a person's, and ours is typed again")
def test_a_prompt_that_the_agent_reports_in_other_words_reaches_it_once(world: World) -> None:
    world.write("/tmp/a.png")
    type_on(world, "confirm 1")
    world.pane.begins(says="[Image #1]")
    world.report()
    end(world)
    rest(world)


@story(2, "what was sent is typed again after any death")
def test_a_prompt_that_ends_the_agent_without_a_report_is_not_typed_at_its_restart(world: World) -> None:
    world.write("exit")
    type_on(world, "confirm 1")
    world.pane.begins()
    world.pane.reports.clear()
    world.pane.dies(0)
    world.died()
    world.restart()
    rest(world)


@story(3, "a report that contains our text is taken for ours")
def test_a_prompt_that_a_person_added_to_has_no_answer_of_its_own(world: World) -> None:
    number = world.write()
    type_on(world, "send 1")
    world.types("z", enter=True)
    take(world)
    end(world)
    assert world.status(number) == Status.FAILED


@story(3, "other words than ours are a person's, and ours is typed again")
def test_a_prompt_that_a_person_changed_reaches_the_agent_once(world: World) -> None:
    number = world.write("fix the bug")
    type_on(world, "send 1")
    world.pane.enters()
    world.pane.begins(says="fix thez bug")
    world.report()
    end(world)
    rest(world)
    assert world.status(number) == Status.FAILED


@story(4, "the gate is not looked at before the row PASTED")
def test_a_hold_keeps_what_was_chosen_from_being_typed(world: World) -> None:
    number, _ = world.write(), world.write()
    world.pane.fails()
    world.report()
    assert world.view.held
    type_on(world)
    assert world.pastes[number] == 0


@story(5, "there is one holder, and a failure overwrites a limit")
def test_a_limit_holds_the_queue_also_after_another_failure(world: World) -> None:
    world.write()
    world.write()
    for until in (2_000_000_000.0, None):
        world.happens(lambda tx, until=until: world.daemon.turns.failed(tx, world.session, "API error", until))
    assert world.view.held_until == 2_000_000_000.0


@story(6, "what was sent and given up is queued, and a queued one can be withdrawn")
def test_a_message_cannot_be_withdrawn_once_its_prompt_may_have_been_taken(world: World) -> None:
    world.mail()
    type_on(world, "send 1")
    world.pane.enters()  # a person's; what the agent says comes late
    type_on(world)
    world.complete()
    take(world)
    rest(world)


@story(6, "a paste that does not show is no proof that it never will")
def test_a_message_cannot_be_withdrawn_while_the_agent_is_frozen(world: World) -> None:
    world.mail()
    type_on(world, "key 1")
    frozen = [*world.pane.box]
    world.pane.clears()
    type_on(world, swallowed=True)
    world.complete()
    world.pane.entered.append(frozen)
    take(world)
    rest(world)


@story(7, "any end counts as that of what was sent")
def test_the_end_of_a_persons_turn_is_not_that_of_a_prompt_whose_enter_is_not_pressed_yet(world: World) -> None:
    world.types("by hand", enter=True)
    world.pane.begins()
    world.pane.reports.clear()
    world.write()
    type_on(world, "key 1")
    end(world)
    rest(world)


@story(8, "a report has no time, and a prompt no moment from which it can be taken")
def test_an_older_report_of_the_same_words_is_not_ours(world: World) -> None:
    world.types("go on", enter=True)
    world.pane.begins()
    world.write("go on")
    type_on(world, "send 1")
    world.report()
    end(world)
    rest(world)


@story(9, "an end without a turn is forgotten")
def test_an_end_that_is_heard_before_its_submit_ends_it(world: World) -> None:
    world.types("by hand", enter=True)
    world.pane.begins()
    world.pane.gives_up()
    world.pane.ends()
    world.report(1)
    rest(world)


@story(9, "a submit that is heard after the death of its agent opens a turn")
def test_a_death_that_is_heard_before_its_submit_ends_it(world: World) -> None:
    world.types("by hand", enter=True)
    world.pane.begins()
    world.pane.dies(1)
    world.died()
    rest(world)


@story(9, "an interrupt is that of whatever runs when it is told")
def test_an_interrupt_that_is_told_after_the_next_submit_is_not_the_next_ones(world: World) -> None:
    world.types("by hand", enter=True)
    take(world)
    world.pane.escapes()
    world.types("again", enter=True)
    world.pane.begins()
    world.report(1)
    world.report()
    assert world.view.in_turn == 2


@story(10, "what stands in the input is submitted, whatever it is")
def test_a_persons_keys_in_our_text_are_not_submitted_by_the_next_daemon(world: World) -> None:
    world.write()
    type_on(world, "send 1")
    world.types("a")
    world.kill()
    type_on(world, "confirm 0")
    assert not world.pane.entered


@story(11, "the gate is not looked at before the row PASTED")
def test_a_hold_keeps_what_was_not_pasted_yet_from_being_pasted_by_the_next_daemon(world: World) -> None:
    number, _ = world.write(), world.write()
    type_on(world, "paste")
    world.kill()
    world.pane.fails()
    world.report()
    assert world.view.held
    type_on(world)
    assert world.pastes[number] == 0


@story(12, "the row says TAKEN before the reply is out")
def test_mail_whose_hand_over_is_lost_with_the_daemon_does_not_stay_taken(world: World) -> None:
    world.write()
    world.mail()
    type_on(world, "confirm 1")
    take(world)
    world.pane.ends()
    world.ledger.cut = True
    with pytest.raises(Cut):
        world.report()
    world.kill()
    rest(world)


@story(8, "an agent that does not tell what was submitted is believed to mean ours")
def test_a_persons_prompt_is_not_ours_where_the_agent_does_not_tell_which() -> None:
    world = World(KINDS[2])
    try:
        world.write()
        world.types("by hand", enter=True)
        take(world)
        end(world)
        rest(world)
    finally:
        world.close()


def test_a_title_that_is_idle_ends_the_turn_of_an_agent_that_tells_nothing() -> None:
    world = World(HOOKS)
    try:
        world.types("by hand", enter=True)
        take(world)
        world.pane.escapes()
        world.titled()
        assert (world.view.state, world.open_turns()) == ("idle", 0)
        world.happens(lambda tx: world.daemon.turns.apply(tx, world.session, Happened(Event.TOLD)))
        rest(world)
    finally:
        world.close()
