"""The policy: layers, their union, and what is wrong in them said with file, line and key."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from sandbox import policy
from sandbox.errors import PolicyError
from sandbox.pathnames import TMPDIR, absolute
from sandbox.text import describe

SHIPPED = Path(policy.__file__).parents[1] / "cfg"


class Setting:
    """A user's directories, to load policies in."""

    def __init__(self, top: Path) -> None:
        self.home, self.config, self.proj = top / "home", top / "home/.config/anvillm", top / "proj"
        for name in ("roles", "tasks", "backends"):
            (self.config / name).mkdir(parents=True)
        self.proj.mkdir()
        self.env = {"HOME": str(self.home), "PATH": "/usr/bin:/bin"}

    def write(self, name: str, text: str) -> Path:
        path = self.config / f"{name}.yaml"
        path.write_text(text)
        return path

    def load(self, **more: Any) -> policy.Policy:
        options: dict[str, Any] = {
            "config": [self.config],
            "backend": "",
            "role": None,
            "tasks": [],
            "cwd": str(self.proj),
        }
        return policy.load(**(options | {"namespace": str(self.home / "ns"), "env": self.env} | more))


@pytest.fixture
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    return Setting(Path(os.path.realpath(tmp_path_factory.mktemp("policy"))))


def test_without_any_configuration_there_is_a_working_directory_and_no_network(setting: Setting) -> None:
    """The built-in defaults."""
    found = setting.load(config=[])
    assert found.rights(str(setting.proj / "any")) == "rw"
    assert found.rights("/usr/bin/env") == "rx"
    assert (found.rights("/etc/shadow"), found.rights(str(setting.home)), found.network.mode) == ("", "", "none")
    assert (found.best_effort, found.permissions, found.agents) == (False, "bypass", policy.Agents())


def test_layers_are_united_path_by_path_with_their_origins(setting: Setting) -> None:
    """Most permissive wins: no later layer takes anything away."""
    (setting.home / "data").mkdir()
    setting.write("global", "filesystem: {ro: ['{HOME}/data']}\n")
    setting.write("backends/b", "backend: {title: ignored}\nfilesystem:\n  rox: ['{HOME}/data']\n")
    setting.write("roles/r", "filesystem: {ro: ['{CWD}']}\n")
    setting.write("tasks/t", "filesystem: {rw: ['{HOME}/data']}\n")
    found = setting.load(backend="b", role="r", tasks=["t"])
    assert found.rights(str(setting.home / "data/x")) == "rwx"
    grant = next(grant for grant in found.grants if grant.path == str(setting.home / "data"))
    assert [str(origin).split("/")[0] for origin in grant.origins] == ["global (", "backend b (", "task t ("]
    assert [origin.line for origin in grant.origins] == [1, 3, 1]
    line = next(line for line in describe(found, "full").splitlines() if f"\t{grant.path}\t" in line)
    assert f"task t ({setting.config}/tasks/t.yaml:1)" in line
    assert found.rights(str(setting.proj)) == "r"  # a role says itself what may be done to the working directory


def test_the_users_file_takes_the_place_of_the_shipped_one(setting: Setting) -> None:
    """File by file, so that a user can narrow what is shipped."""
    config = [setting.config, SHIPPED]
    assert setting.load(config=config).rights(str(setting.proj)) == "rwx"
    setting.write("roles/default", "filesystem: {ro: ['{CWD}']}\n")
    assert setting.load(config=config).rights(str(setting.proj)) == "r"


def test_one_layer_is_enough_to_leave_the_users_branch_alone(setting: Setting) -> None:
    """Whatever the others say, and it is told."""
    setting.write("roles/default", "git: {land: off}\n")
    assert setting.load().land is False
    setting.write("global", "git: {land: on}\n")
    found = setting.load()
    assert found.land is False
    assert "land\toff\trole default" in describe(found, "full")
    setting.write("roles/default", "git: {}\n")
    assert setting.load().land is True


