"""What an agent tells of itself."""

from anvilsrv.activity import itself


def test_the_model_the_mode_and_what_is_left_of_the_context_are_those_told_last_and_none_of_a_subagent() -> None:
    first = [{"kind": "session", "what": "started", "value": "m1"}, {"kind": "usage", "input": 3}]
    assert itself.told(first) == {"model": "m1"}
    more = [
        {"kind": "session", "what": "mode", "value": "plan"},
        {"kind": "session", "what": "cwd", "value": "/elsewhere"},
        {"kind": "session", "what": "cleared"},
        {"kind": "usage", "context": 150, "window": 200, "model": "m2"},
        {"kind": "usage", "context": 190, "window": 200, "model": "small", "parent": "a1"},
        {"kind": "text", "text": "hello"},
    ]
    assert itself.told([*first, *more]) == {"model": "m2", "mode": "plan", "context_left": 25}


def test_a_context_that_is_more_than_full_or_of_no_size_is_not_told_as_nonsense() -> None:
    assert itself.told([{"kind": "usage", "context": 300, "window": 200}]) == {"context_left": 0}
    assert (
        itself.told([{"kind": "usage", "context": 5, "window": 0}, {"kind": "usage", "context": None, "window": 9}])
        == {}
    )
