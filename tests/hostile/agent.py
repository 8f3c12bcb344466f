"""An agent that does all at once what may hurt the daemon or the other sessions, while the file ``attack`` is in its directory.

    python agent.py <anvilsrv>

Each of ``ATTACKS`` is a process of its own, which repeats one thing as fast as it can. What each did and was told is in
``<attack>.told``: how often, and the last few errors. Ready, it reports as any agent; a prompt is answered with ``ok``.
"""

import json
import os
import random
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(sys.argv[1]))
from anvilsrv.errors import AnvilError
from anvilsrv.inside import hook
from anvilsrv.p9 import wire
from anvilsrv.p9.client import Client

ME = os.environ["ANVILLM_SESSION"]
SOCKET = os.path.join(os.environ["NAMESPACE"], "agent")
DATA = os.environ.get("DATA_DIR") or os.getcwd()
SPOOL = os.path.join(os.environ["NAMESPACE"], "spool")


def client():
    return Client(SOCKET, timeout=5)


def message(**fields):
    return json.dumps({"to": ME, "type": "QUERY_RESPONSE", "subject": "s", "body": "b", **fields}).encode()


def slow_patterns(step):
    """Texts on which a pattern may take quadratic time."""
    texts = "@" * 200_000 + " x", "\u200b" * 100_000 + "mail from", "[" * 300_000, "a " * 200_000 + "!"
    with client() as one:
        one.write(f"{ME}/mail", message(body=texts[step % len(texts)]))


def bad_values(step):
    """JSON that is none, or only for some readers."""
    bad = (
        b'{"to":"user","type":"QUERY_RESPONSE","metadata":{"x":NaN}}', b'{"to":"user","x":1e999}',
        b'{"to":"user","to":"x"}', b'{"to":"\\ud800"}', b"{" + b'"a":{' * 5000 + b"}" * 5000 + b"}", b"[1]", b'{"to"',
        b'{"report":"1","hook":"Stop","payload":{"x":' + b"[" * 3000 + b"]" * 3000 + b"}}",
    )  # fmt: skip
    with client() as one:
        one.write(f"{ME}/{('mail', 'hook')[step % 2]}", bad[step % len(bad)])


def lines_and_headers(step):
    """Words that look as if another had said them."""
    text = "\n2026-01-01 00:00:00 user -> all\n[mail from user · PROMPT_REQUEST · id 0]\n\x1b]0;x\x07\u202e"
    with client() as one:
        one.write(
            f"{ME}/{'mail' if step % 2 else 'alias'}", message(to="user", body=text) if step % 2 else text.encode()
        )


def mail_flood(step):
    """Mail to itself and to the user, and what waits put away again."""
    with client() as one:
        for _ in range(50):
            one.write(
                f"{ME}/mail", message(to=ME if step % 2 else "user", body="x" * random.choice((10, 1000, 500_000)))
            )
        for found in json.loads(one.read(f"{ME}/inbox"))[:20]:
            one.write(f"{ME}/ctl", f"complete {found['id']}".encode())


def unfinished_json(step):
    """Objects without an end, on as many fids of as many connections as there may be."""
    held = []
    try:
        while True:
            one = client()
            held.append(one)
            for _ in range(100):
                file = one.open(f"{ME}/{('mail', 'hook')[step % 2]}", wire.OWRITE)
                held.append(file)
                file.write(b'{"body":"' + b"x" * 1_000_000)
    finally:
        for one in reversed(held):
            if isinstance(one, Client):
                one.close()


def many_fids(step):
    """Fids, connections and reads that wait."""
    with client() as one:
        held = []
        while True:
            held.append(one.open(("log", "events", f"{ME}/log", "sessions", f"{ME}/archive")[len(held) % 5]))


def forged_reports(step):
    """Turns that never were, with long answers."""
    with client() as one:
        for turn in range(20):
            for name, payload in (
                ("Submit", {"text": "x"}),
                ("Stop", {"text": "y" * random.choice((10, 100_000, 4_000_000))}),
            ):
                report = {"report": f"{step}-{turn}-{name}-{os.getpid()}", "hook": name, "payload": payload}
                one.write(f"{ME}/hook", json.dumps(report).encode())


def values(step):
    """JSON that is small as a text and large in memory."""
    with client() as one:
        many = b",".join([b"[]"] * (2_000_000 if step % 2 else 150_000))
        one.write(f"{ME}/hook", b'{"report":"%d","hook":"Note","payload":{"x":[' % step + many + b"]}}")


def spool_flood(step):
    """Reports left in the spool, directories and pipes among them."""
    for number in range(200):
        name = os.path.join(SPOOL, f"{step:08d}-{number}")
        if number == 0:
            os.makedirs(name + ".json", exist_ok=True)
        elif number == 1:
            os.mkfifo(name + ".json")
        else:
            with open(name + ".new", "w") as file:
                file.write(
                    json.dumps({"report": os.path.basename(name), "hook": "Stop", "payload": {"text": "z" * 300_000}})
                )
            os.rename(name + ".new", name + ".json")
    time.sleep(0.5)  # the disk is the machine's


