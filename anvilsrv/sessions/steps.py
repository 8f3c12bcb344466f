"""What an agent did in a turn, as ``<id>/log`` shows it: a line for each tool and edit, and for each question with what was decided.

Threads: runs on the store's thread, in a job.
"""

from collections.abc import Mapping
from typing import Any

from anvilsrv.activity import rows
from anvilsrv.display import one_line
from anvilsrv.store.store import Tx

KINDS = ("tool", "edit", "decision")
WIDEST = 200  # characters of a line


def lines(tx: Tx, session: str, turn: int, after: int) -> tuple[bytes, int]:
    """The lines of the records after that number, and the number of the last."""
    found = bytearray()
    for seq, made in rows.first_told(tx, session, turn, KINDS, after):
        after = seq
        if text := _line(tx, session, made):
            indent = "\t  · " if made.get("parent") else "\t· "
            found += f"{indent}{one_line(text)[:WIDEST]}\n".encode("utf-8", "replace")
    return bytes(found), after


def _line(tx: Tx, session: str, made: Mapping[str, Any]) -> str:
    match made["kind"]:
        case "tool" if made.get("type") != "edit":
            return " ".join(filter(None, (made.get("name", ""), made.get("title", ""))))
        case "edit":
            return _edit(tx, session, made)
        case "decision":
            asked = rows.newest(tx, session, "ask", str(made.get("id", "")))
            question = asked[1].get("text", "") if asked is not None else ""
            return f"{question.strip().partition(chr(10))[0]} → {made.get('choice') or made.get('by', '')}"
    return ""  # an edit's own line says what came of it


def _edit(tx: Tx, session: str, made: Mapping[str, Any]) -> str:
    """``Edit lexer:41 +3 −1``."""
    tool = rows.newest(tx, session, "tool", str(made.get("id", "")))
    name = (tool[1].get("name") if tool is not None else "") or "Edit"
    place = made.get("path", "") + (f":{made['line']}" if made.get("line") is not None else "")
    counts = f" +{made['added']} −{made['removed']}" if "added" in made and "removed" in made else ""
    return f"{name} {place}{counts}"
