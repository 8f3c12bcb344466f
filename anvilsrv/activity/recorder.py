"""What happens in sessions is recorded here: told by the part that hears of it, cleaned, numbered, kept, and given to readers.

What two sources tell is one object: what says nothing new is dropped, what says more is told again with all that is known. Text that
grows is kept in memory; it becomes a record when it is whole, when its turn ends, or when it has grown for long.

Threads: everything runs on the store's thread; ``record``, ``end`` and ``tell`` in a job, ``said`` after its commit.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from anvilsrv import display
from anvilsrv.activity import itself, names, rows
from anvilsrv.activity.live import RUN, Block, Channel, Live, squeezed
from anvilsrv.activity.names import Told
from anvilsrv.activity.rows import Mark, Record
from anvilsrv.activity.schema import KINDS, clean, coloured, key
from anvilsrv.allowance import BOUNDS
from anvilsrv.store.effects import Item, Later, Said, Wake
from anvilsrv.store.store import Tx
from anvilsrv.store.topics import conversation_of
from anvilsrv.strict_json import dumps

MOST = 64 << 20  # bytes of the records of one session
SHOWN = ("text", "tool", "edit", "decision")  # kinds of which the log shows something
SOON = 0.08  # s between two looks of the log at a text that grows; files are looked at less often, so that each look shows at once
PIECE = 16 << 10  # characters of a text from which its size is looked at with each part
OFTEN = 64  # records after which their size is looked at
BLOCKS = 64  # objects of a session that grow at a time
Does = Callable[[Tx, str, str], None]
Is = Callable[[Tx, str, Mapping[str, Any]], None]
Where = Callable[[Tx, str], str]
BEGUN = ("started", "resumed")  # what a new process of the agent says of its session
FRESH = ("seq", "ts", "turn")  # fields that say nothing of what happened


@dataclass
class Saying:
    """What one job says: the items in their order, and what is whole."""

    items: list[Item] = field(default_factory=list)
    whole: list[tuple[str, str]] = field(default_factory=list)
    made: list[Mapping[str, Any]] = field(default_factory=list)
    heard: int = 0  # of what was made


class Recorder:
    """The activity of all sessions. ``live`` is what readers get of it at once; ``most`` how many bytes of a session are kept.

    ``does(tx, session, words)`` hears what a session does when that has changed; ``where(tx, session)`` is its directory,
    empty if that is unknown; ``is_so(tx, session, told)`` hears what its agent tells of itself (``itself.TOLD``).
    """

    def __init__(
        self, does: Does = lambda tx, session, words: None, most: int = MOST, where: Where = lambda tx, session: "",
        is_so: Is = lambda tx, session, told: None,
    ) -> None:  # fmt: skip
        self.live = Live()
        self._does_so = does
        self._is_so = is_so
        self._most = most
        self._where = where

    def record(self, tx: Tx, session: str, turn: int, kind: str, **fields: Any) -> None:
        """Record something that another part of the daemon reports."""
        made = clean(kind, fields)
        if made is not None:
            self.tell(tx, session, [Told(made, turn)])

    def tell(
        self,
        tx: Tx,
        session: str,
        told: Iterable[Told],
        read: Mapping[str, Mark | None] | None = None,
        again: bool = False,
    ) -> None:
        """Record what sources report, in this order; ``read`` is how far files were read with that. ``again``: the job
        runs a second time.
        """
        channel, saying = self._channel(tx, session), Saying()
        for one in told:
            self._one(tx, session, channel, one, saying, again)
            self._run(tx, session, channel, saying, again)
        self._does(tx, session, channel, saying)
        if read:
            held = {path: _held(path, mark, channel, saying) for path, mark in read.items()}
            new = {path: one for path, one in held.items() if again or one is None or channel.marks.get(path) != one}
            rows.follow(tx, session, new)
            channel.know(new)
        self._show(tx, session, channel, saying)
        if saying.items or saying.whole:
            tx.after(Said(session, tuple(saying.items), tuple(saying.whole)))

    @staticmethod
    def _show(tx: Tx, session: str, channel: Channel, saying: Saying) -> None:
        """Let readers of the log look: now, or of a text that grows before long."""
        shown = [made for made in saying.made if made["kind"] in SHOWN]
        if any("part" not in made and "grows" not in made for made in shown) or (
            shown and not 0 <= tx.now.monotonic - channel.looked < SOON
        ):
            channel.looked = tx.now.monotonic
            tx.after(Wake(conversation_of(session)))
        elif shown and not channel.look:
            channel.look = True
            tx.after(Later(session, SOON))

    def catch_up(self, tx: Tx, session: str) -> None:
        """Let readers of the log look, if that was put off (effect ``Later``)."""
        channel = self.live.channel(session)
        if channel is not None and channel.look:
            channel.look, channel.looked = False, tx.now.monotonic
            tx.after(Wake(conversation_of(session)))

    def growing(self, session: str, turn: int) -> list[tuple[str, str]]:
        """Return the texts of a turn that are growing, but those of subagents: their ids, and how far they have come."""
        channel = self.live.channel(session)
        blocks = sorted(channel.blocks.items(), key=lambda one: one[1].seq) if channel is not None else []
        return [
            (name, display.parted(block.grown.text)[0])
            for (kind, name), block in blocks
            if kind == "text" and block.turn == turn and not block.parent
        ]

    def grows_in(self, session: str, made: Mapping[str, Any]) -> int | None:
        """Return the turn of the text that grows by this part; None: there is none."""
        channel = self.live.channel(session)
        if channel is None or made["kind"] != "text" or "part" not in made:
            return None
        ident = made.get("id", "")
        block = channel.blocks.get(("text", channel.names.get(ident, ident)))
        return None if block is None else block.turn

    def end(self, tx: Tx, session: str, turn: int, answer: str | None, **fields: Any) -> None:
        """End a turn. What still grows in it is whole with that; ``answer`` is what it said last (None: it is not
        known).
        """
        channel, saying = self._channel(tx, session), Saying()
        self._whole(tx, session, channel, turn, answer, saying)
        if fields.get("how") == "interrupted":
            self._interrupt(tx, session, channel, channel.running.left(), turn, saying)
        self._one(tx, session, channel, Told(clean("end", fields) or {}, turn), saying, False)
        self._does(tx, session, channel, saying)
        tx.after(Said(session, tuple(saying.items), tuple(saying.whole)))

    def said(self, effect: Said) -> None:
        """Pass it to readers: it is on disk, or need not be."""
        self.live.publish(effect.session, effect.items, effect.whole)

    def page(self, tx: Tx, session: str, after: int, turn: int | None) -> tuple[bytes, int, bool]:
        """Return what comes after a number, as lines; the number of the last; and whether that is all there is so far:
        then it ends with what is growing, as far as it has come.
        """
        found = rows.page(tx, session, after, turn)
        if found:
            return b"".join(f"{one.line}\n".encode() for one in found), found[-1].seq, False
        channel = self._channel(tx, session)
        blocks = sorted(channel.blocks.items(), key=lambda one: one[1].seq)
        grown = [
            _item(tx, block.seq, block.turn, _text_of(name, block))[0].line
            for name, block in blocks
            if block.seq > after and turn in (None, block.turn)
        ]
        return b"".join(grown), channel.last, True

    def forget(self, tx: Tx, session: str) -> None:
        """Forget a session that goes for good."""
        rows.forget(tx, session)

    def _does(self, tx: Tx, session: str, channel: Channel, saying: Saying) -> None:
        before = channel.doing.words
        for made in saying.made:
            channel.doing.hear(made)
        if channel.doing.words != before:
            self._does_so(tx, session, channel.doing.words)
        if found := itself.told(saying.made):
            self._is_so(tx, session, found)

    def silent(self, tx: Tx, session: str, seconds: float, before: str) -> None:
        """Record that its agent has reported nothing for that long; ``before``: what the session did."""
        doing = self._channel(tx, session).doing
        words = doing.words
        doing.silent(seconds, before)
        if doing.words != words:
            self._does_so(tx, session, doing.words)

    def doing(self, session: str) -> str:
        """Return what it does, in a line."""
        channel = self.live.channel(session)
        return channel.doing.words if channel is not None else ""

    def _channel(self, tx: Tx, session: str) -> Channel:
        found = self.live.channel(session)
        if found is None:
            found = self.live.begin(session, rows.last(tx, session), self._where(tx, session))
            for made in rows.unended(tx, session):
                found.running.hear(made)
        return found

    # -- one object -----------------------------------------------------------------------------------------------------

    def _one(self, tx: Tx, session: str, channel: Channel, told: Told, saying: Saying, again: bool) -> None:
        if told.made["kind"] == "text":
            own = told.made.get("id")
            ident = names.of_text(tx, session, channel, told)
            if ident != own:
                told = told._replace(made={**told.made, "id": ident})
        elif told.of_tool and "part" in told.made:
            if not again:
                channel.running.write(told.of_tool, told.made["id"], told.made["part"], told.begun)
            return
        elif told.made["kind"] in names.OF_TOOLS:
            ident = names.of_use(tx, session, channel, told)
            if not ident:
                return
            told = told._replace(made=names.here({**told.made, "id": ident}, channel.cwd))
        if told.made["kind"] == "session" and told.made.get("what") in BEGUN:
            self._interrupt(tx, session, channel, channel.running.lost(), told.turn, saying)
        if "part" in told.made:
            self._part(tx, session, channel, told, saying, again)
        else:
            self._keep(tx, session, channel, told.made, told.turn, saying)

    def _run(self, tx: Tx, session: str, channel: Channel, saying: Saying, again: bool) -> None:
        """Take note of which tools run: from now on it may be known whose output is in a file."""
        for made in saying.made[saying.heard :]:
            channel.running.hear(made)
        for ident, part, begun in channel.running.read():
            tool = rows.newest(tx, session, "tool", ident)
            if tool is not None:
                above = {"parent": tool[1]["parent"]} if "parent" in tool[1] else {}
                made = {"kind": "output", "id": ident, **above, "part": part}
                self._part(tx, session, channel, Told(made, tool[0], begun), saying, again)
        saying.heard = len(saying.made)

    def _interrupt(
        self, tx: Tx, session: str, channel: Channel, idents: list[str], turn: int, saying: Saying
    ) -> None:  # fmt: skip
        """End these uses of tools with what they were part of."""
        for ident in idents:
            self._keep(tx, session, channel, {"kind": "output", "id": ident, "end": "interrupted"}, turn, saying)

    def _part(self, tx: Tx, session: str, channel: Channel, told: Told, saying: Saying, again: bool) -> None:
        made, name = told.made, (told.made["kind"], told.made["id"])
        if name not in channel.blocks and not self._grows(tx, session, *name):
            return
        first = name not in channel.blocks
        block = channel.block(*name, told.turn, made.get("parent", ""), told.begun)
        if not again:
            block.grown.add(made["part"])
            block.pieces += 1
        block.seq = channel.number()
        shown = (
            _text_of(name, block) if first else coloured(made, "part")
        )  # a daemon before us may have told some of it
        saying.items.append(_item(tx, block.seq, block.turn, shown)[0])
        saying.made.append(shown)
        if block.pieces % RUN == 0:
            self._add(tx, session, channel, _text_of(name, block), block.turn, saying)
        if first or block.grown.size >= PIECE:
            self._make_room(tx, session, channel, name, saying)

    def _make_room(self, tx: Tx, session: str, channel: Channel, but: tuple[str, str], saying: Saying) -> None:
        """Complete the oldest of what grows, as far as it has come, if there is more than may grow at a time."""
        growing = {name: one for name, one in channel.blocks.items() if name not in saying.whole}
        size = sum(one.grown.size for one in growing.values())
        many = len(growing)
        for name, block in growing.items():
            if many <= BLOCKS and size <= BOUNDS["growing"].most:
                break
            if name == but:
                continue
            many, size = many - 1, size - block.grown.size
            made = _text_of(name, block)
            made.pop("grows", None)
            saying.whole.append(name)
            self._keep(tx, session, channel, made, block.turn, saying)

    @staticmethod
    def _grows(tx: Tx, session: str, kind: str, ident: str) -> bool:
        """Return whether an object may grow on: it was not reported as a whole. One that has grown for long is reported
        again after a crash.
        """
        known = rows.newest(tx, session, kind, ident)
        return bool(known[1].get("grows")) if known is not None else not rows.told(tx, session, kind, ident)

    def _keep(self, tx: Tx, session: str, channel: Channel, made: dict[str, Any], turn: int, saying: Saying) -> None:
        """Store a record, unless it says nothing new."""
        kind, ident = made["kind"], key(made)
        block = channel.blocks.get((kind, ident)) if KINDS[kind].grows else None
        if block is not None:
            turn = block.turn
            made = made if "text" in made or "void" in made else {**_text_of((kind, ident), block), **made}
            made.pop("grows", None)
            saying.whole.append((kind, ident))
        known = rows.newest(tx, session, kind, ident) if ident or KINDS[kind].once else None
        if known is not None and ident:
            turn, before = known[0], known[1]
            of_text = ("grows", "cut", "colours") if "text" in made else ("grows", "cut")
            made = {**{name: value for name, value in before.items() if name not in (*FRESH, *of_text)}, **made}
            if made.get("void"):
                made.pop("text", None)
                made.pop("colours", None)
        if known is not None and _same(known[1], made):
            return
        if known is None and block is None and ident and rows.told(tx, session, kind, ident):
            return
        if kind == "text" and known is None and block is None and ident and "text" in made and "parent" not in made:
            channel.came_whole(ident, turn, made["text"])
        self._add(tx, session, channel, made, turn, saying)

    def _add(self, tx: Tx, session: str, channel: Channel, made: dict[str, Any], turn: int, saying: Saying) -> None:
        item, line = _item(tx, channel.number(), turn, made)
        saying.items.append(item)
        saying.made.append(made)
        rows.add(tx, session, Record(item.seq, turn, line), made["kind"], key(made))
        channel.records += 1
        if channel.records % OFTEN == 0:
            rows.trim(tx, session, self._most)

    def _whole(self, tx: Tx, session: str, channel: Channel, turn: int, answer: str | None, saying: Saying) -> None:
        """Complete what grows in a turn that ends, as far as it has come. The last text is the answer, if that begins
        with it.
        """
        blocks = [
            (name, one) for name, one in channel.blocks.items()
            if one.turn == turn and not one.parent and not channel.running.behind(name[1])
        ]  # fmt: skip
        texts = [name for name, _ in blocks if name[0] == "text"]
        channel.ended = {}
        for name, block in blocks:
            made = _text_of(name, block)
            made.pop("grows", None)
            if answer and texts[-1:] == [name] and _begins(answer, made["text"]) and not _as_coloured(answer, made):
                made = clean("text", {"id": name[1], "text": answer}) or made
            saying.whole.append(name)
            if name[0] == "text" and "void" not in made:
                channel.ended[name[1]] = squeezed(made["text"])
            self._keep(tx, session, channel, made, turn, saying)
        if answer:
            said = (one.get("text", "") for one in rows.of_turn(tx, session, turn, "text") if "parent" not in one)
            whole = clean("text", {"id": names.answer_of(turn), "text": answer})
            if whole is not None and not says(whole["text"], said):
                channel.ended[names.answer_of(turn)] = squeezed(answer)
                self._keep(tx, session, channel, whole, turn, saying)


def says(answer: str, said: Iterable[str]) -> bool:
    """Return whether the last texts of a turn, the last first, are its answer: agents give only the last, or all of
    them. No more of them is read than decides it.
    """
    words = squeezed(answer)
    end = len(words)
    for text in said:
        part = squeezed(text)
        if len(part) > end or not words.startswith(part, end - len(part)):
            return False
        end -= len(part)
        if not end:
            return True
    return False


def _begins(answer: str, grown: str) -> bool:
    return squeezed(answer).startswith(squeezed(grown)[:1000])


def _as_coloured(answer: str, made: Mapping[str, Any]) -> bool:
    """Return whether an answer is only what has grown, without its colours."""
    return "colours" in made and squeezed(answer) == squeezed(made["text"])


def _text_of(name: tuple[str, str], block: Block) -> dict[str, Any]:
    """Return what has grown, as an object. ``grows``: more may come."""
    made: dict[str, Any] = {
        "kind": name[0],
        "id": name[1],
        **({"parent": block.parent} if block.parent else {}),
        "text": block.grown.text,
    }
    if block.grown.left_out:
        made["cut"] = block.grown.left_out
    return {**coloured(made, "text"), "grows": True}


def _item(tx: Tx, seq: int, turn: int, made: Mapping[str, Any]) -> tuple[Item, str]:
    """Return the object as its line, for readers and for the store."""
    kind = made["kind"]
    rest = {name: value for name, value in made.items() if name not in (*FRESH, "kind")}
    line = dumps({"seq": seq, "ts": round(tx.now.wall, 3), "turn": turn, "kind": kind, **rest})
    return Item(seq, turn, kind, f"{line}\n".encode()), line


def _same(before: Mapping[str, Any], made: Mapping[str, Any]) -> bool:
    """Return whether that says nothing new."""
    return {n: v for n, v in before.items() if n not in FRESH} == {n: v for n, v in made.items() if n not in FRESH}


def _held(path: str, mark: Mark | None, channel: Channel, saying: Saying) -> Mark | None:
    """Return from where the file is read after a crash: from the beginning of the first block in it that is not whole."""
    if mark is None:
        return None
    begun = [
        block.begun.offset
        for name, block in channel.blocks.items()
        if block.begun is not None and block.begun.path == path and name not in saying.whole
    ]
    return mark._replace(offset=min([mark.offset, *begun]))
