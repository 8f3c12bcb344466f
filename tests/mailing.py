"""Mail from a script, and what became of it."""

import json
import sys

import pytest

from tests.conftest import Daemon
from tests.session import Session


@pytest.fixture
def shell(daemon: Daemon) -> str:
    """The id of an idle shell session with the alias `sh`."""
    return Session.new(daemon, "shell", "alias=sh").id


def program(module: str) -> list[str]:
    return [sys.executable, "-c", f"from anvilsrv.{module} import main; main()"]


def send(daemon: Daemon, sender: str, to: str, body: str, kind: str = "QUERY_REQUEST", subject: str = "") -> None:
    message = {"to": to, "type": kind, "subject": subject, "body": body}
    daemon.client().write(f"{sender}/mail", json.dumps(message).encode())


def archived(daemon: Daemon, owner: str) -> list[str]:
    return [one["body"] for one in json.loads(daemon.client().read(f"{owner}/archive"))]
