"""The machine of prompt and turn in a world of accidents: whatever happens in whatever order, the invariants hold.

First random runs. Then deliveries with a kill at each step. Then the stories that broke earlier tables, numbered. ``bench/turns.py``
does random runs for minutes.
"""

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from anvilsrv.sessions.gate import By
from anvilsrv.sessions.happened import Happened, Look
from anvilsrv.sessions.machine import Status
from tests.sessions.model import invariants
from tests.sessions.model.moves import MOVES, Move, can, come_to_rest, do, walk
from tests.sessions.model.pane import AT_ONCE, HOOKS, KINDS, LATE, SILENT, Kind
from tests.sessions.model.rows import Cut
from tests.sessions.model.world import World

# -- random runs


class Machine(RuleBasedStateMachine):
    """Each move is a rule."""

    world: World | None = None

    @initialize(kind=st.sampled_from(KINDS), late=st.booleans())
    def begin(self, kind: Kind, late: bool) -> None:
        self.world = World(kind, late)

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


@pytest.mark.slow(15)
def test_random_walks_from_fixed_seeds() -> None:
    """They go deeper than the runs above, as many as it takes until every move has happened; what they find can be told by its seed."""
    missing, seed = {move.name for move in MOVES}, 0
    while missing or seed < 60:
        assert seed < 400, f"these moves never happen: {missing}"
        missing -= {line.partition(":")[0] for line in walk(seed, 45)}
        seed += 1


# -- deliveries


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def type_on(world: World, to: str = "", swallowed: bool = False) -> None:
    """Let the typist go on until the step ``to`` comes next ("": until it is through)."""
    while world.typist.at != to:
        assert world.typist.at, f"it never comes to '{to}'"
        world.typist.step(swallowed)


def take(world: World) -> None:
    """Let the agent take up what was entered, and say so."""
    world.pane.begins()
    world.report()


def end(world: World) -> None:
    world.pane.ends()
    world.report()


def rest(world: World) -> None:
    invariants.rest(world)


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
        assert {one: len(turns) for one, turns in world.pane.reached.items()} == {number: 1, following: 1}
        world.close()


@pytest.mark.parametrize("kind", KINDS, ids=repr)
def test_a_crash_between_any_two_steps_of_a_delivery_types_it_again_where_that_is_certain_to_be_right(
    kind: Kind,
) -> None:
    for steps in range(STEPS_OF_A_DELIVERY):
        world = World(kind)
        number = world.write()
        for _ in range(steps):
            world.goes_on()
        unpasted = world.prompt(number).pasted_at is None or number in world.pane.buffers
        again = kind == AT_ONCE and not world.pane.lines
        over = world.status(number) == Status.DONE
        world.pane.dies(1)
        rest(world)
        expected = Status.DONE if unpasted or again or over else Status.FAILED
        assert world.status(number) == expected, f"after {steps} steps"
        world.close()


def test_an_enter_that_the_agent_does_not_heed_is_pressed_again(world: World) -> None:
    number = world.write()
    type_on(world, "key")
    world.typist.step(swallowed=True)
    rest(world)
    assert (world.status(number), world.pastes[number]) == (Status.DONE, 1)


@pytest.mark.parametrize("heeded", [True, False])
def test_a_prompt_into_which_a_person_types_after_the_look_is_not_sent_and_goes_once_the_keys_are_gone(
    world: World, heeded: bool
) -> None:
    number = world.write()
    type_on(world, "key")
    if not heeded:  # the first Enter comes to nothing, and it is looked at again
        world.typist.step(swallowed=True)
        type_on(world, "key")
    before = world.prompt(number).presses
    world.types("z")
    world.typist.step(swallowed=True)
    assert not world.pane.entered
    assert (world.status(number), world.prompt(number).presses) == (
        Status.PASTED if heeded else Status.SENT, before - 1,
    )  # fmt: skip
    world.pane.box.pop()
    rest(world)
    assert (world.status(number), world.pastes[number]) == (Status.DONE, 1)


def test_a_prompt_whose_enter_is_never_heeded_has_failed_and_is_cleared_away_and_the_next_goes(world: World) -> None:
    number, following = world.write(), world.write()
    for _ in range(2):
        type_on(world, "key")
        world.typist.step(swallowed=True)
    type_on(world, "free")
    assert (world.status(number), world.prompt(number).error) == (Status.FAILED, "the agent did not take it")
    rest(world)
    assert (world.status(following), world.pane.reached.get(number)) == (Status.DONE, None)


