"""The acme library by itself: events, tables, directories, terminals."""

import time
from dataclasses import replace

import pytest

from acme.lib import ask, begin, files, table
from acme.lib.agent import Session, Sessions, listed
from acme.lib.event import Parser
from acme.lib.listing import Listing
from acme.lib.logged import Logged
from acme.lib.mail import parse
from acme.lib.times import when
from anvilsrv.errors import Invalid
from anvilsrv.front.notes import Note

CHORD = "MX2 2 10 0 \nMX0 4 0 4 Stop\nMX0 0 0 11 ä arg1 arg2\nMX0 0 0 24 /a/+Test:#45,#56\n"


def test_a_gesture_has_its_expansion_and_its_chord():
    (gesture,) = Parser().feed(CHORD.replace("24 /", "16 /").encode())
    assert (gesture.clicked.q0, gesture.meant.text, gesture.argument) == (2, "Stop", "ä arg1 arg2")
    assert gesture.source == "/a/+Test:#45,#56"
    assert gesture.back() == b"MX2 2 \n"


def test_records_may_be_cut_anywhere_even_within_a_rune():
    data = CHORD.replace("24 /", "16 /").encode() + b"KI74 75 0 1 h\nKD81 82 0 0 \nMX0 542 0 0 \nML5 7 0 2 a\n\n"
    whole = list(Parser().feed(data))
    parser = Parser()
    assert [g for byte in data for g in parser.feed(bytes([byte]))] == whole
    assert [g.kind for g in whole] == ["X", "I", "D", "X", "L"]
    assert whole[3].meant.left_out
    assert whole[4].meant.text == "a\n"


def test_what_is_no_event_is_refused():
    with pytest.raises(ValueError, match="not an acme event"):
        list(Parser().feed(b"MX1 2 0 3 abcX\n"))


def apply(body, edits):
    """Return what `body` becomes."""
    for edit in edits:
        body = body[: edit.q0] + edit.text + body[edit.q1 :]
    return body


OLD = ["[Shell]", "session x", "aaa one", "bbb two"]
BODY = "[Shell]\nmine\nsession x\naaa one\nbbb two and a note\nStop aaa\n"


@pytest.mark.parametrize(
    ("wanted", "body"),
    [
        (OLD, BODY),
        ([*OLD[:2], "aaa ONE", "bbb two"], BODY.replace("one", "ONE")),
        ([*OLD[:2], "aaa one", "bbb 2"], BODY.replace("two and", "2 and")),
        ([*OLD[:2], "bbb two"], BODY.replace("aaa one\n", "")),
        ([*OLD[:2], "aaa one"], BODY.replace("bbb two", "")),
        ([*OLD, "ccc three"], BODY.replace("Stop", "ccc three\nStop")),
        ([*OLD[:2], "new 0", *OLD[2:]], BODY.replace("aaa one\n", "new 0\naaa one\n")),
        (["not here", *OLD], "not here\n" + BODY),
        ([*OLD[:2], "bbb two", "aaa one"], BODY.replace("aaa one\n", "").replace("Stop", "aaa one\nStop")),
    ],
)
def test_a_table_is_changed_where_it_must_be_and_nowhere_else(wanted, body):
    edits = table.plan(BODY, OLD, wanted)
    assert apply(BODY, edits) == body
    assert len(edits) <= 2


def test_a_table_is_built_in_an_empty_window_and_mended_when_it_was_cut():
    assert apply("", table.plan("", [], OLD)) == "".join(f"{row}\n" for row in OLD)
    cut = "[Shell]\nbbb t"
    assert apply(cut, table.plan(cut, OLD, OLD)) == "[Shell]\nsession x\naaa one\nbbb two"


def test_rows_side_by_side_go_in_one_edit():
    body = "\n".join(OLD) + "\nccc three\nmine\n"
    (edit,) = table.plan(body, [*OLD, "ccc three"], OLD[:2])
    assert apply(body, [edit]) == "[Shell]\nsession x\nmine\n"


