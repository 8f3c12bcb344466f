"""The life of a session: what is asked of it, what its process did, and that nothing that goes wrong leaves it in between."""

import pytest

from anvilsrv.desk.life import CRASHES, REFUSED, STABLE
from anvilsrv.errors import AnvilError, Conflict, Invalid, NotFound
from anvilsrv.sessions import session_rows
from anvilsrv.sessions.machine import Status
from anvilsrv.store.store import Tx
from tests.desk.parts import Asker, Parts


def broken_mail(parts: Parts, agent: str) -> int:
    """A request whose row cannot be read any more, in a turn: whoever ends that turn fails over it. The prompt's number."""
    parts.mail(agent)
    number = parts.job(lambda tx: parts.send.last(tx, agent))
    parts.deliver(agent, number)
    parts.report(agent, "Submit")
    parts.job(lambda tx: tx.run("UPDATE messages SET json = '{'"))
    return number


# -- what goes wrong (F2)


def test_a_job_that_raises_anything_leaves_its_session_in_error_with_a_sentence(parts: Parts) -> None:
    agent = parts.idle()
    number = parts.taken(agent)

    def job(tx: Tx) -> None:
        raise ZeroDivisionError("division by zero")

    before = parts.mark()
    parts.life.about(agent, job)
    parts.quiet()
    row = parts.row(agent)
    assert (row.state, row.error) == ("error", "internal error: ZeroDivisionError: division by zero")
    assert parts.told(before) == ["response", "state_change error", f"error {row.error}"]
    assert (parts.status(number), parts.open_turns(agent)) == (Status.FAILED, 0)
    parts.errors.clear()


def test_a_death_that_cannot_be_worked_off_leaves_the_session_in_error_and_not_running(parts: Parts) -> None:
    """What raises in ``died`` raises again where the error is to be set down: that must not stop it."""
    agent = parts.idle()
    number, row = broken_mail(parts, agent), parts.row(agent)
    parts.life.about(agent, lambda tx: parts.life.died(tx, agent, row.pid, 1, ""))
    parts.quiet()
    after = parts.row(agent)
    assert (after.state, after.error[:31]) == ("error", "internal error: JSONDecodeError")
    assert (parts.status(number), parts.open_turns(agent)) == (Status.FAILED, 0)
    assert parts.events("error")[-1]["error"] == after.error
    parts.errors.clear()


def test_a_job_about_a_session_that_was_killed_meanwhile_is_no_error(parts: Parts) -> None:
    agent = parts.idle()
    parts.job(lambda tx: parts.life.kill(tx, agent))
    parts.life.about(agent, lambda tx: session_rows.get(tx, agent))
    parts.quiet()
    assert parts.events("error") == []


def test_an_error_of_ours_is_raised_as_it_is_and_leaves_the_session_alone(parts: Parts) -> None:
    agent = parts.idle()
    with pytest.raises(Conflict, match="not now"), parts.life.guard(agent):
        raise Conflict("not now")
    assert parts.row(agent).state == "idle"


def test_any_other_error_is_the_sessions_and_its_callers(parts: Parts) -> None:
    agent = parts.idle()
    with pytest.raises(AnvilError, match=f"session '{agent}': internal error: KeyError"), parts.life.guard(agent):
        raise KeyError("x")
    parts.quiet()
    assert parts.row(agent).state == "error"


def test_a_session_in_error_can_be_restarted(parts: Parts) -> None:
    agent = parts.idle()
    parts.life.broken(agent, KeyError("x"))
    parts.quiet()
    parts.job(lambda tx: parts.life.restart(tx, agent))
    assert (parts.row(agent).state, parts.row(agent).wanted) == ("starting", "run")
    parts.run(agent)
    parts.report(agent, "Ready")
    number = parts.taken(agent)
    parts.report(agent, "Stop", response="yes")
    assert parts.get(number).response == b"yes"


# -- its process


def test_a_prompt_is_chosen_when_its_agent_is_ready_and_runs(parts: Parts) -> None:
    agent = parts.new()
    number = parts.prompt(agent)
    parts.report(agent, "Ready")
    assert parts.status(number) == Status.QUEUED
    parts.run(agent)
    assert (parts.status(number), parts.row(agent).state) == (Status.CHOSEN, "running")


@pytest.mark.parametrize(("to", "then"), [(Status.CHOSEN, Status.QUEUED), (Status.PASTED, Status.FAILED)])
def test_an_agent_that_ends_by_itself_is_stopped_and_what_may_have_ended_it_has_failed(
    parts: Parts, to: Status, then: Status
) -> None:
    agent = parts.idle()
    number = parts.prompt(agent)
    parts.deliver(agent, number, to)
    parts.job(lambda tx: parts.life.died(tx, agent, session_rows.get(tx, agent).pid, 0, ""))
    row = parts.row(agent)
    assert (row.state, row.wanted, row.pid, parts.status(number)) == ("stopped", "stop", 0, then)