def test_what_the_transcript_proves_is_taken_although_no_report_comes(world: World) -> None:
    number = world.write()
    type_on(world, "confirm")
    world.pane.begins()
    world.pane.reports.clear()
    type_on(world)
    assert world.status(number) == Status.TAKEN
    end(world)
    assert (world.status(number), world.pastes[number]) == (Status.DONE, 1)


@pytest.mark.parametrize("kind", [LATE, HOOKS], ids=repr)
def test_what_nothing_proves_is_in_doubt_and_not_typed_again(kind: Kind) -> None:
    world = World(kind)
    number, following = world.write(), world.write()
    type_on(world, "confirm")
    world.pane.entered.clear()  # swallowed, and nobody tells
    type_on(world, "free")
    assert world.status(number) == Status.FAILED
    assert "in doubt: it may have been taken" in (world.prompt(number).error or "")
    rest(world)
    assert (world.status(following), world.pastes[number]) == (Status.DONE, 1)
    world.close()


def test_what_is_certain_not_to_be_taken_is_typed_again_once(world: World) -> None:
    number = world.write()
    for _ in range(2):
        type_on(world, "look")
        world.pane.clears()  # a person
        world.pane.types(world.text_of(number), number)
        type_on(world, "key")
        world.typist.step(swallowed=True)
        world.pane.clears()
        type_on(world, "check" if world.pastes[number] == 1 else "")
    assert (world.status(number), world.pastes[number]) == (Status.FAILED, 2)
    rest(world)


def test_a_person_who_presses_enter_on_our_text_has_sent_it(world: World) -> None:
    number = world.write()
    type_on(world, "look")
    world.pane.enters()
    take(world)
    type_on(world)
    end(world)
    assert (world.status(number), world.pane.box) == (Status.DONE, [])


def test_what_a_person_left_of_our_text_is_an_obstacle_until_it_is_gone_and_nothing_of_it_is_cleared(
    world: World,
) -> None:
    number, following = world.write(), world.write()
    type_on(world, "look")
    world.types("z")
    world.typist.step()
    assert (By.OBSTACLE in world.view.gate.holders, world.status(number)) == (True, Status.PASTED)
    assert not world.typist.due(late=True)
    world.pane.clears()
    rest(world)
    assert [world.status(one) for one in (number, following)] == [Status.FAILED, Status.DONE]
    assert By.OBSTACLE not in world.view.gate.holders


def test_our_own_text_in_the_input_is_cleared_before_the_next_is_typed(world: World) -> None:
    number = world.write()
    type_on(world, "look")
    world.interrupt()
    assert (world.status(number), world.pane.text) == (Status.FAILED, world.text_of(number))
    following = world.write()
    rest(world)
    assert (world.status(following), list(world.pane.reached)) == (Status.DONE, [following])


def test_mail_that_is_handed_over_is_not_typed(world: World) -> None:
    first, second = world.write(), world.mail()
    type_on(world, "confirm")
    take(world)
    end(world)
    assert (world.status(first), world.status(second), world.typist.at) == (Status.DONE, Status.SENT, "confirm")
    world.takes()
    assert world.status(second) == Status.TAKEN
    rest(world)
    assert (world.status(second), world.pastes[second]) == (Status.DONE, 0)


def test_mail_whose_hook_ends_before_it_asks_is_typed(world: World) -> None:
    first, second = world.write(), world.mail()
    type_on(world, "confirm")
    take(world)
    end(world)
    world.loses_reply()
    rest(world)
    assert [world.status(one) for one in (first, second)] == [Status.DONE, Status.DONE]
    assert world.pastes[second] == 1


# -- turns that go on


def test_a_turn_that_goes_on_after_its_stop_is_one_turn_and_its_later_words_are_the_answer(world: World) -> None:
    number, following = world.write(), world.write()
    type_on(world, "confirm")
    take(world)
    world.pane.ends(goes_on=True)
    world.report()
    assert world.status(number) == Status.DONE
    world.pane.uses_a_tool()
    world.report()
    assert (world.open_turns(), world.status(following)) == (1, Status.QUEUED)
    end(world)
    assert (world.prompt(number).response or b"").endswith(b" again")
    rest(world)
    assert world.status(following) == Status.DONE


