"""Nothing that others say acts on a terminal, or makes two lines of one."""

import re
import time
import unicodedata
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from anvilsrv.display import CHANGES, one_line, parted, plain, quoted, sanitize, shown, styled, whole_up_to


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


@given(
    st.lists(
        st.sampled_from(
            ["\x1b[31m", "\x1b[m", "\x1b[1;38:5:7m", "\x1b[3", "\x1b", "\r", "\n", "m", "é", "ab", "\u202e"]
        )
    )
)
def test_what_is_parted_from_its_colours_is_what_is_shown_wherever_it_was_cut(words: list[str]) -> None:
    text = styled("".join(words))
    assert parted(text)[0] == shown("".join(words))
    for most in range(len("\x1b[1;38:5:7m"), len(text) + 1):
        cut = whole_up_to(text, most)
        assert 0 < cut <= most
        assert parted(text[:cut])[0] + parted(text[cut:])[0] == shown("".join(words))


def test_colours_are_told_by_where_they_change_and_changes_in_one_place_count_together() -> None:
    text = styled("\x1b[1m\x1b[31mred\x1b[0m\r\nplain \x1b[32mgreen")
    assert parted(text) == ("red\nplain green", [(0, "1;31"), (3, "0"), (10, "32")])
    assert parted("\x1b[31m\x1b[mx") == ("x", [(0, "31;0")])


def test_of_changes_without_end_those_at_the_beginning_count_and_nothing_stays_coloured() -> None:
    plain, changes = parted("\x1b[31mx\x1b[32my" * CHANGES)
    assert len(plain) == 2 * CHANGES
    assert (len(changes), changes[0], changes[-1]) == (CHANGES, (0, "31"), (CHANGES - 1, ""))


def test_quoting_costs_linear_time() -> None:
    def cost(text: str) -> float:
        before = time.thread_time()
        quoted(text)
        return time.thread_time() - before

    for unit in ("[", "m\u200b", "\u200b", " ", "[\n", "mail from\n", "\x1b[1", "> "):
        once, more = (min(cost(unit * n) for _ in range(5)) for n in (50_000, 200_000))
        assert more < 10 * max(once, 0.01), unit
