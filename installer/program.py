"""The program: a private environment, and links that lead into it."""

from __future__ import annotations

import email.parser
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from installer.layout import Layout, Refused, checksum, run
from installer.record import Record

TOP = Path(__file__).resolve().parent.parent
NOT_SOURCE = (".*", "__pycache__", "*.egg-info", "build", "dist", "node_modules", "tests")


def environment(layout: Layout) -> None:
    """Make the private environment, or keep the one that works."""
    works = [layout.python, "-m", "pip", "--version"]
    if Path(layout.python).exists() and subprocess.run(works, capture_output=True).returncode == 0:
        return
    try:
        run(sys.executable, "-m", "venv", "--clear", str(layout.env))
    except Refused as error:
        raise Refused(f"{error}\n(Debian and Ubuntu: apt-get install python3-venv)") from None


def pip(layout: Layout, *argv: str) -> None:
    command, *rest = argv
    run(layout.python, "-m", "pip", command, "--quiet", "--disable-pip-version-check", "--no-cache-dir", *rest)


def build(layout: Layout, work: Path) -> Path:
    """Build the wheel of this tree from a copy, so that nothing is left in it."""
    source = work / "source"
    shutil.copytree(TOP, source, ignore=shutil.ignore_patterns(*NOT_SOURCE), symlinks=True)
    pip(layout, "wheel", "--no-deps", "--wheel-dir", str(work), str(source))
    return next(work.glob("*.whl"))


def requirements(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as file:
        name = next(name for name in file.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = email.parser.Parser().parsestr(file.read(name).decode())
    return [one for one in metadata.get_all("Requires-Dist") or [] if "extra ==" not in one]


def merge(layout: Layout, stage: Path, record: Record) -> bool:
    """Put each staged file over the old one at once, then remove what the new version has no more.

    Whether the Emacs package is another one than before.
    """
    lisp = Path("share/anvillm/emacs")
    old, new = ({p.name: checksum(p) for p in (top / lisp).glob("*.el")} for top in (layout.env, stage))
    old.pop("anvillm-autoloads.el", None)
    names = sorted(str(path.relative_to(stage)) for path in stage.rglob("*") if not path.is_dir())
    for name in names:
        target = layout.env / name
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(stage / name, target)
    for name in set(record.env) - set(names):
        (layout.env / name).unlink(missing_ok=True)
    record.env = names
    return old != new


def outside(layout: Layout, names: list[str]) -> Iterator[tuple[Path, Path]]:
    """Yield the links that lead to the environment: where, and to what; ``names`` are the files installed there."""
    for name in names:
        if name.startswith("bin/"):
            yield layout.bin / name[4:], layout.env / name
        elif name.startswith("share/man/"):
            yield layout.share / name[6:], layout.env / name
    yield from completions(layout, [name[4:] for name in names if name.startswith("bin/")])
    yield layout.emacs, layout.env / "share/anvillm/emacs"


def completions(layout: Layout, commands: list[str]) -> Iterator[tuple[Path, Path]]:
    """Yield where shells look for completion: bash by the command's name, zsh in ``$fpath``, fish at its start."""
    where = layout.env / "share/anvillm/completions"
    for command in commands:
        yield layout.share / "bash-completion/completions" / command, where / "anvillm.bash"
    yield layout.share / "zsh/site-functions/_anvillm", where / "_anvillm"
    yield layout.share / "fish/vendor_conf.d/anvillm.fish", where / "anvillm.fish"


def place(layout: Layout, record: Record) -> None:
    wanted = dict(outside(layout, record.env))
    for path, target in wanted.items():
        record.link(path, target)
    for gone in set(record.links) - {str(path) for path in wanted}:
        record.unlink(gone)


def emacs(layout: Layout) -> None:
    """Compile the package, make its autoloads and its manual, as far as the programs are there."""
    where = layout.env / "share/anvillm/emacs"
    if shutil.which("makeinfo"):
        run("makeinfo", "--no-split", "-o", str(where / "anvillm.info"), str(where / "anvillm.texi"))
    if shutil.which("emacs"):
        made = f"""(progn (require 'package) (package-generate-autoloads 'anvillm {json.dumps(str(where))})
          (byte-recompile-directory {json.dumps(str(where))} 0 t))"""
        with tempfile.TemporaryDirectory() as home:  # for what its native compiler leaves behind
            run("emacs", "--quick", "--batch", "-L", str(where), "--eval", made, HOME=home)


def serves(layout: Layout) -> bool:
    """Return whether a daemon runs in the current namespace."""
    program = layout.env / "bin/anvilsrv"
    return program.exists() and subprocess.run([str(program), "status"], capture_output=True).returncode == 0
