"""anvillm-hook: what an agent's hooks run. It brings one report to the daemon and the daemon's reply back to the agent.

    anvillm-hook [--wait[=STATUS]] [--ago=MS] HOOK < payload.json

Outside of AnviLLM (no ``ANVILLM_SESSION`` or ``NAMESPACE``) it is silent and exits 0. Inside it sends the payload to the
session's own ``hook`` file, prints the reply's ``stdout`` and exits with its ``exit``. A daemon that is away costs nothing:
the report waits in ``$NAMESPACE/spool`` for the next one. With ``--wait`` (for questions, whose answer takes a person's
time) it waits as long as it takes, over restarts of the daemon too, and is not spooled: a question without its asker is none. For
agents that take silence for a yes, ``--wait=STATUS`` says with which status it ends when the daemon stays away.

A report says when it was made: ``mono``, the moment at which the agent started this program (CLOCK_MONOTONIC, s), less ``--ago`` if
the agent had it wait before that. So the order of what happened is known, in whatever order the reports arrive.

It is started for every event of an agent, so it imports little, and late. It runs without site-packages
(``python3 -I -S /path/anvilsrv/inside/hook.py``), since it must not be led astray by the directory in which the agent works.
"""

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

if __package__ in (None, ""):  # run by its path
    # The package is made from its own directory: without mounts, the one above is closed to an agent.
    sys.modules["anvilsrv"] = package = type(sys)("anvilsrv")
    package.__path__ = [os.path.dirname(os.path.dirname(os.path.abspath(__file__)))]

from anvilsrv.errors import AnvilError, Full

TIMEOUT = 20.0  # s for the daemon's reply
CONNECT = 2.0  # s
LIFE = 57.0  # s after which a hook must be over: agents end those of ours after 60
SILENCE = (
    0.1  # s after which a payload that is whole counts as complete, although its end was not heard: nothing can follow
)
LARGEST = 8_000_000  # bytes of a report; the daemon takes 8 MiB
RETRY = (0.05, 0.1, 0.2, 0.5)  # s between tries to reach a daemon that is just being replaced; the last repeats
HOLD = 600.0  # s that a report is kept for which there is no room on the disk; some agents end their hooks before
AWAY = 60.0  # s after which a waiting question gives up on a daemon that does not come back
Give = Callable[[dict[str, Any]], None]
USAGE = "usage: anvillm-hook [--wait[=STATUS]] [--ago=MS] HOOK < payload.json\n"