def test_many_changes_take_several_steps():
    shown = [f"{n} idle" for n in range(9)]
    wanted = ["new 0", *(f"{n} running" for n in range(2, 9)), "9 idle"]
    steps = [table.step(shown, wanted, 3)]
    while steps[-1] != wanted:
        steps.append(table.step(steps[-1], wanted, 3))
    assert steps[0] == ["new 0", "2 running", "3 running", "4 running", *shown[5:], "9 idle"]
    assert len(steps) == 3


def test_an_edit_is_no_longer_than_what_differs():
    (edit,) = table.plan("id\tidle\t/tmp\n", ["id\tidle\t/tmp"], ["id\trunning\t/tmp"])
    assert (edit.q0, edit.q1, edit.text) == (3, 7, "running")


def test_a_selection_moves_with_the_text_it_is_on():
    edits = [table.Edit(10, 12, "four"), table.Edit(3, 3, "xx")]
    assert [table.moved(place, edits) for place in (0, 2, 3, 9, 10, 11, 12, 20)] == [0, 2, 5, 11, 12, 13, 16, 24]


@pytest.mark.parametrize(
    ("body", "text", "dot"),
    [
        ("2 hunks\na\nb\n", "3 hunks\na\nb\nc\n", "b"),
        ("1\na\nb\n", "1\nb\n", "b"),
        ("1\nb\n", "1\na\nb\n", "b"),
        ("1\na\nb\n", "1\na\nbc\n", ""),
        ("1\na\nb\n", "1\na\nab\n", ""),
        ("1\na\nb\nbc\n", "1\na\nbc\n", ""),
        ("1\na\nb\nc\n", "1\nc\nb\na\n", ""),
        ("b", "b\nc\n", ""),
        ("a\nb", "b", "b"),
        ("", "b", ""),
    ],
)
def test_a_text_that_is_drawn_again_leaves_the_selection_on_its_lines_or_on_none(body, text, dot):
    edits = table.differences(body, text)
    drawn = body
    for edit in edits:
        drawn = drawn[: edit.q0] + edit.text + drawn[edit.q1 :]
    assert drawn == text
    at = max(0, body.find("b"))
    q0, q1 = table.kept(body, (at, at + 1), edits)
    assert (drawn[q0:q1], q0) == ((dot, drawn.index("b")) if dot else (drawn[:0], 0))


@pytest.mark.parametrize("fixed", [False, True])
def test_columns_begin_at_tab_stops(fixed):
    rows = [table.columns((name, "end"), (12,), table.Style(fixed)) for name in ("a", "kiro-cli", "claude", "stopped")]
    assert [row.count("\t") for row in rows] == ([3, 1, 2, 2] if fixed else [3, 1, 2, 1]) or not fixed
    assert all(row.endswith("\tend") for row in rows)


@pytest.mark.parametrize("tab", [4, 8])
def test_columns_line_up_whatever_their_width_is(tab):
    for width in (4, 10, 13, 20):
        cells = ["x" * size for size in range(1, width)]
        rows = [table.columns((cell, "end"), (width,), table.Style(True, tab)) for cell in cells]
        assert len({row.expandtabs(tab).index("end") for row in rows}) == 1


def test_widths_are_those_of_the_font_that_acme_has_if_it_is_given_none():
    measured = {  # pixels in lucsans/euro.8, whose zero has 9
        "/tmp/av-whpjenur/home/src/lexer": 256,
        "/home/me/src/calc.fix": 165,
        "running 2:14 make check": 177,
        "JavaScript & @Wm%?": 142,
        "idle": 25,
    }
    assert {text: round(9 * table.width(text, table.Style())) for text in measured} == measured