WRONG = {
    "git: {land: maybe}": (1, "git.land: must be true or false, not 'maybe'"),
    "filesystm: {}": (
        1,
        "filesystm: no such key (known: general, filesystem, network, env, unix, agents, permissions, ",
    ),
    "filesystem:\n  r: [/x]": (
        2,
        "filesystem.r: no such key (known: ro, rox, rw, rwx, private, protect, hide, unprotect)",
    ),
    "filesystem:\n  ro: /x": (2, "filesystem.ro: must be a list"),
    "filesystem:\n  ro:\n    - /x\n    - 7": (4, "filesystem.ro: is not a path"),
    "filesystem:\n  ro: [relative]": (2, "filesystem.ro: 'relative' is not absolute"),
    "filesystem:\n  ro: ['{NOTHING}/x']": (2, "filesystem.ro: {NOTHING} has no value"),
    "filesystem:\n  rw:\n  - '{HOME}/../x'": (3, "goes through .."),
    "filesystem: {rw: [/]}": (1, "filesystem.rw: '/' is everything: grant the directories that are needed"),
    'filesystem: {ro: ["/a\\nb"]}': (1, "filesystem.ro: '/a\\nb' has control characters in it"),
    "filesystem: {ro: ['/x{TMPDIR}']}": (1, "is not absolute"),
    "filesystem: {protect: ['{TMPDIR}/x']}": (1, "filesystem.protect: the temporary directory cannot be protected"),
    "network:\n  enabled: yes please": (2, "network.enabled: must be true or false, not 'yes please'"),
    "network:\n  connect_tcp: [443, 0]": (2, "network.connect_tcp: 0 is not a port (1 to 65535)"),
    "network:\n  bind_tcp: [65536]": (2, "network.bind_tcp: 65536 is not a port (1 to 65535)"),
    "network:\n  connect_tcp: ['443']": (2, "network.connect_tcp: '443' is not a port (1 to 65535)"),
    "network:\n  connect_tcp: [true]": (2, "network.connect_tcp: True is not a port (1 to 65535)"),
    "network: [443]": (1, "network: must be a mapping"),
    "env:\n- A\n- 1B": (3, "env: '1B' is not the name of a variable"),
    "env: {A: b}": (1, "env: must be a list"),
    "env: ['A*=x']": (1, "env: 'A*' is not the name of a variable"),
    "general:\n  best_effort: maybe": (2, "general.best_effort: must be true, false or unsandboxed"),
    "general:\n  best_effort: true": (2, "general.best_effort: only global.yaml may weaken the sandbox"),
    "general: {activity: 2M}": (1, "general.activity: is allowed only in global.yaml"),
    "general: {log_level: loud}": (1, "general.log_level: must be one of error, warn, info, debug"),
    "permissions: maybe": (1, "permissions: must be ask or bypass"),
    "agents: {spawn: 1}": (1, "agents.spawn: must be true or false, not 1"),
    "advanced: {ldd: x}": (1, "advanced.ldd: must be true or false, not 'x'"),
    "unix: [docker]": (1, "unix: 'docker' acts as the user: only global.yaml may let it in"),
    "unix: [/run/docker.sock]": (1, "unix: '/run/docker.sock' acts as the user"),
    "unix: ['{NAMESPACE}/acme']": (1, "acts as the user"),
    "unix: [/run/user/1000/bus]": (1, "acts as the user"),
    "unix: [relative]": (1, "unix: 'relative' is not absolute"),
    "unix: ['{NAMESPACE}/agent']": (1, "is never reachable"),
    "unix: ['/tmp/tmux-0/default']": (1, "unix: /tmp/tmux-0/default is never reachable"),
    "description: [a]": (1, "description: is not a text"),
    "description: x\nbackend: {title: x}": (2, "backend: no such key (known: general, filesystem"),
    "emacs: [xref, eval]": (1, "emacs: 'eval' is not a tool of Emacs (known: xref, imenu, diagnostics, "),
    "emacs: {xref: true}": (1, "emacs: must be a list"),
    "agents: {spwan: true}": (1, "agents.spwan: no such key (known: spawn, control)"),
    "agents:\n  spawn: true\n  control: 'yes'": (3, "agents.control: must be true or false, not 'yes'"),
    "filesystem:\n  unprotect: [secret]": (2, "filesystem.unprotect: 'secret' is not protected by its name"),
    "network:\n  hosts:\n  - a.example\n  - https://b.example": (4, "network.hosts: 'https://b.example' has a scheme"),
    "network: {hosts: [192.0.2.1]}": (1, "network.hosts: '192.0.2.1' is an address"),
    "network: {hosts: ['*']}": (1, "network.hosts: '*' is every host"),
    "network: {hosts: ['a.example:99999']}": (1, "is not a port (1 to 65535)"),
    "network: {hots: []}": (1, "network.hots: no such key"),
    "limits:\n  memroy: 1G": (2, "limits.memroy: no such key"),
    "limits:\n  memory: lots": (2, "limits.memory: 'lots' is not a limit"),
    "configuration: {mcp: ['a*']}": (1, "configuration.mcp: 'a*' is not a name"),
    "git: {worktrees: /x}": (1, "git.worktrees: must be an absolute path, and is allowed only in global.yaml"),
    "\tx: 1": (1, "not YAML"),
    "network: {enabled: true}\nnetwork: {}": (2, "network: duplicate key"),
    "a: [": (2, "not YAML"),
    "- a": (1, "the file: must be a mapping"),
}