def send(
    hook: str, payload: Mapping[str, Any], *, timeout: float = TIMEOUT, wait: bool = False, mono: float | None = None,
    give: Give | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Report ``hook`` with its payload; the daemon's reply (``stdout``, ``exit``), empty outside AnviLLM or when it is away.

    ``mono``: when it happened, if that is not now. ``give`` gives the agent the prompt that a reply brings it; then the daemon is told,
    so that it knows of a program that was killed before. Never raises for what is wrong with the daemon. Text with surrogate escapes
    arrives as the bytes it stands for.
    """
    session, namespace = os.environ.get("ANVILLM_SESSION", ""), os.environ.get("NAMESPACE", "")
    if not session or not namespace or "/" in session:
        return {}
    import json

    made = time.monotonic() if mono is None else mono
    report = {"report": _uuid(), "ts": time.time(), "mono": made, "hook": hook, "payload": payload, "takes": True}
    data = json.dumps(report, default=str).encode("ascii")
    if len(data) > LARGEST:
        data = json.dumps({**report, "payload": shortened(payload)}, default=str).encode("ascii")
    path = f"{namespace.rstrip('/')}/agent"
    if wait:
        return _ask(path, session, data)
    try:
        return _report(path, session, data, timeout, give)
    except AnvilError:
        return _leave(path, session, data, timeout, lambda: spool(namespace, str(report["report"]), data, made))


def _leave(path: str, session: str, data: bytes, timeout: float, spool: Callable[[], str]) -> dict[str, Any]:
    """Spool the report, and bring it once more: the daemon may have come back before it could see the file.

    On a full disk neither may work. The daemon then has the report in its memory only, which may end with it; so ours is kept, and
    both are tried again, until one of them is on the disk.
    """
    from anvilsrv.p9.client import P9Error

    since, tries, spooled, why = time.monotonic(), 0, "", ""
    while True:
        full = False
        try:
            spooled = spooled or spool()
        except OSError as error:
            full, why = error.errno in Full.NUMBERS, f"cannot write '{error.filename}': {error.strerror}"
        try:
            reply = _report(path, session, data, timeout)
        except AnvilError as error:
            full |= isinstance(error, P9Error) and Full.WORDS in str(error)
            if isinstance(error, P9Error) and not full:
                return {}  # refused for good; where it was spooled, the daemon finds that out as well
        else:
            if spooled:
                _remove(spooled)
            return reply
        if spooled:
            return {}
        if not full or time.monotonic() - since > HOLD:
            sys.stderr.write(f"anvillm-hook: report lost: {why}\n")
            return {}
        time.sleep(RETRY[min(tries, len(RETRY) - 1)])
        tries += 1


def _report(path: str, session: str, data: bytes, timeout: float | None, give: Give | None = None) -> dict[str, Any]:
    import json

    from anvilsrv.p9 import wire
    from anvilsrv.p9.client import Client

    reply: dict[str, Any] = {}
    question, given = b"", None
    try:
        with (
            Client(path, uname=session, timeout=CONNECT) as client,
            client.open(f"{session}/hook", wire.ORDWR, timeout) as file,
        ):
            reply = _exchange(file, data, timeout)
            if "take" not in reply:
                return reply
            asked = {"take": reply["take"], "of": json.loads(data)["report"], "gives": give is not None}
            question = json.dumps({"report": _uuid(), "mono": time.monotonic(), **asked}).encode("ascii")
            given = _give_on(path, file, question, reply, timeout, give)
    except AnvilError:
        if not question:
            raise
    return given if given is not None else _ask_again(path, session, question, reply, timeout, give)


def _give_on(
    path: str, file: Any, question: bytes, reply: dict[str, Any], timeout: float | None, give: Give | None
) -> dict[str, Any] | None:
    """Hand on the next prompt, which the reply brings the agent, only if the daemon says so now: it may have thought
    otherwise, or be another, which will type it. Returns what is left to be printed; None: it has not said.

    Where the agent has it and the daemon does not live to hear that, the next one finds it in the spool.
    """
    import json

    go = _exchange(file, question, timeout).get("go")
    if go is not True:
        return None if go is None else {}
    if give is None:
        return reply
    give(reply)
    told = {"report": _uuid(), "given": reply["take"]}
    data = json.dumps(told).encode("ascii")
    try:
        _exchange(file, data, timeout)
    except AnvilError:
        try:
            spool(os.path.dirname(path), told["report"], data)
        except OSError as error:
            sys.stderr.write(f"anvillm-hook: report lost: cannot write '{error.filename}': {error.strerror}\n")
    return {**reply, "stdout": ""}


def _ask_again(
    path: str, session: str, question: bytes, reply: dict[str, Any], timeout: float | None, give: Give | None
) -> dict[str, Any]:
    """Ask the next daemon: one that ended before its answer was here may have said yes."""
    from anvilsrv.p9 import wire
    from anvilsrv.p9.client import Client, P9Error

    since, tries, given = time.monotonic(), 0, None
    while given is None and time.monotonic() - since < TIMEOUT:
        time.sleep(RETRY[min(tries, len(RETRY) - 1)])
        tries += 1
        try:
            with (
                Client(path, uname=session, timeout=CONNECT) as client,
                client.open(f"{session}/hook", wire.ORDWR, timeout) as file,
            ):
                given = _give_on(path, file, question, reply, timeout, give)
        except P9Error:
            break
        except AnvilError:
            continue
    return given or {}


def _exchange(file: Any, data: bytes, timeout: float | None) -> dict[str, Any]:
    """Write a report, and read its reply."""
    import json

    file.write(data, timeout=timeout)
    file.offset = 0
    try:
        reply = json.loads(file.read_all(timeout) or b"{}")
    except ValueError:
        return {}
    return reply if isinstance(reply, dict) else {}


def _ask(path: str, session: str, data: bytes) -> dict[str, Any]:
    """Wait for the answer; a daemon that goes away is asked again, under the same report id, once it is back."""
    from anvilsrv.p9.client import P9Error

    since, tries = time.monotonic(), 0
    while time.monotonic() - since < AWAY:
        began = time.monotonic()
        try:
            return _report(path, session, data, None)
        except P9Error:
            return {}
        except AnvilError:
            if time.monotonic() - began > 1.0:
                since, tries = time.monotonic(), 0  # it was there
        time.sleep(RETRY[min(tries, len(RETRY) - 1)])
        tries += 1
    return {}


def spool(namespace: str, report: str, data: bytes, made: float | None = None) -> str:
    """Leave the report for the next daemon; the file's path. Raises OSError."""
    order = int((time.monotonic() if made is None else made) * 1e9)  # read in the order in which they were made
    path = f"{namespace.rstrip('/')}/spool/{order:019}-{report}.json"
    fresh = path + ".tmp"
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(fd)
        os.rename(fresh, path)
    except OSError as error:
        _remove(fresh)
        error.filename = fresh
        raise
    return path


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass  # the daemon took it


def _uuid() -> str:
    raw = bytearray(os.urandom(16))
    raw[6] = raw[6] & 0x0F | 0x40
    raw[8] = raw[8] & 0x3F | 0x80
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def began() -> float:
    """Return when this program was started (CLOCK_MONOTONIC, s): its interpreter may have had to wait for a processor
    since.

    The kernel tells it in ticks since boot; a started tick counts as over, and the clocks are read in an order in which a pause between
    them makes it later: so nothing seems earlier than it was.
    """
    now = time.monotonic()
    try:
        with open("/proc/self/stat", "rb") as file:
            ticks = int(file.read().rpartition(b")")[2].split()[19])
        started = (ticks + 1) / os.sysconf("SC_CLK_TCK") - time.clock_gettime(time.CLOCK_BOOTTIME) + time.monotonic()
    except (OSError, ValueError, IndexError):
        return now
    return min(started, now)


def shortened(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return a payload that is too large for the daemon, without its largest texts; ``left_out`` says which, and how
    long each was.
    """
    import json

    sizes = {name: len(json.dumps(value, default=str)) for name, value in payload.items()}
    left, total = {}, sum(sizes.values())
    for name in sorted(sizes, key=sizes.__getitem__, reverse=True):
        if total > LARGEST // 2:
            left[name] = sizes[name]
            total -= sizes[name]
    return {**{name: value for name, value in payload.items() if name not in left}, "left_out": left}


def read_payload(fd: int, until: float) -> dict[str, Any]:
    """Return the agent's JSON object on ``fd``, which may be long in coming; anything else is kept as text under
    ``garbage``.

    It is read to the end of the input, until the moment ``until`` (CLOCK_MONOTONIC, s) at most; an input that is left open ends when
    it is silent after a whole object.
    """
    data = bytearray()
    try:
        if os.isatty(fd):
            return {}
        while (piece := _piece(fd, until, data)) and len(data) < LARGEST * 8:
            data += piece
    except OSError:
        pass  # closed, or nothing one can read: as if empty
    if not data.strip():
        return {}
    found = _object(data)
    return {"garbage": data[:65536].decode("utf-8", "replace")} if found is None else found


def _piece(fd: int, until: float, data: bytearray) -> bytes:
    """Return what comes next; empty at the end."""
    import select

    poll = select.poll()
    poll.register(fd, select.POLLIN)
    while (left := until - time.monotonic()) > 0:
        if poll.poll(min(left, SILENCE) * 1000):
            return os.read(fd, 1 << 20)
        if data.rstrip().endswith(b"}") and _object(data) is not None:
            break
    return b""


def _object(data: bytearray) -> dict[str, Any] | None:
    import json

    try:
        payload = json.loads(data.decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError):
        return None
    return payload if isinstance(payload, dict) else {"garbage": payload}


def _waits(word: str) -> bool:
    return word == "--wait" or (word.startswith("--wait=") and word[7:].isdecimal())


def _print(reply: Mapping[str, Any]) -> None:
    out = reply.get("stdout")
    if isinstance(out, str) and out:
        sys.stdout.buffer.write(out.encode("utf-8", "surrogateescape"))
        sys.stdout.flush()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program. Returns its exit status."""
    made = began()
    words = list(sys.argv[1:] if argv is None else argv)
    asks = next((word for word in words if _waits(word)), "")
    ago = next((word[6:] for word in words if word.startswith("--ago=") and word[6:].isdecimal()), "0")
    names = [word for word in words if word not in (asks, f"--ago={ago}")]
    if names in (["-h"], ["--help"], ["--version"]):
        import anvilsrv

        version = getattr(anvilsrv, "__version__", "run by its path")
        sys.stdout.write(f"anvillm-hook {version}\n" if names == ["--version"] else USAGE)
        return 0
    if len(names) != 1 or names[0].startswith("-"):
        sys.stderr.write(USAGE)
        return 2
    if not os.environ.get("ANVILLM_SESSION") or not os.environ.get("NAMESPACE"):
        return 0
    payload = read_payload(0, made + LIFE - CONNECT)
    left = max(CONNECT, made + LIFE - time.monotonic())
    reply = send(
        names[0], payload, timeout=min(TIMEOUT, left), wait=bool(asks), mono=made - int(ago) / 1000, give=_print
    )
    if not reply and len(asks) > len("--wait="):
        return min(int(asks[7:]), 255)
    _print(reply)
    status = reply.get("exit")
    return status if isinstance(status, int) and 0 <= status < 256 else 0


if __name__ == "__main__":
    try:
        code = main()
        sys.stdout.flush()
    except (KeyboardInterrupt, BrokenPipeError):
        code = 0
    os._exit(code)
