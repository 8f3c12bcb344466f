"""What the tree is answered with."""

import json
from types import SimpleNamespace
from typing import Any

from anvilsrv.tree.served import Served
from tests.desk.conftest import parts as parts  # a fixture
from tests.desk.parts import Parts


def test_the_objects_of_sessions_are_made_once_per_change(parts: Parts) -> None:
    views = parts.registry.views
    tmux = SimpleNamespace(attach_command=lambda session: f"attach {session}")
    other: Any = SimpleNamespace(**vars(parts), beads=None, tmux=tmux, checkpoints=None, work=None, attachments=None)
    served = Served(other)
    one, two = parts.idle(), parts.idle()
    before = {session: served.summary(parts.registry.views[session], True) for session in (one, two)}
    assert views is not parts.registry.views
    parts.mail(two)
    assert served.summary(parts.registry.views[one], True) is before[one]
    assert '"unread":0' in before[two] and '"unread":1' in served.summary(parts.registry.views[two], True)
    assert f"attach {one}" in before[one] and f"attach {one}" not in served.summary(parts.registry.views[one], False)
    parts.prompt(one)
    assert served.summary(parts.registry.views[one], True) != before[one]


def test_the_text_of_all_sessions_is_made_once_per_change_of_a_session_or_its_mail(parts: Parts) -> None:
    tmux = SimpleNamespace(attach_command=lambda session: f"attach {session}")
    other: Any = SimpleNamespace(**vars(parts), beads=None, tmux=tmux, checkpoints=None, work=None, attachments=None)
    served = Served(other)
    one = parts.idle()
    first = served.summaries()
    assert json.loads(first)[0]["id"] == one and served.summaries() is first
    parts.mail(one)
    second = served.summaries()
    assert json.loads(second)[0]["unread"] == 1 and served.summaries() is second
    parts.idle()
    assert len(json.loads(served.summaries())) == 2
