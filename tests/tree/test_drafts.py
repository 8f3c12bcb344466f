"""JSON that comes in pieces: taken when it is whole, refused when it cannot become so."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anvilsrv.errors import Invalid
from anvilsrv.tree.drafts import JsonPieces

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=5), VALUES, max_size=4), st.booleans(), st.integers(1, 9))
def test_an_object_in_pieces_is_complete_at_its_last_byte_and_not_before(
    value: dict[str, object], escaped: bool, size: int
) -> None:
    data = b" \n" + json.dumps(value, ensure_ascii=escaped).encode("utf-8", "replace")
    pieces = JsonPieces("mail")
    for start in range(0, len(data) - 1, size):
        assert pieces.add(data[start : min(start + size, len(data) - 1)]) is None
    assert pieces.add(data[-1:]) == json.loads(data)


@pytest.mark.parametrize(
    "data", [b"[1]", b"hello", b'{"a" 1}', b'{"a":1}}', b'{"a":\xff}', b"{" + b'"a":{' * 5000 + b"}" * 5001]
)
def test_what_can_never_become_an_object_is_refused(data: bytes) -> None:
    with pytest.raises(Invalid, match=r"^mail: "):
        JsonPieces("mail").add(data)


def test_a_large_object_in_small_writes_is_looked_at_once() -> None:
    data = json.dumps({"body": '\\"x' * 1_000_000}).encode()
    pieces = JsonPieces("mail")
    answers = [pieces.add(data[at : at + 4096]) for at in range(0, len(data), 4096)]
    assert answers[-1] == json.loads(data)
    assert not any(answers[:-1])
