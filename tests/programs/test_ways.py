"""What ``anvilsrv doctor`` says of hosts that are granted."""

import socket

from anvilsrv.programs import ways
from sandbox.hosts import Host


def test_a_host_to_which_there_is_no_way_is_named_with_the_reason() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        there = Host("there.test", server.getsockname()[1], ("127.0.0.1",))
        away = Host("away.test", 1, ("127.0.0.1",))
        found = ways.refused([there, away, Host("*.pattern.test")], 15)
    assert found == ["away.test:1 cannot be reached: 127.0.0.1: Connection refused"]
