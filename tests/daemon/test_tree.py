"""How files behave: what is refused and with which words, writes in pieces, snapshots, modes, lengths, versions."""

import contextlib
import json

import pytest

from anvilsrv import paths, words
from anvilsrv.p9 import wire
from anvilsrv.p9.client import Client, P9Error
from tests.conftest import Daemon, wait_until
from tests.p9.conftest import Raw
from tests.session import Session

# the file, what is written, and the words that refuse it
REFUSED = [
    ("ctl", "new nothing {work}", "no such backend 'nothing'"),
    ("ctl", "new shell {work}/absent", "no such directory '.*absent'"),
    ("ctl", "new shell relative", "invalid path 'relative': not absolute"),
    ("ctl", "new shell", "usage: new <backend> <cwd>"),
    ("ctl", "new shell {work} alias='a b'", "invalid alias 'a b'"),
    ("ctl", "new shell {work} alias=a3f2b9d1", "looks like an id"),
    ("ctl", "new shell {work} alias=list", "a file has that name"),
    ("ctl", "new shell {work} alias=bob", "alias 'bob' already exists: it is taken by"),
    ("ctl", "new shell {work} colour=red", "unknown argument 'colour=red'"),
    ("ctl", "new shell {work} role=../x", "role"),
    ("ctl", "new shell {work} role=absent", "absent"),
    ("ctl", "new shell '{work}", "unterminated quote"),
    ("ctl", "old shell {work}", "invalid command 'old'"),
    ("user/ctl", "complete nothing", "no such message 'nothing' in the inbox of user"),
    ("bob/ctl", "jump", "invalid command 'jump': stop, restart"),
    ("bob/ctl", "complete x", "no such message 'x'"),
    ("bob/ctl", "interrupt", "is idle"),
    ("bob/alias", "a b", "invalid alias 'a b'"),
    ("bob/alias", "one\ntwo", "single line"),
    ("bob/state", "happy", "invalid state 'happy'"),
    ("bob/state", "running", "the agent's hooks report idle"),
    ("bob/answer", "yes", "has no open question"),
    ("bob/in", b"caf\xe9 ", "invalid UTF-8"),
    ("bob/context", b"\xff", "invalid UTF-8"),
    ("bob/mail", '{"to":"nobody","type":"QUERY_REQUEST","body":"x"}', "mail: no such session 'nobody'"),
    ("bob/mail", '{"to":"user","type":"HELLO","body":"x"}', "invalid type 'HELLO': PROMPT, QUERY"),
    ("bob/mail", '{"to" "user"}', "mail: invalid JSON: Expecting ':' delimiter"),
    ("bob/mail", "hello", "mail: not a JSON object"),
    ("beads/ctl", "claim nothing", "nothing"),
]


def test_bad_input_is_refused_on_its_write_with_words_that_name_it_and_changes_nothing(daemon: Daemon) -> None:
    Session.new(daemon, "shell", "alias=bob")
    client = daemon.client()
    before = client.read("sessions")
    for name, text, expected in REFUSED:
        data = text if isinstance(text, bytes) else text.replace("{work}", str(daemon.home.work)).encode()
        with client.open(name, wire.OWRITE) as file, pytest.raises(P9Error, match=expected):
            file.write(data)
            pytest.fail(f"{name}: {text!r} was taken")
    assert client.read("sessions") == before
    assert client.read("user/inbox") == b"[]\n"


