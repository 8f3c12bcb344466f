"""How soon what agents tell is in ``activity``, and what following it costs the daemon.

    python bench/activity.py [streams] [pieces a second] [seconds]

Sessions of the scripted backend, each in a turn; this program appends to the file that its agent would write, and reads ``activity``
of each. A piece has the time at which it was written; the delay is from there until a reader has it, in milliseconds. The processor
time of the daemon is that of all its threads, in percent of one core; it should be below 10. Beside it runs a plain follower of these
files, which shows what the machine is worth: it took 2 % of the one on which that bound was set. So does what it costs to touch a page
of memory again after a moment: next to nothing, unless a hypervisor takes pages away meanwhile; then that is more than all that the
daemon computes, and an idle machine shows higher figures than a busy one. To that comes what the hooks cost with which Claude Code
tells of the same: a process for each line of text, which is one of ten pieces here. How busy the machine is shows how late a thread of
this program is that does nothing but sleep for 50 ms.
"""

import json
import mmap
import os
import resource
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import ended  # noqa: F401
from arguments import numbers

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import yaml

from anvilsrv.agents.files import APART
from tests import scripted
from tests.conftest import ROOT, Daemon, temporary_home
from tests.session import Session

PIECES = 10  # of a line
FOLLOWER = Path(__file__).with_name("plain_follower.py")


def cpu(pid: int) -> float:
    """Return the seconds of processor time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def read(agent: Session, delays: list[float], over: threading.Event) -> None:
    """Read ``activity``; note how late each piece is."""
    rest = b""
    with agent.daemon.client().open(f"{agent.id}/activity") as file:
        while not over.is_set():
            data = file.read(timeout=60)
            now = time.time()
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                one = json.loads(line)
                for word in str(one.get("part") or one.get("text") or "").split():
                    if word.startswith("@"):
                        delays.append(1000 * (now - float(word[1:])))
                over.set() if "@@end" in str(one) else None


def idle(late: list[float], over: threading.Event) -> None:
    """Sleep, again and again; note how late that ends."""
    while not over.is_set():
        began = time.monotonic()
        time.sleep(0.05)
        late.append(1000 * (time.monotonic() - began) - 50)


def again(apart: float, pages: int = 200) -> float:
    """Return the microseconds that it takes to touch a page again after so many seconds: the median of 15 tries."""
    with mmap.mmap(-1, pages * mmap.PAGESIZE) as memory:
        took = []
        for _ in range(16):
            began = time.perf_counter()
            for page in range(pages):
                memory[page * mmap.PAGESIZE] = 1
            took.append(1e6 * (time.perf_counter() - began) / pages)
            time.sleep(apart)
    return statistics.median(took[1:])


def of(values: list[float]) -> str:
    """Return the figures of some delays."""
    values = sorted(values)
    return f"median {statistics.median(values):.0f}, p99 {values[int(len(values) * 0.99)]:.0f}, most {values[-1]:.0f}"


def write(paths: list[Path], rate: float, seconds: float) -> None:
    """Append a piece to each file, ``rate`` times a second, spread over the time between."""
    files = [os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600) for path in paths]
    began, count = time.monotonic(), int(rate * seconds)
    for n in range(count):
        for at, fd in enumerate(files):
            due = began + (n + at / len(files)) / rate
            if (left := due - time.monotonic()) > 0:
                time.sleep(left)
            piece = {"type": "text", "id": "m", "part": f"@{time.time():.6f} ", "index": n, "at": time.time()}
            os.write(fd, json.dumps(piece).encode() + b"\n")
    for fd in files:
        os.close(fd)


def hooks(top: Path, streams: int, rate: float, seconds: float) -> None:
    """Run the hook that tells of a line of text as often as so many streams would, and print what its processes cost."""
    settings = yaml.safe_load((ROOT / "cfg/backends/claude.yaml").read_text())["backend"]["files"]["settings.json"]
    command = settings["hooks"]["MessageDisplay"][0]["hooks"][0]["command"].replace("{DATA}", str(top))
    told = top / "payload"
    line = {
        "hook_event_name": "MessageDisplay",
        "session_id": "s" * 36,
        "cwd": "/w",
        "delta": "word " * PIECES,
        "index": 1,
    }
    told.write_text(json.dumps(line) + "\n")
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    count = int(streams * rate / PIECES * seconds)
    for n in range(count):
        if (left := began + n * PIECES / (streams * rate) - time.monotonic()) > 0:
            time.sleep(left)
        at = [(os.POSIX_SPAWN_OPEN, 0, str(told), os.O_RDONLY, 0)]
        os.waitpid(os.posix_spawn("/bin/sh", ["sh", "-c", command], os.environ, file_actions=at), 0)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(
        f"hooks: {count / seconds:.0f} processes a second, {1000 * used / count:.1f} ms each: {100 * used / seconds:.1f} % of a core"
    )


def measure(daemon: Daemon, streams: int, rate: float, seconds: float) -> None:
    """Start the sessions, write and read, and print the figures."""
    scripted.script(daemon.home.work, turns=[{"until": "over", "delay": 0.1}])
    agents = [Session.new(daemon, "scripted") for _ in range(streams)]
    for agent in agents:
        agent.prompt("go")
    for agent in agents:
        agent.wait("running")
    time.sleep(2)
    delays: list[float] = []
    late: list[float] = []
    over = threading.Event()
    threads = [threading.Thread(target=read, args=(agent, delays, over), daemon=True) for agent in agents]
    threads.append(threading.Thread(target=idle, args=(late, over), daemon=True))
    for thread in threads:
        thread.start()
    assert daemon.process is not None
    told = [daemon.home.state / "sessions" / agent.id / "data" / "told.jsonl" for agent in agents]
    for path in told:
        path.touch()
    peer = subprocess.Popen([sys.executable, FOLLOWER, *told], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    before, began = cpu(daemon.process.pid), time.monotonic()
    write(told, rate, seconds)
    used, took = cpu(daemon.process.pid) - before, time.monotonic() - began
    lines, least = map(float, peer.communicate("")[0].split())
    time.sleep(0.5)
    over.set()
    (daemon.home.work / "over").touch()
    print(
        f"{streams} streams, {rate:g} pieces a second each, {took:.1f} s: {len(delays)} of {int(rate * seconds) * streams} pieces"
    )
    print(f"delay ms: {of(delays)}; a sleep ends late by {of(late)}; load {os.getloadavg()[0]:.0f}")
    print(
        f"daemon: {100 * used / took:.1f} % of a core, {used / least:.1f} times a plain follower of these files"
        f" ({100 * least / took:.1f} %, {lines:.0f} lines)"
    )
    print(f"memory: a page is touched again in {again(0.0):.1f} us, after {APART} s in {again(APART):.1f}")
    for agent in agents:
        agent.write("ctl", "kill")


def main() -> None:
    streams, rate, seconds = numbers(__doc__, streams=30, pieces=20, seconds=20)
    with temporary_home() as home:
        scripted.install(home.home / ".config" / "anvillm")
        daemon = Daemon(home)
        try:
            measure(daemon.start(), int(streams), rate, seconds)
            hooks(home.work, int(streams), rate, seconds)
        finally:
            daemon.close()


if __name__ == "__main__":
    main()
