"""What an agent tells in ``session/update``, as values. Pure.

The shapes are those of version 1 of the protocol and what agents add to them. Nothing that an agent sends is an error here: a kind that
is not known, or one that is not as it should be, is an ``Other`` with its name.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

TITLE = 300  # characters of a tool's title
SENTENCE = 10_000  # characters of a sentence of the agent's program, of an item of a plan
PATH = 4096  # characters of a path
PLACES = 100  # of a use of a tool
ITEMS = 1000  # of a plan
COMMANDS = 500
WORDS = 1000  # characters of what a command does
GIVEN = 1 << 20  # characters of what a tool has given: the end of it
LEVELS = 4  # of what vendors add


@dataclass(frozen=True)
class Text:
    """A piece of what the agent says (or thinks, or repeats of the user's). ``message``: the id of its message, where it has one."""

    text: str
    message: str = ""
    who: str = "agent"


@dataclass(frozen=True)
class Diff:
    """An edit of a file; ``old`` None: it is new."""

    path: str
    old: str | None
    new: str


Place = tuple[str, int | None]  # a path, and perhaps a line


@dataclass(frozen=True)
class Tool:
    """A use of a tool, or news of one: what is None was not told this time."""

    id: str
    title: str | None = None
    kind: str | None = None
    status: str | None = None
    text: str | None = None  # what it gave, the whole of it
    part: str | None = None  # more of what it gives
    diffs: tuple[Diff, ...] | None = None
    places: tuple[Place, ...] | None = None
    exit: int | None = None
    begins: bool = False
    name: str | None = None  # the agent's own, where that is told
    input: Any = None


@dataclass(frozen=True)
class Plan:
    """The whole list: what is to be done, and whether it is ``pending``, ``in_progress`` or ``completed``."""

    items: tuple[tuple[str, str], ...]
    left_out: int = 0  # how many more there were


@dataclass(frozen=True)
class Commands:
    """The agent's own commands, without their slash, and what each does."""

    names: Mapping[str, str]


@dataclass(frozen=True)
class Options:
    """What can be chosen, as the agent has it now; see ``acp_options.py``."""

    options: tuple[Any, ...]


@dataclass(frozen=True)
class Mode:
    """The agent is in that mode now."""

    mode: str


@dataclass(frozen=True)
class Usage:
    """Figures by our names: context, window, cost; ``spent`` is what comes to what was spent before: credits."""

    figures: Mapping[str, float]
    spent: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Said:
    """A sentence of the agent's program, not of its model. ``kind``: notice, compaction, retry."""

    text: str
    kind: str = "notice"

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", self.text[:SENTENCE])


@dataclass(frozen=True)
class Other:
    """Something that is not known here."""

    name: str


News = Text | Tool | Plan | Commands | Options | Mode | Usage | Said | Other


def news(update: Any) -> list[News]:
    """Return what an update reports."""
    if not isinstance(update, dict):
        return [Other("an update that is not an object")]
    kind = word(update.get("sessionUpdate"))
    read = READ.get(kind)
    return [Other(f"update '{kind[:80]}'")] if read is None else list(read(update))


def vendors(method: str, params: Mapping[str, Any]) -> list[News]:
    """Return what is reported outside of ``session/update``: agents have notifications of their own."""
    short = method.rpartition("kiro.dev/")[2]
    if short == "commands/available":
        return [commands(params.get("commands"))]
    if short == "metadata":
        given = params.get("meteringUsage")
        credits = [one.get("value") for one in given if isinstance(one, dict)] if isinstance(given, list) else []
        spent = sum(figure for one in credits if (figure := _figure(one)) is not None)
        return [Usage({}, {"credits": spent})] if spent else []
    if short == "compaction/status":
        status = params.get("status")
        return [
            Said(f"compaction: {word(status.get('type')) if isinstance(status, dict) else word(status)}", "compaction")
        ]
    if short == "error/rate_limit":
        return [Said(word(params.get("message")) or "a limit is reached")]
    if method == "_session/retrying":
        return [Said(word(params.get("message")) or "the service is asked again", "retry")]
    return [Other(method[:80])]


def text_of(content: Any) -> str:
    """Return a content block as text; one that is not text is named."""
    if isinstance(content, list):
        return "".join(map(text_of, content))
    if not isinstance(content, dict):
        return ""
    kind = content.get("type")
    if kind == "text":
        return word(content.get("text"))
    if kind == "content":
        return text_of(content.get("content"))
    if kind == "resource_link":
        return f"[{word(content.get('name')) or 'resource'}: {word(content.get('uri'))}]"
    if kind == "resource":
        found = content.get("resource")
        inside = found if isinstance(found, dict) else {}
        return word(inside.get("text")) or f"[resource: {word(inside.get('uri'))}]"
    return f"[{word(kind)[:40] or 'content'}]"


def word(value: Any) -> str:
    """Return a text, or nothing."""
    return value if isinstance(value, str) else ""


def tool(update: Mapping[str, Any], begins: bool) -> Tool:
    """Return a tool call or its news; those in a request for a permission have the same shape."""
    content, meta = update.get("content"), update.get("_meta")
    raw = update.get("rawOutput")
    blocks = [one for one in content if isinstance(one, dict)] if isinstance(content, list) else None
    said = None if blocks is None else "".join(text_of(one) for one in blocks if one.get("type") == "content")
    text = said or (_raw(raw) if raw is not None else said)
    text = text[-GIVEN:] if text is not None else None
    part, exit_status = _terminal(meta)
    return Tool(
        word(update.get("toolCallId"))[:200], _maybe(update.get("title")), _maybe(update.get("kind")),
        _maybe(update.get("status")), text, part, None if blocks is None else tuple(_diffs(blocks)),
        _places(update.get("locations")), exit_status, begins, _name(meta, LEVELS), update.get("rawInput"),
    )  # fmt: skip


def _maybe(value: Any) -> str | None:
    return value[:TITLE] if isinstance(value, str) else None


def _diffs(blocks: Iterable[Mapping[str, Any]]) -> Iterable[Diff]:
    for one in blocks:
        if one.get("type") == "diff" and isinstance(one.get("newText"), str):
            old = one.get("oldText")
            yield Diff(word(one.get("path"))[:PATH], old if isinstance(old, str) else None, one["newText"])


def _places(found: Any) -> tuple[Place, ...] | None:
    if not isinstance(found, list):
        return None
    paths = [(word(one.get("path"))[:PATH], one.get("line")) for one in found[:PLACES] if isinstance(one, dict)]
    return tuple((path, line if isinstance(line, int) else None) for path, line in paths if path)


def _name(meta: Any, levels: int) -> str | None:
    """Return what the agent calls the tool, wherever a vendor says it."""
    if not isinstance(meta, dict) or not levels:
        return None
    own = meta.get("toolName")
    below = (_name(one, levels - 1) for one in meta.values())
    return own[:TITLE] if isinstance(own, str) and own else next((one for one in below if one), None)


def _raw(found: Any) -> str | None:
    """Return what some agents give as a tool's raw output."""
    if isinstance(found, str):
        return found
    if isinstance(found, dict) and isinstance(found.get("items"), list):
        return "\n".join(word(one.get("Text")) for one in found["items"] if isinstance(one, dict)) or None
    if isinstance(found, dict):
        return next((found[name] for name in ("output", "stdout", "text") if isinstance(found.get(name), str)), None)
    return None


def _terminal(meta: Any) -> tuple[str | None, int | None]:
    """Return the output of a terminal that is the agent's own."""
    if not isinstance(meta, dict):
        return None, None
    delta, ended = meta.get("terminal_output_delta"), meta.get("terminal_exit")
    part = delta.get("data", delta.get("output")) if isinstance(delta, dict) else delta
    status = ended.get("exit_code", ended.get("exitCode")) if isinstance(ended, dict) else None
    return _maybe_long(part), status if isinstance(status, int) else None


def _maybe_long(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _text(who: str) -> Callable[[Mapping[str, Any]], Iterable[News]]:
    def read(update: Mapping[str, Any]) -> Iterable[News]:
        yield Text(text_of(update.get("content")), word(update.get("messageId"))[:200], who)

    return read


def _call(update: Mapping[str, Any]) -> Iterable[News]:
    yield tool(update, begins=update.get("sessionUpdate") == "tool_call")


def _plan(update: Mapping[str, Any]) -> Iterable[News]:
    found = update.get("entries")
    rows = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    items = ((word(one.get("content"))[:SENTENCE], word(one.get("status")) or "pending") for one in rows[:ITEMS])
    yield Plan(tuple(items), len(rows[ITEMS:]))


def commands(found: Any) -> Commands:
    """Return a list of commands."""
    rows = [one for one in found[:COMMANDS] if isinstance(one, dict)] if isinstance(found, list) else []
    named = {word(one.get("name"))[:TITLE].lstrip("/"): word(one.get("description"))[:WORDS] for one in rows}
    return Commands({name: does for name, does in named.items() if name})


def _usage(update: Mapping[str, Any]) -> Iterable[News]:
    cost = update.get("cost")
    given = {
        "context": _figure(update.get("used")), "window": _figure(update.get("size")),
        "cost": _figure(cost.get("amount")) if isinstance(cost, dict) else None,
    }  # fmt: skip
    yield Usage({name: figure for name, figure in given.items() if figure is not None})


def _figure(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _info(update: Mapping[str, Any]) -> Iterable[News]:
    """Yield a title; or, as vendors' extensions have it, that the service is asked again."""
    meta = update.get("_meta")
    for words in _sentences(meta, 6):
        yield Said(words, "retry")


def _sentences(found: Any, levels: int) -> Iterable[str]:
    if isinstance(found, dict) and levels:
        if isinstance(found.get("title"), str) and ("retry" in str(found).lower()):
            yield found["title"]
        else:
            for one in found.values():
                yield from _sentences(one, levels - 1)


def _compaction(update: Mapping[str, Any]) -> Iterable[News]:
    status, error = word(update.get("status")) or "in progress", word(update.get("error"))
    yield Said(f"compaction: {status}" + (f": {error}" if error else ""), "compaction")


def _notice(update: Mapping[str, Any]) -> Iterable[News]:
    title, more = word(update.get("title")), word(update.get("description"))
    yield Said(f"{title}: {more}" if title and more else title or more or "notice")


def _options(update: Mapping[str, Any]) -> Iterable[News]:
    found = update.get("configOptions")
    yield Options(tuple(found) if isinstance(found, list) else ())


def _nothing(update: Mapping[str, Any]) -> Iterable[News]:
    return ()


READ: dict[str, Callable[[Mapping[str, Any]], Iterable[News]]] = {
    "agent_message_chunk": _text("agent"),
    "agent_thought_chunk": _text("thought"),
    "user_message_chunk": _text("user"),
    "tool_call": _call,
    "tool_call_update": _call,
    "tool_call_chunk": _nothing,  # of Kiro: the tool call itself follows
    "plan": _plan,
    "available_commands_update": lambda update: [commands(update.get("availableCommands"))],
    "current_mode_update": lambda update: [Mode(word(update.get("currentModeId")))],
    "config_option_update": _options,
    "session_info_update": _info,
    "usage_update": _usage,
    "notice": _notice,
    "compaction_update": _compaction,
    "compaction_summary_chunk": _nothing,
}
