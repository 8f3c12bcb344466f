"""What a person has typed into a text of ours: the difference between what was drawn and what stands there now."""

from __future__ import annotations

from difflib import SequenceMatcher


def typed(drawn: str, body: str) -> str:
    """Return the person's own words, wherever they are, a line for each place."""
    if drawn == body:
        return ""
    found = _one(drawn, body)
    if found is not None:
        return found.strip()
    ours, theirs = drawn.splitlines(), body.splitlines()
    lines = []
    for how, a, b, c, d in SequenceMatcher(None, ours, theirs, autojunk=False).get_opcodes():
        if how in ("insert", "replace"):
            lines += _changed(ours[a:b], theirs[c:d])
    return "\n".join(line for line in lines if line)


def _changed(ours: list[str], theirs: list[str]) -> list[str]:
    """Return what is theirs in lines that replace ours."""
    lines = []
    for at, line in enumerate(theirs):
        within = _one(ours[at], line) if at < len(ours) else None
        lines.append((line if within is None else within).strip())
    return lines


def _one(drawn: str, body: str) -> str | None:
    """Return what was inserted, if it was in one place; of several places that explain it the one where a line begins
    or ends.
    """
    more = len(body) - len(drawn)
    if more < 0:
        return None
    front = next((i for i in range(len(drawn)) if drawn[i] != body[i]), len(drawn))
    back = next((i for i in range(len(drawn)) if drawn[-1 - i] != body[-1 - i]), len(drawn))
    places = range(max(0, len(drawn) - back), front + 1)
    if not places:
        return None
    at = next((at for at in places if at == 0 or drawn[at - 1] == "\n"), None)
    at = next((at for at in places if drawn[at : at + 1] in ("", "\n")), places[-1]) if at is None else at
    return body[at : at + more]
