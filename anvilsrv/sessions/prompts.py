"""The text of prompts, and the conversation made of them as ``<id>/log`` shows it."""

import time

from anvilsrv.store.store import Tx
from anvilsrv.tmux.server import sanitize

BLOCKS = 100  # of a conversation, fetched at a time


def clean(text: str) -> str:
    """A prompt as it may be typed: line ends made LF, control bytes out, no newlines at the end."""
    return sanitize(text).rstrip("\n")


def block(word: str, when: float, text: str) -> bytes:
    """One block of a conversation: a header line, the text indented by a tab, an empty line."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(when))
    lines = "".join(f"\t{line}\n" if line else "\n" for line in text.rstrip("\n").split("\n"))
    return f"{word} {stamp}\n{lines}\n".encode("utf-8", "replace")


def conversation_page(tx: Tx, session: str, cursor: int) -> tuple[bytes, int]:
    """Blocks of a conversation from ``cursor`` (block 2k is what was said in turn k + 1, 2k + 1 the answer)."""
    rows = tx.all(
        "SELECT turn, text, status, response, error, started, ended FROM prompts"
        " WHERE session = ? AND turn > ? ORDER BY turn LIMIT ?",
        session, cursor // 2, BLOCKS,
    )  # fmt: skip
    out = b""
    for row in rows:
        if cursor == 2 * (row["turn"] - 1):
            out += block("USER", row["started"], row["text"])
            cursor += 1
        if row["status"] not in ("done", "failed"):
            break
        said = row["response"].decode("utf-8", "replace") if row["status"] == "done" else f"[{row['error']}]"
        out += block("ASSISTANT", row["ended"], said)
        cursor += 1
    return out, cursor
