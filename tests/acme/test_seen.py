"""What was on the screen when it was clicked: known from what acme tells, in its order."""

import random

from acme.lib.record import Record
from acme.lib.seen import KEPT, Seen


def told(seen, kind, q0, text="", q1=None, origin="F"):
    """acme tells of it: a text that is long is left out."""
    end = q0 + len(text) if q1 is None else q1
    size = len(text) if len(text) <= 256 else 0
    seen.changed(Record(origin, kind, q0, end, 0, size, text if size else ""))


def test_a_body_is_known_from_its_changes_whatever_they_are():
    chance, seen, body = random.Random(1), Seen(), "begun with\n"
    seen.again(body)
    for n in range(3000):
        place = chance.randint(0, len(body))
        if chance.random() < 0.45:
            end = min(len(body), place + chance.randint(0, 90))
            told(seen, "D", place, q1=end)
            body = body[:place] + body[end:]
        else:
            text = "ab\n·" * chance.choice((1, 3, 100))
            seen.wrote(text, n)
            told(seen, "I", place, text)
            body = body[:place] + text + body[place:]
            if n % 7 == 0:
                assert seen.moment().drawn == n
    assert seen.moment().text == body


def test_of_a_large_body_the_end_is_known_wherever_it_is_changed():
    seen, body = Seen(), ""
    for text in ("line\n" * 1600 for _ in range(80)):
        seen.wrote(text, None)
        told(seen, "I", len(body), text)
        body += text
    moment = seen.moment()
    assert moment.start > 0 and KEPT <= len(moment.text) <= 2 * KEPT
    assert moment.line(3) is None
    for at, size, text in ((10, 0, "before"), (5, 20, ""), (moment.start - 5, 30, ""), (len(body) - 30, 4, "behind")):
        told(seen, "D", at, q1=at + size)
        told(seen, "I", at, text)
        body = body[:at] + text + body[at + size :]
    moment = seen.moment()
    assert moment.text == body[moment.start :]
    begin = body.rindex("\n", 0, len(body) - 1) + 1
    assert moment.line(len(body) - 2) == (begin, body[begin:])
    told(seen, "D", 0, q1=len(body))
    told(seen, "I", 0, "anew\n")
    assert (seen.moment().start, seen.moment().text) == (0, "anew\n")


def test_what_another_program_wrote_at_length_is_not_known_and_what_is_around_it_is():
    seen = Seen()
    seen.again("one\ntwo\n")
    seen.wrote("ours\n" * 60, "drawn")
    told(seen, "I", 4, "x" * 299)
    told(seen, "I", 0, "ours\n" * 60)
    moment = seen.moment()
    assert moment.line(0) == (0, "ours\n")
    assert moment.line(300) == (300, "one\n")
    assert moment.line(310) is None
    assert moment.drawn == "drawn"
    assert moment.line(len(moment.text) - 1) is None
    assert not moment.agrees(Record("M", "X", 300, 303, 0, 3, "two"))
    assert moment.agrees(Record("M", "X", 300, 303, 0, 3, "one"))


def test_what_could_not_be_written_is_not_expected():
    seen = Seen()
    seen.wrote("never", 1)
    seen.failed()
    seen.wrote("ever", 2)
    told(seen, "I", 0, "ever")
    assert (seen.moment().text, seen.moment().drawn) == ("ever", 2)
