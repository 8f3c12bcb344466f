"""Nothing that others say acts on a terminal, or makes two lines of one."""

import re
import time
import unicodedata
from pathlib import Path

from anvilsrv.display import one_line, plain, quoted, sanitize, shown


def test_sanitize_leaves_text_tabs_and_newlines_only() -> None:
    text = "a\tb\r\nc\rd\x1b[201~e\x00\x07\x7f\x9bf\x85é€\N{GRINNING FACE}"
    assert sanitize(text) == "a\tb\nc\nd[201~efé€\N{GRINNING FACE}"


def test_no_control_character_of_unicode_gets_through() -> None:
    controls = "".join(chr(n) for n in range(0x300) if unicodedata.category(chr(n)) == "Cc")
    assert len(controls) == 65
    assert sanitize(controls) == "\t\n\n"
    assert one_line(controls).isprintable()


def test_one_line_stays_one_line_also_where_only_some_programs_end_it() -> None:
    assert one_line("a\nb\u2028c\x85d\te ü\r\n") == "a b\ufffdc\ufffdd e ü "


def test_what_is_not_seen_is_seen_in_a_line_and_in_a_text_alike() -> None:
    text = "rm\u202e -rf\u200b \x1b[2J\xad\u061c\u2066b\ufeff\U000e0041 \x08👩\u200d👧"
    assert one_line(text) == shown(text) == "rm\ufffd -rf\ufffd ␛[2J\ufffd\ufffd\ufffdb\ufffd\ufffd ␈👩\u200d👧"
    script = (Path(__file__).parents[2] / "web/static/dom.js").read_text()
    found = re.search(r'CONTROL = new RegExp\("(.*?)", "gu"\)', script, re.DOTALL)
    assert found is not None
    pattern = re.sub(r'" \+\s*"', "", found[1]).replace("\\\\", "\\")
    pattern = re.sub(r"\\u\{(\w+)\}", lambda code: f"\\U{code[1]:0>8}", pattern)
    every = [chr(code) for code in (*range(0xD800), *range(0xE000, 0x12000), *range(0xE0000, 0xE1000))]
    assert [c for c in every if re.match(pattern, c)] == [c for c in every if shown(c) != c]


def test_plain_drops_colours_and_nothing_else() -> None:
    assert plain("\x1b[1;38:5:7mbold\x1b[0m [0m") == "bold [0m"


def test_shown_text_is_without_colours_and_ends_its_lines_with_newlines_alone() -> None:
    text = shown("\x1b[31mred\x1b[0m\r\n\x1b]52;c;x\x07a\x0bb\x0cc\x85d\u2028e\u202ef\tg\rh")
    assert text == "red\n␛]52;c;x␇a␋b␌c\ufffdd\ufffde\ufffdf\tg␍h"
    assert text.splitlines() == text.split("\n")


def test_quoting_costs_linear_time() -> None:
    def cost(text: str) -> float:
        before = time.thread_time()
        quoted(text)
        return time.thread_time() - before

    for unit in ("[", "m\u200b", "\u200b", " ", "[\n", "mail from\n", "\x1b[1", "> "):
        once, more = (min(cost(unit * n) for _ in range(5)) for n in (50_000, 200_000))
        assert more < 10 * max(once, 0.01), unit
