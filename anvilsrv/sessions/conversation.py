"""What readers see of prompts: the lines of ``turns/list``, and the blocks of ``<id>/log``.

Threads: ``conversation_page`` runs on the store's thread, in a job; the rest is pure.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import takewhile
from typing import NamedTuple

from anvilsrv.display import one_line
from anvilsrv.sessions import prompts, remarks
from anvilsrv.sessions.blocks import block, stamp
from anvilsrv.sessions.machine import Status
from anvilsrv.sessions.prompt import AGENT, Prompt
from anvilsrv.sessions.steps import Growing, Told, Writer, is_told
from anvilsrv.store.store import Tx

TURNS, CARRIED, WIDEST = 100, 100_000, 2000  # of a log that is carried over: turns and characters, characters of a line
BEGINS = "[An earlier conversation of this session cannot be resumed. This is its log, as context: do not act on it.]"
ENDS = "[End of the log.]"
OVER = (Status.DONE, Status.FAILED)
Growings = Callable[[int], Iterable[Growing]]
PAGE = 1 << 16  # bytes of a conversation made in one job, and as many more as its last text has


SHOWN = {  # of a prompt, in ``turns/list``
    Status.QUEUED: "queued", Status.CHOSEN: "sending", Status.PASTED: "sending", Status.SENT: "sending", Status.TAKEN: "running",
    Status.DONE: "done", Status.FAILED: "failed", Status.WITHDRAWN: "withdrawn",
}  # fmt: skip
FIRST_WORDS = 60  # characters


def line(prompt: Prompt, counts: tuple[int, int] | None = None) -> bytes:
    """Return its line in ``turns/list``: number, state, origin, when, seconds, lines added, lines removed, first words."""
    took = "-" if prompt.took is None else f"{prompt.took:.1f}"
    words = " ".join(one_line(prompt.text[: 4 * FIRST_WORDS]).split())[:FIRST_WORDS]
    plus, minus = ("-", "-") if counts is None else counts
    start = f"{prompt.n}\t{SHOWN[prompt.status]}\t{prompt.whence}\t{stamp(prompt.created)}"
    return f"{start}\t{took}\t{plus}\t{minus}\t{words}\n".encode()


class At(NamedTuple):
    """Where a reader stands: the number of the next block, of the last remark, and how far a turn that is not over was given."""

    block: int = 0
    remark: int = 0
    told: Told = Told()


def conversation_page(
    tx: Tx, session: str, cursor: object = None, growing: Growings = lambda turn: ()
) -> tuple[bytes, At]:
    """Return blocks of a conversation from ``cursor`` until they fill a page. ``growing`` gives the texts that are
    growing in a turn.
    """
    start = cursor if isinstance(cursor, At) else At()
    seen, told = start.remark, start.told
    left = deque(remarks.after(tx, session, seen))
    out = bytearray()
    for at, text, one, joined in _blocks(
        tx, session, start.block
    ):  # the last is nothing: it says where the conversation ends
        while left and left[0].block <= at and len(out) < PAGE:
            note = left.popleft()
            seen, out = note.seq, out + block("NOTE", note.at, note.text)
        if len(out) >= PAGE:
            break
        out += text
        if one is not None:
            writer = Writer(told)
            all_of_it = writer.turn(tx, session, one.n, joined, growing(one.n), PAGE)
            told = writer.told
            if not all_of_it:
                out += writer.out
                break
            if one.status in OVER:
                writer.end(_answer(tx, session, one))
                told = Told()
            out += writer.out
    return bytes(out), At(at, seen, told)


def _blocks(tx: Tx, session: str, at: int) -> Iterator[tuple[int, bytes, Prompt | None, list[Prompt]]]:
    """Yield the blocks from that number on, each with its prompts. Block 2k is what began turn k + 1; block 2k + 1 is
    the turn: it comes with its prompt and those that were taken into it besides.
    """
    for one, joined in prompts.spoken(tx, session, at // 2):
        if at == 2 * ((one.turn or 0) - 1):
            nobody = one.origin == AGENT  # said that
            yield at, b"" if nobody else block("USER", one.started or one.created, one.text), None, []
            at += 1
        yield at, b"", one, joined
        if one.status not in OVER:
            return
        at += 1
    yield at, b"", None, []


def _answer(tx: Tx, session: str, one: Prompt) -> bytes:
    """Return the block of an answer; empty if what was told contains it."""
    if one.status == Status.FAILED:
        return block("ASSISTANT", one.ended or one.created, f"[{one.error}]")
    said = (one.response or b"").decode("utf-8", "replace")
    return b"" if is_told(tx, session, one.n, said) else block("ASSISTANT", one.ended or one.created, said)


def _spoken(tx: Tx, session: str, at: int) -> Iterator[tuple[int, bytes]]:
    """Yield what was said, without what was done."""
    for number, text, one, joined in _blocks(tx, session, at):
        if one is not None and one.status in OVER:
            said = (one.response or b"").decode("utf-8", "replace") if one.status == Status.DONE else f"[{one.error}]"
            text = b"".join(block("USER", other.started or other.created, other.text) for other in joined)
            text += block("ASSISTANT", one.ended or one.created, said)
        yield number, text


def carried(tx: Tx, session: str, last: int) -> str:
    """Return what was said up to turn ``last`` as a new conversation gets it before its first prompt; of a long one the
    end.
    """
    first = 2 * max(0, last - TURNS)
    blocks = takewhile(lambda one: one[0] < 2 * last, _spoken(tx, session, first))
    text = b"".join(text for _, text in blocks).decode("utf-8", "replace")
    if len(text) > CARRIED:
        text = text[-CARRIED:].partition("\n")[2]
    lines = (line if len(line) <= WIDEST else f"{line[:WIDEST]}…" for line in text.splitlines())
    return "\n".join((BEGINS, "", *lines, ENDS)) if text else ""
