"""Which process an agent is, beyond its number, which the kernel gives to another one day: also when it was started.

Written down beside the session's other files as soon as it runs, since a pane that is not found does not mean that its program is gone:
tmux may have lost its socket, or have been killed and left a program that ignores SIGHUP.

Threads: on the reactor of the agents.
"""

from pathlib import Path

from anvilsrv.linux.replace import write

BOOT = Path("/proc/sys/kernel/random/boot_id")


def born(pid: int) -> str:
    """Return when a process was started, and since which boot: never the same for two. Empty if there is none, or only
    its status is left.
    """
    try:
        words = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return "" if words[0] == b"Z" else f"{BOOT.read_text().strip()} {int(words[19])}"
    except (OSError, IndexError, ValueError):
        return ""


def note(path: Path, pid: int) -> None:
    """Write down that this is the process. Raises OSError."""
    write(path, f"{pid} {born(pid)}\n")


def living(path: Path) -> int:
    """Return the pid of the process that was written down if it is still that one, else 0."""
    try:
        pid, _, when = path.read_text().strip().partition(" ")
        return int(pid) if when and born(int(pid)) == when else 0
    except (OSError, ValueError):
        return 0
