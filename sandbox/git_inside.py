"""Git in the sandbox of a session, started beside its agent: whatever an agent wrote there is read by no git outside.

Threads: any.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import threading
from collections.abc import Iterable

from sandbox import launcher
from sandbox.errors import SandboxRefused

PATIENCE = 60.0  # s


def command(specification: str, argv: list[str], cwd: str, scratch: str, writable: Iterable[str] = ()) -> list[str]:
    """Return the command line that runs ``argv`` in a sandbox that was made by that specification. Raises
    SandboxRefused.

    ``writable`` are directories that it has besides.
    """
    try:
        with open(specification, encoding="utf-8") as file:
            spec = json.load(file)
        spec["binds"] += [[path, path, "rw", "refuse"] for path in writable]
        spec["rules"] += [[path, "rw"] for path in writable]
        top = tempfile.mkdtemp(dir=scratch, prefix="inside-")
        with open(
            os.open(f"{top}/spec.json", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
        ) as file:
            json.dump(launcher.offline(spec) | {"argv": argv, "cwd": cwd, "status": "", "once": True}, file)
    except (OSError, ValueError, TypeError) as error:
        raise SandboxRefused(f"cannot enter the sandbox: {error}") from None
    return launcher.command(f"{top}/spec.json")


def output(
    specification: str, scratch: str, argv: list[str], cwd: str, data: bytes, most: int, writable: Iterable[str] = ()
) -> bytes:  # fmt: skip
    """Return what a command prints in there, at most ``most`` bytes. Raises SandboxRefused if it fails, or takes too
    long.
    """
    with tempfile.TemporaryFile() as given:
        given.write(data)
        given.seek(0)
        process = subprocess.Popen(
            command(specification, argv, cwd, scratch, writable), stdin=given, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            start_new_session=True, cwd="/",
        )  # fmt: skip
    late = threading.Timer(PATIENCE, process.kill)
    late.start()
    assert process.stdout is not None
    with process.stdout as pipe:
        found = pipe.read(most + 1)
        if len(found) > most:
            process.kill()
    status = process.wait()
    late.cancel()
    late.join()
    if len(found) > most:
        raise SandboxRefused(f"{argv[0]} inside: more than {most >> 20} MiB")
    if status:
        raise SandboxRefused(f"{' '.join(argv[:2])} inside ended with {status}")
    return found
