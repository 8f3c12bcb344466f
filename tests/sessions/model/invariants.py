"""What must hold, whatever happens."""

import json
from collections import Counter
from dataclasses import replace

from anvilsrv.sessions.machine import ON_ITS_WAY, PASTES, WAITING, Event, Status
from anvilsrv.sessions.prompt import AGENT, TYPED, Prompt
from anvilsrv.sessions.registry import Registry
from anvilsrv.sessions.state import State
from anvilsrv.sessions.stepper import REASONS
from anvilsrv.store.events import Stream
from anvilsrv.store.topics import Topics
from tests.sessions.model.pane import Turn
from tests.sessions.model.world import World


def check(world: World) -> None:
    """Check the state after each step."""
    known = world.prompts()
    going = [one for one in known if one.status in ON_ITS_WAY]
    assert len(going) <= 1, "two prompts are on their way"
    assert world.open_turns() <= 1, "two turns are open"
    if not world.gone:
        made = Registry(Stream(), Topics())
        world.ledger.look(lambda tx: made.refresh(tx, {world.session}))
        fresh = made.views[world.session]
        assert replace(fresh, times={}) == replace(world.view, times={}), "a view is not as its rows are"
        busy = bool(going) or bool(world.open_turns())
        assert (fresh.state == State.RUNNING) == (busy and fresh.live), f"the session is {fresh.state} with {going}"
    for number, turns in world.pane.reached.items():
        assert len(turns) == 1, f"prompt {number} reached the agent {len(turns)} times"
    lost = {one.id for one in known if one.status == Status.FAILED}  # in doubt: it may be taken at any time
    order = [number for number in world.pane.reached if number not in lost]
    assert world.gone or order == sorted(order), f"out of order: {order}"
    assert not world.pastes or max(world.pastes.values()) <= PASTES, "pasted too often"
    inbox = world.inbox()
    for one in known:
        check_prompt(one, world.pane.reached.get(one.id, []), inbox)


def check_prompt(one: Prompt, turns: list[Turn], inbox: list[str]) -> None:
    """Check that what is said of a prompt is so; ``turns`` are those that have it."""
    if one.status == Status.DONE and one.origin not in (TYPED, AGENT):
        assert turns, f"{one} is answered and never reached the agent"
        assert (one.response or b"").decode() in turns[0].said, f"{one} has the answer of another turn"
    if one.status == Status.WITHDRAWN:
        assert not turns, f"{one} was withdrawn and reached the agent"
    if one.error == REASONS[Event.OTHER]:
        alone = any(turn.text == one.text for turn in turns)
        assert not alone, f"{one} has failed as changed, and reached the agent as it was"
    if one.text.startswith("edited"):
        assert all(one.text in turn.text for turn in turns), f"{one} reached the agent as it was before"
    if one.status in (Status.TAKEN, Status.DONE) and one.message:
        assert one.message not in inbox, f"the message of {one} still waits"


def rest(world: World) -> None:
    """Let all reports come in, all obstacles go and what waits go on, until nothing more happens."""
    for _ in range(100 + 60 * len(world.prompts(*WAITING))):
        if not world.calms_down():
            break
        check(world)
    else:
        raise AssertionError(f"it does not come to rest: {world.view}, {world.prompts(*WAITING)}")
    left = world.prompts(*WAITING)
    assert not left, f"not final: {left}"
    assert not world.open_turns(), "a turn is open for ever"
    assert world.gone or world.view.state in (State.IDLE, State.STOPPED, State.ERROR)
    check_mail(world)


def check_mail(world: World) -> None:
    """Check that every request is answered once: with its answer, or the reason that there is none. One that was
    withdrawn is not.
    """
    lines = world.ledger.look(lambda tx: [json.loads(row["json"]) for row in tx.all("SELECT json FROM messages")])
    answers = Counter(line["metadata"].get("in_reply_to") for line in lines)
    withdrawn = {one.message for one in world.prompts(Status.WITHDRAWN)}
    for line in lines:
        if line["type"] == "QUERY_REQUEST" and not world.gone:
            times = answers[line["id"]]  # more than once where later words corrected the answer
            assert bool(times) == (line["id"] not in withdrawn), f"answered {times} times: {line}"
