"""What a person sees of an agent's turn, as lines for a terminal. Pure, but for where an edit stands in its file (`acp_place`);
what the agent says is made printable here."""

import difflib
from collections.abc import Iterable, Iterator

from anvilsrv.display import one_line, printable
from anvilsrv.inside import acp_permission, acp_place
from anvilsrv.inside.acp_permission import Option
from anvilsrv.inside.acp_said import Diff, Plan, Tool

DIM, BOLD, RED, GREEN, CYAN, OFF = "\x1b[2m", "\x1b[1m", "\x1b[31m", "\x1b[32m", "\x1b[36m", "\x1b[0m"
MARKS = {"pending": "·", "in_progress": "▸", "completed": "✓", "failed": "✗", "cancelled": "✗"}
LARGEST = 200_000  # characters of a side of a diff; a larger one is only counted
LINES = 2000  # of a side, likewise
SHOWN = 40  # lines of a diff and of a prompt, items of a plan
ASKED = 1000  # lines of a diff that waits for a person's leave
OUTPUT = 8  # lines of a tool's output


def prompt(text: str) -> Iterator[str]:
    """Yield the lines of a prompt, as it begins a turn."""
    lines = printable(text).split("\n")
    for at, one in enumerate(lines[:SHOWN]):
        yield f"{BOLD}{'> ' if at == 0 else '  '}{one}{OFF}"
    if len(lines) > SHOWN:
        yield note(f"  … {len(lines) - SHOWN} lines")


def note(text: str) -> str:
    """Return a sentence of ours."""
    return f"{DIM}{one_line(text)}{OFF}"


def alarm(text: str) -> str:
    """Return one that must be seen."""
    return f"{RED}{one_line(text)}{OFF}"


def tool(one: Tool) -> str:
    """Return a use of a tool, in a line."""
    mark = MARKS.get(one.status or "pending", "▸")
    name = one_line(one.title or one.kind or one.id)
    ended = f" {RED}(exit {one.exit}){OFF}" if one.exit else ""
    colour = RED if one.status == "failed" else CYAN
    return f"{colour}{mark} {name}{OFF}{ended}"


def output(one: Tool) -> Iterator[str]:
    """Yield the last lines of what it gave."""
    lines = printable(one.text or "").rstrip("\n").split("\n")
    if lines == [""]:
        return
    if len(lines) > OUTPUT:
        yield note(f"  … {len(lines) - OUTPUT} lines")
    yield from (f"{DIM}  {line}{OFF}" for line in lines[-OUTPUT:])


def plan(one: Plan) -> Iterator[str]:
    """Yield the whole list."""
    yield note("plan:")
    yield from (f"  {MARKS.get(state, '·')} {one_line(text)}" for text, state in one.items[:SHOWN])
    if (left := len(one.items[SHOWN:]) + one.left_out) > 0:
        yield note(f"  … {left} more")


def diff(one: Diff, most: int = SHOWN) -> Iterator[str]:
    """Yield an edit, coloured: ``most`` lines of it, half of them from its end; one that is too large to compare in
    figures.
    """
    yield f"{BOLD}{one_line(one.path)}{OFF}"
    found = changes(one)
    if found is None:
        yield note(f"  a large edit: {len(one.new):,} characters now, {len(one.old or ''):,} before")
        return
    lines = list(found)
    begin, end = (most // 2, len(lines) - most // 2) if len(lines) > most else (0, 0)
    for at, line in enumerate(lines):
        if begin <= at < end:
            if at == begin:
                yield note(f"  … {end - begin} lines")
            continue
        colour = GREEN if line.startswith("+") else RED if line.startswith("-") else DIM
        yield f"{colour}  {printable(line)}{OFF}"


def changes(one: Diff) -> Iterable[str] | None:
    """Return the lines of a unified diff without its head; None if it would take too long."""
    old, new = (one.old or "").splitlines(), one.new.splitlines()
    if max(len(one.old or ""), len(one.new)) > LARGEST or max(len(old), len(new)) > LINES:
        return None
    lines = list(difflib.unified_diff(old, new, lineterm="", n=2))[2:]  # without the names
    return acp_place.moved(lines, acp_place.first_line(one))


def detail(one: Tool, options: Iterable[Option]) -> str:
    """Return what else there is to know of a question: what the tool is to do, and what each answer is called by the
    agent.
    """
    options = list(options)
    ids = {
        option: f" ({option.id})" if option.id != option.word and acp_permission.plain(option.id) else ""
        for option in options
    }
    answers = "\n".join(f"{option.word}{ids[option]}: {one_line(option.name)}" for option in options)
    return "\n\n".join(filter(None, [one.text or "", answers]))


def edits(one: Tool) -> str:
    """Return what it is to change: a unified diff, in which a large edit is only named."""
    return "".join(
        f"--- {one_line(edit.path) if edit.old is not None else '/dev/null'}\n+++ {one_line(edit.path)}\n"
        + "\n".join(changes(edit) or [" a large edit"]) + "\n"
        for edit in one.diffs or ()
    )  # fmt: skip


def asked(question: str, options: Iterable[Option]) -> Iterator[str]:
    """Yield a question, and the keys that answer it."""
    yield f"{BOLD}{one_line(question)}{OFF}"
    yield "  " + "   ".join(
        f"{BOLD}{at}{OFF} {one_line(one.word)} {DIM}{one_line(one.name)}{OFF}" for at, one in enumerate(options, 1)
    )