def test_a_directory_is_found_from_what_is_swept_or_chorded(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "x.go").write_text("")
    here = str(tmp_path)
    assert begin.directory("src", None, here) == f"{here}/src"
    assert begin.directory("src", f"{here}/notes:#3,#6", "/") == f"{here}/src"
    assert begin.directory("src/x.go:12", f"{here}/notes:#3,#6", "/") == f"{here}/src"
    with pytest.raises(Invalid, match="no directory"):
        begin.directory("src/x.go", None, here)
    assert begin.options("/a b  role=x tasks=a,b") == ("/a b", ["role=x", "tasks=a,b"])
    assert begin.options("alias=n") == ("", ["alias=n"])
    assert begin.options("/a role:x alias:n") == ("/a", ["role=x", "alias=n"])


def test_a_message_is_parsed_as_it_is_shown():
    message = parse("To: rev\nType: QUERY_REQUEST\nSubject: a: b\n\nline\n\nline\n", "")
    assert message == {"to": "rev", "type": "QUERY_REQUEST", "subject": "a: b", "body": "line\n\nline"}
    assert parse("To: rev\n\nline", "PROMPT_REQUEST")["type"] == "PROMPT_REQUEST"
    for wrong in ("", "To: rev\n\n", "Subject: x\n\nbody", "Hello\n\nbody"):
        with pytest.raises(Invalid):
            parse(wrong, "PROMPT_REQUEST")


def test_an_answer_whose_type_was_deleted_is_not_sent_as_a_prompt():
    with pytest.raises(Invalid, match="no type: write it after Type:"):
        parse("To: rev\nSubject: x\n\nbody", "")


def test_the_input_of_a_tool_is_shown_as_a_person_reads_it():
    given = '{"file_path": "/a/x.go", "new_string": "a\\n\\tb\\n", "all": true}'
    assert ask.detailed(given) == "file_path: /a/x.go\nnew_string:\n\ta\n\t\tb\nall: true"
    assert ask.detailed("make all\n") == "make all"
    assert ask.detailed("[1]") == "[1]"


def test_a_time_that_is_none_is_shown_as_it_is():
    assert when(None) == "-"
    assert when("soon") == "soon"


def test_columns_are_as_wide_as_what_stands_in_them_and_line_up():
    made = Listing(table.Style(fixed=True, tab=4))
    names = ("rev", "lexer", "a-long-alias", "abcd")
    found = made.of(
        [Session(f"a000000{n}", name, name, "claude", "idle", "/tmp") for n, name in enumerate(names)], {}, {}, 0
    )
    lines = [line.expandtabs(4) for line in [*found, made.title()]]
    assert {line.index("idle") for line in lines[:-1]} == {lines[-1].index("state")}
    assert {line.index("claude") for line in lines[:-1]} == {lines[-1].index("backend")}
    assert lines[-1].index("state") == 16


def narrow(room, *sessions, refused=()):
    made = Listing(table.Style(fixed=True, tab=4, room=room))
    now = [replace(one, since=time.time() - 134) if one.since else one for one in sessions]
    found = made.of(now, {}, dict(refused), 0)
    return [line.expandtabs(4) for line in [made.title(), *found]]


BUSY = Session("a0000001", "rev", "rev", "claude", "running", "/home/me/src/lexer", doing="make check", since=1)
IDLE = Session("a0000002", "docs", "docs", "kiro-cli", "idle", "/home/me/src/manual")


def test_a_list_is_no_wider_than_its_cells_and_its_last_column_lines_up():
    look = table.Style(fixed=True)
    rows = [("bd-1", "2", "open", "-", "Mend"), ("bd-22", "0", "open", "-", "Write")]
    assert table.aligned([], look) == []
    assert {line.expandtabs(4).rindex(" ") for line in table.aligned(rows, look)} == {23}
    for room, shown in ((0, 4), (40, 4), (35, 3), (23, 2), (9, 2)):
        lines = table.aligned(rows, table.Style(fixed=True, room=room), spare=(3, 1))
        assert {len(line.split()) - 1 for line in lines} == {shown}
    wide = table.aligned([*rows, ("bd-3", "1", "in_progress", "reviewer", "Look")], look)
    assert {line.expandtabs(4).rindex(" ") for line in wide} == {35}


