"""The program ``anvil9p``: by itself, and side by side with plan9port's ``9p`` where that is installed."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

from anvilsrv import paths
from anvilsrv.inside import anvil9p
from tests.p9.conftest import place, serve, served
from tests.p9.sample import Sample

__all__ = ["place", "serve", "served"]  # fixtures

ROOT = Path(__file__).resolve().parent.parent.parent
OURS = [sys.executable, "-m", "anvilsrv.inside.anvil9p"]
THEIRS = shutil.which("9p") or shutil.which("9p", path=os.path.join(os.environ.get("PLAN9", "/usr/local/plan9"), "bin"))


@pytest.fixture
def run(served, place):
    """Run a command with its standard input; the output, and the status."""

    def start(*args: str, stdin: bytes = b"", program: list[str] = OURS):
        env = os.environ | {"NAMESPACE": str(place)}
        return subprocess.run([*program, *args], input=stdin, env=env, cwd=ROOT, capture_output=True, timeout=30)

    place.chmod(0o700)
    return start


def test_read_prints_the_file(run):
    done = run("read", "agent/hello")
    assert (done.stdout, done.stderr, done.returncode) == (b"hello world\n", b"", 0)


EVIL = "a\x1b]0;x\x07\x9b\u202e\u00e9".encode()


def test_a_terminal_gets_no_control_characters_and_a_pipe_every_byte():
    code = f"from anvilsrv.inside import anvil9p\nfor at in range(len({EVIL!r})): anvil9p.put({EVIL!r}[at:at + 1])"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, timeout=30).stdout == EVIL
    child = pexpect.spawn(sys.executable, ["-c", code], cwd=ROOT, timeout=30, encoding="utf-8")
    assert child.read() == "a\u241b]0;x\u2407\ufffd\ufffd\u00e9"


def test_a_large_file_arrives_whole(run, served):
    assert run("read", "agent/big").stdout == served.sample.big


def test_write_sends_pieces_of_4096_bytes(run, served):
    assert run("write", "agent/stream", stdin=b"x" * 10_000).returncode == 0
    assert served.sample.record.seen == ["write 4096", "write 4096", "write 1808", "clunk 10000"]


def test_write_of_nothing_is_one_empty_write(run, served):
    assert run("write", "agent/stream").returncode == 0
    assert served.sample.record.seen == ["write 0", "clunk 0"]


def test_write_by_line_sends_one_write_a_line(run, served):
    assert run("write", "-l", "agent/stream", stdin=b"one\n\nthree").returncode == 0
    assert served.sample.record.seen == ["write 4", "write 1", "write 5", "clunk 10"]


def test_errors_are_one_line_and_status_1(run):
    done = run("read", "agent/nope")
    assert (done.stderr, done.returncode) == (b"anvil9p: fsopen nope: file does not exist: 'nope'\n", 1)
    done = run("write", "agent/ctl", stdin=b"bad")
    assert (done.stderr, done.returncode) == (b"anvil9p: write error: invalid: bad command: 'bad'\n", 1)
    done = run("read", "nobody/x")
    assert done.returncode == 1 and b"mount: cannot connect to" in done.stderr


def test_by_line_a_refused_line_is_printed_and_the_next_one_is_sent(run):
    done = run("write", "-l", "agent/ctl", stdin=b"good\nbad")
    assert (done.stderr, done.returncode) == (b"write: invalid: bad command: 'bad'\n", 0)


def test_an_error_at_the_end_is_printed_but_does_not_count(run):
    done = run("write", "agent/ctl", stdin=b"late")
    assert (done.stderr, done.returncode) == (b"close: invalid: too late\n", 0)


def test_rdwr_reads_the_answer_to_each_line(run):
    done = run("rdwr", "agent/ctl", stdin=b"one\ntwo")
    assert (done.stdout, done.returncode) == (b"\nONE\nTWO\n", 0)


def test_ls_lists_every_argument_and_fails_if_one_does(run):
    done = run("ls", "agent/dir", "agent/nope", "agent/hello")
    assert (done.stdout, done.returncode) == (b"inner\nhello\n", 1)
    assert done.stderr == b"dirstat agent/nope: file does not exist: 'nope'\n"


def test_the_address_may_be_given_in_each_of_its_forms(run, place):
    for address in (f"unix!{place}/agent", f"{place}/agent"):
        assert run("-a", address, "read", "hello").stdout == b"hello world\n"
    assert run(f"-a{place}/agent", "-A", "/", "read", "hello").returncode == 0
    done = run("-a", f"{place}/agent", "-A", "other", "read", "hello")
    assert (done.stderr, done.returncode) == (b"anvil9p: mount: no such tree 'other'\n", 1)
    assert run("-a", "tcp!127.0.0.1!1", "read", "hello").returncode == 1


def test_debugging_shows_each_message_on_standard_error(run):
    done = run("-D", "read", "agent/empty")
    lines = done.stderr.decode().splitlines()
    assert 'Twalk tag 0 fid 1 newfid 2 names ["empty"]' in lines[4]
    assert all(line.startswith(("<- R", "-> T")) for line in lines)


@pytest.fixture
def own_sigint():
    """What the program makes of an interrupt is not to last beyond the test: it runs in this process."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    "args", [[], ["what"], ["read"], ["read", "a", "b"], ["-x", "read", "a"], ["read", "-l", "a"], ["-a"]]
)
def test_wrong_arguments_give_the_usage_and_status_1(monkeypatch, capfd, own_sigint, args):
    monkeypatch.setattr(sys, "argv", ["anvil9p", *args])
    assert anvil9p.main() == 1
    assert capfd.readouterr().err.startswith("usage: anvil9p [-D] [-n] [-a address]")


