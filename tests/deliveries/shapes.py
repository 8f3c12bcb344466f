"""Prompts as people write them, each with a number in it that no other has."""

import random
from collections.abc import Callable

Shape = Callable[[str, random.Random], str]


def lines(count: int, width: int = 60) -> Shape:
    return lambda mark, chance: "\n".join(f"{mark} {'x' * chance.randrange(width)}" for _ in range(count))


def long(size: int, unit: str) -> Shape:
    return lambda mark, chance: f"{mark} {unit * (size // len(unit))} end"


def framed(before: str, after: str = "") -> Shape:
    return lambda mark, chance: f"{before}{mark}{after}"


SHAPES: dict[str, Shape] = {
    "a word": framed(""),
    "a sentence": framed("how many files are there, ", "?"),
    "lines": lines(3),
    "many lines": lines(200),
    "empty lines": framed("one\n\n\n", "\n\n\n\ntwo"),
    "empty lines first": framed("\n\n\nafter "),
    "blanks at the ends": framed("   ", "   \n\n"),
    "tabs": framed("\tindented\t", "\tand\t\tso on\n\t\ttwice"),
    "CRLF": framed("one\r\ntwo ", "\r\nthree"),
    "accents": framed("cafe\u0301 na\u00efve ", " \u017ecaron"),
    "wide": framed("日本語の文章 ", " 漢字かな交じり"),
    "a long wide line": long(3000, "日本"),
    "emoji": framed("👩‍👩‍👧‍👦 🏳️‍🌈 ", " 👍🏽"),
    "right to left": framed("שלום עולם ", " مرحبا"),
    "bidi marks": framed("a\u202eb\u200f ", " \u2067c\u2069"),
    "zero width": framed("a\u200bb ", " c\u2060d\u00ade"),
    "a long line": long(5000, "word "),
    "a line without blanks": long(3000, "x"),
    "100 KB": long(100_000, "0123456789abcdef "),
    "an exclamation mark": framed("!", " hey"),
    "a slash": framed("/", " is a number"),
    "a path": framed("/tmp/", "/file is there"),
    "a hash": framed("# ", " is a heading"),
    "an at": framed("@", " who is that"),
    "a question mark": framed("?"),
    "a backslash": framed("", " ends in \\"),
    "quotes": framed("\"it's\" `", "` ${x} $(echo no) %s \\n"),
    "a placeholder": framed("[Image #1] [Pasted text #2] "),
    "a prompt sign": framed("> ", " > ❯ › $ "),
    "escapes": framed("\x1b[31mred\x1b[0m ", "\x07\x03"),
    "code": framed("def f():\n    return '", "'\n\n\nprint(f())\n"),
    "a fence": framed("```\n", "\n```"),
}  # fmt: skip
HUGE: dict[str, Shape] = {"1 MB of lines": lines(16000, 120), "1 MB in a line": long(1_000_000, "0123456789")}


def texts(count: int, seed: int, huge: int) -> list[tuple[str, str]]:
    """Return that many prompts with the names of their shapes, ``huge`` of them of a megabyte; each shape once before
    one comes twice.
    """
    chance, made = random.Random(seed), list[tuple[str, str]]()
    while len(made) < count:
        names = list(SHAPES)
        chance.shuffle(names)
        made += [(name, SHAPES[name](f"n{len(made) + at}n", chance)) for at, name in enumerate(names)]
    del made[count:]
    for at, place in enumerate(chance.sample(range(count), min(huge, count))):
        name = list(HUGE)[at % len(HUGE)]
        made[place] = (name, HUGE[name](f"n{place}n", chance))
    return made
