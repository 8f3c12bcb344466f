"""A small world to attack: things outside a sandbox that an attempt from inside must not reach or change.

Everything runs for real, as root (when the tests do) and as an ordinary user.
"""

import json
import os
import socket
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from sandbox import landlock, policy
from sandbox.plan import specification

PYTHON = "/usr/bin/python3"
ORDINARY = 61234  # a user that no machine has
PATIENCE = 15

#: What every attempt can use. ``attempt`` is written by the test; what it returns is printed, an OSError by name.
PRELUDE = """
import array, ctypes, errno, fcntl, mmap, os, signal, socket, struct, subprocess, sys, time
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *args):
    result = libc.syscall(ctypes.c_long(number), *(ctypes.c_long(a) if isinstance(a, int) else a for a in args))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
"""
REPORT = """
try:
    value = attempt()
    print("did it" if value is None else value)
except OSError as error:
    print(errno.errorcode.get(error.errno, error.errno))
"""


class Listener:
    """A unix or TCP socket that counts who came."""

    def __init__(self, sock: socket.socket, answer: bytes = b"") -> None:
        self.sock, self.came, self.answer = sock, 0, answer
        self.stream = sock.type == socket.SOCK_STREAM
        if self.stream:
            sock.listen(8)
        self.counting = threading.Condition()
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self) -> None:
        while True:
            try:
                if self.stream:
                    peer, _ = self.sock.accept()
                else:
                    self.sock.recv(1)
            except OSError:
                return
            with self.counting:
                self.came += 1
                self.counting.notify_all()
            if self.stream:
                with peer:
                    if self.answer:
                        peer.sendall(self.answer)

    def counted(self, wanted: int) -> int:
        """Return how many came, once ``wanted`` did: who has connected may not have been accepted yet."""
        with self.counting:
            self.counting.wait_for(lambda: self.came >= wanted, PATIENCE)
            return self.came

    def close(self) -> None:
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()
        self.thread.join(PATIENCE)


class World:
    """Directories of one user, and what starts programs in a sandbox as that user."""

    def __init__(self, uid: int, top: Path) -> None:
        self.uid, self.top = uid, top
        for name in ("home", "home/.config/anvillm/roles", "proj", "outside", "ns", "sess/spool", "run", "bin"):
            (top / name).mkdir(parents=True, exist_ok=True)
        for name in ("home", "proj", "outside", "ns", "sess", "run"):
            setattr(self, name, top / name)
        self.home: Path
        self.proj: Path
        self.outside: Path
        self.ns: Path
        self.sess: Path
        self.run: Path
        (self.outside / "secret").write_text("secret\n")
        (self.home / "secret").write_text("secret\n")
        self.config = self.home / ".config/anvillm"
        self.listeners: list[Listener] = []
        self.own()
        self.ns.chmod(0o700)
        self.run.chmod(0o700)

    def own(self) -> None:
        """Give everything to the user."""
        for directory, _, files in os.walk(self.top):
            os.chown(directory, self.uid, self.uid)
            for name in files:
                os.chown(os.path.join(directory, name), self.uid, self.uid, follow_symlinks=False)

    @property
    def env(self) -> dict[str, str]:
        return {"HOME": str(self.home), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "USER": "u"}

    def policy(self, layer: Mapping[str, Any] | None = None, **more: Any) -> policy.Policy:
        """Return a policy with one more layer (of the caller's own, so with all rights); default role rwx unless said."""
        extra = [("test", layer or {})]
        options: dict[str, Any] = {"config": [self.config], "backend": "", "role": None, "tasks": []}
        options |= {"cwd": str(self.proj), "namespace": str(self.ns), "env": self.env, "extra": extra}
        return policy.load(**(options | more))

    def spec(self, argv: Sequence[str], layer: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
        tier = more.pop("tier", "full")
        tmpdir = more.pop("tmpdir", "")
        found = self.policy(layer, **more)
        made = specification(found, argv, tier=tier, namespace_source=str(self.sess), tmpdir=tmpdir, env=self.env)
        least, here = made["least_abi"], landlock.abi()
        if tier == "full" and 0 < here < least:  # nothing starts then: test_tiers.py
            pytest.skip(f"ports and shared networks need Landlock ABI {least}; this kernel has {here}")
        return made

    def command(self, spec: Mapping[str, Any]) -> list[str]:
        fd, path = tempfile.mkstemp(dir=self.run, suffix=".json")
        with open(fd, "w") as file:
            json.dump(spec, file)
        os.chown(path, self.uid, self.uid)
        return [PYTHON, "-I", "-S", str(self.top / "lib/sandbox/launcher.py"), path]

    @property
    def identity(self) -> dict[str, Any]:
        """How subprocess becomes the user."""
        return {} if self.uid == os.geteuid() else {"user": self.uid, "group": self.uid, "extra_groups": []}

    def start(self, spec: Mapping[str, Any], **more: Any) -> subprocess.CompletedProcess[str]:
        """Run the launcher to its end."""
        options: dict[str, Any] = {"capture_output": True, "text": True, "timeout": PATIENCE, "cwd": self.proj}
        options |= self.identity | {"env": self.env, "stdin": subprocess.DEVNULL}
        return subprocess.run(self.command(spec), **(options | more))

    def attempt(self, code: str, layer: Mapping[str, Any] | None = None, **more: Any) -> str:
        """Return what the function ``attempt`` of ``code`` came to inside: an errno's name, or what it returned."""
        launch = more.pop("launch", {})
        argv = [PYTHON, "-I", "-c", PRELUDE + code + REPORT]
        result = self.start(self.spec(argv, layer, **more), **launch)
        assert result.returncode == 0, result.stderr
        return result.stdout.strip()

    def freely(self, code: str) -> str:
        """Return the same attempt with no sandbox at all, to know that it is a real one."""
        argv = [PYTHON, "-I", "-c", PRELUDE + code + REPORT]
        result = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            cwd=self.proj,
            env=self.env,
            check=True,
            **self.identity,
        )
        return result.stdout.strip()

    def listen(self, address: str | tuple[str, int], kind: int = socket.SOCK_STREAM, answer: bytes = b"") -> Listener:
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        sock = socket.socket(family, kind)
        sock.bind(address)
        if isinstance(address, str) and address[:1] == "/":
            os.chmod(address, 0o666)
        self.listeners.append(Listener(sock, answer))
        return self.listeners[-1]

    def need_terminals(self) -> None:
        """Skip where this machine gives pseudo-terminals to root alone."""
        if not os.stat("/dev/ptmx").st_mode & 0o006 and self.uid != 0:
            pytest.skip("/dev/ptmx is closed to ordinary users")

    def close(self) -> None:
        for listener in self.listeners:
            listener.close()
