"""Backend files for the tests of this folder."""

from pathlib import Path
from typing import Any

from anvilsrv.backends.backend import Backend
from anvilsrv.backends.place import Place
from anvilsrv.backends.registry import Backends

MINIMAL = """
backend:
  command: [prog, "{ID}"]
  hooks:
    Ready: {report: ready}
"""


def load(top: Path, text: str, name: str = "x") -> Backend:
    (top / f"{name}.yaml").write_text(text)
    return Backends(top).get(name)


def place(**more: Any) -> Place:
    return Place(**{"id": "ab12cd34", "cwd": "/w", "session_dir": "/s", "data_dir": "/d", "home": "/h", **more})