@pytest.mark.parametrize("inherited", [signal.SIG_DFL, signal.SIG_IGN])
def test_an_interrupt_ends_a_blocked_read_without_a_word(served, place, own_sigint, inherited):
    """As it ends plan9port's 9p, which a script may have started in the background, with interrupts ignored, too."""
    env = os.environ | {"NAMESPACE": str(place)}
    signal.signal(signal.SIGINT, inherited)
    process = subprocess.Popen([*OURS, "read", "agent/stream"], env=env, cwd=ROOT, stderr=subprocess.PIPE)
    served.sample.record.wait("parked")
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=10) == (None, b"")
    assert process.returncode == -signal.SIGINT
    served.sample.record.wait("cancel")
    served.sample.record.wait("hangup 0")


def test_a_stream_is_printed_as_it_comes(served, place):
    env = os.environ | {"NAMESPACE": str(place)}
    process = subprocess.Popen([*OURS, "read", "agent/stream"], env=env, cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout
    for turn, line in enumerate([b"one\n", b"two\n"], 1):
        served.sample.record.wait("parked", times=turn)
        served.sample.stream.publish(line)
        assert process.stdout.readline() == line
    served.sample.record.wait("parked", times=3)
    served.sample.stream.publish(b"")
    assert process.wait(timeout=10) == 0
    process.stdout.close()


def test_a_read_whose_output_nobody_reads_ends_as_any_program_does(served, place):
    env = os.environ | {"NAMESPACE": str(place)}
    process = subprocess.Popen(
        [*OURS, "read", "agent/big"], env=env, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout and process.stderr
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(timeout=10) == -signal.SIGPIPE
    process.stderr.close()


@pytest.mark.parametrize("pipe", [os.pipe, lambda: [end.detach() for end in socket.socketpair()]])
def test_a_blocked_read_ends_when_the_reader_of_its_output_goes_away(served, place, pipe):
    env = os.environ | {"NAMESPACE": str(place)}
    here, there = pipe()
    process = subprocess.Popen([*OURS, "read", "agent/stream"], env=env, cwd=ROOT, stdout=there, stderr=subprocess.PIPE)
    os.close(there)
    served.sample.record.wait("parked")
    served.sample.stream.publish(b"one\n")
    assert os.read(here, 100) == b"one\n"
    served.sample.record.wait("parked", times=2)
    os.close(here)
    assert process.communicate(timeout=10) == (None, b"")
    assert process.returncode == -signal.SIGPIPE
    served.sample.record.wait("cancel")
    served.sample.record.wait("hangup 0")


def test_nothing_but_the_standard_library_is_imported():
    code = "import sys, anvilsrv.inside.anvil9p; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); {code}"],
                          capture_output=True, text=True, check=True)  # fmt: skip
    ours = {name for name in done.stdout.split() if name not in sys.stdlib_module_names and name != "__main__"}
    assert ours == {"anvilsrv"}


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({"NAMESPACE": "/some/where"}, "/some/where"),
        ({"DISPLAY": ":1.0"}, "/tmp/ns.{user}.:1"),
        ({"DISPLAY": "/private/tmp/x:0"}, "/tmp/ns.{user}._private_tmp_x:0"),
        ({"DISPLAY": "host:10.2"}, "/tmp/ns.{user}.host:10.2"),
        ({}, "/tmp/ns.{user}.:0"),
    ],
)
def test_the_namespace_is_found_as_plan9port_finds_it(monkeypatch, environment, wanted):
    monkeypatch.delenv("NAMESPACE", raising=False)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setenv("USER", "somebody-else")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert paths.namespace() == wanted.format(user=paths.user())


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("plain", "plain"), ("two words", "'two words'"), ("it's", "'it''s'"), ("", "''"), ("é", "é"), ("a\tb", "'a\tb'")],
)
def test_names_are_quoted_as_in_rc(text, wanted):
    assert anvil9p.quoted(text) == wanted


