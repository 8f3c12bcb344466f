"""Tasks, which beads(7) keeps: the list, `/AnviLLM/+Tasks`, and one of them, `/AnviLLM/+Task.<id>`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from acme.lib import table, task_lines
from acme.lib.agent import Session
from acme.lib.event import Gesture
from acme.lib.host import Call
from acme.lib.pane import Pane
from acme.lib.times import when
from anvilsrv.errors import AnvilError, Conflict, Invalid
from anvilsrv.strict_json import loads

Bead = dict[str, Any]
VIEWS = ("ready", "open", "mine", "blocked", "all")
_DONE = ("closed", "tombstone")
_ACTS = {"Claim": "claim", "Done": "complete", "Fail": "fail", "Comment": "comment", "Dep": "dep"}


def _seen_in(view: str, bead: Bead, ready: set[str]) -> bool:
    status = bead.get("status")
    return {
        "ready": bead["id"] in ready,
        "open": status not in _DONE,
        "mine": status not in _DONE and bead.get("assignee") == "user",
        "blocked": status == "blocked" or (status == "open" and bead["id"] not in ready),
        "all": True,
    }[view]


class Beads(Pane):
    """The words that both windows know; `_bead` is what one without an id is about."""

    commands: ClassVar = {"Get": "get", "New": "new", **dict.fromkeys(_ACTS, "act")}
    any_word = False

    def _bead(self) -> str:
        raise NotImplementedError

    def get(self, call: Call) -> None:
        raise NotImplementedError

    def session(self) -> Session | None:
        return None

    def new(self, call: Call) -> None:
        """Create a task (``New <title>``); its window opens."""
        if not call.argument:
            raise Invalid("usage: New <title>")
        self.app.open("task", self.app.agent.bead("new", call.argument))
        self.app.changed_tasks()

    def act(self, call: Call) -> None:
        """Act on a task: ``Claim``, ``Done``, ``Fail <reason>``, ``Comment <text>``, ``Dep <id>``, for which it is to
        wait; the id of another task may precede these.
        """
        first, _, rest = call.argument.partition(" ")
        known = {bead["id"] for bead in self.app.agent.beads("list")}
        id, text = (
            (first, rest.strip())
            if first in known and not (call.word == "Dep" and not rest)
            else (self._bead(), call.argument)
        )
        if call.word in ("Fail", "Comment", "Dep") and not text:
            raise Invalid(f"{call.word}: what? sweep '{call.word} <text>'")
        words = [text, id] if call.word == "Dep" else [id, *([text] if text else [])]
        self.app.agent.bead(_ACTS[call.word], *words)
        self.app.changed_tasks()


class Tasks(Beads):
    """The list; a click on a word in brackets says which of them. A right click on an id opens it.

    Its lines are text, which Put does; while the person has edited them nothing is drawn.
    """

    by_dot = True
    tag = "Get Put New Claim Done Fail Comment Dep Undo Redo Look"
    commands: ClassVar = {**Beads.commands, "Put": "put"}

    def title(self) -> str:
        return "/AnviLLM/+Tasks"

    def reopen(self) -> str:
        return "tasks"

    def open(self) -> None:
        self.shown: list[str] = []
        self._view = "ready"
        self._got = ""  # what was edited, of which Get has warned
        self._style = self.style()
        self.clear()
        self.refresh()
        self.show_top()

    def refresh(self) -> None:
        if not self.app.online or self._edits():
            return
        rows = self._rows()
        if rows != self.shown:
            self.window.draws(rows)
            table.put(self.window, table.plan(self.window.body(), self.shown, rows), lines=True, clean=not self.draft())
            self.shown = rows

    def _rows(self) -> list[str]:
        ready = {bead["id"] for bead in self.app.agent.beads("ready")}
        found = [bead for bead in self.app.agent.beads("list") if _seen_in(self._view, bead, ready)]
        views = " ".join(f"[{view}]" if view != self._view else f"[{view}]*" for view in VIEWS)
        return [views, *table.aligned([self._cells(bead) for bead in found], self._style)]

    def _cells(self, bead: Bead) -> tuple[str, ...]:
        who = self.app.label(str(bead.get("assignee") or "-"))
        cells = (bead["id"], str(bead.get("priority", "-")), str(bead.get("status")), who, str(bead.get("title")))
        return tuple(map(table.one_line, cells))

    def get(self, call: Call) -> None:
        """Draw it from what the daemon has; a text that is not sent stays behind the rows."""
        text = "\n".join(self._edits())
        if text and text != self._got:
            self._got = text
            raise Conflict(f"{self.title()} modified; Get again discards the changes")
        self._style = self.style()
        self._draw({}, task_lines.typed(self.window.body(), self.shown))

    def put(self, call: Call) -> None:
        """Do what was edited, line by line; what is refused stands behind its line."""
        body = self.window.body()
        typed = {task_lines.said(line): line for line in task_lines.typed(body, self.shown)}
        refused = {}
        for one in task_lines.todo(body, self.shown[1:], self._id_of):
            typed.pop(one.line, "")
            try:
                for command in one.commands():
                    self.app.agent.bead(*command)
            except AnvilError as error:
                why = f"{one.line}\t! {error}"
                if one.id:
                    refused[one.id] = why
                else:
                    typed[one.line] = why
        self._draw(refused, list(typed.values()))
        self.keep()
        self.app.changed_tasks()

    def _id_of(self, name: str) -> str:
        session = self.app.roster.find(name)
        return session.id if session is not None else name

    def _draw(self, refused: Mapping[str, str], typed: Sequence[str]) -> None:
        """Draw the rows as they are now, those that were refused as they were edited, and below them what was typed."""
        self.shown = self._rows()
        self.window.draws(self.shown)
        lines = [refused.get(table.key(row), row) for row in self.shown]
        text = "".join(f"{line}\n" for line in [*lines, *typed])
        table.whole(self.window, text, clean=not (refused or typed))

    def _edits(self) -> list[str]:
        return task_lines.edited(self.window.body(), self.shown[1:])

    def _bead(self) -> str:
        id = table.key(self.dot().lines[0])
        if id not in self._known(self.acting):
            raise Invalid("which task? put dot on its line, or give its id")
        return id

    def chosen(self, text: str, gesture: Gesture) -> bool:
        line = self._line(gesture)[1]
        if {word.strip("[]*") for word in line.split()} != set(VIEWS) or text.strip("[]*") not in VIEWS:
            return False
        if self._edits():
            raise Conflict(f"{self.title()} modified: Put or Get first")
        self._view = text.strip("[]*")
        self.refresh()
        self.window.select(0, 0)
        self.window.show()
        return True

    def mine(self, q0: int, q1: int) -> bool:
        """Return whether it is none of the rows."""
        return table.key(self.window.text(*self.window.address(f"#{q0}-+"))) not in {
            table.key(row) for row in self.shown
        }

    def draft(self) -> str:
        return "\n".join(filter(None, [*self._edits(), self.kept()]))

    def kept(self) -> str:
        return "\n".join(task_lines.typed(self.window.body(), self.shown))

    def undone(self) -> None:
        self.refresh()

    def restore(self, text: str) -> None:
        self.window.append(text + "\n")

    def looked(self, word: str, gesture: Gesture) -> bool:
        known = self._known(gesture)
        meant = table.key(self._line(gesture)[1]) if gesture.in_body else word
        id = meant if meant in known and word and meant.startswith(word) else word
        if id in known:
            self.app.open("task", id)
        return id in known

    def _known(self, gesture: Gesture | None) -> set[str]:
        """Return the tasks that are listed, and those that were when it was clicked."""
        drawn = gesture.body.drawn if gesture is not None and gesture.body is not None else None
        return {table.key(row) for row in [*self.shown[1:], *(drawn[1:] if isinstance(drawn, list) else [])]}


class Task(Beads):
    """One task: title, description, what it waits for, comments. Put saves title and description."""

    tag = "Get Put Claim Done Fail Comment Dep Undo Redo Look"
    commands: ClassVar = {**Beads.commands, "Put": "put"}

    def title(self) -> str:
        return f"/AnviLLM/+Task.{self.subject_id}"

    def reopen(self) -> str:
        return f"task {self.subject_id}"

    def open(self) -> None:
        self._drawn = ""
        self._got = ""
        if self.adopted and self.window.dirty():  # it is the person's
            self._drawn = draw(self._read(), self.app.agent.beads("list"))
        else:
            self._draw()

    def refresh(self) -> None:
        body = self.window.body()
        if not self.app.online or (self._drawn and body != self._drawn):
            return
        if draw(self._read(), self.app.agent.beads("list")) != self._drawn:
            self._draw(body)

    def draft(self) -> str:
        text = self.window.body()
        return text if text != self._drawn and self._drawn else ""

    def mine(self, q0: int, q1: int) -> bool:
        return self.window.text(q0, q1).strip() not in self._drawn

    def restore(self, text: str) -> None:
        self.window.replace(0, self.window.address("$")[1], text)

    def _read(self) -> Bead:
        bead: Bead = loads(self.app.agent.read(f"beads/{self.subject_id}/json"))
        return bead

    def _draw(self, seen: str | None = None) -> None:
        """Draw it as it is now, unless the person has changed what was seen."""
        drawn = draw(self._read(), self.app.agent.beads("list"))
        if table.whole(self.window, drawn, seen=seen):
            self._drawn = drawn

    def get(self, call: Call) -> None:
        text = self.draft()
        if text and text != self._got:
            self._got = text
            raise Conflict(f"{self.title()} modified; Get again discards the changes")
        self._draw()
        self.keep()

    def put(self, call: Call) -> None:
        text = self.window.body()
        title, description = parse(text)
        bead = self._read()
        new = {"title": title, "description": description}
        changed = [f"{key}={value}" for key, value in new.items() if value != (bead.get(key) or "").strip()]
        if changed:
            self.app.agent.bead("update", self.subject_id, *changed)
        self._draw(text)
        self.keep()
        self.app.changed_tasks()

    def _bead(self) -> str:
        return self.subject_id


def draw(bead: Bead, others: list[Bead]) -> str:
    """Return title and description, which can be edited; beneath a rule what cannot."""
    titles = {one["id"]: f"{one['id']} {one.get('status')} {one.get('title')}" for one in others}
    rows = [f"{bead['id']} {bead.get('status')} priority {bead.get('priority')} {bead.get('assignee') or '-'}"]
    rows += [
        f"{_LINKS.get(one.get('type', 'blocks'), one.get('type'))}: {titles.get(one['depends_on_id'], one['depends_on_id'])}"
        for one in bead.get("dependencies") or []
    ]
    for one in bead.get("comments") or []:
        rows += [
            "",
            f"{one.get('author')} {when(one.get('created_at'))}",
            *(f"\t{line}" for line in one["text"].splitlines()),
        ]
    return f"{bead.get('title')}\n\n{(bead.get('description') or '').strip()}\n\n{_RULE}\n" + "\n".join(rows) + "\n"


_RULE = "---"
_LINKS = {"blocks": "waits for"}  # what another task is to this one, where the graph has a word for the other way round


def parse(text: str) -> tuple[str, str]:
    """Return title and description. Raises Invalid without a title."""
    above = text.partition(f"\n{_RULE}\n")[0]
    title, _, description = above.partition("\n")
    if not title.strip():
        raise Invalid("no title: it is the first line")
    return title.strip(), description.strip()


def work(bead: Bead) -> str:
    """Return the prompt that gives a task to a session."""
    return f"Work on {bead['id']}: {bead.get('title')}\n\n{bead.get('description') or ''}".rstrip()