def test_the_table_has_fifty_mistakes() -> None:
    assert len(WRONG) >= 50


@pytest.mark.parametrize("text", WRONG)
@pytest.mark.parametrize(("folder", "chosen"), [("tasks", {"tasks": ["t"]}), ("roles", {"role": "t"})])
def test_what_is_wrong_is_said_with_file_line_and_key(
    setting: Setting, folder: str, chosen: dict[str, Any], text: str
) -> None:
    """In one sentence."""
    line, sentence = WRONG[text]
    path = setting.write(f"{folder}/t", text + "\n")
    with pytest.raises(PolicyError) as error:
        setting.load(**chosen)
    assert str(error.value).startswith(f"{path}:{line}: ")
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["../global", "a/b", "", ".x", "x" + "\n", "-x"])
def test_names_of_layers_cannot_leave_their_directory(setting: Setting, name: str) -> None:
    """They come from whoever writes ``new``."""
    with pytest.raises(PolicyError, match=r"is not the name of a|no task"):
        setting.load(tasks=[name])


def test_a_missing_layer_is_an_error_that_lists_those_there_are(setting: Setting) -> None:
    """All but the default role and global.yaml, which need not be there."""
    setting.write("tasks/git", "")
    with pytest.raises(PolicyError, match=r"no task 'gti' \(known: git\)"):
        setting.load(tasks=["gti"])
    with pytest.raises(PolicyError, match=r"no role 'x' \(known: none\)"):
        setting.load(role="x")
    with pytest.raises(PolicyError, match="no backend 'y'"):
        setting.load(backend="y")


def test_templates_are_replaced(setting: Setting) -> None:
    """Those of the seed, the XDG directories with their defaults, and any variable."""
    values = {"HOME": "/h", "CWD": "/w", "NAMESPACE": "/n", "XDG_DATA_HOME": "/d", "MINE": "/m"}
    cases = {"{CWD}/a": "/w/a", "{HOME}": "/h", "~/x": "/h/x", "{XDG_CONFIG_HOME}/x": "/h/.config/x", "{XDG_DATA_HOME}": "/d",
             "{MINE}/{MINE}": "/m/m", "{TMPDIR}": TMPDIR, "{TMPDIR}/a//b/": TMPDIR + "/a/b", "/tmp": TMPDIR, "/tmp/": TMPDIR,
             "/a//b/./c/": "/a/b/c", "//a": "/a", "{XDG_CACHE_HOME}": "/h/.cache"}  # fmt: skip
    assert {text: absolute(text, values) for text in cases} == cases
    assert setting.home


@pytest.mark.parametrize(
    ("network", "mode", "ports"),
    [({}, "none", []), ({"enabled": True}, "none", []), ({"enabled": False, "connect_tcp": [1]}, "none", []),
     ({"connect_tcp": [1]}, "none", []), ({"enabled": True, "connect_tcp": [443]}, "ports", [53, 443]),
     ({"enabled": True, "bind_tcp": [80]}, "ports", []), ({"enabled": True, "unrestricted": True}, "all", []),
     ({"enabled": False, "unrestricted": True}, "none", [])],
)  # fmt: skip
def test_the_network_is_what_is_really_asked_for(
    setting: Setting, network: Mapping[str, Any], mode: str, ports: list[int]
) -> None:
    """A layer that does not enable it adds nothing; DNS comes with the first port."""
    found = setting.load(extra=[("x", {"network": network})]).network
    assert (found.mode, sorted(found.connect)) == (mode, ports)


def test_a_layer_without_network_does_not_gain_by_another(setting: Setting) -> None:
    """Its ports were not enabled by itself."""
    layers = [("a", {"network": {"connect_tcp": [22]}}), ("b", {"network": {"enabled": True, "connect_tcp": [443]}})]
    assert sorted(setting.load(extra=layers).network.connect) == [53, 443]


