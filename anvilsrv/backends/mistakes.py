"""What can be wrong with a backend's file though each of its keys is right: told when it is read, and not when an agent hangs.

Whatever is found is an Invalid that names the file, the line and the key.
"""

import re
import sys
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anvilsrv.errors import Invalid
from sandbox import layers
from sandbox.errors import PolicyError

if TYPE_CHECKING:
    from anvilsrv.backends.backend import Backend
    from anvilsrv.backends.tables import Table

NAMED = (
    "Enter|Escape|Tab|BTab|Space|BSpace|Up|Down|Left|Right|Home|End|PPage|PageUp|PgUp|NPage|PageDown|PgDn|IC|Insert|DC|Delete|"
    r"F\d{1,2}|KPEnter"
)
KEY = re.compile(rf"(?:[CMS]-)*(?:{NAMED}|[!-~]|[^\x00-\x7f])")  # as tmux takes them; other words it types
# What must be reported, by which reports; without it a prompt stays where it is for ever.
NEEDED = {
    "submit": ("a prompt would never count as taken", {"submit", "taken"}),
    "stop": ("a turn would never end", {"stop"}),
}


def check(made: "Backend", body: "Table", own: bool) -> None:
    """Raise Invalid for the first mistake; ``own``: a class of its own may do what the file does not say."""
    check_layer(made, body)
    _keys(made, body)
    _command(made, body)
    _conversation(made, body, own)
    for name, rules in made.hooks.items():
        for rule in rules:
            if rule.report != "ask" and (rule.choices or rule.offered or rule.free is not None):
                raise body.wrong("hooks", f"{name}: choices, offered and free are only for 'report: ask'")


def unheard(made: "Backend") -> list[str]:
    """Return what no hook and no row of the transcript reports, though an agent is waited for: sentences. A class of
    its own may report it.
    """
    rules = [rule for several in (*made.hooks.values(), made.transcript) for rule in several]
    found = []
    for kind, (otherwise, reports) in NEEDED.items():
        ends = kind == "stop" and made.titles.idle is not None
        if not ends and not any(rule.report in reports for rule in rules):
            found.append(f"{made.path}: backend.hooks: nothing reports {kind}, and {otherwise}")
    return found


def check_layer(made: "Backend", body: "Table") -> None:
    """Check the layer of the sandbox in the same file."""
    try:
        found = layers.parse(f"backend {made.name}", made.layer, file=str(body.file), lines=body.lines)
    except PolicyError as error:
        raise Invalid(str(error)) from None
    weaker = found.single.get("best_effort")
    if weaker is not None and weaker.value:
        raise Invalid(str(layers.wrong(weaker, "general.best_effort", "only global.yaml may weaken the sandbox")))


def _keys(made: "Backend", body: "Table") -> None:
    places: Iterable[tuple[str, Iterable[str]]] = (
        ("interrupt", made.interrupt),
        ("stop", made.stop.keys),
        ("input", (*made.input.submit, *made.input.clear)),
        ("dialogs", (key for dialog in made.dialogs for key in dialog.keys)),
    )
    for name, keys in places:
        for key in keys:
            if not KEY.fullmatch(key):
                raise body.wrong(
                    name, f"'{key}' is not a key of tmux, which would type it as text (Enter, Escape, C-c, PPage, ...)"
                )


def _command(made: "Backend", body: "Table") -> None:
    if not made.command[0]:
        raise body.wrong("command", "the program is empty")
    uses = any("{PROGRAM}" in word for word in (*made.command, *(made.resume or ())))
    if made.program is None and uses:
        raise body.wrong("command", "{PROGRAM} needs requires: {program: NAME}")
    if made.program is None and made.version_args:
        raise body.wrong("requires", "version needs program")
    if not made.ready_timeout:
        raise body.wrong("ready", "timeout must be more than 0 seconds")


def _conversation(made: "Backend", body: "Table", own: bool) -> None:
    resumes = any("{CONVERSATION}" in word for word in made.resume or ())
    if made.conversation == "none" and resumes:
        raise body.wrong(
            "resume",
            "{CONVERSATION} is empty, since conversation is none (uuid: the daemon chooses it; hook: a hook reports it)",
        )
    told = "conversation" in made.payload or any(
        "conversation" in rule.texts for rules in (*made.hooks.values(), made.transcript) for rule in rules
    )
    if made.conversation == "hook" and not told and not own:
        raise body.wrong("conversation", "no hook reports it: add payload: {conversation: FIELD}")
    if made.evidence == "transcript" and not made.transcript and not own:
        raise body.wrong("evidence", "transcript needs rows of transcript")


def cause(error: BaseException, file: Path) -> str:
    """Return what went wrong in a Python file, with its line: the innermost one in that file."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}: {error.msg}"
    lines = [one.lineno for one in traceback.extract_tb(error.__traceback__) if one.filename == str(file)]
    words = str(error) or type(error).__name__
    return f"{file}:{lines[-1]}: {words}" if lines else words


def misspelt(found: type, base: type) -> str:
    """Return a method whose name is nearly one of ``base``, and so would never be called, with the one that may be
    meant. Empty if there is none.
    """
    import difflib

    known = [name for name in vars(base) if not name.startswith("_")]
    for name, value in _methods(found).items():
        if name not in known and callable(value) and (near := difflib.get_close_matches(name, known, 1, 0.8)):
            line = getattr(getattr(value, "__code__", None), "co_firstlineno", 0)
            module = sys.modules.get(found.__module__)
            where = getattr(getattr(value, "__code__", None), "co_filename", module and module.__name__)
            return f"{where}:{line}: '{name}' is not a method of {base.__name__} (is '{near[0]}' meant?)"
    return ""


def _methods(found: type) -> Mapping[str, Any]:
    return {name: value for name, value in vars(found).items() if not name.startswith("_")}
