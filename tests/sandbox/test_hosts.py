"""Hosts by name in the layers: what is refused, how they are united, what every listing says of them."""

import json
from typing import Any

import pytest
from test_policy import Setting, setting  # noqa: F401

from sandbox import door_http, hosts, tiers
from sandbox.errors import PolicyError, SandboxRefused
from sandbox.hosts import Host
from sandbox.plan import least_abi, specification
from sandbox.rights import Rights, exceeds, rights
from sandbox.text import describe
from sandbox.why import explain

ENV = {"PATH": "/usr/bin:/bin"}


def named(*entries: Any) -> dict[str, Any]:
    return {"network": {"hosts": list(entries)}}


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("https://a.example", "has a scheme"),
        ("a.example/path", "has a path"),
        ("a.example:0", "is not a port"),
        ("a.example:65536", "is not a port"),
        ("a.example:", "is not a port"),
        ("a.example:+1", "is not a port"),
        ("a.example:99999999999999999999", "is not a port"),
        ("*", "'*' is every host"),
        ("*:443", "'*' is every host"),
        ("a.*.example", "is not a host name"),
        ("10.1.2.3", "is an address"),
        ("10.1.2.3:80", "is an address"),
        ("[::1]", "is an address"),
        ("::1", "is an address"),
        ("2130706433", "is an address"),
        ("0x7f.1", "is an address"),
        ("a.0x7f", "is an address"),
        ("\uff11.example", "has non-ASCII letters"),
        ("a..example", "is not a host name"),
        (f"{'a' * 64}.example", "is not a host name"),
        ("a b.example", "is not a host name"),
        ("", "is not a host name"),
        (7, "is neither"),
        ({"addresses": []}, "has no name"),
        ({"name": "a.example", "port": 1}, "no such key 'port'"),
        ({"name": "a.example", "addresses": ["10.1.2.3/8"]}, "has host bits set"),
        ({"name": "a.example", "addresses": ["x"]}, "addresses:"),
        ({"name": "a.example", "addresses": [7]}, "addresses must be a list of addresses"),
        ({"name": "a.example", "header": {"Host": "b"}}, "is not a field that can be added"),
        ({"name": "a.example", "header": {"x-key": "a\nb"}}, "must be a line of text"),
        ({"name": "a.example", "header": {"x-key": "env:"}}, "must be a line of text"),
        ({"name": "*.example", "header": {"x-key": "a"}}, "that is for one host"),
    ],
)
def test_a_wrong_host_is_refused_with_file_line_key_and_reason(setting: Setting, entry: Any, why: str) -> None:  # noqa: F811
    file = setting.write(
        "roles/r", f"description: x\nnetwork:\n  hosts:\n    - ok.example\n    - {json.dumps(entry)}\n"
    )
    with pytest.raises(PolicyError) as told:
        setting.load(role="r")
    assert str(told.value).startswith(f"{file}:5: network.hosts: ")
    assert why in str(told.value)


def test_layers_with_hosts_are_united_and_each_line_says_who_said_so(setting: Setting) -> None:  # noqa: F811
    setting.write("roles/r", "filesystem: {ro: ['{CWD}']}\nnetwork: {hosts: [API.example., 'git.example:22']}\n")
    setting.write(
        "tasks/t", "network:\n  hosts:\n    - {name: git.example:22, addresses: [10.1.2.0/24]}\n    - '*.b.example'\n"
    )
    found = setting.load(role="r", tasks=["t"])
    assert found.network.mode == "hosts"
    assert set(found.network.hosts) == {
        Host("api.example", 443), Host("git.example", 22, ("10.1.2.0/24",)), Host("*.b.example", 443),
    }  # fmt: skip
    lines = [line.split("\t") for line in describe(found, "full").splitlines()]
    said = {line[1]: line[2] for line in lines if line[0] == "host"}
    assert (
        said["git.example:22 at 10.1.2.0/24"].startswith("role r (")
        and ", task t (" in said["git.example:22 at 10.1.2.0/24"]
    )
    assert {"api.example:443", "*.b.example:443"} < said.keys()
    assert ["network", "hosts"] in [line[:2] for line in lines]


