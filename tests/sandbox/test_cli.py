"""anvil-sandbox(1), as a user runs it."""

import http.server
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import tiers
from tests.conftest import wait_until


@pytest.fixture(scope="module")
def full() -> None:
    if tiers.probe().tier != "full":
        pytest.skip("this kernel does not give the full tier")


class Shell:
    """A home and a working directory, and the command in them."""

    def __init__(self, top: Path) -> None:
        self.home, self.proj = top / "home", top / "proj"
        self.home.mkdir()
        self.proj.mkdir()
        drop = ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "NAMESPACE")
        self.env = {name: value for name, value in os.environ.items() if name not in drop} | {"HOME": str(self.home)}

    def __call__(self, *arguments: str, **more: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "sandbox.cli", *arguments]
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            env=self.env | more,
            cwd=self.proj,
            timeout=60,
            stdin=subprocess.DEVNULL,
        )


@pytest.fixture
def shell() -> Iterator[Shell]:
    """Not under /tmp, which is private inside."""
    with tempfile.TemporaryDirectory(prefix="asb-cli-", dir="/var/tmp") as top:
        yield Shell(Path(top))


def test_a_umask_that_lets_the_group_write_changes_nothing(shell: Shell, full: None) -> None:
    """Debian and Ubuntu give each user 0002; the launcher takes no specification that others could write."""
    old = os.umask(0o002)
    try:
        checked = shell("check")
        ran = shell("run", "--", "sh", "-c", "umask")
    finally:
        os.umask(old)
    assert "tier\tfull" in checked.stdout, checked.stdout
    assert ran.stdout == "0002\n", ran.stderr


def test_check_says_the_tier_and_why_not_a_better_one(shell: Shell) -> None:
    """Its exit status is 0 where that tier is taken unasked."""
    report, result = tiers.probe(), shell("check")
    lines = dict(line.split("\t", 1) for line in result.stdout.splitlines())
    assert lines["tier"].split("\t")[0] == report.tier
    assert lines["landlock"].startswith(f"ABI {report.abi} ")
    assert result.returncode == (0 if report.tier in ("full", "ll9") else 126)
    assert ("because" in lines) == (report.tier != "full")


def test_show_prints_each_line_with_its_layer(shell: Shell, full: None) -> None:
    """The effective policy of role and tasks."""
    result = shell("show", "--role", "reviewer", "--task", "curl", "--rw", "data")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].startswith("tier\tfull\t")
    assert any(line.startswith(f"rox\t{shell.proj}\t") and "role reviewer (" in line for line in lines)
    assert any(line.startswith("connect\ttcp 80\ttask curl (") for line in lines)
    assert f"note\t{shell.proj}/data does not exist (command line)" in lines
    assert all("\t" in line for line in lines)


def test_run_runs_a_command_and_ends_as_it_ends(shell: Shell, full: None) -> None:
    """Used alone, without a daemon, like landrun."""
    (shell.home / "secret").write_text("secret")
    result = shell("run", "--", "sh", "-c", "touch made; cat $HOME/secret; exit 5")
    assert result.returncode == 5
    assert "No such file" in result.stderr
    assert (shell.proj / "made").exists()
    granted = shell("run", "--ro", str(shell.home), "--env", "A=b", "--", "sh", "-c", "cat $HOME/secret; echo $A")
    assert granted.stdout == "secretb\n"
    assert shell("run", "--", "sh", "-c", "kill -9 $$").returncode == -9


def test_run_leaves_nothing_behind(shell: Shell, full: None) -> None:
    """The specification is read once and removed."""
    tmp = shell.home / "tmp"
    tmp.mkdir()
    assert shell("run", "--", "true", TMPDIR=str(tmp)).returncode == 0
    assert list(tmp.iterdir()) == []


class Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b"hello\n")

    def log_message(self, *_: object) -> None:
        pass


def test_run_reaches_a_host_by_name_and_no_other_by_a_door_of_its_own(shell: Shell, full: None) -> None:
    address = ".".join(["127", *(str(1 + byte % 250) for byte in os.urandom(3))])
    roles = shell.home / ".config/anvillm/roles"
    roles.mkdir(parents=True)
    host = f"{{name: 'api.test:8080', addresses: [{address}]}}"
    (roles / "net.yaml").write_text(f"filesystem: {{rwx: ['{{CWD}}']}}\nnetwork: {{hosts: [{host}]}}\n")
    ask = "import urllib.request as u; print(u.urlopen('http://{}:8080/').read().decode(), end='')"
    with http.server.ThreadingHTTPServer((address, 8080), Hello) as service:
        thread = threading.Thread(target=service.serve_forever, args=(0.05,))
        thread.start()
        try:
            reached = shell("run", "--role", "net", "--", "/usr/bin/python3", "-c", ask.format("api.test"))
            other = shell("run", "--role", "net", "--", "/usr/bin/python3", "-c", ask.format("other.test"))
            by_option = shell(
                "run", "--host", "other.test:8080", "--", "/usr/bin/python3", "-c", ask.format("api.test")
            )
        finally:
            service.shutdown()
            thread.join()
    assert (reached.returncode, reached.stdout) == (0, "hello\n"), reached.stderr
    for one in (other, by_option):
        assert one.returncode == 1 and "Name or service not known" in one.stderr, one.stderr
    wait_until(lambda: not list((shell.home / ".local/state/anvillm").glob("door-*")), "the doors go")