def test_a_turn_whose_work_goes_on_lets_the_queue_go_on_and_is_woken_as_itself(world: World) -> None:
    number = world.write()
    type_on(world, "confirm")
    take(world)
    world.pane.ends(pending=True)
    world.report()
    assert (world.view.state, world.status(number)) == ("idle", Status.DONE)
    world.pane.wakes()
    world.report()
    assert (world.view.state, world.view.in_turn) == ("running", 1)
    end(world)
    assert (world.view.state, (world.prompt(number).response or b"").endswith(b" again")) == ("idle", True)
    rest(world)


def begun(world: World) -> int:
    """A prompt whose turn has said its words, and of which work goes on in the background."""
    number = world.write()
    type_on(world, "confirm")
    take(world)
    type_on(world)
    world.pane.ends(pending=True)
    world.report()
    return number


def answer(world: World, number: int) -> str:
    return (world.prompt(number).response or b"").decode()


def test_a_new_prompt_leaves_work_that_goes_on_to_the_turn_that_began_it(world: World) -> None:
    numbers = [begun(world), begun(world), world.write()]
    type_on(world, "confirm")
    take(world)
    end(world)
    assert (world.view.background, world.view.state) == (2, "idle")
    for number, which in ((numbers[1], 1), (numbers[0], 0)):
        world.pane.wakes(which)
        world.report()
        assert world.view.in_turn == numbers.index(number) + 1
        end(world)
        assert answer(world, number).endswith(" again")
    assert (world.view.background, answer(world, numbers[2])) == (0, f"re {world.prompt(numbers[2]).text}")
    rest(world)


def test_work_that_is_not_listed_any_more_is_over_without_a_word(world: World) -> None:
    begun(world)
    world.pane.works.clear()  # ended by hand
    world.write()
    type_on(world, "confirm")
    take(world)
    end(world)
    assert world.view.background == 0
    rest(world)


def test_a_wake_that_is_heard_after_the_next_prompt_still_belongs_to_its_turn(world: World) -> None:
    number = begun(world)
    world.pane.wakes()
    world.pane.ends()
    world.types("by hand", enter=True)
    world.pane.gives_up()  # the daemon was away
    world.pane.begins()
    reports = world.pane.reports
    for which in (2, 1, 0):  # the prompt's, the end of the wake, its beginning
        assert [one.kind for one in reports][which] in ("submit", "stop")
        world.report(which)
    assert (answer(world, number).endswith(" again"), world.view.in_turn, world.view.background) == (True, 2, 0)
    end(world)
    rest(world)


def test_a_tool_that_is_told_of_after_its_agent_has_died_opens_no_turn_again(world: World) -> None:
    number = world.write()
    type_on(world, "confirm")
    take(world)
    world.pane.ends(goes_on=True)
    world.report()
    world.pane.uses_a_tool()
    world.stop()
    world.pane.dies(143)
    world.died()
    world.report()
    assert (world.open_turns(), world.status(number), world.view.state) == (0, Status.DONE, "stopped")


def test_an_end_of_a_wake_that_overtakes_its_beginning_is_not_lost(world: World) -> None:
    number = begun(world)
    world.pane.wakes()
    world.pane.gives_up()
    world.pane.ends()
    world.report(1)
    world.report()
    assert (answer(world, number).endswith(" again"), world.open_turns(), world.view.background) == (True, 0, 0)
    rest(world)


def test_a_turn_that_fails_has_what_it_began_before_still_to_come(world: World) -> None:
    number = begun(world)
    world.pane.wakes()
    world.report()
    world.pane.ends(pending=True)
    world.report()
    assert world.view.background == 1
    world.pane.wakes()
    world.report()
    world.pane.fails()
    world.report()
    assert (world.view.background, world.status(number)) == (0, Status.DONE)
    rest(world)


def test_an_end_that_a_later_failure_has_overtaken_still_tells_what_its_turn_began(world: World) -> None:
    first = world.write()
    type_on(world, "confirm")
    take(world)
    world.pane.ends(pending=True)
    world.pane.fails()  # without a name, and heard first
    world.report(1)
    world.report()
    assert world.status(first) == Status.FAILED
    world.go()
    second = world.write()
    rest(world)
    assert world.prompt(second).response == f"re {world.prompt(second).text}".encode()


