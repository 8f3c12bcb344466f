"""``docs/backends.md`` against the loader: every key that a backend may have is described with its default, and no other."""

import re
from pathlib import Path
from typing import Any

import pytest

from anvilsrv.activity.schema import COMMON
from anvilsrv.activity.schema import KINDS as ACTIVITY
from anvilsrv.backends import load as backend_yaml
from anvilsrv.backends import tables
from anvilsrv.backends.backend import NAMES
from anvilsrv.backends.reset_time import GROUPS
from anvilsrv.backends.rules import KINDS
from anvilsrv.errors import Invalid
from tests.conftest import ROOT, some

PAGE = (ROOT / "docs" / "backends.md").read_text()
LEVELS = (
    "requires",
    "ready",
    "dialogs",
    "titles",
    "payload",
    "replies",
    "input",
    "guard",
    "drop",
    "stop",
    "limits",
    "permissions",
    "login",
    "acp",
    "follow",
    "tell",
)
EVERYTHING = """
backend:
  command: [a]
  dialogs: [{screen: a, keys: [b]}]
  hooks: {Ready: {report: ready}}
  input: {guard: [{when: a}]}
  limits: [{match: '(?P<seconds>1)'}]
  tools: {Bash: {type: execute}}
  options: {model: {flag: ["{VALUE}"]}}
  follow: [{path: "{DATA}/a", tell: [{kind: text}]}]
  login: {command: [a], files: [b]}
"""
PROTOCOL = """
backend:
  acp: {command: [a]}
"""


class Asked(dict[Any, Any]):
    """The keys of a table, which notes what it is asked for."""

    notes: set[str]

    def __contains__(self, key: object) -> bool:
        self.notes.add(str(key))
        return super().__contains__(key)


def accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, set[str]], dict[tuple[str, str], Any]]:
    """Return what the loader asks for: level -> keys, and the defaults where it gives any."""
    keys: dict[str, set[str]] = {}
    defaults: dict[tuple[str, str], Any] = {}

    class Noting(tables.Table):
        def __init__(self, file: Path, lines: tables.Lines, at: tuple[Any, ...], value: Any) -> None:
            super().__init__(file, lines, at, value)
            self.rest = Asked(self.rest)
            self.rest.notes = keys.setdefault(level(at), set())

        def take(self, key: str, default: Any = tables.MISSING) -> Any:
            defaults[level(self.at), key] = default
            return super().take(key, default)

    for module in (backend_yaml, tables):
        monkeypatch.setattr(module, "Table", Noting)
    (tmp_path / "all.yaml").write_text(EVERYTHING)
    backend_yaml.load(tmp_path / "all.yaml")
    rows, told = (
        {name: set(found) for name, found in keys.items()},
        dict(defaults),
    )  # what it brings along is not described
    (tmp_path / "protocol.yaml").write_text(PROTOCOL)
    backend_yaml.load(tmp_path / "protocol.yaml")
    keys |= {name: rows[name] for name in rows if name != "backend"}
    for one in [one for one in defaults if one[0] not in ("acp", "backend") and one not in told]:
        del defaults[one]
    defaults |= told
    return {name: found for name, found in keys.items() if found}, defaults


def level(at: tuple[Any, ...]) -> str:
    names = [str(one) for one in at if not isinstance(one, int)]
    if names[1:2] in (["tools"], ["options"]):
        return names[1] if len(names) == 3 else "free"
    if names[1:2] in (["hooks"], ["transcript"]) and (len(names) > 2 or names[1] == "transcript"):
        return "rows" if len(names) == (3 if names[1] == "hooks" else 2) else "free"
    return names[-1] if names and names[-1] in (*LEVELS, "backend") else "free" if len(names) > 1 else "file"


def described() -> dict[str, dict[str, str]]:
    """Level -> key -> default, as the page tells."""
    found: dict[str, dict[str, str]] = {}
    for part in re.split(r"^##+ ", PAGE, flags=re.MULTILINE)[1:]:
        title, _, body = part.partition("\n")
        rows = re.findall(r"^\| `(\w+)` \| [\w ]+ \| ([^|]+?) \| ", body, re.MULTILINE)
        if rows:
            found["rows" if title.startswith("Rows") else title.strip("`")] = dict(rows)
    return found