def test_run_refuses_with_126_and_a_sentence(shell: Shell) -> None:
    """A policy that does not load is a refusal."""
    result = shell("run", "--role", "nobody", "--", "true")
    assert result.returncode == 126
    assert result.stderr.startswith("anvil-sandbox: no role 'nobody' (known: architect, ")
    assert shell("show", "--role", "nobody").returncode == 1


def test_why_explains_a_denied_access(shell: Shell) -> None:
    """Verdict, reasons, and the line that would change it."""
    (shell.home / ".npm").mkdir()
    (shell.proj / "link").symlink_to(shell.home / ".npm")
    out = shell("why", "~/.npm", "/usr/bin/env", str(shell.proj), "tcp:443").stdout
    parts = [part.splitlines() for part in out.split("\n\n")]
    assert parts[0] == [
        "~/.npm: not granted",
        'to allow it: filesystem: {ro: ["{HOME}/.npm"]} in a role or task (or rox, rw, rwx)',
    ]
    assert parts[1][:2] == ["/usr/bin/env: read, execute", "rx on /usr: default"]
    assert parts[2][0] == f"{shell.proj}: read, write, execute"
    assert parts[2][-1].startswith(f"rwx on {shell.proj}: role default (")
    assert parts[3][0] == "tcp:443: closed"
    config = shell.home / ".config/anvillm"
    assert "never writable" in shell("why", "--rw", str(shell.home), str(config)).stdout
    assert "link: " in shell("why", str(shell.proj / "link")).stdout
    assert "private" in shell("why", "/tmp/anything").stdout
    opened = shell("why", "--task", "curl", "tcp:443", "tcp:22").stdout
    assert "tcp:443: open\nconnect_tcp: task curl (" in opened
    assert "tcp:22: closed\nonly these are open: 53 80 443" in opened


def test_setup_says_what_it_would_do(shell: Shell) -> None:
    """A copy of the interpreter with a profile of its own, so that no other script gains by it."""
    result = shell("setup", "--dry-run")
    assert result.returncode == 0
    assert "apparmor_parser -r /etc/apparmor.d/anvil-sandbox" in result.stdout
    assert "profile anvil-sandbox /usr/local/libexec/anvillm/python3." in result.stdout
    assert "userns," in result.stdout


def test_the_command_line_imports_yaml_only_when_it_needs_it(shell: Shell) -> None:
    """Help is quick."""
    code = "import sys, sandbox.cli\ntry: sandbox.cli.main(['--help'])\nexcept SystemExit: print('yaml' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60, env=shell.env
    )
    assert result.stdout.splitlines()[-1] == "False"


def test_a_link_that_was_planted_by_one_run_is_not_followed_by_the_next(shell: Shell, full: None) -> None:
    """As the working directory, named or come into, and for a grant; who planted it has long ended."""
    outside = shell.proj.parent / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret\n")
    (shell.proj / "own").symlink_to(outside)
    seen = "--cwd", "own", "--", "cat", "secret"
    assert shell("run", *seen).stdout == "secret\n"  # nobody else could have made it
    assert shell("run", "--", "sh", "-c", "ln -s ../outside planted && mkdir sub").returncode == 0
    for cwd in ("planted", "own", "sub/../planted", str(shell.proj / "planted")):
        done = shell("run", "--cwd", cwd, *seen[2:])
        assert (done.returncode, done.stdout) == (126, ""), cwd
        assert "an agent may have made the link" in done.stderr and "name the directory that is meant" in done.stderr
    command = [sys.executable, "-m", "sandbox.cli", "run", *seen[2:]]
    come = subprocess.run(
        ["sh", "-c", 'cd planted && exec "$@"', "sh", *command],
        cwd=shell.proj, env=shell.env | {"PWD": str(shell.proj)}, capture_output=True, text=True,
    )  # fmt: skip
    assert (come.returncode, come.stdout) == (126, "")
    shown = shell("show", "--cwd", str(outside), "--ro", str(shell.proj / "planted"))
    assert "planted is a link where an agent can put links" in shown.stdout
    assert shell("run", "--cwd", str(outside), *seen[2:]).stdout == "secret\n"  # by its own name