def test_a_death_of_another_process_than_the_rows_is_ignored(parts: Parts) -> None:
    agent = parts.idle()
    parts.job(lambda tx: parts.life.died(tx, agent, 7, 1, ""))
    assert parts.row(agent).state == "idle"


def test_a_crash_starts_it_again_with_its_last_words_until_it_happens_too_often(parts: Parts) -> None:
    agent = parts.idle()
    for time in range(CRASHES):
        parts.job(lambda tx: parts.life.died(tx, agent, session_rows.get(tx, agent).pid, 3, "out of memory"))
        row = parts.row(agent)
        assert (row.state, row.crashes, row.error) == ("starting", time + 1, "agent ended: status 3: out of memory")
        parts.run(agent)
    parts.job(lambda tx: parts.life.died(tx, agent, session_rows.get(tx, agent).pid, 3, "out of memory"))
    row = parts.row(agent)
    assert row.state == "error"
    assert row.error == f"crashed {CRASHES + 1} times in a row; agent ended: status 3: out of memory"


def test_a_crash_after_a_stable_life_counts_as_the_first(parts: Parts) -> None:
    agent = parts.idle()
    for _ in range(2):
        parts.job(lambda tx: parts.life.died(tx, agent, session_rows.get(tx, agent).pid, 3, ""))
        parts.run(agent)
        parts.report(agent, "Ready")
        parts.clock.now += STABLE + 1
    assert parts.row(agent).crashes == 1


def test_an_agent_that_is_never_ready_is_not_started_for_ever_however_long_it_is_given(parts: Parts) -> None:
    agent = parts.idle()
    for _ in range(CRASHES + 1):
        parts.job(lambda tx: parts.life.died(tx, agent, session_rows.get(tx, agent).pid, 137, "not ready within 120 s"))
        if parts.row(agent).state == "error":
            break
        parts.run(agent)
        parts.clock.now += STABLE * 2
    row = parts.row(agent)
    assert row.state == "error"
    assert row.error.startswith(f"crashed {CRASHES + 1} times in a row; agent ended: killed by SIGKILL: not ready")


@pytest.mark.parametrize(
    ("moved", "lived", "crashes"), [(86400, 1, 2), (-86400, 1, 2), (-86400, STABLE + 1, 1), (86400, STABLE + 1, 1)]
)
def test_how_long_an_agent_lived_does_not_depend_on_the_clock_that_is_shown(
    parts: Parts, moved: float, lived: float, crashes: int
) -> None:
    agent = parts.idle()
    for _ in range(2):
        parts.clock.set += moved
        parts.clock.now += lived
        parts.job(lambda tx: parts.life.died(tx, agent, session_rows.get(tx, agent).pid, 3, ""))
        parts.run(agent)
        parts.report(agent, "Ready")
    assert parts.row(agent).crashes == crashes


def test_an_agent_that_ended_with_the_machine_did_not_crash_in_a_row(parts: Parts) -> None:
    agent = parts.idle()
    parts.job(lambda tx: session_rows.put(tx, agent, crashes=3, began=tx.now.monotonic + 1000))
    parts.job(lambda tx: parts.life.died(tx, agent, session_rows.get(tx, agent).pid, 3, ""))
    assert parts.row(agent).crashes == 1


def test_a_sandbox_that_refuses_is_an_error_and_no_crash(parts: Parts) -> None:
    agent = parts.new()
    parts.run(agent)
    parts.job(lambda tx: parts.life.died(tx, agent, session_rows.get(tx, agent).pid, REFUSED, "no such role"))
    assert (parts.row(agent).state, parts.row(agent).error) == ("error", "no such role")


def test_a_death_in_error_does_not_start_it_again(parts: Parts) -> None:
    agent = parts.idle()
    parts.life.broken(agent, KeyError("x"))
    parts.quiet()
    row = parts.row(agent)
    assert row.pid
    parts.job(lambda tx: parts.life.died(tx, agent, row.pid, 143, ""))
    assert (parts.row(agent).state, parts.row(agent).pid) == ("error", 0)


# -- what is asked of it


def test_stop_ends_it_when_its_process_has_ended_and_restart_starts_it_again(parts: Parts) -> None:
    agent = parts.idle()
    for ask, after in ((parts.life.stop, "stopped"), (parts.life.restart, "starting")):
        parts.job(lambda tx, ask=ask: ask(tx, agent))  # type: ignore[misc]
        row = parts.row(agent)
        if row.pid:
            assert (row.state, row.wanted) == ("idle", "stop")
            parts.job(lambda tx, pid=row.pid: parts.life.died(tx, agent, pid, 143, ""))  # type: ignore[misc]
        assert parts.row(agent).state == after