def test_where_the_window_is_narrow_the_columns_give_way_one_after_another_and_no_row_is_wider():
    titles = {
        200: "alias state backend directory id",
        68: "alias state directory id",
        56: "alias state directory id",
        44: "alias state directory id",
        32: "alias state id",
        28: "alias state id",
        21: "alias id",
    }
    for room, title in titles.items():
        lines = narrow(room, BUSY, IDLE)
        assert lines[0].split() == title.split()
        assert max(map(len, lines)) <= room
        assert {line.index("a000000") for line in lines[1:]} == {lines[0].index("id")}
    assert "make check" in narrow(56, BUSY)[1] and "\u2026/lexer" in narrow(56, BUSY)[1]
    assert narrow(28, BUSY)[1].split() == ["rev", "running", "a0000001"]
    assert "make" not in narrow(44, BUSY)[1] and "running 2:1" in narrow(44, BUSY)[1]


def test_a_note_is_cut_where_the_window_ends_and_what_was_refused_is_not():
    noted = replace(IDLE, notes=(Note("sandbox", "its sandbox does not enforce the network at all"),))
    for room in (80, 100):
        line = narrow(room, noted)[1]
        assert room - 8 < len(line) <= room
        assert "sandbox: its sandbox" in line and "\u2026" in line
    assert narrow(28, noted)[1].split() == ["docs", "idle", "a0000002"]
    assert narrow(60, noted, refused={noted.id: "the alias 'docs' is taken by another session"})[1].endswith(
        "! the alias 'docs' is taken by another session  a0000002"
    )


def test_a_column_is_narrow_again_a_moment_after_what_was_wide_has_gone():
    made = Listing(table.Style(fixed=True, tab=4))
    made.of([BUSY], {}, {}, 1)
    wide = made.title().expandtabs(4).index("backend")
    for tick, at in ((1, wide), (2, 16)):
        made.of([replace(BUSY, state="idle")], {}, {}, tick)
        assert made.title().expandtabs(4).index("backend") == at


def test_a_session_whose_row_is_the_same_is_not_made_again():
    def row(n, **other):
        made = {
            "id": f"a000000{n}",
            "alias": "",
            "backend": "claude",
            "state": "idle",
            "cwd": "/tmp",
            "notes": [],
            "ask": None,
        }
        return made | other

    known = Sessions()
    first, second = known.of([row(1), row(2)])
    again, changed = known.of([row(1), row(2, state="running")])
    assert again is first
    assert (changed.state, second.state) == ("running", "idle")
    assert known.of([row(2)]) == (second,)


def test_two_backends_have_not_one_word():
    titles = {
        "claude": "Claude Code",
        "claude-acp": "Claude Code (ACP)",
        "kiro-cli": "Kiro CLI",
        "kiro-tui": "Kiro CLI",
        "acp": "Any",
    }
    found = listed((name, title, "") for name, title in titles.items())
    assert [one.word for one in found] == ["Claude", "claude-acp", "Kiro", "kiro-tui", "Any"]


def test_a_log_in_any_pieces_reads_as_in_one_with_short_times():
    log = "USER 2026-01-01T10:00:00\n\tUSER 2026-01-01T10:00:00\n\n\tas it is\nNOTE 2026-01-01T10:01:00\n\tend"
    read = "USER 2026-01-01 10:00\n\tUSER 2026-01-01T10:00:00\n\n\tas it is\nNOTE 2026-01-01 10:01\n\tend"
    for size in (1, 2, 5, 11, 30, 1000):
        logged = Logged()
        assert "".join(logged.add(log[at : at + size]) for at in range(0, len(log), size)) == read


def test_a_progress_line_that_comes_in_pieces_ends_as_its_last_state():
    logged = Logged()
    assert [logged.add(piece) for piece in ("\t10%\u240d", "20%\u240d\u241b[1", "m99%\n\tend")] == [
        "",
        "",
        "\t99%\n\tend",
    ]


def test_what_is_no_name_of_a_file_has_no_content() -> None:
    assert [files.content(name) for name in ("a\0b", "a\ud800", "", "/")] == [None] * 4