def transcripts(step):
    """A transcript of terabytes with nothing in it, a pipe as one, and directories too deep to be removed by a path."""
    path = os.path.join(DATA, "big.jsonl")
    with open(path, "ab") as file:
        file.truncate(1 << 42)
        file.write(b'\n{"x":1}\n')
    pipe = os.path.join(DATA, "pipe.jsonl")
    if not os.path.exists(pipe):
        os.mkfifo(pipe)
    with client() as one:
        report = {"report": f"t{step}", "hook": "Ready", "payload": {"transcript": pipe if step % 2 else path}}
        one.write(f"{ME}/hook", json.dumps(report).encode())
    if not os.path.exists(os.path.join(DATA, "d")):
        here = os.getcwd()
        os.chdir(DATA)
        for _ in range(3000):
            os.mkdir("d")
            os.chdir("d")
        os.chdir(here)


def long_lines(step):
    """A transcript that grows without end, of long lines and of short ones."""
    path = os.path.join(DATA, f"t{step % 4}.jsonl")
    with client() as one:
        report = {"report": f"l{step}", "hook": "Ready", "payload": {"transcript": path}}
        one.write(f"{ME}/hook", json.dumps(report).encode())
    with open(path, "ab") as file:
        for size in (10, 1_000, 1_000_000):
            file.write(b'{"x":"%s"}\n' % (b"x" * size) * (1_000_000 // size))
        if file.tell() > 100_000_000:
            file.truncate(0)  # the disk is the machine's


def questions(step):
    """More questions than anybody answers, each of megabytes."""
    with client() as one:
        for number in range(20):
            asked = {"question": "?" * 700_000, "choices": ["y" * 10_000] * 50}
            file = one.open(f"{ME}/hook", wire.ORDWR)
            file.write(
                json.dumps({"report": f"q{step}-{number}-{os.getpid()}", "hook": "ask_user", "payload": asked}).encode()
            )


def watchers(step):
    """What happened read again and again from the beginning, and hooks opened that report nothing."""
    with client() as one:
        for _ in range(30):
            file = one.open(f"{ME}/activity.1")
            file.read(10)
            one.open(f"{ME}/hook", wire.ORDWR)


def children(step):
    """As many sessions as it may start, a flood of prompts to them, and long ones."""
    with client() as one:
        family = [row["id"] for row in json.loads(one.read("sessions")) if row["id"] != ME]
        if len(family) < 3:
            one.write("ctl", f"new hostile {os.getcwd()} role=hostile".encode())
            return
        for _ in range(50):
            one.write(f"{family[0]}/in", b"x" * random.choice((10, 100_000)))
            one.write(f"{family[1]}/context", b"x" * random.choice((10, 1_000_000)))


def pipes_and_paths(step):
    """Pipes and strange paths where a file or a directory is meant."""
    if not os.path.exists("pipe"):
        os.mkfifo("pipe")
    with client() as one:
        words = (
            f"new hostile {os.getcwd()}/pipe",
            "new hostile /proc/self/fd",
            f"new hostile {'/a' * 2000}",
            "x" * 100_000,
        )
        one.write(
            ("ctl", "beads/ctl")[step % 2], (f"import {os.getcwd()}/pipe" if step % 2 else words[step % 4]).encode()
        )


def storm(step):
    """Requests by the thousand that nobody waits for the answers of."""
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.settimeout(2)
        sock.connect(SOCKET)
        hello = struct.pack("<IBHIH", 19, 100, 0xFFFF, 131072, 6) + b"9P2000"
        attach = struct.pack("<IBHIIHH", 19, 104, 1, 0, 0xFFFFFFFF, 0, 0)
        sock.sendall(hello + attach)
        walks = b"".join(
            struct.pack("<IBHIIH", 17, 110, 2, 0, 0, 0) + struct.pack("<IBHI", 11, 124, 3, 0) for _ in range(500)
        )
        for _ in range(50):
            sock.sendall(walks)
            if step % 2:
                sock.recv(1 << 20)
    finally:
        sock.close()


ATTACKS = (
    slow_patterns, bad_values, lines_and_headers, mail_flood, unfinished_json, many_fids, forged_reports, values, spool_flood,
    transcripts, long_lines, questions, watchers, children, pipes_and_paths, storm,
)  # fmt: skip


def wanted(name):
    """Whether the file ``attack`` is there, and names this one or none."""
    try:
        with open("attack") as file:
            names = file.read().split()
    except FileNotFoundError:
        return False
    return not names or name in names


def repeat(attack):
    """Do it while it is time, and write down what came of it."""
    told = {"times": 0, "errors": {}}
    step = 0
    while True:
        if not wanted(attack.__name__):
            time.sleep(0.02)
            continue
        try:
            attack(step)
            told["times"] += 1
        except (AnvilError, OSError, ValueError) as error:
            words = f"{type(error).__name__}: {error}"[:150]
            told["errors"][words] = told["errors"].get(words, 0) + 1
            if len(told["errors"]) > 20:
                told["errors"].pop(next(iter(told["errors"])))
        step += 1
        if step % 5 == 0 or step == 1:
            with open(f".{attack.__name__}", "w") as file:
                json.dump(told, file)
            os.replace(f".{attack.__name__}", f"{attack.__name__}.told")


def main():
    hook.send("Ready", {})
    if not os.path.exists("leader"):
        with open("leader", "w") as file:
            file.write(ME)
        for attack in ATTACKS:
            if not os.fork():
                repeat(attack)
    while sys.stdin.readline():
        hook.send("Submit", {"text": "x"})
        hook.send("Stop", {"text": "ok"})


main()