def test_single_values_are_the_most_permissive(setting: Setting) -> None:
    """permissions, agents; and best_effort from global.yaml."""
    setting.write("global", "general: {best_effort: unsandboxed, log_level: debug}\npermissions: ask\n")
    found = setting.load()
    assert (found.best_effort, found.log_level, found.permissions) == ("unsandboxed", "debug", "ask")
    setting.write("tasks/t", "permissions: bypass\nagents: {spawn: true}\nadvanced: {ldd: true, add_exec: true}\n")
    found = setting.load(tasks=["t"])
    assert (found.permissions, found.agents.spawn, found.agents.control) == ("bypass", True, False)
    assert (found.ldd, found.add_exec) == (True, True)


def test_global_yaml_lets_sockets_in_and_the_policy_says_so(setting: Setting) -> None:
    """By name or by path, with the variables that lead to them; never the user's own 9P socket or tmux."""
    import socket

    agent = setting.home / "agent.sock"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(agent))
        setting.env["SSH_AUTH_SOCK"] = str(agent)
        setting.write("global", "unix: [ssh-agent, '{HOME}/missing']\n")
        found = setting.load()
    assert [grant.path for grant in found.unix] == [str(agent)]
    assert "SSH_AUTH_SOCK" in [said.value[0] for said in found.env]
    assert f"socket\t{agent}\tglobal ({setting.config}/global.yaml:1)\n" in describe(found, "full")
    assert any("missing does not exist" in note for note in found.notes)
    for never in ("'{NAMESPACE}/agent'", "'{NAMESPACE}'", "/tmp/tmux-0/default"):
        setting.write("global", f"unix: [{never}]\n")
        with pytest.raises(PolicyError, match="is never reachable"):
            setting.load()


def test_a_link_on_the_way_to_what_is_protected_is_refused_where_it_could_be_changed(setting: Setting) -> None:
    """A link cannot be bound over."""
    real = setting.home / "dotfiles"
    setting.config.rename(real)
    setting.config.symlink_to(real)
    assert setting.load(config=[real])
    with pytest.raises(PolicyError, match="is a link to what must not be written"):
        setting.load(config=[real], extra=[("x", {"filesystem": {"rw": ["{HOME}"]}})])


@pytest.mark.parametrize(
    "path", sorted(SHIPPED.glob("roles/*.yaml")) + sorted(SHIPPED.glob("tasks/*.yaml")), ids=lambda p: p.stem
)
def test_shipped_layers_are_whole_and_narrow(setting: Setting, path: Path) -> None:
    """None writes to the home, to configuration or to what is run outside later; none needs global.yaml's rights."""
    (setting.home / ".cache").mkdir()
    options: dict[str, Any] = {"role": path.stem} if path.parent.name == "roles" else {"tasks": [path.stem]}
    found = setting.load(config=[setting.config, SHIPPED], **options)
    assert set(found.writable) <= {str(setting.proj)}
    assert found.network.mode in ("none", "hosts", "ports")
    assert "description:" in path.read_text()
    for private in (
        ".ssh/id_ed25519",
        ".gnupg/private-keys-v1.d",
        ".aws",
        ".config/anvillm",
        ".bashrc",
        ".config/systemd",
    ):
        assert "w" not in found.rights(str(setting.home / private))


def test_the_roles_and_tasks_that_such_users_have_are_shipped() -> None:
    """Names that others rely on."""
    roles = "architect default developer lead reader research researcher reviewer techeditor tester writer".split()  # noqa: SIM905
    tasks = "curl editor git github-cli go gpg gradle maven mysql nodejs plan9 postgresql python rust ssh".split()  # noqa: SIM905
    assert policy.names([SHIPPED], "roles") == roles
    assert policy.names([SHIPPED], "tasks") == tasks


def test_reading_roles_leave_the_working_directory_alone(setting: Setting) -> None:
    """And only those that build may run what lies there."""
    rights = {
        role: setting.load(config=[SHIPPED], role=role).rights(str(setting.proj))
        for role in policy.names([SHIPPED], "roles")
    }
    assert rights == {
        "architect": "rw", "default": "rwx", "developer": "rwx", "lead": "rwx", "reader": "r", "research": "r", "researcher": "rw",
        "reviewer": "rx", "techeditor": "rw", "tester": "rwx", "writer": "rw",
    }  # fmt: skip
