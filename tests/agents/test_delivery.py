"""What goes wrong while a prompt is typed: it is typed when that is over, or has failed with a reason, and the next one goes."""

from collections.abc import Callable, Sequence

import pytest

from anvilsrv.app import App
from anvilsrv.errors import AnvilError, Unavailable
from anvilsrv.sessions import prompts
from anvilsrv.sessions.gate import By
from anvilsrv.sessions.machine import Status
from anvilsrv.sessions.prompt import Prompt
from anvilsrv.sessions.state import State
from anvilsrv.tmux.tmux import Tmux
from tests.agents.test_followers import app, ask, ran, session
from tests.conftest import Home, wait_until
from tests.scripted import install, script

__all__ = ["app", "session"]  # fixtures


def once(monkeypatch: pytest.MonkeyPatch, name: str, instead: Callable[..., object]) -> None:
    """The next call of that method of tmux does something else."""
    done: list[str] = []
    method = getattr(Tmux, name)

    def call(self: Tmux, *args: object, **more: object) -> object:
        if done:
            return method(self, *args, **more)
        done.append(name)
        return instead(self, *args)

    monkeypatch.setattr(Tmux, name, call)


def fails(error: Exception) -> Callable[..., None]:
    def instead(tmux: Tmux, *args: object) -> None:
        raise error

    return instead


def loses_the_buffer(tmux: Tmux, pane: str, buffer: str) -> None:
    """Somebody has deleted it; what tmux says then."""
    tmux.unload(buffer)
    tmux.insert(pane, buffer)


def end_of(app: App, number: int) -> Prompt:
    def over() -> Prompt | None:
        found = app.store.call(lambda tx: prompts.there(tx, number))
        return found if found.status in (Status.DONE, Status.FAILED) else None

    made = wait_until(over, f"no end: {app.registry.views}")
    assert isinstance(made, Prompt)
    return made


DISK = OSError(28, "No space left on device")


@pytest.mark.slow(7)
@pytest.mark.parametrize(
    ("step", "error"),
    [("load", DISK), ("load", Unavailable("no tmux")), ("insert", DISK), ("insert", Unavailable("its input is off"))],
)
def test_what_was_certain_not_to_be_typed_is_typed_when_that_is_over(
    app: App, session: str, home: Home, monkeypatch: pytest.MonkeyPatch, step: str, error: AnvilError | OSError
) -> None:
    once(monkeypatch, step, fails(error))
    number, following = ask(app, session, "echo one >> ran"), ask(app, session, "echo two >> ran")
    wait_until(lambda: By.OBSTACLE in app.registry.get(session).gate.holders, "it is not told")
    assert str(error) in app.registry.get(session).gate.why
    assert [end_of(app, one).status for one in (number, following)] == [Status.DONE, Status.DONE]
    assert (ran(home), app.registry.get(session).gate.why) == (["one", "two"], "")


def test_an_input_in_which_a_person_types_again_as_soon_as_it_is_free_is_waited_for(
    app: App, session: str, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[str] = []

    def free(backend: object, screen: object) -> bool:
        looks.append("a person types")
        return len(looks) > 3

    monkeypatch.setattr("anvilsrv.agents.delivery.is_free", free)
    assert end_of(app, ask(app, session, "echo one >> ran")).status == Status.DONE
    assert (len(looks), ran(home)) == (4, ["one"])


def test_a_key_that_a_person_presses_after_the_look_keeps_enter_from_being_pressed(
    app: App, session: str, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    press = Tmux.press

    def adds_a_key(tmux: Tmux, pane: str, names: Sequence[str], shown: str) -> bool:
        """She is faster than our Enter."""
        tmux.line(f"send-keys -t {pane} z")
        wait_until(lambda: tmux.screen(pane).line.endswith("ranz"), "her key is not drawn")
        return press(tmux, pane, names, shown)

    once(monkeypatch, "press", adds_a_key)
    number = ask(app, session, "echo one >> ran")
    wait_until(lambda: By.OBSTACLE in app.registry.get(session).gate.holders, "her key is not seen")
    assert app.registry.get(session).gate.why == "someone is typing in the pane: '$ echo one >> ranz'"
    app.tmux.line(f"send-keys -t {app.registry.get(session).pane} BSpace")
    assert (end_of(app, number).status, ran(home)) == (Status.DONE, ["one"])
    assert not (home.work / "ranz").exists()


def test_a_prompt_that_a_person_clears_away_after_the_look_has_failed_as_that_and_the_next_one_goes(
    app: App, session: str, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    press = Tmux.press

    def clears(tmux: Tmux, pane: str, names: Sequence[str], shown: str) -> bool:
        tmux.line(f"send-keys -t {pane} C-u")
        wait_until(lambda: tmux.screen(pane).line.rstrip() == "$", "it stands there still")
        return press(tmux, pane, names, shown)

    once(monkeypatch, "press", clears)
    number, following = ask(app, session, "echo one >> ran"), ask(app, session, "echo two >> ran")
    assert "(it is gone from the input)" in (end_of(app, number).error or "")
    assert (end_of(app, following).status, ran(home)) == (Status.DONE, ["two"])


def test_an_agent_that_never_looks_the_same_twice_gets_its_enter(
    app: App, session: str, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anvilsrv.agents.evidence.unchanged", lambda screen, rows: "0")
    assert end_of(app, ask(app, session, "echo one >> ran")).status == Status.DONE
    assert ran(home) == ["one"]


@pytest.mark.parametrize(
    ("step", "instead"), [("insert", loses_the_buffer), ("press", fails(DISK))], ids=["buffer", "Enter"]
)
def test_what_may_stand_in_the_input_has_an_end_and_the_next_one_goes(
    app: App, session: str, home: Home, monkeypatch: pytest.MonkeyPatch, step: str, instead: Callable[..., None]
) -> None:
    once(monkeypatch, step, instead)
    number, following = ask(app, session, "echo one >> ran"), ask(app, session, "echo two >> ran")
    first = end_of(app, number)
    assert first.status == Status.FAILED
    assert "in doubt" in (first.error or "")
    assert end_of(app, following).status == Status.DONE
    assert ran(home) == ["two"]


@pytest.mark.slow(7)
@pytest.mark.parametrize("title", ["busy", "idle"])
def test_an_agent_whose_title_says_that_it_works_may_tell_late_that_it_took_a_prompt(
    app: App, home: Home, monkeypatch: pytest.MonkeyPatch, title: str
) -> None:
    monkeypatch.setattr("anvilsrv.agents.delivery.LATE", 2.0)
    install(home.config, titles={"busy": "^busy$"})
    script(home.work, turns=[{"submit": "late", "say": "said"}], late=6.0)
    made = app.spawn.new(["scripted", str(home.work)], None, lambda *_: None)
    wait_until(lambda: app.registry.get(made).state == State.IDLE, "it is not ready")
    pane = app.registry.get(made).pane or ""
    app.tmux.command("select-pane", "-t", pane, "-T", title)
    found = end_of(app, ask(app, made, "hello"))
    assert (found.status, "in doubt" in (found.error or "")) == {
        "busy": (Status.DONE, False),
        "idle": (Status.FAILED, True),
    }[title]