def test_the_roles_are_listed_with_what_they_are_for_and_their_files(daemon: Daemon) -> None:
    mine = daemon.home.config / "roles"
    mine.mkdir(parents=True, exist_ok=True)
    (mine / "packager.yaml").write_text("description: makes\n  packages\n")
    (mine / "broken.yaml").write_text("description: x\nnonsense: 1\n")
    (mine / "reader.yaml").write_text("{}\n")

    def roles() -> dict[str, list[str]]:
        return {
            line.split("\t")[0]: line.split("\t")[1:] for line in daemon.client().read("roles").decode().splitlines()
        }

    found = roles()
    assert list(found) == sorted(found)
    assert found["packager"] == ["makes packages", str(mine / "packager.yaml")]
    assert found["reader"] == ["", str(mine / "reader.yaml")]
    assert found["developer"] == [
        "writes, builds and runs code in the working directory", str(paths.share() / "cfg/roles/developer.yaml"),
    ]  # fmt: skip
    assert found["broken"][0].startswith(f"{mine}/broken.yaml:2: nonsense: no such key")
    (mine / "reader.yaml").write_text("description: reads\n")
    assert roles()["reader"][0] == "reads"
    tasks = [line.split("\t") for line in daemon.client().read("tasks").decode().splitlines()]
    assert ["git", str(paths.share() / "cfg/tasks/git.yaml")] in [[name, file] for name, _, file in tasks]


def test_a_directory_with_spaces_works_when_it_is_quoted(daemon: Daemon) -> None:
    (daemon.home.work / "two words").mkdir()
    made = Session.starting(daemon, cwd=daemon.home.work / "two words")
    assert made.read("cwd") == f"{daemon.home.work}/two words\n"


def test_a_text_split_at_every_position_arrives_as_one(agent: Session) -> None:
    text = "échø 'ünï 🙂'\n".encode()
    for cut in range(len(text) + 1):
        with agent.client.open(f"{agent.id}/context", wire.OWRITE | wire.OTRUNC) as file:
            for piece in (text[:cut], text[cut:]):
                if piece:
                    assert file.write(piece) == len(piece)
        assert agent.client.read(f"{agent.id}/context") == text


def test_a_message_split_at_every_position_is_sent_once_at_its_last_byte(agent: Session) -> None:
    data = json.dumps({"to": "user", "type": "LOG_ERROR", "subject": "ü{", "body": '"}\\'}, ensure_ascii=False).encode()
    for count, cut in enumerate(range(1, len(data)), 1):
        with agent.client.open(f"{agent.id}/mail", wire.OWRITE) as file:
            file.write(data[:cut])
            file.write(data[cut:])
        assert len(json.loads(agent.client.read("user/inbox"))) == count


@pytest.mark.slow(5)
def test_commands_split_at_newlines_and_at_4096_bytes_all_run(daemon: Daemon) -> None:
    client = daemon.client()
    (daemon.home.work / "d").mkdir()
    commands = b"".join(f"new shell {daemon.home.work}/d{'/.' * 60} alias=s{n}\n".encode() for n in range(30))
    assert len(commands) > 4096
    with client.open("ctl", wire.OWRITE) as file:
        for start in range(0, len(commands), 4096):
            file.write(commands[start : start + 4096])
    assert client.read("list").count(b"\n") == 30


def test_a_client_that_hangs_up_in_the_middle_sends_nothing(daemon: Daemon, agent: Session) -> None:
    other = Client(str(daemon.home.socket))
    file = other.open(f"{agent.id}/in", wire.OWRITE)
    file.write(b"echo never > written")
    other.close()
    assert agent.ask("echo after") == "after\n"
    assert not (daemon.home.work / "written").exists()


def test_an_empty_write_after_data_ends_a_prompt(agent: Session) -> None:
    with agent.client.open(f"{agent.id}/in", wire.OWRITE) as file:
        file.write(b"echo one")
        assert file.write(b"") == 0
        wait_until(lambda: agent.state == "idle", "the prompt did not run")
        assert agent.read("out") == "one\n"
        file.write(b"echo two")
    assert agent.read("out") == "two\n"


def test_a_read_sees_one_snapshot_whatever_its_sizes(agent: Session) -> None:
    agent.write("context", "x" * 1000)
    with agent.client.open(f"{agent.id}/context") as file:
        first = file.read(10, 0)
        agent.write("context", "y" * 2000)
        assert first + file.read(5000, 10) == b"x" * 1000


