"""Ubuntu's AppArmor takes the rights out of user namespaces unless a profile gives them back to a program.

The profile is tied to the path of a program. Giving it to the system's Python would give it to every script; so a
copy of the interpreter that only the launcher uses gets it, where only root can write.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from sandbox import tiers
from sandbox.launcher import BLESSED

PROFILE = Path("/etc/apparmor.d/anvil-sandbox")
TEXT = """# Lets the launcher of AnviLLM's sandbox use user namespaces (anvil-sandbox setup).
abi <abi/4.0>,
include <tunables/global>

profile anvil-sandbox {program} flags=(unconfined) {{
  userns,
  include if exists <local/anvil-sandbox>
}}
"""


def steps(profile: str) -> list[list[str]]:
    """Return the commands, for root; ``profile`` is a file with the profile's text."""
    source = os.path.realpath(getattr(sys, "_base_executable", "") or sys.executable)
    return [
        ["install", "-D", "-o", "root", "-g", "root", "-m", "0755", source, BLESSED],
        ["install", "-o", "root", "-g", "root", "-m", "0644", profile, str(PROFILE)],
        ["apparmor_parser", "-r", str(PROFILE)],
    ]


def setup(*, dry_run: bool) -> int:
    """Install the profile, with sudo where we are not root; the exit status."""
    report = tiers.probe()
    if report.tier == "full" and not dry_run:
        print("nothing to do: this kernel gives the full tier")
        return 0
    if not dry_run and not Path("/sys/kernel/security/apparmor").exists():
        print("nothing that setup could change: this kernel has no AppArmor")
        print("\n".join(f"do\t{sentence}" for sentence in report.advice))
        return 1
    with tempfile.NamedTemporaryFile("w", prefix="anvil-profile-") as file:
        file.write(TEXT.format(program=BLESSED))
        file.flush()
        for step in steps(file.name):
            command = step if os.geteuid() == 0 else ["sudo", *step]
            print(shlex.join(command))
            if not dry_run and subprocess.run(command, check=False).returncode != 0:
                print(f"anvil-sandbox: {step[0]} failed", file=sys.stderr)
                return 1
    if dry_run:
        print(TEXT.format(program=BLESSED), end="")
        return 0
    found = tiers.probe()
    print(f"tier\t{found.tier}")
    return 0 if found.tier == "full" else 1