SAME = [
    (["read", "agent/hello"], b""),
    (["read", "agent/empty"], b""),
    (["read", "agent/nope"], b""),
    (["read", "agent/gate"], b""),
    (["read", "agent/dir"], b""),
    (["read", "agent/dir/../hello"], b""),
    (["read", "agent//dir///inner/"], b""),
    (["write", "agent/ctl"], b"x" * 5000),
    (["write", "agent/ctl"], b"bad"),
    (["write", "agent/hello"], b"x"),
    (["write", "-l", "agent/ctl"], b"bad"),
    (["write", "agent/ctl"], b"late"),
    (["rdwr", "agent/ctl"], b"one\nbad\ntwo\n"),
    (["stat", "agent"], b""),
    (["stat", "agent/hello"], b""),
    (["stat", "agent/nope"], b""),
    (["ls", "agent"], b""),
    (["ls", "-l", "agent"], b""),
    (["ls", "-ln", "agent/many"], b""),
    (["ls", "-lt", "agent/dir"], b""),
    (["ls", "-d", "agent"], b""),
    (["ls", "-ld", "agent/dir", "agent/hello"], b""),
    (["ls", "-l", "agent/hello"], b""),
    (["ls", "agent/nope"], b""),
    (["ls", "agent/void"], b""),
    (["rm", "agent/hello"], b""),
    (["create", "agent/new", "agent/hello/x"], b""),
    (["read", "nobody/x"], b""),
    (["nonsense"], b""),
    (["-A", "other", "read", "agent/hello"], b""),
    (["con", "agent/who"], b""),
]


@pytest.mark.skipif(THEIRS is None, reason="plan9port's 9p is not installed")
def test_output_and_status_are_those_of_plan9ports_9p(run):
    """Standard output byte for byte, the exit status, and whether anything is said on standard error."""
    differences = []
    for args, stdin in SAME:
        ours, theirs = run(*args, stdin=stdin), run(*args, stdin=stdin, program=[str(THEIRS)])
        same_words = bool(ours.stderr) == bool(theirs.stderr) or args == ["write", "agent/ctl"]
        if (ours.stdout, ours.returncode) != (theirs.stdout, theirs.returncode) or not same_words:
            differences.append((args, ours, theirs))
    assert differences == []


def test_the_sample_has_what_the_comparison_uses():
    names = set(Sample().nodes)
    assert {"hello", "empty", "gate", "dir", "ctl", "many", "void", "who"} <= names