def test_words_about_several_works_at_once_are_those_of_each_turn_that_began_one(world: World) -> None:
    numbers = [begun(world), begun(world), begun(world)]
    world.pane.wakes(2, 0)
    world.report()
    world.report()
    assert (world.view.in_turn, world.open_turns()) == (1, 1)
    world.kill()
    end(world)
    assert [answer(world, number).endswith(" again") for number in numbers] == [True, False, True]
    assert answer(world, numbers[0]) == answer(world, numbers[2])
    assert world.view.background == 1
    rest(world)


@pytest.mark.parametrize("how", ["fails", "dies", "is replaced"])
def test_of_works_that_are_done_at_once_each_turn_keeps_its_answer_where_nothing_is_said(
    world: World, how: str
) -> None:
    numbers = [begun(world), begun(world)]
    before = [answer(world, number) for number in numbers]
    world.pane.wakes(0, 1)
    world.report()
    world.report()
    if how == "fails":
        world.pane.fails()
    elif how == "dies":
        world.pane.dies(1)
    else:
        world.pane.escapes()
        world.pane.reports.clear()
        world.types("by hand", enter=True)
        world.pane.begins()
    rest(world)
    assert [answer(world, number) for number in numbers] == before
    assert {world.status(number) for number in numbers} == {Status.DONE}
    assert world.ledger.look(lambda tx: tx.all("SELECT 1 FROM turns WHERE status != 'closed' OR shares")) == []


@pytest.mark.parametrize("kind", [HOOKS, SILENT], ids=repr)
def test_where_work_has_no_names_a_wake_is_a_turn_of_its_own_unless_one_alone_can_be_meant(kind: Kind) -> None:
    world = World(kind)
    first = begun(world)
    world.pane.wakes()
    world.report()
    assert world.view.in_turn == 1
    world.pane.ends(pending=True)
    world.report()
    second = begun(world)
    world.pane.wakes(1)
    world.report()
    assert world.view.in_turn == 3
    end(world)
    assert (answer(world, first).count("again"), answer(world, second).count("again")) == (1, 0)
    rest(world)
    world.close()


def test_a_late_report_of_a_tool_that_is_older_than_the_end_opens_nothing(world: World) -> None:
    world.write()
    type_on(world, "confirm")
    take(world)
    world.pane.uses_a_tool()
    world.pane.ends()
    world.report(1)
    world.report()
    assert (world.view.state, world.open_turns()) == ("idle", 0)


def test_a_prompt_that_joins_a_running_turn_has_its_answer(world: World) -> None:
    number = world.write()
    type_on(world, "key")
    world.types("by hand")
    world.pane.box.reverse()
    ours = [world.pane.box.pop(0)]
    world.pane.enters()
    world.pane.box = ours
    world.pane.begins()
    world.typist.step()
    world.pane.joins()
    world.report()
    world.line()
    assert world.status(number) == Status.TAKEN
    end(world)
    rest(world)


def test_a_prompt_that_a_hook_of_the_user_refuses_has_failed_with_the_reason(world: World) -> None:
    number, following = world.write(), world.write()
    type_on(world, "confirm")
    world.pane.refuses()
    world.report()
    assert (world.status(number), world.prompt(number).error) == (Status.FAILED, "refused")
    rest(world)
    assert world.status(following) == Status.DONE


# -- stories that broke earlier tables, by their numbers


def test_story_1_a_prompt_that_the_agent_reports_in_other_words_reaches_it_once(world: World) -> None:
    number = world.write("/tmp/a.png")
    type_on(world, "confirm")
    world.pane.begins(says="[Image #1]")
    world.report()
    end(world)
    rest(world)
    assert (world.status(number), world.pastes[number]) == (Status.FAILED, 1)
    assert "in doubt" in (world.prompt(number).error or "")


def test_story_2_a_prompt_that_ends_the_agent_without_a_report_is_not_typed_at_its_restart(world: World) -> None:
    number, following = world.write("exit"), world.write()
    type_on(world, "confirm")
    world.pane.quits()
    world.died()
    world.restart()
    rest(world)
    assert [world.status(one) for one in (number, following)] == [Status.FAILED, Status.DONE]
    assert world.prompt(number).error == "agent ended: status 0"


