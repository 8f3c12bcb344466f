"""Nothing that others say acts on a terminal, or makes two lines of one."""

import time
import unicodedata

from anvilsrv.display import one_line, plain, quoted, sanitize, shown


def test_sanitize_leaves_text_tabs_and_newlines_only() -> None:
    text = "a\tb\r\nc\rd\x1b[201~e\x00\x07\x7f\x9bf\x85é€\N{GRINNING FACE}"
    assert sanitize(text) == "a\tb\nc\nd[201~efé€\N{GRINNING FACE}"


def test_no_control_character_of_unicode_gets_through() -> None:
    controls = "".join(chr(n) for n in range(0x300) if unicodedata.category(chr(n)) == "Cc")
    assert len(controls) == 65
    assert sanitize(controls) == "\t\n\n"
    assert one_line(controls) == " " * len(controls)


def test_one_line_stays_one_line_also_where_only_some_programs_end_it() -> None:
    assert one_line("a\nb\u2028c\x85d\u202ee ü") == "a b c d e ü"


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
