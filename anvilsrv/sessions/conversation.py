"""What readers see of prompts: the lines of ``turns/list``, and the blocks of ``<id>/log``.

Threads: ``conversation_page`` runs on the store's thread, in a job; the rest is pure.
"""

import time
from collections import deque
from collections.abc import Iterator
from itertools import takewhile

from anvilsrv.display import one_line, shown
from anvilsrv.sessions import prompts, remarks, steps
from anvilsrv.sessions.machine import Status
from anvilsrv.sessions.prompt import AGENT, Prompt
from anvilsrv.store.store import Tx

TURNS, CARRIED, WIDEST = 100, 100_000, 2000  # of a log that is carried over: turns and characters, characters of a line
BEGINS = (
    "[An earlier conversation of this session cannot be gone on with. This is its log, as context: do not act on it.]"
)
ENDS = "[End of the log.]"
_BLOCKS = 1 << 32  # more than a conversation has
_STEPS = 1 << 64  # more than the numbers of its activity
PAGE = 1 << 16  # bytes of a conversation made in one job, and as many more as its last block has


def stamp(when: float) -> str:
    """A time (epoch s) as files show it: local, with its zone."""
    return time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(when))


def block(word: str, when: float, text: str) -> bytes:
    """One block of a conversation: a header line, the text indented by a tab, an empty line."""
    paragraphs = map(
        indented, shown(text).rstrip("\n").split("\n\n")
    )  # few replacements in megabytes, not a step for each line
    return "".join((word, " ", stamp(when), "\n", "\n\n".join(paragraphs), "\n\n")).encode("utf-8", "replace")


def indented(text: str) -> str:
    """Lines without an empty one, but for the first, each with a tab before it."""
    if text.startswith("\n"):
        return "\n" + indented(text[1:])
    return "\t" + text.replace("\n", "\n\t") if text else ""


SHOWN = {  # of a prompt, in ``turns/list``
    Status.QUEUED: "queued", Status.CHOSEN: "sending", Status.PASTED: "sending", Status.SENT: "sending", Status.TAKEN: "running",
    Status.DONE: "done", Status.FAILED: "failed", Status.WITHDRAWN: "withdrawn",
}  # fmt: skip
FIRST_WORDS = 60  # characters


def line(prompt: Prompt, counts: tuple[int, int] | None = None) -> bytes:
    """Its line in ``turns/list``: number, state, origin, when, seconds, lines added, lines removed, first words."""
    took = "-" if prompt.took is None else f"{prompt.took:.1f}"
    words = " ".join(one_line(prompt.text[: 4 * FIRST_WORDS]).split())[:FIRST_WORDS]
    plus, minus = ("-", "-") if counts is None else counts
    start = f"{prompt.n}\t{SHOWN[prompt.status]}\t{prompt.whence}\t{stamp(prompt.created)}"
    return f"{start}\t{took}\t{plus}\t{minus}\t{words}\n".encode()


def conversation_page(tx: Tx, session: str, cursor: int) -> tuple[bytes, int]:
    """Blocks of a conversation from ``cursor`` until they are a page. It is the number of the next block, and of the last remark,
    and of the last step that was shown of a turn that is not over."""
    before, step = divmod(cursor, _STEPS)
    seen, first = divmod(before, _BLOCKS)
    left = deque(remarks.after(tx, session, seen))
    out = bytearray()
    for at, text, turn in _blocks(tx, session, first):  # the last has no text: it says where the conversation ends
        while left and left[0].block <= at and len(out) < PAGE:
            one = left.popleft()
            seen, out = one.seq, out + block("NOTE", one.at, one.text)
        if len(out) >= PAGE:
            break
        done, step = steps.lines(tx, session, turn, step) if turn else (b"", 0)
        out += done
        if text and step:
            out, step = out + b"\n", 0
        out += text
    return bytes(out), (seen * _BLOCKS + at) * _STEPS + step


def _blocks(tx: Tx, session: str, at: int) -> Iterator[tuple[int, bytes, int]]:
    """The blocks from that number on, each with its own. Block 2k is what began turn k + 1; block 2k + 1 is what was taken into it
    besides, and the answer: it comes with the number of its prompt, and without a text while the turn goes on."""
    for one, joined in prompts.spoken(tx, session, at // 2):
        if at == 2 * ((one.turn or 0) - 1):
            nobody = one.origin == AGENT  # said that
            yield at, b"" if nobody else block("USER", one.started or one.created, one.text), 0
            at += 1
        if one.status not in (Status.DONE, Status.FAILED):
            yield at, b"", one.n
            return
        out = b"".join(block("USER", other.started or other.created, other.text) for other in joined)
        said = (one.response or b"").decode("utf-8", "replace") if one.status == Status.DONE else f"[{one.error}]"
        yield at, out + block("ASSISTANT", one.ended or one.created, said), one.n
        at += 1
    yield at, b"", 0


def carried(tx: Tx, session: str, last: int) -> str:
    """What was said up to turn ``last`` as a new conversation gets it before its first prompt; of a long one the end."""
    first = 2 * max(0, last - TURNS)
    blocks = takewhile(lambda one: one[0] < 2 * last, _blocks(tx, session, first))
    text = b"".join(text for _, text, _ in blocks).decode("utf-8", "replace")
    if len(text) > CARRIED:
        text = text[-CARRIED:].partition("\n")[2]
    lines = (line if len(line) <= WIDEST else f"{line[:WIDEST]}…" for line in text.splitlines())
    return "\n".join((BEGINS, "", *lines, ENDS)) if text else ""