def test_stat_tells_true_lengths_and_versions_change_with_the_content(agent: Session) -> None:
    client = agent.client
    for entry in client.ls(agent.id):
        if (
            entry.mode & 0o400
            and not entry.mode & wire.DMDIR
            and entry.name not in ("out", "log", "activity", "limits", "editor")
        ):
            assert entry.length == len(client.read(f"{agent.id}/{entry.name}")), entry.name
    before = client.stat(f"{agent.id}/context")
    agent.write("context", "new")
    after = client.stat(f"{agent.id}/context")
    assert after.qid.vers != before.qid.vers and after.qid.path == before.qid.path and after.mtime >= before.mtime
    assert client.stat(f"{agent.id}/alias").qid.vers == client.stat(f"{agent.id}/alias").qid.vers


def test_modes_are_enforced_at_open_and_a_truncating_wstat_succeeds(agent: Session) -> None:
    client = agent.client
    with pytest.raises(P9Error, match="permission denied"):
        client.open(f"{agent.id}/mail", wire.OREAD)
    with pytest.raises(P9Error, match="permission denied"):
        client.open(f"{agent.id}/pid", wire.OWRITE)
    with pytest.raises(P9Error, match="permission denied"):
        client.open(f"{agent.id}/hook", wire.ORDWR)
    client.wstat(f"{agent.id}/context", wire.UNTOUCHED._replace(length=0))
    with pytest.raises(P9Error):
        client.wstat(f"{agent.id}/context", wire.UNTOUCHED._replace(mode=0o777))


def test_the_root_holds_names_that_no_session_may_have_and_the_sessions(agent: Session) -> None:
    assert {stat.name for stat in agent.client.ls()} - words.ROOT == {agent.id}


def test_events_and_logs_block_and_go_on(daemon: Daemon, agent: Session) -> None:
    client = daemon.client()
    events = client.open("events").lines()
    log = client.open("log").lines()
    agent.write("mail", '{"to":"user","type":"QUERY_REQUEST","subject":"hi","body":"a\\nb"}')
    event = json.loads(next(events))
    assert (event["type"], event["from"], event["to"], event["kind"]) == ("message", agent.id, "user", "QUERY_REQUEST")
    assert f"{agent.id} -> user QUERY_REQUEST hi" in next(log).decode()
    assert [next(log), next(log)] == [b"\ta\n", b"\tb\n"]
    again = client.open(f"events.{event['seq'] - 1}").lines()
    assert json.loads(next(again)) == event


def test_two_hundred_blocked_readers_cost_a_small_read_nothing_it_notices(daemon: Daemon, agent: Session) -> None:
    readers = [daemon.client() for _ in range(4)]
    streams = [one.open("events") for one in readers for _ in range(50)]
    import threading

    got: list[bytes] = []
    threads = [threading.Thread(target=lambda s=s: got.append(s.read(4096, timeout=30))) for s in streams]
    for thread in threads:
        thread.start()
    assert daemon.client().read("list").startswith(agent.id.encode())
    agent.write("alias", "x")
    for thread in threads:
        thread.join()
    assert len(got) == 200 and all(b'"alias":"x"' in one for one in got)


def test_an_open_that_follows_a_close_without_waiting_for_its_answer_sees_what_was_written(agent: Session) -> None:
    """As through 9pfuse: FUSE does not wait for the end of a close."""
    with contextlib.closing(Raw(str(agent.daemon.home.socket)).start()) as raw:
        raw.open(1, f"{agent.id}/context", wire.OWRITE | wire.OTRUNC)
        raw.ok(wire.Twalk(2, 0, 2, (agent.id, "context")))
        for n in range(20):
            raw.ok(wire.Twrite(2, 1, 0, b"%d" % n))
            raw.send(wire.Tclunk(4, 1), wire.Topen(5, 2, wire.OREAD))
            assert {type(raw.receive()) for _ in range(2)} == {wire.Rclunk, wire.Ropen}
            assert raw.ok(wire.Tread(2, 2, 0, 100)).data == b"%d" % n
            raw.ok(wire.Tclunk(2, 2))
            raw.open(1, f"{agent.id}/context", wire.OWRITE | wire.OTRUNC)
            raw.ok(wire.Twalk(2, 0, 2, (agent.id, "context")))
