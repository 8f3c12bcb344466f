"""A window of Assist: one thread that owns it, and what each kind of window says of itself. What clicks mean: `gestures.py`.

Two threads a window: a reader waits in acme's `event` file and posts what it reads; the owner does everything else, so
that a slow answer in one window holds up no other. A gesture means what was on the screen when it was made: the reader posts it
with the body and the selection of that moment.
"""

from __future__ import annotations

import queue
import threading
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import ClassVar

from acme.lib import clicked, table
from acme.lib.agent import Session
from acme.lib.drafts import Draft
from acme.lib.event import Dot, Gesture
from acme.lib.gestures import DELETES, Gestures
from acme.lib.host import Call, Host
from acme.lib.window import Window, WindowGone
from anvilsrv.errors import AnvilError, Invalid, Unavailable
from anvilsrv.p9.client import ConnectionLost, P9Error, TimedOut

_STUCK = 1.0  # s; most of what is asked of a daemon is answered sooner


class Pane:
    """One window. Subclasses say its commands (word to method name), and draw it."""

    commands: ClassVar[Mapping[str, str]] = {}
    tag = ""
    any_word = True  # a right click on an alias opens its prompt; in running text only an id does
    by_dot = False  # a command may be about the lines of dot

    window: Window  # from `start` on

    def __init__(self, app: Host, subject: str = "") -> None:
        self.app = app
        self.subject_id = subject  # what the window is about: usually the id of a session
        self.acts = dict(self.commands)
        self.wanted = False
        self.shown: list[str] = []  # the rows of a list
        self._posts: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._stale = threading.Event()
        self._touched = threading.Event()
        self._draft = Draft("")
        self._warned = ""  # the text that Del has warned of
        self._gestures = Gestures(self)
        self._owner = threading.Thread(target=self._work, name="window", daemon=True)
        self._reader = threading.Thread(target=self._listen, name="event", daemon=True)

    # for other threads

    def start(self, window: Window, adopted: bool) -> None:
        """Take the window over and live in it; `adopted` if it is one that an earlier Assist left behind."""
        self.window = window
        self.adopted = adopted
        self._owner.start()

    def post(self, act: Callable[[], None]) -> None:
        """Have the owner do it."""
        self._posts.put(act)

    @property
    def waiting(self) -> int:
        """How much the owner is still to do."""
        return self._posts.qsize()

    @property
    def outdated(self) -> bool:
        """True while there is something to redraw."""
        return self._stale.is_set()

    @property
    def delayed(self) -> float:
        """For how long the owner has waited for the daemon, in seconds."""
        return self.app.agent.waited(self._owner)

    def stale(self) -> None:
        """Ask the owner to redraw; calls made before it does are merged."""
        if not self.outdated:
            self._stale.set()
            self.post(self._renew)

    def show(self) -> None:
        """Bring the window into view; one that is on its way out is `wanted` again."""
        self.wanted = True
        self.post(self._show)

    def join(self, timeout: float) -> None:
        if self._owner.is_alive() and threading.current_thread() is not self._owner:
            self._owner.join(timeout)

    # for subclasses; all on the owner's thread

    def title(self) -> str:
        """Return the window's name; its directory is where the words in it are looked up."""
        raise NotImplementedError

    def reopen(self) -> str:
        """Return the words after ``Assist`` that bring the window back after a Load; empty if it is not to come back."""
        return ""

    def open(self) -> None:
        """Fill the new window."""

    def refresh(self) -> None:
        """Bring the window up to date with `app.roster`."""

    def closed(self) -> None:
        """Release what is still held: the window is gone."""

    def session(self) -> Session | None:
        """Return the session that a command without an id is about."""
        return self.app.roster.find(self.subject_id)

    def looked(self, word: str, gesture: Gesture) -> bool:
        """Handle a right click that is on no session; False leaves it to acme."""
        return False

    def chosen(self, text: str, gesture: Gesture) -> bool:
        """Handle a middle click in the body on something that goes before any command: a choice."""
        return False

    def touched(self) -> bool:
        """Return whether the person has changed the body, and `edited` was not called for it yet."""
        return self._touched.is_set()

    def executed(self, text: str, gesture: Gesture) -> bool:
        """Handle a middle click on something that is not a command, backend or session; False leaves it to acme."""
        return False

    def draft(self) -> str:
        """Return what the person wrote here and has not sent: Del warns of it, and it is kept on disk."""
        return ""

    def kept(self) -> str:
        """Return what of it is kept on disk."""
        return self.draft()

    def restore(self, text: str) -> None:
        """Put a draft that was kept into the new window."""

    def mine(self, q0: int, q1: int) -> bool:
        """Return whether the person wrote what is there; a command that was typed and swept leaves it."""
        return False

    def undone(self) -> None:
        """Undo or Redo has changed the window; what it changed of ours is to be put right."""

    def attended(self) -> None:
        """Note that the person looks at the window, as a click or a key in it shows."""

    def edited(self) -> None:
        """Handle a change of the body by the person."""
        self.keep()

    def keep(self) -> None:
        """Keep the draft; one that is sent or thrown away is gone."""
        try:
            self._draft.save(self.kept())
        except OSError as error:
            raise Unavailable(f"the text in {self._named} cannot be kept: {error.strerror}") from None

    def clear(self) -> None:
        """Take away what an earlier Assist left; a new window may hold what the person typed already."""
        if self.adopted:
            self.window.replace(0, self.window.address("$")[1], "")
            self.window.clean()

    @property
    def acting(self) -> Gesture | None:
        """The gesture that is being done."""
        return self._gestures.acting

    def dot(self) -> Dot:
        """Return the selection at the time of the click on the command that is being done."""
        at = self.acting.dot if self.acting is not None else None
        return at if at is not None else self.window.dotted()

    def row_key(self, line: str) -> str:
        """Return by what a line is known again."""
        return table.key(line)

    def meant(self, word: str, gesture: Gesture) -> Session | None:
        """Return the session of that id or alias, as it was clicked."""
        return self.app.roster.find(word)

    def show_top(self) -> None:
        """Bring the beginning of what was drawn into view, which left dot at its end; or what the person has selected since."""
        end = self.window.address("$")[1]
        if self.window.dot() == (end, end):
            self.window.select(0, 0)
        self.window.show()

    def style(self) -> table.Style:
        """Return how wide things are in this window."""
        return table.style(*self.window.font())

    def delete(self, call: Call) -> None:
        """Delete as acme does it: the first Del of a window with a text of the person's only says that it is modified."""
        text = self.draft() if call.word == "Del" else ""
        if text.strip() and text != self._warned:
            self._warned = text
            self.window.ctl("dirty")
            with suppress(P9Error):
                self.window.ctl("del")
            return
        self.finish()

    def finish(self) -> None:
        """Delete the window; what was written in it is sent, or not wanted."""
        self._draft.drop()
        self.window.delete()

    def sent(self, text: str) -> None:
        """Close the window after its text, which was all of it, is sent, unless the person has gone on writing, whose
        text stays.
        """
        now = self.window.body()
        if now == text:
            self.finish()
        elif now.startswith(text):
            self.window.replace(0, len(text), "")
            self.keep()

    def say(self, text: str) -> None:
        """Tell the person, in +Errors."""
        self.window.errors(text)

    def subject(self, call: Call) -> Session:
        """Return the one session a command is about: named, or the pane's own."""
        if call.words:
            return self.app.roster.get(call.words[0])
        session = self.session()
        if session is None:
            raise Invalid(f"{call.word}: which session? put dot on its line, or give its id")
        return session

    # the owner

    def _work(self) -> None:
        try:
            self._guarded(self._begin)
            self._reader.start()
            while (act := self._posts.get()) is not None:
                self._guarded(act)
        except (WindowGone, ConnectionLost):
            pass
        finally:
            self.app.gone(self, self.wanted)
            self.closed()
            self.window.close()

    def _begin(self) -> None:
        self._named = self.title()
        self.window.name(self._named)
        self.window.listen()
        self.window.tag(self.tag)
        self.window.dump(" ".join([self.app.command, *self.reopen().split()]), self.app.home)
        self.open()
        self._draft = Draft(self.reopen())
        kept = self._draft.read()
        if kept and not self.draft().strip():
            self.restore(kept)
            self.window.ctl("dirty")
            self.window.show()
        elif self.adopted:
            self.keep()  # what was typed while no Assist lived

    def _edited(self) -> None:
        self._touched.clear()
        self.edited()
        self.attended()

    def _renew(self) -> None:
        """Refresh in the background: errors are reported without opening a window."""
        try:
            self._refresh()
        except (WindowGone, ConnectionLost):
            raise
        except AnvilError as error:
            self.app.tell(str(error))

    def _refresh(self) -> None:
        self._stale.clear()
        name = self.title()
        if name != self._named:
            self.window.name(name)
            self._named = name
        self.refresh()

    def _show(self) -> None:
        self.window.show()
        self.wanted = False
        self.attended()

    def _guarded(self, act: Callable[[], None]) -> None:
        try:
            act()
        except (WindowGone, ConnectionLost):
            raise
        except TimedOut as error:
            self.app.sync()
            self.say(f"Assist: the daemon: {error}")
        except AnvilError as error:
            self.say(f"Assist: {error}")
        except Exception as error:  # a mistake of ours must not take the window away
            traceback.print_exc()
            self.say(f"Assist: internal error: {error!r}")

    def _listen(self) -> None:
        with suppress(AnvilError):
            for gesture in self.window.gestures():
                if gesture.kind in "ID" and gesture.origin in "KM" and not self._touched.is_set():
                    self._touched.set()
                    self.post(self._edited)
                if gesture.kind not in "XxLlRr":
                    continue
                if self.by_dot and gesture.kind in "Xx" and gesture.meant.text.partition(" ")[0] in self.acts:
                    gesture = replace(gesture, dot=self.window.dotted())
                if self._stuck(gesture):
                    self._guarded(lambda gesture=gesture: self._not_now(gesture))  # type: ignore[misc]
                else:
                    self.post(lambda gesture=gesture: self._gesture(gesture))  # type: ignore[misc]
        self._posts.put(None)

    def _stuck(self, gesture: Gesture) -> bool:
        """Return whether it cannot wait for the owner: the daemon does not answer, or it is a Del. What the daemon only
        takes long to do, as to start an agent or to merge, is waited for.
        """
        if self.delayed <= _STUCK:
            return False
        return gesture.meant.text.strip() in DELETES or not self.app.agent.answers(_STUCK)

    def _not_now(self, gesture: Gesture) -> None:
        """Do what is done without the owner, on the reader's thread: Del, and to say that nothing else is."""
        word = gesture.meant.text.strip()
        if gesture.kind in "Xx" and word in DELETES:
            self.delete(Call(word, "", None, None))
        else:
            self.say(f"Assist: {word[:40]}: not now, the daemon does not answer what was asked before")

    def _gesture(self, gesture: Gesture) -> None:
        self._gestures.do(gesture)
        self.attended()

    def _line(self, gesture: Gesture) -> tuple[int, str]:
        """Return where the clicked line began, and its text."""
        return clicked.line(self.window, gesture)