def test_two_layers_that_give_one_host_other_addresses_or_headers_are_refused(setting: Setting) -> None:  # noqa: F811
    for what, one, other in (("addresses", ["10.0.0.0/8"], ["10.0.0.0/9"]), ("header", {"k": "1"}, {"k": "2"})):
        layers = [("a", named({"name": "x.example", what: one})), ("b", named({"name": "x.example", what: other}))]
        with pytest.raises(PolicyError, match=f"b: network.hosts: x.example: another layer gives it other {what}"):
            setting.load(extra=layers)


def test_a_host_with_a_header_is_not_reached_otherwise(setting: Setting) -> None:  # noqa: F811
    """Or the agent could bring a key of its own."""
    layers = [
        ("a", named("x.example", "x.example:22")),
        ("b", named({"name": "x.example", "header": {"X-Key": "env:KEY"}})),
    ]
    found = setting.load(extra=layers)
    assert list(found.network.hosts) == [Host("x.example", 443, (), (("x-key", "env:KEY"),))]
    assert "with x-key" in describe(found, "full") and "env:KEY" not in describe(found, "full")


def test_a_pattern_does_not_lead_around_a_header(setting: Setting) -> None:  # noqa: F811
    keyed = named({"name": "api.example.org", "header": {"X-Key": "env:KEY"}})
    pattern, exact = named("*.example.org"), named("api.example.org")
    found = setting.load(extra=[("a", pattern), ("b", keyed)])
    assert [host.name for host in hosts.covering(found.network.hosts, "api.example.org")] == ["api.example.org"]
    assert [host.name for host in hosts.covering(found.network.hosts, "www.example.org")] == ["*.example.org"]
    assert explain(found, "host:api.example.org", ENV) == [
        "host:api.example.org: open",
        "api.example.org:443, by http://api.example.org, to which the door adds x-key: b",
    ]
    parent = granted(setting, pattern, keyed)
    assert exceeds(granted(setting, pattern, keyed), parent) == []
    assert exceeds(granted(setting, pattern), parent) == ["host *.example.org:443 is not the parent's"]
    assert exceeds(granted(setting, exact), parent) == ["host api.example.org:443 is not the parent's"]


def granted(setting: Setting, *layers: Any) -> Rights:  # noqa: F811
    made = setting.load(extra=[(str(number), layer) for number, layer in enumerate(layers)])
    spec = specification(made, ["/bin/true"], tier="full", namespace_source="", tmpdir="", env=ENV)
    return json.loads(json.dumps(rights(made, spec, [])))  # type: ignore[no-any-return]


@pytest.mark.parametrize(("value", "sent"), [("env:KEY", "real"), ("Bearer env:KEY", "Bearer real"), ("text", "text")])
def test_a_variable_that_the_door_adds_is_a_placeholder_inside(
    setting: Setting,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    value: str,
    sent: str,
) -> None:
    layer = named({"name": "x.example", "header": {"x-key": value}}) | {"env": ["KEY", "K*", "OTHER=1"]}
    env = ENV | {"KEY": "real", "KIND": "k"}
    found = setting.load(extra=[("a", layer)])
    spec = specification(found, ["/bin/true"], tier="full", namespace_source="", tmpdir="", env=env)
    inside = "real" if value == "text" else "placeholder"
    assert {name: spec["env"][name] for name in ("KEY", "KIND", "OTHER")} == {"KEY": inside, "KIND": "k", "OTHER": "1"}
    assert ("env\tKEY=placeholder\tthe door adds it\n" in describe(found, "full")) == (inside == "placeholder")
    monkeypatch.setenv("KEY", "real")
    assert door_http.secrets(list(found.network.hosts)) == {value: sent}


def test_a_layer_that_says_enabled_false_gives_no_hosts(setting: Setting) -> None:  # noqa: F811
    assert setting.load(extra=[("a", {"network": {"enabled": False, "hosts": ["x.example"]}})]).network.mode == "none"


def test_a_pattern_covers_the_names_below_it_and_no_others() -> None:
    pattern = Host("*.example.org")
    assert pattern.covers("a.example.org") and pattern.covers("a.b.example.org")
    assert not any(map(pattern.covers, ("example.org", "badexample.org", "a.example.org.evil")))


def test_hosts_need_landlock_for_files_only_and_no_abi_for_abstract_sockets(setting: Setting) -> None:  # noqa: F811
    found = setting.load(extra=[("a", named("x.example", "y.example:22"))])
    assert least_abi(found, "full") == 1
    assert tiers.gaps(found, "full", 1) == []


