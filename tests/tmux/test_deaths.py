"""Deaths and titles are told by tmux, nobody looks for them again and again."""

import os
import queue
import select
import signal
from collections.abc import Callable
from functools import partial

import pytest

from anvilsrv.tmux import deaths
from anvilsrv.tmux.events import Death
from anvilsrv.tmux.tmux import Tmux
from tests.panes import control_clients, detach_all, server_pid

DIES = ["sh", "-c", "read line; exit 7"]


class Told:
    """What a callback was given."""

    def __init__(self) -> None:
        self.calls: queue.SimpleQueue[object] = queue.SimpleQueue()

    def __call__(self, *what: object) -> None:
        self.calls.put(what[0] if len(what) == 1 else what)

    def next(self, wanted: Callable[[object], bool] = lambda one: True) -> object:
        while not wanted(one := self.calls.get(timeout=20)):
            pass
        return one


def end(tmux: Tmux, pane: str, pid: int) -> None:
    """Have a program of ``DIES`` end, and wait until it has, as one who watches the process."""
    poll, fd = select.poll(), os.pidfd_open(pid)
    poll.register(fd, select.POLLIN)
    tmux.keys(pane, "Enter")
    assert poll.poll(20_000)
    os.close(fd)


def title(text: str) -> list[str]:
    return ["sh", "-c", f"printf '\\033]0;{text}\\007'; read line; printf '\\033]0;after %s\\007' $line; sleep 1000"]


def test_titles_are_told_when_they_change_and_to_one_who_comes_later_as_they_are(tmux: Tmux) -> None:
    early, late = Told(), Told()
    tmux.on_title(early)
    pane = tmux.new_window("00000001", title("busy : now"), cwd="/", env={}).id
    early.next(lambda one: one == (pane, "busy : now"))
    assert tmux.title(pane) == "busy : now"
    tmux.on_title(late)
    late.next(lambda one: one == (pane, "busy : now"))
    tmux.keys(pane, "x", "Enter")
    for told in (early, late):
        told.next(lambda one: one == (pane, "after x"))


def test_deaths_are_told_with_status_or_signal(tmux: Tmux) -> None:
    told = Told()
    first = tmux.new_window("00000001", ["sh", "-c", "read line; exit 3"], cwd="/", env={})
    second = tmux.new_window("00000002", ["sh", "-c", "read line; kill -9 $$"], cwd="/", env={})
    for pane, pid in (first, second):
        end(tmux, pane, pid)
        tmux.death(pane, pid, told)
    found = {told.next(), told.next()}
    assert found == {Death(*first, 3, None), Death(*second, None, 9)}
    assert sorted(one.code for one in found if isinstance(one, Death)) == [3, 128 + 9]
    assert told.calls.empty()


def test_a_program_that_dies_as_the_one_before_it_did_is_told_too(tmux: Tmux) -> None:
    told = Told()
    pane, pid = tmux.new_window("00000001", DIES, cwd="/", env={})
    for _ in range(2):
        tmux.death(pane, pid, told)
        tmux.keys(pane, "Enter")
        assert told.next() == Death(pane, pid, 7, None)
        pid = tmux.respawn(pane, DIES, cwd="/", env={})


def test_who_asks_how_a_process_ended_is_told_once_although_tmux_misses_some(tmux: Tmux) -> None:
    for _ in range(40):
        pane, pid = tmux.new_window("00000001", DIES, cwd="/", env={})
        end(tmux, pane, pid)
        told = Told()
        tmux.death(pane, pid, told)
        assert told.next() == Death(pane, pid, 7, None)
        tmux.kill(pane)
        assert told.calls.empty()


def test_who_asks_before_tmux_knows_is_told_by_the_event(tmux: Tmux) -> None:
    told = Told()
    pane, pid = tmux.new_window("00000001", DIES, cwd="/", env={})
    tmux.death(pane, pid, told)
    assert told.calls.empty()
    tmux.keys(pane, "Enter")
    assert told.next() == Death(pane, pid, 7, None)


def test_a_death_that_nobody_can_know_is_told_as_that(tmux: Tmux, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deaths, "LATEST", 0.05)
    told = Told()
    pane, pid = tmux.new_window("00000001", ["sleep", "1000"], cwd="/", env={})
    ask = partial(tmux.death, told=told)
    ask("%99", 1)
    assert told.next() is None
    ask(pane, pid + 1)  # another program runs there by now
    assert told.next() is None
    ask(pane, pid)  # tmux does not notice
    assert told.next() is None
    os.kill(server_pid(tmux), signal.SIGKILL)
    ask(pane, pid)
    assert told.next() is None


def test_events_go_on_after_a_person_detached_everything(tmux: Tmux) -> None:
    titles, dead = Told(), Told()
    tmux.on_title(titles)
    pane = tmux.new_window("00000001", title("first"), cwd="/", env={}).id
    doomed, pid = tmux.new_window("00000002", DIES, cwd="/", env={})
    titles.next(lambda one: one == (pane, "first"))
    [client] = control_clients(tmux)
    detach_all(tmux)
    titles.next(lambda one: one == (pane, "first"))  # all that there are, from the client that took its place
    assert client not in control_clients(tmux)
    tmux.keys(pane, "x", "Enter")
    titles.next(lambda one: one == (pane, "after x"))
    tmux.death(doomed, pid, dead)
    tmux.keys(doomed, "Enter")
    assert dead.next() == Death(doomed, pid, 7, None)


def test_a_callback_that_fails_is_told_and_harms_nothing_else(tmux: Tmux) -> None:
    for n in range(3):
        tmux.new_window(f"0000000{n}", title(f"title {n}"), cwd="/", env={})
    errors, told = Told(), Told()
    frail = Tmux(tmux.socket, errors)

    def fails(pane: str, text: str) -> None:
        raise ZeroDivisionError(text)

    try:
        frail.on_title(fails)
        frail.ensure()
        seen: set[str] = set()
        while not seen >= {"title 0", "title 1", "title 2"}:  # which come at once
            seen.add(str(errors.next()))
        pane, pid = frail.new_window("00000003", DIES, cwd="/", env={})
        frail.death(pane, pid, told)
        frail.keys(pane, "Enter")
        assert told.next() == Death(pane, pid, 7, None)
    finally:
        frail.close()
