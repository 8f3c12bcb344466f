"""What can be chosen of an agent, and its own commands: what it told last, and what was chosen for it.

What it tells is hostile: it is bounded, and of other types it is left out. What is chosen is checked here, since several agents accept
anything. Functions with a Tx run in a job; the rest is pure.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from anvilsrv.backends.flags import Option
from anvilsrv.display import one_line
from anvilsrv.errors import Invalid
from anvilsrv.store.store import Tx
from anvilsrv.strict_json import dumps, loads, whole

OPTIONS = 50
CHOICES = 500  # of one option
COMMANDS = 500
LARGEST = 256 << 10  # bytes of all options, and of all commands
NAME = 200  # characters of a name or a value
WORDS = 1000  # of what a command does


def taken(found: Any) -> list[Option]:
    """Return options as a report gives them: ``[[name, value, [choice, ...]], ...]``."""
    rows = [one for one in _short(_list(found, OPTIONS)) if isinstance(one, list) and len(one) == 3]
    made = [
        Option(_word(one[0]), _word(one[1]), tuple(filter(None, map(_word, _list(one[2], CHOICES))))) for one in rows
    ]
    return [one for one in made if one.name and " " not in one.name]


def keep(tx: Tx, session: str, payload: Mapping[str, Any]) -> None:
    """Store what an agent offers."""
    rows = [one for one in _short(_list(payload.get("commands"), COMMANDS)) if isinstance(one, list) and len(one) == 2]
    said = [[_word(one[0]), one_line(whole(str(one[1])[:WORDS]))] for one in rows]
    tx.run(
        "INSERT INTO offers(session, options, commands) VALUES(?1, ?2, ?3)"
        " ON CONFLICT DO UPDATE SET options = excluded.options, commands = excluded.commands",
        session, dumps(taken(payload.get("options"))), dumps(said),
    )  # fmt: skip


def options(tx: Tx, session: str) -> list[Option]:
    """Return the options that it reported last."""
    row = tx.one("SELECT options FROM offers WHERE session = ?", session)
    return [] if row is None else taken(loads(row["options"]))


def commands(tx: Tx, session: str) -> list[tuple[str, str]]:
    """Return its commands, and what each does."""
    row = tx.one("SELECT commands FROM offers WHERE session = ?", session)
    return [] if row is None else [(name, text) for name, text in loads(row["commands"])]


def forget(tx: Tx, session: str) -> None:
    """Forget a session that goes for good."""
    tx.run("DELETE FROM offers WHERE session = ?", session)


def lines(found: Iterable[Option]) -> bytes:
    """Return them as the file ``options`` shows them."""
    return "".join("\t".join((one.name, one.value, *one.choices)) + "\n" for one in found).encode()


def meant(text: str) -> tuple[str, str]:
    """Return name and value of ``name value``, as it was written. Raises Invalid."""
    words = text.split(maxsplit=1)
    if len(words) != 2:
        raise Invalid("options: expected a name and a value")
    return words[0], words[1].strip()


def check(found: Iterable[Option], name: str, value: str) -> None:
    """Raise Invalid for what cannot be chosen."""
    known = {one.name: one for one in found}
    if name not in known:
        raise Invalid(f"no option '{name[:80]}'" + (f" (expected {', '.join(known)})" if known else ""))
    choices = known[name].choices
    if choices and value not in choices:
        raise Invalid(f"invalid {name} '{value[:80]}' (expected {', '.join(choices)})")
    if len(value) > NAME or one_line(value) != value:
        raise Invalid(f"invalid {name}: longer than {NAME} characters, or not printable")


def _list(found: Any, most: int) -> list[Any]:
    return found[:most] if isinstance(found, list) else []


def _short(rows: list[Any]) -> Iterator[Any]:
    """Yield as many of these as may be stored."""
    left = LARGEST
    for one in rows:
        left -= len(dumps(one))
        if left < 0:
            return
        yield one


def _word(value: Any) -> str:
    return one_line(whole(value[:NAME])) if isinstance(value, str) else ""
