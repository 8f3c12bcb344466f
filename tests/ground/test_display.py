"""Nothing that others say acts on a terminal, or makes two lines of one."""

import unicodedata

from anvilsrv.display import one_line, plain, sanitize


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
