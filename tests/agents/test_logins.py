"""The login that sessions share: each has a copy, and what one renews in it the others get, and nothing else."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from anvilsrv.agents.logins import GIVEN, Logins, give, sync
from anvilsrv.backends.registry import Backends
from anvilsrv.backends.vault import Login, Vault
from anvilsrv.errors import AnvilError
from tests.conftest import ROOT, wait_until

NAME = "tool/auth.json"
LOGIN = Login(("true",), {}, (NAME,), ("oauth.access", "oauth.expires", "*.refresh"))
FIRST = {"oauth": {"access": "a1", "expires": 1, "refresh": "r1", "type": "oauth"}}


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    made = Vault(tmp_path / "logins")
    made.put("x", NAME, FIRST)
    return made


def session(tmp_path: Path, name: str) -> Path:
    (tmp_path / name / "data" / "tool").mkdir(parents=True)
    return tmp_path / name


def copy(top: Path) -> Path:
    return top / "data" / NAME


def content(top: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(copy(top).read_text())
    return found


def renew(top: Path, **changed: Any) -> None:
    """As agents do: a new file over the old one."""
    found = content(top)
    found["oauth"] |= changed
    (copy(top).parent / "new").write_text(json.dumps(found))
    os.replace(copy(top).parent / "new", copy(top))


def test_what_one_session_renews_the_others_get(vault: Vault, tmp_path: Path) -> None:
    one, other = session(tmp_path, "one"), session(tmp_path, "other")
    for top in (one, other):
        give(vault, "x", LOGIN, top)
        assert content(top) == FIRST and copy(top).stat().st_mode & 0o777 == 0o600
    renew(one, access="a2", expires=2, refresh="r2")
    for top in (one, other):
        sync(vault, "x", LOGIN, top)
        assert content(top)["oauth"] == {"access": "a2", "expires": 2, "refresh": "r2", "type": "oauth"}


def test_what_was_renewed_while_no_daemon_ran_is_not_lost_at_the_next_start(vault: Vault, tmp_path: Path) -> None:
    one = session(tmp_path, "one")
    give(vault, "x", LOGIN, one)
    renew(one, access="a2")
    give(vault, "x", LOGIN, one)
    assert content(one)["oauth"]["access"] == "a2"
    assert (vault.get("x", NAME) or {})["oauth"]["access"] == "a2"


def test_an_old_copy_does_not_take_a_newer_login_away(vault: Vault, tmp_path: Path) -> None:
    one, other = session(tmp_path, "one"), session(tmp_path, "other")
    for top in (one, other):
        give(vault, "x", LOGIN, top)
    renew(one, access="a2")
    sync(vault, "x", LOGIN, one)
    renew(other, access="stale")
    sync(vault, "x", LOGIN, other)
    assert content(other)["oauth"]["access"] == "a2"


def test_nothing_but_what_a_renewal_changes_reaches_the_others(vault: Vault, tmp_path: Path) -> None:
    one, other = session(tmp_path, "one"), session(tmp_path, "other")
    for top in (one, other):
        give(vault, "x", LOGIN, top)
    evil = {
        "oauth": {**FIRST["oauth"], "access": "a2", "type": "wellknown", "more": 1},
        "http://evil": {"refresh": "x"},
    }
    copy(one).write_text(json.dumps(evil))
    sync(vault, "x", LOGIN, one)
    sync(vault, "x", LOGIN, other)
    assert content(other) == {"oauth": {**FIRST["oauth"], "access": "a2"}}
    assert content(one) == evil  # its own affair


@pytest.mark.parametrize("text", [
    "", "{", "[]", '{"oauth": {}}', '{"oauth": 7}', '{"oauth": {"access": "", "expires": 1, "refresh": "r"}}',
    '{"oauth": {"access": {"a": 1}, "expires": 1, "refresh": "r"}}', '{"oauth": {"access": "' + "a" * 70000 + '", "refresh": "r"}}',
    '{"oauth": {"access": NaN}}', " " * 300000, "[" * 100000,
])  # fmt: skip
def test_a_copy_that_is_no_login_any_more_is_replaced_and_never_taken(vault: Vault, tmp_path: Path, text: str) -> None:
    one = session(tmp_path, "one")
    give(vault, "x", LOGIN, one)
    copy(one).write_text(text)
    sync(vault, "x", LOGIN, one)
    assert content(one)["oauth"] == FIRST["oauth"] and vault.get("x", NAME) == FIRST


def test_a_link_in_place_of_the_copy_is_neither_read_nor_written_through(vault: Vault, tmp_path: Path) -> None:
    one, users = session(tmp_path, "one"), tmp_path / "users"
    give(vault, "x", LOGIN, one)
    users.write_text(json.dumps({"oauth": {**FIRST["oauth"], "access": "the user's own"}}))
    before = users.read_text()
    copy(one).unlink()
    copy(one).symlink_to(users)
    sync(vault, "x", LOGIN, one)
    assert (users.read_text(), vault.get("x", NAME), copy(one).is_symlink()) == (before, FIRST, False)
    (one / "data" / "tool").rename(one / "data" / "old")
    (one / "data" / "tool").symlink_to(tmp_path)
    with pytest.raises(AnvilError, match="not opened, a symbolic link"):
        sync(vault, "x", LOGIN, one)
    assert not (tmp_path / "auth.json").exists()


def test_a_session_that_was_given_nothing_is_left_alone(vault: Vault, tmp_path: Path) -> None:
    one = session(tmp_path, "one")
    copy(one).write_text('{"key": 1}')
    sync(vault, "x", LOGIN, one)
    assert content(one) == {"key": 1} and not (one / GIVEN).exists()


class OneBackend(Backends):
    """Knows ``x`` alone."""

    def __init__(self) -> None: ...

    def last(self, name: str) -> Any:
        return self if name == "x" else None

    login = LOGIN


class Shown:
    """As much of a row as is looked at."""

    def __init__(self, name: str, state: str) -> None:
        self.id, self.state, self.backend = name, state, "x"


@pytest.fixture
def logins(vault: Vault, tmp_path: Path) -> Iterator[Logins]:
    failed: list[BaseException] = []
    made = Logins(lambda session: tmp_path / session, OneBackend(), vault, failed.append)
    yield made
    made.close()
    assert not failed


def test_renewals_and_new_logins_are_seen_as_they_come(vault: Vault, tmp_path: Path, logins: Logins) -> None:
    tops = [session(tmp_path, name) for name in ("one", "other")]
    for top in tops:
        give(vault, "x", LOGIN, top)
        logins.follow(None, Shown(top.name, "idle"))  # type: ignore[arg-type]
    renew(tops[0], access="a2")
    wait_until(lambda: content(tops[1])["oauth"]["access"] == "a2", "the other has it")
    vault.put("x", NAME, {"oauth": {**FIRST["oauth"], "access": "anew"}})
    for top in tops:
        wait_until(lambda top=top: content(top)["oauth"]["access"] == "anew", "a new login reaches all")  # type: ignore[misc]


@pytest.mark.parametrize("name", ["claude", "codex", "gemini", "opencode"])
def test_no_agent_can_write_anything_in_the_users_home(name: str) -> None:
    layer = yaml.safe_load((ROOT / "cfg" / "backends" / f"{name}.yaml").read_text())
    assert not {"rw", "rwx"} & set(layer["filesystem"])
    assert layer["backend"]["login"]["files"]