def test_story_3_a_prompt_that_a_person_added_to_has_no_answer_of_its_own(world: World) -> None:
    number = world.write()
    type_on(world, "look")
    world.types("z", enter=True)
    take(world)
    end(world)
    rest(world)
    assert world.status(number) == Status.FAILED


def test_story_3_a_prompt_that_a_person_changed_reaches_the_agent_once(world: World) -> None:
    number = world.write("fix the bug")
    type_on(world, "look")
    world.pane.enters()
    world.pane.begins(says="fix thez bug")
    world.report()
    end(world)
    rest(world)
    assert world.status(number) == Status.FAILED


@pytest.mark.parametrize("kind", [AT_ONCE, LATE, HOOKS], ids=repr)
@pytest.mark.parametrize("by_hand", ["by hand", "by hand, with the words of prompt 1;"])
def test_a_persons_own_prompt_that_is_told_after_our_enter_says_nothing_of_ours(kind: Kind, by_hand: str) -> None:
    """A busy machine starts its hook late. Ours waits behind it in the agent, and is taken when that turn is over."""
    world = World(kind, late=True)
    world.types(by_hand, enter=True)
    number, following = world.write("prompt 1;"), world.write()
    type_on(world, "confirm")
    take(world)
    if "prompt 1;" in by_hand:  # it looks as if a person had added to ours
        assert "in doubt" in (world.prompt(number).error or "")
    else:
        assert (world.status(number), world.open_turns()) == (Status.SENT, 1)
    end(world)
    take(world)
    end(world)
    rest(world)
    expected = Status.FAILED if "prompt 1;" in by_hand else Status.DONE
    assert [world.status(one) for one in (number, following)] == [expected, Status.DONE]
    assert world.pastes[number] == 1
    world.close()


def test_story_4_a_hold_keeps_what_was_chosen_from_being_typed(world: World) -> None:
    number = world.write()
    type_on(world, "row")
    world.hold()
    assert world.status(number) == Status.QUEUED
    type_on(world)
    assert (world.pastes[number], world.pane.buffers) == (0, {})


def test_story_5_a_limit_holds_the_queue_also_after_another_failure_and_so_does_the_user(world: World) -> None:
    world.write()
    world.write()
    world.hold()
    for until in (2_000_000_000.0, None):
        fails = Happened(world.ledger.tick(), reason="API error", until=until)
        world.happens(lambda tx, fails=fails: world.daemon.turns.reported.failed(tx, world.session, fails))
    assert set(world.view.gate.holders) == {By.USER, By.LIMIT, By.FAILED}
    assert world.view.gate.until == 2_000_000_000.0
    world.restart()
    assert set(world.view.gate.holders) == {By.USER, By.LIMIT}


@pytest.mark.parametrize("kind", [AT_ONCE, HOOKS], ids=repr)
def test_story_6_a_prompt_cannot_be_withdrawn_or_edited_once_it_may_have_been_taken(kind: Kind) -> None:
    world = World(kind)
    message, number = world.mail(), world.write()
    type_on(world, "look")
    world.pane.enters()  # a person's; what the agent says comes late
    world.complete()
    world.drop(message)
    assert world.status(message) == Status.PASTED
    world.typist.step()
    world.drop(message)
    assert world.status(message) == Status.FAILED, "in doubt"
    take(world)
    rest(world)
    assert world.status(number) == Status.DONE
    world.close()


def typed_once_and_queued(world: World, number: int) -> None:
    """It was typed, is taken away again, and waits."""
    type_on(world, "look")
    world.pane.types(world.text_of(number), number)  # it stands there twice
    world.typist.step()
    world.hold()
    world.tidy()
    assert (world.status(number), world.pastes[number], world.pane.text) == (Status.QUEUED, 1, "")


@pytest.mark.parametrize("kind", KINDS, ids=repr)
def test_what_was_typed_once_and_is_certain_not_to_be_taken_can_be_withdrawn_and_else_has_failed_in_doubt(
    kind: Kind,
) -> None:
    world = World(kind)
    number, following = world.write(), world.write()
    typed_once_and_queued(world, number)
    world.edit(number)
    assert world.text_of(number) == "prompt 1;", "edited"
    world.drop(number)
    expected = Status.WITHDRAWN if kind == AT_ONCE else Status.FAILED
    assert (world.status(number), "in doubt" in (world.prompt(number).error or "")) == (expected, kind != AT_ONCE)
    rest(world)
    assert (world.status(following), world.pane.reached.get(number)) == (Status.DONE, None)
    world.close()