def test_every_key_that_the_loader_takes_is_described_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, _ = accepted(tmp_path, monkeypatch)
    keys["tell"] -= {*COMMON, *ACTIVITY["text"].fields}  # those of the kind
    assert {name: sorted(found) for name, found in keys.items() if name not in ("file", "free")} == {
        name: sorted(found) for name, found in described().items()
    }


def test_defaults_are_as_described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, defaults = accepted(tmp_path, monkeypatch)
    for name, rows in some(described().items()):
        for key, told in rows.items():
            default = defaults.get((name, key))  # some are only asked for where they are
            assert told == words(name, key, default), f"{name}.{key}: {told} or {default!r}"


def words(name: str, key: str, default: Any) -> str:
    if (name, key) == ("backend", "title"):
        return "the file's name"
    if default is tables.MISSING and name != "replies":
        return "required"
    if default == "":
        return "empty"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, float | int):
        return f"`{default:g}`"
    if isinstance(default, str):
        return f"`{default}`"
    return "`Enter`" if default == ("Enter",) else "none"


def test_names_reports_groups_and_layers_are_all_there() -> None:
    assert set(re.findall(r"^\| `\{(\w+)(?::NAME)?\}` ", PAGE, re.MULTILINE)) == {*NAMES, "ENV"}
    assert set(re.findall(r"^\| `(\w+)` \| [^|]+ \|$", PAGE, re.MULTILINE)) == set(KINDS)
    assert set(GROUPS) <= set(re.findall(r"`(\w+)`", PAGE.partition("### `limits`")[2]))
    assert set(backend_yaml.LAYER) <= set(re.findall(r"`(\w+)`", PAGE.partition("## Types")[0]))


FAULTS = [
    ("command: []", "is empty"),
    ("title: [a]", "must be a string"),
    ("aliases: 3", "must be a list of strings"),
    ("ready: {timeout: -1}", "must be a number of seconds"),
    ("input: {styled: 1}", "must be true or false"),
    ("input: {empty: '('}", "not a regular expression: …"),
    ("titles: 3", "must be a table of keys"),
    ("dialogs: 3", "must be a list of tables"),
    ("ignore: {a: 3}", "must be a regular expression"),
    ("resume: ['{NAME}']", "unknown name {NAME}"),
    ("dialogs: [{keys: a}]", "key '…' is missing"),
    ("dialogs: [{screen: a}]", "needed, or says"),
    ("dialogs: [{screen: a, says: b, at: turn}]", "only with at: start"),
    ("mail: prompt\n  mail: prompt", "duplicate key"),
    ("files: {/etc/x: a}", "must be a relative name"),
    ("hooks: {Stop: {report: stop}}", "neither a hook that reports ready nor a screen: it would never become idle"),
    ("python: nothing.py:Class", "cannot load '…'"),
    ("python: pathlib:Path", "must be a subclass of anvilsrv.backends.backend.Peculiarity"),
    ("dialogs: [{screen: a, keys: b, reason: c}]", "only with at: turn"),
    ("hooks: {A: {report: b}}", "must be one of: …"),
    ("limits: [{match: '(?P<b>c)'}]", "unknown group"),
    ("limits: [{match: a}]", "no group says when"),
    ("colour: red", "unknown key"),
    ("limits: [{match: '(?P<iso>c)', b: c}]", "unknown key"),
]


@pytest.mark.parametrize(("text", "told"), FAULTS)
def test_what_is_refused_is_refused_in_the_words_of_the_page(tmp_path: Path, text: str, told: str) -> None:
    key = text.partition(":")[0]
    base = {"command": "command: [a]", "hooks": "hooks: {Ready: {report: ready}}"}
    lines = [line for name, line in base.items() if name != key]
    (tmp_path / "x.yaml").write_text("backend:\n  " + "\n  ".join([*lines, text]) + "\n")
    with pytest.raises(Invalid) as caught:
        backend_yaml.load(tmp_path / "x.yaml")
    assert re.match(rf"{re.escape(str(tmp_path))}/x\.yaml:\d+: ", str(caught.value))
    assert re.search(re.escape(told).replace("…", ".*"), str(caught.value)), caught.value
    assert f"`{told}`" in PAGE