def test_a_prompt_of_a_session_that_is_to_stop_is_not_chosen(parts: Parts) -> None:
    agent = parts.idle()
    parts.job(lambda tx: parts.life.stop(tx, agent))
    assert parts.status(parts.prompt(agent)) == Status.QUEUED


def test_a_turn_that_is_told_of_after_its_agent_has_died_is_over_at_once(parts: Parts) -> None:
    agent = parts.idle()
    parts.job(lambda tx: parts.life.died(tx, agent, session_rows.get(tx, agent).pid, 1, ""))
    parts.report(agent, "Submit", prompt="by hand")
    assert (parts.row(agent).state, parts.open_turns(agent)) == ("starting", 0)
    assert [one["error"] for one in parts.events("response")] == ["the agent ended"]


def test_a_ready_of_a_process_that_has_died_since_is_nothing(parts: Parts) -> None:
    agent = parts.new()
    pid, ready = parts.run(agent), parts.found("Ready") | {"mono": parts.clock.monotonic()}
    parts.clock.now += 1
    parts.job(lambda tx: parts.life.died(tx, agent, pid, 1, ""))
    parts.reports.take(agent, ready, Asker())
    assert parts.row(agent).state == "starting"


def test_restart_lets_a_queue_go_on_that_a_failure_holds(parts: Parts) -> None:
    agent = parts.idle()
    parts.taken(agent, "first")
    parts.prompt(agent, "second")
    parts.report(agent, "Fail", error="API Error: 500")
    parts.job(lambda tx: parts.life.restart(tx, agent))
    row = parts.row(agent)
    assert (row.gate.why, row.crashes, row.wanted) == ("", 0, "restart")
    parts.job(lambda tx: parts.life.died(tx, agent, row.pid, 0, ""))
    assert parts.row(agent).state == "starting"


def test_a_killed_session_leaves_nothing(parts: Parts) -> None:
    agent = parts.idle(alias="bob")
    parts.taken(agent)
    parts.prompt(agent, "second")
    parts.mail(agent)
    parts.job(lambda tx: parts.life.kill(tx, agent))
    with pytest.raises(NotFound):
        parts.row(agent)
    assert parts.registry.find("bob") is None
    for table in ("prompts", "turns", "drafts", "sessions"):
        assert parts.job(lambda tx, table=table: tx.all(f"SELECT * FROM {table}")) == []  # type: ignore[misc]
    assert parts.boxes.of(agent).unread == 0 and parts.inbox(agent) == []


# -- interrupt


def interrupt(parts: Parts, agent: str) -> list[str]:
    """Return what is pressed then."""
    parts.job(lambda tx: parts.life.interrupt(tx, agent))
    return [type(one).__name__ for one in parts.presses]


def test_an_interrupt_of_what_waits_to_be_typed_presses_no_key(parts: Parts) -> None:
    agent = parts.idle()
    number = parts.prompt(agent)
    assert interrupt(parts, agent) == []
    assert (parts.get(number).error, parts.row(agent).state) == ("interrupted", "idle")


@pytest.mark.parametrize(("to", "pressed"), [(Status.PASTED, ["Clear"]), (Status.SENT, ["Interrupt", "Clear"])])
def test_an_interrupt_of_what_is_being_typed_takes_it_back(parts: Parts, to: Status, pressed: list[str]) -> None:
    agent = parts.idle()
    number, following = parts.prompt(agent), parts.prompt(agent, "next")
    parts.deliver(agent, number, to)
    assert interrupt(parts, agent) == pressed
    assert (parts.get(number).error, parts.status(following)) == ("interrupted", Status.CHOSEN)


def test_an_interrupt_of_a_turn_presses_the_keys_and_waits_to_be_told(parts: Parts) -> None:
    agent = parts.idle()
    number = parts.taken(agent)
    assert interrupt(parts, agent) == ["Interrupt"]
    assert parts.status(number) == Status.TAKEN
    parts.reports.lines.come(agent, [{"type": "user", "text": "[Request interrupted by user]"}], old=False)
    parts.quiet()
    assert (parts.get(number).error, parts.row(agent).state) == ("interrupted", "idle")


def test_an_interrupt_without_a_turn_is_refused(parts: Parts) -> None:
    agent = parts.idle()
    with pytest.raises(Conflict, match="is idle"):
        interrupt(parts, agent)


@pytest.mark.parametrize("to", [Status.CHOSEN, Status.SENT, Status.TAKEN])
def test_an_agent_that_has_no_keys_for_it_cannot_be_interrupted_and_its_prompt_goes_on(
    parts: Parts, to: Status
) -> None:
    agent = parts.idle(parts.backend("plain", interrupt=[]))
    number = parts.taken(agent) if to == Status.TAKEN else parts.prompt(agent)
    if to == Status.SENT:
        parts.deliver(agent, number)
    with pytest.raises(Invalid, match="backend 'plain' has no keys to interrupt a turn"):
        interrupt(parts, agent)
    assert (parts.status(number), parts.presses) == (to, [])