def test_what_may_have_ended_its_agent_is_not_said_to_be_withdrawn_and_is_not_typed_again(world: World) -> None:
    message, following = world.mail(), world.write()
    type_on(world, "confirm")
    world.hold()
    world.pane.begins()
    world.pane.lines.clear()
    world.pane.reports.clear()
    world.pane.dies(137)
    world.died()
    assert world.status(message) == Status.QUEUED
    world.drop(message)
    assert (world.status(message), world.inbox()) == (Status.FAILED, [])
    rest(world)
    assert (world.status(following), world.pastes[message]) == (Status.DONE, 1)


@pytest.mark.parametrize("step", ["insert", "key"])
def test_story_6_a_frozen_agent_takes_its_prompts_when_it_goes_on(world: World, step: str) -> None:
    number, following = world.write(), world.write()
    if step == "insert":
        type_on(world, "insert")
        world.pane.freezes()
    else:
        type_on(world, "look")
        type_on(world, "key")
        world.pane.freezes()
    for _ in range(3):
        world.typist.step()
    before = Status.PASTED if step == "insert" else Status.SENT
    assert (world.status(number), world.seen().look) == (before, Look.UNREAD)
    assert By.OBSTACLE in world.view.gate.holders
    world.drop(number)
    assert world.status(number) == before
    world.pane.thaws()
    rest(world)
    assert [world.status(one) for one in (number, following)] == [Status.DONE, Status.DONE]
    assert (world.pastes[number], world.view.gate.why) == (1, "")


def test_story_6_what_a_frozen_agent_had_read_but_not_drawn_is_in_doubt_and_the_next_one_waits_for_it(
    world: World,
) -> None:
    number, following = world.write(), world.write()
    type_on(world, "look")
    world.pane.clears()  # it does not show
    world.typist.step()
    assert world.status(number) == Status.FAILED
    world.pane.freezes()
    type_on(world, "insert")
    for _ in range(3):
        world.typist.step()
    assert world.status(following) == Status.PASTED
    world.pane.thaws()
    rest(world)
    assert world.status(following) == Status.DONE


def test_story_7_the_end_of_a_persons_turn_is_not_that_of_a_prompt_whose_enter_is_not_pressed_yet(world: World) -> None:
    world.types("by hand", enter=True)
    world.pane.begins()
    world.pane.reports.clear()
    number = world.write()
    type_on(world, "key")
    end(world)
    assert world.status(number) == Status.SENT
    rest(world)
    assert world.status(number) == Status.DONE


def test_story_8_an_older_report_of_the_same_words_is_not_ours(world: World) -> None:
    world.types("go on", enter=True)
    world.pane.begins()
    number = world.write("go on")
    type_on(world, "look")
    world.report()
    assert world.status(number) == Status.PASTED
    end(world)
    rest(world)
    assert world.status(number) == Status.DONE


def test_story_8_an_older_line_of_the_same_words_is_not_ours(world: World) -> None:
    world.types("by hand", enter=True)
    world.pane.begins()
    world.types("go on", enter=True)
    world.pane.joins()
    number = world.write("go on")
    type_on(world, "look")
    world.line()
    assert world.status(number) == Status.PASTED
    rest(world)
    assert world.status(number) == Status.DONE


def test_story_9_an_end_that_is_heard_before_its_submit_ends_it(world: World) -> None:
    world.types("by hand", enter=True)
    world.pane.begins()
    world.pane.gives_up()
    world.pane.ends()
    world.report(1)
    world.report()
    assert (world.view.state, world.open_turns()) == ("idle", 0)
    assert world.prompts(Status.DONE)[0].response == b"re by hand"


def test_story_9_a_death_that_is_heard_before_its_submit_ends_it(world: World) -> None:
    world.types("by hand", enter=True)
    world.pane.begins()
    world.pane.dies(1)
    world.died()
    world.report()
    assert world.open_turns() == 0
    rest(world)


@pytest.mark.parametrize("kind", [AT_ONCE, HOOKS], ids=repr)
def test_story_9_an_interrupt_that_is_told_after_the_next_submit_is_not_the_next_ones(kind: Kind) -> None:
    world = World(kind)
    world.types("by hand", enter=True)
    take(world)
    world.pane.escapes()
    told = Happened(world.ledger.tick(), "t1" if kind.ident else "")
    world.pane.reports.clear()
    world.types("again", enter=True)
    take(world)
    world.happens(lambda tx: world.daemon.turns.reported.told(tx, world.session, told))
    assert world.view.in_turn == 2
    world.close()


