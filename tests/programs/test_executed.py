"""Which programs a command runs: each exec, and the scripts of interpreters."""

import os
import sys
from pathlib import Path

from anvilsrv.programs.executed import executed

PATIENCE = 20.0


def script(path: Path, text: str) -> str:
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


def test_what_a_wrapper_executes_is_named_to_its_end(tmp_path: Path) -> None:
    tool = script(tmp_path / "tool", f"#!{sys.executable}\nprint('1.0')\n")
    second = script(tmp_path / "second", f'#!/bin/sh\nexec {tool} "$@"\n')
    first = script(tmp_path / "first", f'#!/bin/sh\ntrue | cat\n{second} "$@"\n')
    found = executed([first, "--version"], PATIENCE)
    assert found is not None
    assert {first, second, tool, os.path.realpath("/bin/sh"), os.path.realpath(sys.executable)} <= set(found)
    assert [one for one in found if one in (first, second, tool)] == [first, second, tool]


def test_one_that_fails_or_does_not_end_tells_nothing(tmp_path: Path) -> None:
    assert executed([script(tmp_path / "fails", "#!/bin/sh\nexit 3\n")], PATIENCE) is None
    assert executed([script(tmp_path / "hangs", "#!/bin/sh\nexec sleep 1000\n")], 0.3) is None
    assert executed([str(tmp_path / "missing")], PATIENCE) is None


def test_signals_of_the_program_are_its_own(tmp_path: Path) -> None:
    traps = script(tmp_path / "traps", "#!/bin/sh\ntrap 'exit 0' USR1\nkill -USR1 $$\nexit 3\n")
    assert executed([traps], PATIENCE) is not None
