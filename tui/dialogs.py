"""Small windows over a screen: a question of ours, a line, an agent's question, the keys. A prompt is in ``prompt``."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Label, OptionList, Static, TextArea
from textual.widgets.option_list import Option

from tui.once import Once
from tui.talk import diff
from tui.text import one_line, printable


class Dialog(Once[Any], ModalScreen[Any]):
    """Esc leaves with None. The content is what ``inside`` yields."""

    BINDINGS: ClassVar = [
        Binding("escape", "dismiss(None)", show=False),
        Binding("tab", "app.focus_next", show=False, priority=True),
        Binding("shift+tab", "app.focus_previous", show=False, priority=True),
    ]

    def __init__(self, title: str) -> None:
        super().__init__()
        self.heading = title

    def compose(self) -> ComposeResult:
        with Vertical(classes="box"):
            yield Label(Content(one_line(self.heading)), classes="title")
            yield from self.inside()

    def inside(self) -> ComposeResult:
        """Yield what is under the title."""
        yield from ()


class Confirm(Dialog):
    """y or n. Gives True or None."""

    BINDINGS: ClassVar = [
        Binding("y", "dismiss(True)", show=False),
        Binding("n,q", "dismiss(None)", show=False),
    ]

    def __init__(self, title: str, why: str = "") -> None:
        super().__init__(title)
        self.why = why

    def inside(self) -> ComposeResult:
        if self.why:
            yield Static(Content(printable(self.why)), classes="why")
        yield Label("y yes   n no", classes="hint")


def actions(widget: type[Input] | type[TextArea]) -> dict[str, str]:
    """Return the actions of a widget's own keys."""
    return {key: one.action for one in widget.BINDINGS if isinstance(one, Binding) for key in one.key.split(",")}


def typed(event: events.Key) -> str:
    """Return a character that Textual ignores, because Python does not call it printable: joiners, wide spaces, newer
    emoji.
    """
    character = event.character or ""
    odd = len(character) == 1 and not event.is_printable and unicodedata.category(character) not in ("Cc", "Cs")
    return character if odd else ""


async def in_order(
    field: Input | TextArea, acts: Mapping[str, str], event: events.Key, insert: Callable[[str], object]
) -> bool:
    """Run what a key stands for in ``acts``, or insert what ``typed`` finds in it, at once; False if it is neither."""
    action, character = acts.get(event.key), typed(event)
    if action is None and not character:
        return False
    event.stop()
    event.prevent_default()
    if action is not None:
        await field.run_action(action)
    else:
        insert(character)
    return True


class Field(Input):
    """A line of text. Keys act in the order in which they come: Textual would insert letters at once and delete later, so
    what arrives in one piece (a fast typist, a slow line) would come out of order."""

    ACTIONS: ClassVar = actions(Input)

    async def _on_key(self, event: events.Key) -> None:
        if not await in_order(self, self.ACTIONS, event, self.insert_text_at_cursor):
            await super()._on_key(event)


class Line(Dialog):
    """One line of text; gives it, maybe empty."""

    def __init__(self, title: str, value: str = "", hint: str = "Enter takes it, Esc leaves it") -> None:
        super().__init__(title)
        self.value = value
        self.hint = hint

    def inside(self) -> ComposeResult:
        yield Field(self.value, select_on_focus=False)
        yield Label(Content(self.hint), classes="hint")

    def on_input_submitted(self, message: Input.Submitted) -> None:
        self.dismiss(message.value)


class Filter(Line):
    """One line of text at the foot of the screen; ``changed`` gets it with every key, and ``""`` when it is left."""

    BINDINGS: ClassVar = [Binding("escape", "show_all", show=False)]

    def __init__(self, value: str, changed: Callable[[str], object]) -> None:
        super().__init__("Filter", value, "Enter keeps it   Esc shows all sessions")
        self.changed = changed

    def on_input_changed(self, message: Input.Changed) -> None:
        self.changed(message.value)

    def action_show_all(self) -> None:
        self.changed("")
        self.dismiss(None)


BRIGHT = 6  # lines of what one is asked to allow that stand out
ENDS = 3  # lines with the last words of a question that is longer than its place


