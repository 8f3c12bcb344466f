"""What one sandbox gives and another does not, by what is enforced."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from sandbox_world import World

from sandbox.pathnames import TMPDIR
from sandbox.plan import specification
from sandbox.rights import Rights, exceeds, rights

Layered = Callable[..., Rights]


@pytest.fixture(params=["full", "ll9"])
def layered(request: pytest.FixtureRequest, world: World) -> Iterator[Layered]:
    """Makes the rights of a session with one more layer, in one or the other tier."""
    for name in ("proj/sub", "home/data", "home/data/deep"):
        (world.top / name).mkdir(parents=True)
    world.own()

    def made(layer: Mapping[str, Any] | None = None, cwd: Path | None = None, tier: str = request.param) -> Rights:
        policy = world.policy(layer, cwd=str(cwd or world.proj))
        top = world.sess
        spec = specification(
            policy, ["true"], tier=tier, namespace_source=str(top), tmpdir=str(top / "tmp"), env=world.env
        )
        return rights(policy, spec, [str(top)])

    yield made


def test_what_one_has_and_the_other_lacks_is_named(world: World, layered: Layered) -> None:
    plain = layered({})
    assert exceeds(plain, plain) == []
    assert exceeds(layered({}, world.proj / "sub"), plain) == []
    assert exceeds(plain, layered({}, world.proj / "sub")) == [f"{world.proj}: rw is not the parent's"]
    cases: dict[str, dict[str, Any]] = {
        f"{world.proj}: x is not the parent's": {"filesystem": {"rwx": ["{CWD}"]}},
        f"{world.home}/data: r is not the parent's": {"filesystem": {"ro": ["{HOME}/data"]}},
        f"{TMPDIR}: x is not the parent's": {"filesystem": {"rwx": ["{TMPDIR}"]}},
        "network all is not the parent's": {"network": {"enabled": True, "unrestricted": True}},
        "network ports is not the parent's": {"network": {"enabled": True, "connect_tcp": [443]}},
        "the variable SECRET is not passed to the parent": {"env": ["SECRET"]},
        "agents.spawn is not the parent's": {"agents": {"spawn": True}},
        "agents.control is not the parent's": {"agents": {"control": True}},
        "emacs: xref is not the parent's": {"emacs": ["xref"]},
    }
    for sentence, layer in cases.items():
        assert exceeds(layered(layer), plain) == [sentence]
        assert exceeds(plain, layered(layer)) == []
        assert exceeds(layered(layer), layered(layer)) == []
    some, more = ({"network": {"enabled": True, "connect_tcp": ports}} for ports in ([443], [443, 22]))
    assert exceeds(layered(more), layered(some)) == ["port 22 is not the parent's"]
    assert exceeds(plain, layered({"permissions": "ask"})) == ["the parent asks for permissions"]


def test_a_weaker_tier_is_more(layered: Layered) -> None:
    assert exceeds(layered(tier="weak"), layered(tier="full"))[0] == "tier weak holds less than the parent's, full"


@pytest.mark.parametrize("key", ["hide", "private", "protect"])
def test_what_the_other_does_not_see_or_may_not_write_is_more_whatever_is_granted_above(
    world: World, layered: Layered, key: str
) -> None:
    """Only mounts can take away beneath what is granted; where there are none, such a policy is refused."""
    granted: dict[str, Any] = {"rw": ["{HOME}/data"]}
    open_, closed = {"filesystem": granted}, {"filesystem": granted | {key: ["{HOME}/data/deep"]}}
    less = layered(closed, tier="full")
    letters = "w" if key == "protect" else "rw"
    assert exceeds(layered(open_, tier="full"), less) == [f"{world.home}/data/deep: {letters} is not the parent's"]
    assert exceeds(less, layered(open_, tier="full")) == []
    beneath = {"filesystem": {"rw": ["{HOME}/data/deep"]}}
    assert exceeds(layered(beneath, tier="full"), less) == [f"{world.home}/data/deep: {letters} is not the parent's"]


def test_only_a_session_that_was_granted_a_socket_has_it(world: World, layered: Layered) -> None:
    world.listen(str(world.home / "data/agent.sock"))
    read = {"filesystem": {"ro": ["{HOME}/data"]}}
    connect = read | {"unix": ["{HOME}/data/agent.sock"]}
    assert exceeds(layered(connect), layered(read)) == [f"{world.home}/data/agent.sock: s is not the parent's"]
    assert exceeds(layered(read), layered(connect)) == []
