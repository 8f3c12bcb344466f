"""What agents tell is shown as it is: nothing of what one approves is dropped unseen."""

from anvilsrv.activity.schema import clean
from anvilsrv.desk.answer import lines, long

HOSTILE = "rm \u202e-rf\u2066 a\x1b[8mb\x08c\u200bd"
SHOWN = "rm \ufffd-rf\ufffd a␛[8mb␈c\ufffdd"


def test_the_title_of_a_tool_its_input_and_a_question_about_it_show_the_same() -> None:
    made = clean("tool", {"id": "t1", "name": "Bash", "title": f"{HOSTILE}\n x", "input": {"command": HOSTILE}})
    assert made is not None
    assert (made["title"], made["input"]) == (f"{SHOWN} x", {"command": SHOWN})
    assert (long(HOSTILE, 1000), lines([HOSTILE])) == (SHOWN, [SHOWN])


def test_what_a_tool_says_has_no_colours_but_shows_what_else_acts_on_a_terminal() -> None:
    made = clean("output", {"id": "t1", "text": "\x1b[31mred\x1b[0m \x1b[2J \u202e"})
    assert made is not None
    assert made["text"] == "red ␛[2J \ufffd"
