"""A session with the shell backend, ready for prompts."""

import pytest

from tests.conftest import Daemon
from tests.session import Session


@pytest.fixture
def agent(daemon: Daemon) -> Session:
    return Session.new(daemon)