def test_a_turn_whose_name_was_never_told_is_ended_by_the_first_end_with_a_name() -> None:
    """As a version left it that did not keep names, while its agent works on."""
    world = World(AT_ONCE)
    world.types("by hand", enter=True)
    world.pane.begins()
    world.pane.reports.clear()
    turns = world.daemon.turns
    world.happens(lambda tx: turns.reported.submitted(tx, world.session, Happened(world.ledger.tick(), text="by hand")))
    assert world.open_turns() == 1
    world.happens(
        lambda tx: turns.reported.stopped(tx, world.session, Happened(world.ledger.tick(), "t1", response="done"))
    )
    assert world.open_turns() == 0
    world.close()


def test_story_10_a_persons_keys_in_our_text_are_not_submitted_by_the_next_daemon(world: World) -> None:
    world.write()
    type_on(world, "look")
    world.types("a")
    world.kill()
    type_on(world, "look")
    world.typist.step()
    assert not world.pane.entered
    assert By.OBSTACLE in world.view.gate.holders, "it says what it waits for"


def test_story_11_a_hold_keeps_what_was_not_pasted_yet_from_being_pasted_by_the_next_daemon(world: World) -> None:
    number = world.write()
    type_on(world, "insert")
    world.kill()
    world.hold()
    type_on(world)
    assert (world.status(number), world.pastes[number]) == (Status.QUEUED, 0)


def test_story_12_mail_whose_hand_over_is_lost_with_the_daemon_does_not_stay_sent(world: World) -> None:
    world.write()
    message = world.mail()
    type_on(world, "confirm")
    take(world)
    world.pane.ends()
    world.ledger.cut = True
    with pytest.raises(Cut):
        world.report()
    assert world.status(message) == Status.SENT
    world.kill()
    rest(world)
    assert (world.status(message), world.pastes[message]) == (Status.DONE, 1)


def test_a_persons_prompt_is_not_ours_while_ours_is_not_pasted_where_the_agent_does_not_tell_which() -> None:
    world = World(SILENT)
    number = world.write()
    world.types("by hand", enter=True)
    take(world)
    assert world.status(number) == Status.QUEUED
    end(world)
    rest(world)
    world.close()


def test_a_submit_without_its_text_counts_first_for_a_prompt_that_failed_in_doubt() -> None:
    """The agent takes up the first late; its answer is not that of the second."""
    world = World(SILENT, late=True)
    try:
        first = world.write()
        type_on(world)  # it is entered, and not taken in time
        assert world.status(first) == Status.FAILED
        second = world.write()
        type_on(world, "confirm")
        take(world)
        assert world.status(second) == Status.SENT
        end(world)
        take(world)
        assert world.status(second) == Status.TAKEN
        end(world)
        world.typist.step()  # that delivery is over
        third = world.write()  # nothing is owed any more
        type_on(world, "confirm")
        take(world)
        assert world.status(third) == Status.TAKEN
        rest(world)
    finally:
        world.close()


def test_a_submit_that_tells_no_text_is_not_of_the_prompt_that_still_stands_in_the_input_among_other_words() -> None:
    """A person's Enter sent the one before it, which was given up, and the agent was frozen until now."""
    world = World(SILENT)
    try:
        first = world.write()
        type_on(world, "look")
        world.pane.enters()
        world.pane.freezes()
        world.interrupt()
        second = world.write()
        type_on(world, "free")
        type_on(world, "look")
        world.types("by hand")
        world.pane.thaws()
        take(world)
        assert [world.status(one) for one in (first, second)] == [Status.FAILED, Status.PASTED]
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
        rest(world)
    finally:
        world.close()


def test_a_submit_that_is_heard_after_the_next_end_closes_at_once_and_its_prompt_is_final(world: World) -> None:
    """A person types our words, is interrupted, and the agent crashes before its reports are heard."""
    number = world.write("go on")
    type_on(world, "look")
    world.pane.enters()
    world.pane.begins()
    world.pane.escapes()
    world.pane.dies(1)
    world.died()
    rest(world)
    assert world.status(number) == Status.FAILED
