"""Prompts that Claude Code reports with tags around them, since they were pasted."""

import pytest

from anvilsrv.backends.registry import Backends
from tests.conftest import ROOT

CLAUDE = Backends(ROOT / "cfg" / "backends").get("claude")


@pytest.mark.parametrize(
    ("told", "text"),
    [
        ('\n\n<pasted_content id="5f07">\na\nb\n</pasted_content id="5f07">\n', "a\nb"),
        ('<pasted_content id="5f07">\na\nb\n\n</pasted_content id="5f07">', "a\nb\n"),
        ('<pasted_content id="5f07">\na</pasted_content id="5f08">\n', None),  # as a person may write it
        ('look:\n\n<pasted_content id="5f07">\na\n</pasted_content id="5f07">\n', None),
        ('<pasted_content id="5f07">\n' * 100_000, None),
    ],
)
def test_a_prompt_is_what_was_pasted_without_the_tags_around_it(told: str, text: str | None) -> None:
    found = CLAUDE.report("UserPromptSubmit", {"prompt": told})
    assert found is not None
    assert found.fields["text"] == (told if text is None else text)
    line = {"type": "user", "origin": {"kind": "human"}, "message": {"content": told}}
    [taken] = CLAUDE.transcript_reports(line)
    assert (taken.kind, taken.fields["text"]) == ("taken", told if text is None else text)
