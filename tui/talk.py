"""What happens in a session, as a screen shows it: prompts and texts, and a line for each step, which a click or a key unfolds."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from tui.text import clock, one_line, printable

MOST = 1000  # entries on the screen
OUTPUT = 200  # lines of an output that are shown
MARKS = {"ok": "✓", "failed": "✗", "denied": "✗", "interrupted": "✗"}
ITEMS = {"todo": "☐", "doing": "▸", "done": "☑", "dropped": "☒"}
COLOURS = {"+": "ansi_green", "-": "ansi_red", "@": "ansi_cyan"}
Object = Mapping[str, Any]
Parts = list[str | Content | tuple[str, str]]


class Entry(Static):
    """One thing: what a person or the agent says (``head``), or a step (``words``, and what is in it)."""

    def __init__(self, indent: bool) -> None:
        super().__init__()
        self.head: tuple[str, str, str] | None = None  # who, style, when
        self.words, self.mark, self.after, self.loud = "", "·", "", False
        self.counts: tuple[str, str] | None = None  # lines added, removed
        self.parts: dict[str, str] = {}  # what is in it: input, output, diff, text
        self.folded = True
        self.stale = False
        self.indent = "  " if indent else ""

    def on_click(self) -> None:
        self.fold(not self.folded)

    def fold(self, folded: bool) -> None:
        """Show the line alone, or what is in it too."""
        self.folded = folded
        if self.head is None and self.parts:
            self.draw()

    def draw(self) -> None:
        """Show what is known by now."""
        self.stale = False
        if self.head is not None:
            who, style, when = self.head
            text = self.parts.get("text", "").strip("\n")
            self.display = bool(text)
            line = f"── {who} {when} ".ljust(max(20, self.app.size.width - 6), "─")
            self.update(Content.assemble((f"{line}\n", style), printable(text).expandtabs(8)))
            return
        said: Parts = [self.indent, (f"{self.mark} ", "bold ansi_red" if self.mark == "✗" else ""),
                       (one_line(self.words), "ansi_red" if self.loud else "dim")]  # fmt: skip
        if self.counts is not None:
            said += [(f" +{self.counts[0]}", "ansi_green"), (f" −{self.counts[1]}", "ansi_red")]
        said += [(f" {one_line(self.after)}", "dim")] if self.after else []
        if not self.folded:
            for name, text in self.parts.items():
                said += diff(text) if name.startswith("diff") else [f"\n{inside(text)}"]
        self.update(Content.assemble(*said))


def inside(text: str) -> str:
    """Return a text in a step: of a long one the beginning and the end."""
    lines = printable(text.rstrip("\n")).expandtabs(8).split("\n")
    if len(lines) > OUTPUT:
        half = OUTPUT // 2
        lines = [*lines[:half], f"[{len(lines) - OUTPUT} lines left out]", *lines[-half:]]
    return "\n".join(f"    {line}" for line in lines)


def diff(text: str) -> Parts:
    """Return the lines of a unified diff, coloured."""
    found: Parts = []
    for line in inside(text).split("\n"):
        found += [f"\n{line}"] if line[4:5] not in COLOURS else [("\n" + line, COLOURS[line[4:5]])]
    return found


class Talk(VerticalScroll):
    """The conversation of a session, its end before the eyes until a person scrolls."""

    def __init__(self) -> None:
        super().__init__(id="talk")
        self._known: dict[tuple[str, str], Entry] = {}
        self._changed: list[Entry] = []
        self._new: list[Entry] = []
        self._unfolded = False
        self._following = True

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._following = new_value >= self.max_scroll_y - 1

    def watch_virtual_size(self) -> None:
        """Stay at the end when it moves: what was added has its place only now, and a key may have come first."""
        self._follow()

    def on_resize(self) -> None:
        self._follow()

    def go(self, where: str) -> bool:
        """Scroll by a line or a page, or to an end; False: there is nothing above."""
        steps = {"up": -1, "down": 1, "page_up": -self.size.height, "page_down": self.size.height}
        if where == "end":
            self.follow()
        elif where == "page_up" and self.scroll_y <= 0:
            return False
        else:
            self.scroll_to(y=self.scroll_y + steps[where] if where in steps else 0, animate=False, immediate=True)
        return True

    def follow(self) -> None:
        """Go to the end, and stay there."""
        self._following = True
        self._follow()

    def _follow(self) -> None:
        self.call_after_refresh(self._to_end)

    def _to_end(self) -> None:
        if self._following:  # unless a key came between
            self.scroll_end(animate=False, immediate=True)

    def add(self, objects: Sequence[Object], first: bool = False) -> None:
        """Add objects of the file ``activity``, in their order; ``first``: they come before all that there is."""
        for made in objects:
            show = _SHOW.get(made["kind"])
            if show is not None:
                show(self, made)
        new, self._new = self._new, []
        if new:
            self.mount(*new, before=0) if first and self.children else self.mount(*new)
        for entry in self._changed:
            entry.draw()
        self._changed = []
        if first:
            self._following = False  # a person asked for what was above
        self._follow()
        over = len(self.children) + len(new) - MOST
        if over > 0 and not first:
            self.remove_children(self.children[:over])

    def unfold(self) -> None:
        """Unfold all steps, or fold them."""
        self._unfolded = not self._unfolded
        for entry in self.query(Entry):
            entry.fold(not self._unfolded)

    def entry(self, kind: str, made: Object, ident: str = "") -> Entry:
        """Return the entry of an object: the one there is, or a new one."""
        key = (kind, ident or str(made.get("id", "")) or f"{made['seq']}")
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = Entry(bool(made.get("parent")))
            found.folded = not self._unfolded
            self._new.append(found)
        if not found.stale:
            found.stale = True
            self._changed.append(found)
        return found

    def line(self, made: Object, words: str, ident: str = "", loud: bool = False) -> None:
        """Add a line of its own."""
        entry = self.entry(made["kind"], made, ident)
        entry.words, entry.loud = words, loud


def _said(talk: Talk, made: Object, who: str, style: str) -> None:
    entry = talk.entry(made["kind"], made, str(made.get("id") or f"answer {made['turn']}"))
    entry.head = entry.head or (who, style, clock(made["ts"]) if made.get("ts") else "")
    if "part" in made:
        entry.parts["text"] = entry.parts.get("text", "") + made["part"]
    elif made.get("void"):
        entry.parts.clear()
    else:
        entry.parts["text"] = made.get("text", "")


def _prompt(talk: Talk, made: Object) -> None:
    if made.get("origin") == "agent":
        talk.line(made, "the agent continues on its own")
    else:
        _said(talk, made, "mail" if made.get("origin") == "mail" else "you", "bold ansi_cyan")


def _text(talk: Talk, made: Object) -> None:
    _said(talk, made, "subagent" if made.get("parent") else "agent", "bold ansi_green")


def _tool(talk: Talk, made: Object) -> None:
    entry, name, title = talk.entry("step", made), made.get("name", ""), made.get("title", "")
    entry.words = f"{name} {title}" if title != name else name
    given = made.get("input")
    if given is not None and not any(part.startswith("diff") for part in entry.parts):
        command = given.get("command") if isinstance(given, Mapping) else given
        entry.parts["input"] = command if isinstance(command, str) else str(given)


def _output(talk: Talk, made: Object) -> None:
    entry = talk.entry("step", made)
    if "part" in made:
        entry.parts["output"] = entry.parts.get("output", "") + made["part"]
    elif made.get("text"):
        entry.parts["output"] = made["text"]
    if made.get("end"):
        entry.mark = MARKS[made["end"]]
        entry.after = f"exit {made['exit']}" if made.get("exit") else "denied" if made["end"] == "denied" else ""


def _edit(talk: Talk, made: Object) -> None:
    entry = talk.entry("step", made)
    place = f":{made['line']}" if made.get("line") is not None else ""
    entry.words, entry.mark = f"Edit {made.get('path', '')}{place}", "✓"
    known = "added" in made and "removed" in made
    entry.counts = (str(made["added"]), str(made["removed"])) if known else None
    entry.parts.pop("input", None)
    if made.get("diff"):
        entry.parts[f"diff {made.get('n', 1)}"] = made["diff"]


def _ask(talk: Talk, made: Object) -> None:
    entry = talk.entry("step", made)
    entry.words, entry.mark = made.get("text", "").strip().partition("\n")[0], "?"
    entry.parts["text"] = made.get("text", "")
    if made.get("diff"):
        entry.parts["diff"] = made["diff"]


def _decision(talk: Talk, made: Object) -> None:
    by = " (in the pane)" if made.get("by") == "pane" else ""
    talk.entry("step", made).after = f"→ {made.get('choice') or made.get('by', '')}{by}"


def _thinking(talk: Talk, made: Object) -> None:
    entry, took = talk.entry("step", made), made.get("seconds")
    entry.words = "thinking…" if made.get("on") else f"thought {took:.0f} s" if took else "thought"
    if made.get("text"):
        entry.parts["text"] = made["text"]


def _plan(talk: Talk, made: Object) -> None:
    entry, items = talk.entry("step", made, f"plan {made['turn']}"), made.get("items", [])
    entry.words = f"plan: {sum(one.get('state') == 'done' for one in items)} of {len(items)} done"
    entry.parts["text"] = "\n".join(f"{ITEMS.get(one.get('state'), '☐')} {one.get('text', '')}" for one in items)


def _retry(talk: Talk, made: Object) -> None:
    why, most = made.get("reason") or made.get("status"), made.get("of")
    words = f"retrying {made.get('attempt') or ''}" + (f" of {most}" if most else "") + (f": {why}" if why else "")
    talk.line(made, words, f"retry {made['turn']}", loud=True)


def _end(talk: Talk, made: Object) -> None:
    if made.get("how") != "answer":
        words = made.get("reason") or "error" if made.get("how") == "error" else "interrupted"
        talk.line(made, words, f"end {made['turn']}", loud=True)


_SHOW: dict[str, Callable[[Talk, Object], None]] = {
    "prompt": _prompt, "text": _text, "tool": _tool, "output": _output, "edit": _edit, "ask": _ask, "decision": _decision,
    "thinking": _thinking, "plan": _plan, "retry": _retry, "end": _end,
    "limit": lambda talk, made: talk.line(made, f"limit: {made.get('reason', '')}", loud=True),
    "compact": lambda talk, made: talk.line(made, "conversation shortened" if made.get("state") == "done" else "shortening…"),
    "subagent": lambda talk, made: talk.line(made, f"subagent {made.get('title') or made.get('name', '')}: {made.get('state', '')}"),
    "note": lambda talk, made: talk.line(made, made.get("text", "")),
}  # fmt: skip
