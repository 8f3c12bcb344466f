"""What must hold, whatever happens."""

import json
from collections import Counter
from dataclasses import replace

from anvilsrv.sessions import prompts
from anvilsrv.sessions.machine import ACTIVE, WAITING, Status
from anvilsrv.sessions.prompts import Prompt
from anvilsrv.sessions.registry import Registry
from anvilsrv.sessions.state import State
from anvilsrv.store.events import Stream
from anvilsrv.store.topics import Topics
from tests.sessions.model.world import World


def check(world: World, most_pastes: int) -> None:
    """After each step."""
    known = world.prompts()
    active = [one for one in known if one.status in ACTIVE]
    assert len(active) <= 1, "two prompts are on their way or run"
    assert world.open_turns() == sum(one.status == Status.TAKEN for one in active), "turns and prompts disagree"
    if not world.gone:
        made = Registry(Stream(), Topics())
        world.ledger.look(lambda tx: made.refresh(tx, {world.session}))
        fresh = made.views[world.session]
        assert replace(fresh, times={}) == replace(world.view, times={}), "a view is not as its rows are"
        assert (fresh.state == State.RUNNING) == bool(active), f"the session is {fresh.state} with {active}"
    for number, words in world.pane.reached.items():
        assert len(words) == 1, f"prompt {number} reached the agent {len(words)} times"
    assert list(world.pane.reached) == sorted(world.pane.reached), f"out of order: {list(world.pane.reached)}"
    assert not world.pastes or max(world.pastes.values()) <= most_pastes, "pasted too often"
    inbox = world.inbox()
    for one in known:
        check_prompt(one, world.pane.reached.get(one.id, []), inbox)


def check_prompt(one: Prompt, words: list[str], inbox: list[str]) -> None:
    """What is said of a prompt is so; ``words`` of its turns' answers."""
    if one.status == Status.DONE and one.origin != prompts.TYPED:
        assert words, f"{one} is answered and never reached the agent"
        assert (one.response or b"").decode() == words[0], f"{one} has the answer of another turn"
    if one.status == Status.WITHDRAWN:
        assert not words, f"{one} was withdrawn and reached the agent"
    if one.status in (Status.TAKEN, Status.DONE) and one.message:
        assert one.message not in inbox, f"the message of {one} still waits"


def rest(world: World, most_pastes: int) -> None:
    """All reports come in, all obstacles go, what waits is let go on, until nothing more happens."""
    for _ in range(60 + 40 * len(world.prompts(*WAITING))):
        if not world.calms_down():
            break
        check(world, most_pastes)
    else:
        raise AssertionError(f"it does not come to rest: {world.view}, {world.prompts(*WAITING)}")
    left = world.prompts(*WAITING)
    assert not left, f"not final: {left}"
    assert not world.open_turns(), "a turn is open for ever"
    assert world.gone or world.view.state in (State.IDLE, State.STOPPED, State.ERROR)
    check_mail(world)


def check_mail(world: World) -> None:
    """Every request is answered once: with its answer, or the reason that there is none. One that was withdrawn is not."""
    lines = world.ledger.look(lambda tx: [json.loads(row["json"]) for row in tx.all("SELECT json FROM messages")])
    answers = Counter(line["metadata"].get("in_reply_to") for line in lines)
    withdrawn = {one.message for one in world.prompts(Status.WITHDRAWN)}
    for line in lines:
        if line["type"] == "QUERY_REQUEST" and not world.gone:
            wanted = 0 if line["id"] in withdrawn else 1
            assert answers[line["id"]] == wanted, f"answered {answers[line['id']]} times: {line}"
