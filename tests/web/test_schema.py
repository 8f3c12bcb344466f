"""What is wrong with a request, in a short sentence."""

from typing import Any

import pytest

from web.schema import MESSAGE_ID, SESSION, Schema, record, text, word, wrong

BODY = record({"to": SESSION, "kind": word("a", "b")}, {"text": text(5, 1)})
GOOD = {"to": "dev", "kind": "a"}


def test_what_fits_has_nothing_wrong() -> None:
    assert wrong(GOOD, BODY) == wrong(GOOD | {"text": "äöü"}, BODY) == ""


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ([], "body: not an object"),
        (None, "body: not an object"),
        ({"to": "dev"}, "kind: missing"),
        (GOOD | {"x" * 50: 1}, f"unknown key '{'x' * 40}'"),
        (GOOD | {"text": 7}, "text: not a string"),
        (GOOD | {"text": None}, "text: not a string"),
        (GOOD | {"text": True}, "text: not a string"),
        (GOOD | {"text": ""}, "text: empty"),
        (GOOD | {"text": "123456"}, "text: more than 5 characters"),
        (GOOD | {"text": "\ud800"}, "text: unpaired surrogate"),
        (GOOD | {"kind": "c"}, "kind: one of a, b"),
        (GOOD | {"kind": "a\n"}, "kind: one of a, b"),
        (GOOD | {"to": "no/such"}, "to: malformed"),
        (GOOD | {"to": "dev\n"}, "to: malformed"),
    ],
)
def test_what_does_not_fit_is_named_with_the_reason(value: Any, sentence: str) -> None:
    assert wrong(value, BODY) == sentence


@pytest.mark.parametrize(
    ("value", "sentence"), [("dev", ""), ("", "session: malformed"), ("a b", "session: malformed")]
)
def test_a_part_of_a_path_has_the_name_it_is_given(value: str, sentence: str) -> None:
    assert wrong(value, SESSION, "session") == sentence


@pytest.mark.parametrize("schema", [SESSION, MESSAGE_ID])
def test_a_pattern_holds_to_the_end_as_in_a_browser(schema: Schema) -> None:
    """Python's ``$`` matches before a last newline; ECMA 262's, which JSON Schema means, does not."""
    assert wrong("a\n", schema, "it") == "it: malformed"
