"""A prompt of many lines: where it is typed, and the window for one."""

from collections.abc import Callable
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.message import Message
from textual.widgets import Label, TextArea

from tui.dialogs import Dialog, actions, in_order


class PromptArea(TextArea):
    """Text of many lines: Enter sends it, Ctrl-J begins a new line, what is pasted stays as it is."""

    class Sent(Message):
        """The text is to be sent."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self, may_be_empty: bool = False) -> None:
        super().__init__(soft_wrap=True, show_line_numbers=False, tab_behavior="focus", highlight_cursor_line=False)
        self.may_be_empty = may_be_empty

    def put(self, text: str) -> None:
        """Make ``text`` what stands there, with the cursor behind it."""
        self.text = text
        self.move_cursor(self.document.end)

    ACTIONS: ClassVar = actions(TextArea)

    async def _on_key(self, event: events.Key) -> None:
        """Handle keys in their order, as in ``Field``."""
        if event.key == "enter":
            event.stop()
            event.prevent_default()
            if self.text.strip() or self.may_be_empty:
                self.post_message(self.Sent(self.text))
        elif event.key in ("ctrl+j", "shift+enter"):
            event.stop()
            event.prevent_default()
            self.insert("\n")
        elif not await in_order(self, self.ACTIONS, event, lambda text: self.replace(text, *self.selection)):
            await super()._on_key(event)


class Prompt(Dialog):
    """A prompt; gives its text. What is left by Esc goes to ``keep``, so that it is there the next time.

    With a ``hint`` of its own it is another text, which may be empty. Where the ``draft`` must be asked for, ``ask`` does, once this is
    on the screen: ``begin`` gets the draft. What is typed meanwhile comes behind it, and is not sent before.
    """

    BINDINGS: ClassVar = [Binding("escape", "leave", show=False)]

    def __init__(
        self,
        title: str,
        draft: str,
        keep: Callable[[str], None],
        hint: str = "",
        ask: Callable[[], object] | None = None,
    ) -> None:
        super().__init__(title)
        self.draft = draft
        self._ask = ask
        self._waits = ask is not None  # for the draft
        self._sent = False  # before there was one
        self.keep = keep
        self.hint = hint

    def inside(self) -> ComposeResult:
        yield PromptArea(may_be_empty=bool(self.hint) or self._waits)
        yield Label(self.hint or "Enter sends   Ctrl-J new line   Esc leaves, the draft is kept", classes="hint")

    def on_mount(self) -> None:
        self.query_one(PromptArea).put(self.draft)
        if self._ask is not None:
            self._ask()

    def begin(self, draft: str) -> None:
        """Begin with that text before what was typed."""
        self._waits = False
        if self.is_running:
            area = self.query_one(PromptArea)
            area.may_be_empty = bool(self.hint)
            area.put(draft + area.text)
            if self._sent:
                self.dismiss(area.text)

    def on_prompt_area_sent(self, message: PromptArea.Sent) -> None:
        self._sent = True
        if not self._waits:
            self.dismiss(message.text)

    def action_leave(self) -> None:
        if not self._waits:
            self.keep(self.query_one(PromptArea).text)
        self.dismiss(None)
