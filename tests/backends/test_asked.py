"""What a question of each agent carries: what would change, and a plan."""

from typing import Any

import pytest

from anvilsrv.backends.registry import Backends
from tests.conftest import ROOT

SHIPPED = Backends(ROOT / "cfg" / "backends")
PATCH = """*** Begin Patch
*** Update File: a.py
@@ def f():
 x
-a
+b
*** Add File: new.py
+one
*** Delete File: old.py
*** End Patch"""
UNIFIED = "--- a.py\n+++ a.py\n@@ def f():\n x\n-a\n+b\n--- /dev/null\n+++ new.py\n+one\n--- old.py\n+++ /dev/null\n"
REPLACE = {"file_path": "/w/a.py", "old_string": "a\n", "new_string": "b\n"}


@pytest.mark.parametrize(
    ("agent", "hook", "tool", "given", "question", "diff"),
    [
        ("codex", "PermissionRequest", "apply_patch", {"command": PATCH}, "apply_patch, a.py, new.py, old.py", UNIFIED),
        ("codex", "PermissionRequest", "Bash", {"command": "make"}, "Bash: make", None),
        ("codex", "PermissionRequest", "apply_patch", {"command": 3}, "apply_patch: 3", None),
        ("gemini", "BeforeTool", "replace", REPLACE, "replace: /w/a.py", "@@\n-a\n+b\n"),
        (
            "gemini",
            "BeforeTool",
            "write_file",
            {"file_path": "n", "content": "x"},
            "write_file: n",
            "@@ -0,0 +1,1 @@\n+x\n",
        ),
        ("gemini", "BeforeTool", "replace", {"new_string": 3}, 'replace: {"new_string": 3}', None),
        ("claude", "PermissionRequest", "Edit", REPLACE, "Edit: /w/a.py", "@@\n-a\n+b\n"),
    ],
)
def test_a_question_about_an_edit_carries_its_diff(
    agent: str, hook: str, tool: str, given: Any, question: str, diff: str | None
) -> None:
    found = SHIPPED.get(agent).report(hook, {"tool_name": tool, "tool_input": given})
    assert found is not None
    assert (found.kind, found.fields["question"], found.fields.get("diff") or None) == ("ask", question, diff)


def test_a_plan_is_the_question_or_is_looked_for_in_its_file() -> None:
    claude = SHIPPED.get("claude")
    told, filed = (
        claude.report("PermissionRequest", {"tool_name": "ExitPlanMode", "tool_input": given})
        for given in ({"plan": "1. look"}, {})
    )
    assert told is not None and filed is not None
    assert (told.fields["what"], told.fields["question"]) == ("plan", "Go on with this plan?\n\n1. look")
    assert "plan_in" not in told.fields
    assert (filed.fields["what"], filed.fields["plan_in"]) == ("plan", "attachment.planFilePath")
