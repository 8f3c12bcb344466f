"""Where things go, and the few words that all parts of the installation share. The standard library alone."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

# What pip says where there is no way to an index.
NO_NETWORK = (
    "Temporary failure in name resolution",
    "Name or service not known",
    "Network is unreachable",
    "NewConnectionError",
    "ProxyError",
    "ConnectTimeoutError",
    "No route to host",
)


class Refused(Exception):
    """The sentence for the user."""


class Layout:
    """Where things go."""

    def __init__(self, prefix: str | None) -> None:
        if prefix is not None:
            top = Path(prefix).expanduser().resolve()
            self.home, self.bin, self.share = top / "lib/anvillm", top / "bin", top / "share"
            self.config: Path | None = None
            return
        self.share = xdg("XDG_DATA_HOME", ".local/share")
        self.home = self.share / "anvillm"
        self.bin = Path(os.environ.get("INSTALL_PATH") or Path.home() / "bin").expanduser().resolve()
        self.config = xdg("XDG_CONFIG_HOME", ".config") / "anvillm"

    @property
    def env(self) -> Path:
        """The private environment."""
        return self.home / "env"

    @property
    def python(self) -> str:
        return str(self.env / "bin/python")

    @property
    def emacs(self) -> Path:
        return self.share / "emacs/site-lisp/anvillm"


def xdg(variable: str, default: str) -> Path:
    value = os.environ.get(variable, "")
    return Path(value) if value.startswith("/") else Path.home() / default


def replace(path: Path, content: bytes) -> None:
    draft = path.with_name(f".{path.name}.draft")
    draft.write_bytes(content)
    draft.replace(path)


def checksum(path: Path) -> str | None:
    """Return the checksum of a plain file; None if there is none."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() and not path.is_symlink() else None


def say(words: str) -> None:
    print(words, flush=True)


def run(*argv: str, **variables: str) -> None:
    """Run a program quietly. Raises Refused with its last words."""
    env = {**os.environ, **variables}
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=env)
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        if any(words in said for words in NO_NETWORK):
            raise Refused(
                f"no network: {' '.join(argv[:4])} cannot reach the package index (offline: --wheel, and pip's PIP_FIND_LINKS)"
            )
        raise Refused(f"{' '.join(argv[:4])}: {said[-1000:]}")
