"""JSON that comes in pieces: taken when it is whole, refused when it cannot become so."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anvilsrv.drafts import complete_json
from anvilsrv.errors import Invalid

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), VALUES), st.booleans())
def test_an_object_is_complete_at_its_last_byte_and_not_before(value: dict[str, object], escaped: bool) -> None:
    data = json.dumps(value, ensure_ascii=escaped).encode("utf-8", "replace")
    for cut in range(len(data)):
        assert complete_json(data[:cut], "mail") is None
    assert complete_json(data, "mail") == json.loads(data)
    assert complete_json(data + b"\n", "mail") == json.loads(data)


@pytest.mark.parametrize(
    "data", [b"[1]", b"hello", b'{"a" 1}', b'{"a":1}}', b'{"a":\xff}', b"{" + b'"a":{' * 5000 + b"}" * 5001]
)
def test_what_can_never_become_an_object_is_refused(data: bytes) -> None:
    with pytest.raises(Invalid, match=r"^mail: "):
        complete_json(data, "mail")
