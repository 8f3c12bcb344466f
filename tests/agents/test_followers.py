"""Followers act on what the rows say: told twice they do it once, told anew (as by a daemon that starts) they begin nothing again."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from anvilsrv import paths
from anvilsrv.app import App
from anvilsrv.sessions.machine import Status
from anvilsrv.sessions.state import State, View
from tests.conftest import Home, wait_until


@pytest.fixture
def app(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    """The parts of a daemon, in this process."""
    for name, value in home.env.items():
        monkeypatch.setenv(name, value)
    made = App(str(home.namespace), paths.private_dir(home.top / "state"))
    made.start()
    yield made
    made.stop(agents=True)


@pytest.fixture
def session(app: App, home: Home) -> str:
    made = app.spawn.new(["shell", str(home.work)], None, lambda *_: None)
    wait_until(lambda: app.registry.get(made).state == State.IDLE, "it is not ready")
    return made


def tell_again(app: App, session: str, before: View | None) -> None:
    """Every follower is told twice of the session as it is."""
    after = app.registry.get(session)

    def job(tx: object) -> None:
        for follower in app.followers:
            follower.follow(before, after)
            follower.follow(before, after)

    app.store.call(job)
    app.sockets.settled()


def ran(home: Home) -> list[str]:
    return (home.work / "ran").read_text().split() if (home.work / "ran").exists() else []


def ask(app: App, session: str, text: str) -> int:
    """Queue a prompt. Returns its id."""
    return app.store.call(lambda tx: app.send.numbered(tx, session, app.send.accept(tx, session, text, "user")).id)


@pytest.mark.parametrize("anew", [False, True])
def test_told_twice_of_an_idle_session_they_do_nothing(app: App, session: str, home: Home, anew: bool) -> None:
    before = app.registry.get(session)
    tell_again(app, session, None if anew else before)
    assert app.registry.get(session).pid == before.pid
    assert len(app.tmux.panes()) == 1
    number = ask(app, session, "echo once >> ran")
    wait_until(lambda: app.store.call(lambda tx: app.send.response(tx, number)) is not None, "no answer")
    assert ran(home) == ["once"]


@pytest.mark.parametrize("anew", [False, True])
def test_told_twice_of_a_prompt_on_its_way_they_deliver_it_once(app: App, session: str, home: Home, anew: bool) -> None:
    before = app.registry.get(session)
    number = ask(app, session, "echo once >> ran")
    while app.registry.get(session).status in (Status.CHOSEN, Status.PASTED, Status.SENT):
        tell_again(app, session, None if anew else before)
    wait_until(lambda: app.store.call(lambda tx: app.send.response(tx, number)) is not None, "no answer")
    wait_until(lambda: app.registry.get(session).state == State.IDLE, "the turn goes on")
    second = ask(app, session, "echo twice >> ran")
    wait_until(lambda: app.store.call(lambda tx: app.send.response(tx, second)) is not None, "no answer")
    assert ran(home) == ["once", "twice"]


def test_told_twice_that_a_session_is_gone_they_clear_it_away_once(app: App, session: str, home: Home) -> None:
    before = app.registry.get(session)
    app.store.call(lambda tx: app.life.kill(tx, session))

    def job(tx: object) -> None:
        for follower in reversed(app.followers):
            follower.follow(before, None)

    app.store.call(job)
    app.sockets.settled()
    assert app.tmux.panes() == []
    gone = Path(home.top) / "state/sessions" / session
    wait_until(lambda: not gone.exists(), "its directory")


def test_a_killed_session_whose_repository_takes_long_holds_up_no_other(
    app: App, session: str, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()

    def slow(_: str) -> list[str]:
        assert go.wait(60)
        return []

    with monkeypatch.context() as patch:
        patch.setattr(app.landing, "settle", slow)
        app.store.call(lambda tx: app.life.kill(tx, session))
        other = app.spawn.new(["shell", str(home.work)], None, lambda *_: None)
        wait_until(lambda: app.registry.get(other).state == State.IDLE, "the other is not ready")
        assert app.directories.of(session).exists()
        go.set()
        wait_until(lambda: not app.directories.of(session).exists(), "its directory")


def test_what_a_daemon_that_died_did_not_clear_away_the_next_one_does(
    app: App, session: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    died: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(app.landing, "forget", died.append)  # as if the daemon died before it
        app.store.call(lambda tx: app.life.kill(tx, session))
        wait_until(lambda: died == [session], "the end of the session")
    wait_until(lambda: not app.directories.living(session), "its agent")
    stranger = app.directories.of("strange")
    stranger.mkdir()

    def swept() -> bool:
        app.commits.sweep()  # more than once: the one that died may not be done yet
        return not app.directories.of(session).exists()

    wait_until(swept, "its directory")
    assert stranger.exists()


def test_a_kill_between_a_commit_and_its_deed_loses_nothing(app: App, session: str, home: Home) -> None:
    """Rows alone say what is to be done: followers that never heard of a prompt deliver it when they are told of the session anew."""
    followers, app.following = app.following, ()  # as if the daemon died behind the commit
    number = ask(app, session, "echo kept >> ran")
    assert ran(home) == []
    app.following = followers
    tell_again(app, session, None)
    wait_until(lambda: app.store.call(lambda tx: app.send.response(tx, number)) is not None, "no answer")
    assert ran(home) == ["kept"]