def test_without_a_network_namespace_hosts_are_refused_or_their_ports_open_to_all(setting: Setting) -> None:  # noqa: F811
    found = setting.load(extra=[("a", named("x.example", "y.example:22"))])
    for tier in ("ll9", "weak"):
        assert "port 22, 443 is open to every host" in tiers.gaps(found, tier, 9)[-1 if tier == "ll9" else 1]
        with pytest.raises(SandboxRefused, match="hosts cannot be held"):
            tiers.choose(found, tiers.Report(tier, [], [], 9))
        spec = specification(found, ["true"], tier=tier, namespace_source="", tmpdir="", env=ENV)
        assert (spec["network"], spec["connect"]) == ("ports", [22, 53, 443])
        assert "network\tports" in describe(found, tier)


def test_ports_beside_hosts_are_refused_where_they_would_open_the_hosts_ports_to_all(setting: Setting) -> None:  # noqa: F811
    """The ports share this machine's network; where they are the same ports, nothing is opened that was not asked for."""
    ports = ("b", {"network": {"enabled": True, "connect_tcp": [443]}})
    assert tiers.gaps(setting.load(extra=[("a", named("x.example")), ports]), "full", 7) == []
    found = setting.load(extra=[("a", named("x.example", "y.example:22")), ports])
    assert tiers.gaps(found, "full", 7) == [
        "connect_tcp and bind_tcp share this machine's network: port 22, granted for hosts, is open to all"
    ]
    assert "connect\ttcp 22\tgranted for hosts, open to all\n" in describe(found, "full")


def test_a_child_gets_no_host_that_its_parent_has_not(setting: Setting) -> None:  # noqa: F811
    def of(*entries: Any, **network: Any) -> Any:
        made = setting.load(extra=[("a", {"network": {"hosts": list(entries), **network}})])
        spec = specification(made, ["true"], tier="full", namespace_source="", tmpdir="", env=ENV)
        return rights(made, spec, [])

    assert exceeds(of(), of("a.example")) == []
    parent = of("*.example", "git.example:22", {"name": "x.corp", "addresses": ["10.0.0.0/8"]}, publish=[3000])
    assert exceeds(of("a.example", "git.example:22", publish=[3000]), parent) == []
    assert exceeds(of({"name": "x.corp", "addresses": ["10.1.0.0/16"]}), parent) == []
    assert exceeds(of("other.org"), parent) == ["host other.org:443 is not the parent's"]
    assert exceeds(of("a.example:22"), parent) == ["host a.example:22 is not the parent's"]
    assert exceeds(of({"name": "x.corp", "addresses": ["192.168.0.0/16"]}), parent) == [
        "host x.corp:443 is not the parent's"
    ]
    assert exceeds(of(publish=[4000]), parent) == ["publishing port 4000 is not the parent's"]
    assert exceeds(of("a.example"), of(enabled=True, connect_tcp=[443])) == []
    assert exceeds(of("a.example:22"), of(enabled=True, connect_tcp=[443])) == ["host a.example:22 is not the parent's"]


def test_why_says_of_a_host_who_opened_it_or_which_line_would(setting: Setting) -> None:  # noqa: F811
    found = setting.load(extra=[("a", named("*.example", "git.corp:22"))])
    assert explain(found, "host:api.example", ENV) == ["host:api.example: open", "*.example:443: a"]
    closed = explain(found, "host:evil.org", ENV)
    assert closed[0] == "host:evil.org: closed" and 'network: {hosts: ["evil.org"]}' in closed[-1]
    assert explain(found, "host:git.corp", ENV)[1] == "only on another port: git.corp:22: a"
    assert explain(found, "host:127.1", ENV)[0] == "host:127.1: closed"
    assert explain(found, "tcp:22", ENV) == ["tcp:22: open to some hosts", "git.corp:22: a"]


@pytest.mark.parametrize(
    "name", ["0x7f.1", "127.1", "0177.0.0.1", "2130706433", "\uff11\uff12\uff17.1", "a..b", "-a.b", "a-.b", "a\0b", ""]
)
def test_a_name_that_getaddrinfo_would_read_as_an_address_is_refused(name: str) -> None:
    with pytest.raises(ValueError):
        hosts.checked(name)


def test_a_name_is_taken_in_lower_case_without_its_last_dot() -> None:
    assert hosts.checked("API.Example.ORG.") == "api.example.org"
    assert hosts.checked("_dmarc.example") == "_dmarc.example"