class Answer(Dialog):
    """What an agent asks; gives the choice. A digit takes the choice of that number."""

    BINDINGS: ClassVar = [
        Binding("pageup", "page(-1)", show=False, priority=True),
        Binding("pagedown", "page(1)", show=False, priority=True),
    ]

    def __init__(self, title: str, ask: dict[str, Any]) -> None:
        super().__init__(title)
        self.ask = ask
        self.choices: list[str] = list(ask.get("choices") or [])

    def inside(self) -> ComposeResult:
        with VerticalScroll(classes="text", can_focus=False):
            text = printable(self.ask.get("text") or "")
            permission = self.choices and not self.ask.get("free") and text.count("\n") < BRIGHT
            yield Static(Content(text), classes="asked" if permission else "")
            if self.ask.get("diff"):
                yield Static(Content.assemble(*diff(self.ask["diff"])))
            elif self.ask.get("detail"):
                yield Static(Content(printable(str(self.ask["detail"]))), classes="hint")
        yield Static(classes="ends asked")
        if self.choices:
            yield OptionList(*(Option(Content(f"{n} {one_line(one)}")) for n, one in enumerate(self.choices, 1)))
        for words in self.fields:
            yield Field(placeholder=words)
        yield Label("Enter answers   1-9 that choice   PgUp PgDn   Esc leaves it open", classes="hint")

    def on_mount(self) -> None:
        text = self.query_one(".text", VerticalScroll)
        for changed in ("scroll_y", "virtual_size", "size"):
            self.watch(text, changed, self._show_end)

    def _show_end(self) -> None:
        """Show the last words of the question while they are out of sight: what a long command ends with decides, too."""
        text, ends = self.query_one(".text", VerticalScroll), self.query_one(".ends", Static)
        bottom = text.query("Static").first().virtual_region.bottom
        ends.display = bottom > text.scroll_y + text.size.height > 0
        if ends.display:
            words = one_line(self.ask.get("text") or "")
            ends.update(Content("… " + words[-(ENDS * max(1, text.size.width - 4)) :]))

    def action_page(self, pages: int) -> None:
        text = self.query_one(".text", VerticalScroll)
        text.scroll_to(y=text.scroll_y + pages * text.size.height, animate=False, immediate=True)

    @property
    def fields(self) -> list[str]:
        """What is to be typed, if anything is: words of one's own, or an answer to each of several questions."""
        parts = self.ask.get("questions") or []
        if len(parts) > 1:
            return [one_line(str(part.get("text") or "")) for part in parts]
        return ["your own words"] if self.ask.get("free") or not self.choices else []

    def on_key(self, event: events.Key) -> None:
        if event.key.isdecimal() and not isinstance(self.focused, Input) and 0 < int(event.key) <= len(self.choices):
            event.stop()
            self.dismiss(self.choices[int(event.key) - 1])

    def on_option_list_option_selected(self, message: OptionList.OptionSelected) -> None:
        self.dismiss(self.choices[message.option_index])

    def on_input_submitted(self, message: Input.Submitted) -> None:
        given = [field.value.strip() for field in self.query(Field)]
        empty = next((field for field, words in zip(self.query(Field), given, strict=True) if not words), None)
        if empty is None:
            self.dismiss("\n".join(given))
        elif message.value.strip():
            empty.focus()


KEYS = """\
s  start a session              Enter  the conversation
p  prompt                       A  attach a terminal (tmux)
t  stop                         w  answer a waiting question
R  restart, conversation kept   i  your inbox       I  the session's
K  kill, for good               c  context put before prompts
a  alias                        x  interrupt the turn
r  refresh                      Q  the queue: what waits
/  filter the list              y  copy the last answer
T  type keys into its pane, as in Down Enter
d  the daemon                   ?  these keys       q  quit
j k  C-n C-p  down, up          n  the next that needs you

Messages: Enter or e reply, a archive it, v inbox or archive.
Queue: d drop, f first, e edit, h hold, g go on.
D: what it has changed; t a turn or all, u undo, m merge, X discard.
Conversation: Tab between text and prompt, PgUp PgDn scroll,
  Ctrl-J a new line, Ctrl-W answer, Esc back (the draft is kept).
  Ctrl-O unfolds the steps (a click one), PgUp at the top: earlier turns."""

WIDE = 70  # columns that two columns of keys need


class Help(Dialog):
    """The keys."""

    BINDINGS: ClassVar = [Binding("q,question_mark,enter", "dismiss(None)", show=False)]

    def __init__(self) -> None:
        super().__init__("Keys")
        self._narrow = False

    def on_resize(self) -> None:
        if self._narrow != (self.app.size.width <= WIDE):
            self.refresh(recompose=True)

    def inside(self) -> ComposeResult:
        self._narrow = self.app.size.width <= WIDE
        if not self._narrow:
            yield Static(Content(KEYS))
        else:
            with VerticalScroll(classes="keys"):
                yield Static(Content("\n".join(one for line in KEYS.split("\n") for one in re.split(" {3,}", line))))
