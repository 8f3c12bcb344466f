"""What ``anvilsrv doctor`` says of hosts that are granted."""

import socket

import pytest

from anvilsrv.programs import doctor_layers, ways
from sandbox.hosts import Host


def test_a_host_to_which_there_is_no_way_is_named_with_the_reason() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        there = Host("there.test", server.getsockname()[1], ("127.0.0.1",))
        away = Host("away.test", 1, ("127.0.0.1",))
        found = ways.refused([there, away, Host("*.pattern.test")], 15)
    assert found == {away: "cannot be reached: 127.0.0.1: Connection refused"}


def test_a_machine_without_a_network_is_told_so_once(monkeypatch: pytest.MonkeyPatch) -> None:
    needed = {Host("a.test"): ["claude"], Host("b.test"): ["claude", "codex"], Host("*.c.test"): ["codex"]}
    monkeypatch.setattr(
        ways, "refused", lambda hosts, _: dict.fromkeys(list(hosts)[:2], "cannot be resolved: no such name")
    )
    (line,) = doctor_layers.network(needed)
    assert line.verdict == "note" and "network" in line.words and "(claude, codex need it)" in line.words


def test_a_host_that_two_backends_need_is_named_once_with_both(monkeypatch: pytest.MonkeyPatch) -> None:
    away = Host("away.test")
    monkeypatch.setattr(ways, "refused", lambda *_: {away: "cannot be reached: refused"})
    (line,) = doctor_layers.network({away: ["claude", "codex"], Host("there.test"): ["codex"]})
    assert "away.test" in line.words and line.words.endswith("(for claude, codex)")
