"""``docs/architecture.md`` against the code: a page about the inside is worth something only as long as it is true."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterable
from enum import Enum
from pathlib import Path

from anvilsrv.sessions.machine import TABLE, Act, Event, Fact, Status
from anvilsrv.sessions.state import LEGAL
from anvilsrv.sessions.turn_machine import TURNS, Do, Heard, TurnStatus, When
from anvilsrv.store import schema
from tests.conftest import ROOT, some
from tests.docs.code import SOURCES, file, is_path, modules, names, references, rows, spans
from tests.ground.test_layers import BESIDE, FRONT_ENDS, ORDER

PAGE = (ROOT / "docs" / "architecture.md").read_text()
PICTURE = PAGE.partition("```\n")[2].partition("```")[0]
SQL = re.compile(r"\b(?:FROM|INTO|JOIN|UPDATE)\s+(\w+)")
TABLES = set(re.findall(r"CREATE TABLE (\w+)", "".join(schema.MIGRATIONS)))


def test_every_file_that_is_named_exists() -> None:
    named = {span for span in spans(PAGE) if is_path(span)}
    assert len(named) > 40
    assert not [path for path in named if file(path) is None]


def test_every_name_is_in_the_file_that_it_is_said_to_be_in() -> None:
    found = list(references(PAGE))
    assert len(found) > 80
    for path, name in found:
        assert path, f"{name}: in which file?"
        where = file(path)
        assert where and name in names(where), f"{name} is not in {path}"


def test_the_picture_shows_the_folders_in_the_order_in_which_they_may_import() -> None:
    """A row of the layer test that has no folder yet is not shown."""
    lines = [line for line in PICTURE.splitlines() if re.match(r"  \w", line)]
    shown = [set(re.findall(r"\b(\w+)(?:/|\.py)", line)) for line in lines]
    there = [{name for name in row if file(f"{name}.py") or file(f"{name}/__init__.py")} for row in reversed(ORDER)]
    assert shown[:-1] == there[:-1]
    assert set(lines[-1].partition(":")[0].split()) == there[-1] | {"ground"}


def test_the_folders_in_the_drawing_exist() -> None:
    drawing = (ROOT / "docs" / "architecture.svg").read_text()
    for name in some(re.findall(r"(\w+)/", "".join(re.findall(r"<tspan[^>]*>(.*?)</tspan>", drawing)))):
        assert file(f"anvilsrv/{name}"), name


def test_every_folder_of_the_program_is_on_the_page() -> None:
    folders = {path.parent for path in modules(*SOURCES)}
    shown = {file(name.rstrip("/")) for name in re.findall(r"[\w/]+/", PICTURE)} | {file(span) for span in spans(PAGE)}
    assert not {str(one.relative_to(ROOT)) for one in folders - shown} - {"anvilsrv", "acme/lib"}
    assert {f"anvilsrv/{name}" for name in BESIDE} | set(FRONT_ENDS) <= set(spans(PAGE))


# -- prompts, turns, sessions --------------------------------------------------------------------------------------------


def test_the_table_of_prompts_is_the_one_in_the_code() -> None:
    columns: list[Status | None] = [None, Status.CHOSEN, Status.PASTED, Status.SENT, Status.TAKEN]
    assert set(columns) == set(TABLE)
    head = next(line for line in PAGE.splitlines() if line.startswith("| event | no such prompt"))
    assert [cell.strip(" `") for cell in head.strip("|").split("|")][2:] == [one.name for one in columns if one]
    printed = {Event[name]: cells for name, *cells in rows(PAGE, "event | no such prompt")}
    assert set(printed) == set(Event)
    for event, cells in printed.items():
        for status, cell in zip(columns, cells, strict=True):
            assert alternatives(cell, Fact, Act) == sets(TABLE[status].get(event, ())), (event, status)


def test_the_table_of_turns_is_the_one_in_the_code() -> None:
    columns: list[TurnStatus | None] = [None, TurnStatus.OPEN, TurnStatus.PENDING, TurnStatus.CLOSED]
    printed = {Heard[name]: cells for name, *cells in rows(PAGE, "heard | no such turn")}
    assert (set(columns), set(printed)) == (set(TURNS), set(Heard))
    for heard, cells in printed.items():
        for status, cell in zip(columns, cells, strict=True):
            assert alternatives(cell, When, Do) == sets(TURNS[status].get(heard, ())), (heard, status)


def alternatives(cell: str, facts: type[Enum], acts: type[Enum]) -> list[tuple[set[Enum], list[Enum]]]:
    """``early: turn; fact + fact: act, act; act``; a dash for nothing."""
    found = []
    for case in cell.split("; ") if cell else []:
        needs, colon, done = case.rpartition(": ")
        names = [one for one in done.split(", ") if one != "–"]
        found.append(
            ({facts[one.upper()] for one in needs.split(" + ") if colon}, [acts[one.upper()] for one in names])
        )
    return found


def sets(cases: Iterable[tuple[Iterable[Enum], Iterable[Enum]]]) -> list[tuple[set[Enum], list[Enum]]]:
    return [(set(needs), list(done)) for needs, done in cases]


def test_every_event_fact_and_act_is_explained() -> None:
    for heading, words in (
        ("event | what happened", Event), ("fact", Fact), ("act", Act), ("heard | what is heard", Heard), ("when", When), ("done", Do),
    ):  # fmt: skip
        assert [name.upper() for name, _ in rows(PAGE, heading)] == [one.name for one in words]


def test_the_changes_of_a_sessions_state_are_those_that_are_legal() -> None:
    assert {name: set(to.split(", ")) - {""} for name, to in rows(PAGE, "from")} == {
        str(state): {str(one) for one in may} for state, may in LEGAL.items()
    }


# -- owners --------------------------------------------------------------------------------------------------------------


def test_each_table_of_the_database_has_the_one_owner_that_the_page_names() -> None:
    users = defaultdict(set)
    for path in modules("anvilsrv"):
        for table in TABLES & set(SQL.findall(path.read_text())) if path.name != "schema.py" else ():
            users[table].add(str(path.relative_to(ROOT / "anvilsrv")))
    for table in ("boxes", "sent"):
        users[table] |= users["messages"]  # kept by triggers
    assert dict(users) == {table: {module} for table, module, _ in rows(PAGE, "table")}
    assert set(users) == TABLES


def test_the_threads_are_those_that_the_code_starts() -> None:
    started = {(general(name), where) for path in modules(*SOURCES) for name, where in threads(path)}
    listed = {
        (general(name), path) for name, path, _ in rows(PAGE, "thread") + rows(PAGE, "thread | made in | what it does")
    }
    assert started == listed - {("main", "programs/daemon.py")}


def threads(path: Path) -> list[tuple[str, str]]:
    """Return the names of the threads that a module starts, itself, by a Reactor or a pool; and the module."""
    found = []
    where = str(path.relative_to(ROOT)).removeprefix("anvilsrv/")
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and (made := ast.unparse(node.func).rpartition(".")[2]) in (
            "Thread",
            "Reactor",
            "ThreadPoolExecutor",
        ):
            named = next(
                (one.value for one in node.keywords if one.arg in ("name", "thread_name_prefix")),
                node.args[0] if made == "Reactor" else None,
            )
            if where != "linux/reactor.py" and not (made == "ThreadPoolExecutor" and named is None):
                assert named, f"{where}:{node.lineno}: a thread without a name"
                found.append((ast.literal_eval(re.sub(r"^f", "", ast.unparse(named))), where))
    return found


def general(name: str) -> str:
    """``typist *`` for ``typist <id>`` and for ``typist {session}``."""
    return re.sub(r"<\w+>|\{\w+\}", "*", name)
