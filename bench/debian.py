"""README on a fresh Debian: debootstrapped, AnviLLM installed in it by an ordinary user, every command that README shows run there.

    python bench/debian.py [--keep DIR] [--mirror URL] [--bind PATH]... [bookworm] [trixie]

For root, on a machine with debootstrap; else it says so, with status 77. It takes some minutes, most of them to fetch; a system that
``--keep`` has made is used again. ``--bind`` shows a path of this machine there too: what pip's settings here name, if it has any.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import ended  # noqa: F401

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.conftest import Home  # noqa: E402
from tests.docs.examples import Block, markdown  # noqa: E402
from tests.docs.test_readme import Reader  # noqa: E402
from tests.install.test_readme import BEGIN  # noqa: E402

PACKAGES = "python3,python3-venv,tmux,git,ca-certificates,procps"
ME = 1000
LACKING = 77
# Makes the directory $1 the root of a system with processes, terminals and devices of its own, and $2… of this machine.
HOLD = """set -e
top=$1; shift
mount --make-rprivate /
mount --bind "$top" "$top"
for one in null zero full random urandom tty; do touch "$top/dev/$one"; mount --bind /dev/$one "$top/dev/$one"; done
for one in /sys "$@"; do
    if [ -d "$one" ]; then mkdir -p "$top$one"; else mkdir -p "$top${one%/*}"; touch "$top$one"; fi
    mount --rbind "$one" "$top$one"
done
cd "$top"
mkdir -p dev/pts dev/shm old
mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts dev/pts
ln -sfn pts/ptmx dev/ptmx
mount -t tmpfs shm dev/shm
mount -t proc proc proc
pivot_root . old
umount -l /old
echo ready
exec sleep infinity
"""


def make(suite: str, top: Path, mirror: str) -> None:
    """Make the system, unless it is there already, with a user and a clone of this tree."""
    if not (top / "home/me").is_dir():
        words = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", suite, str(top), mirror]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["useradd", "-R", str(top), "-m", "-u", str(ME), "-s", "/bin/bash", "me"], check=True)
    shutil.rmtree(top / "home/me")
    checkout = top / "home/me/anvillm"
    checkout.mkdir(parents=True)
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
    subprocess.run(["tar", "-x", "-C", str(checkout)], input=archive, check=True)
    subprocess.run(["chown", "-R", f"{ME}:{ME}", str(top / "home/me")], check=True)
    shutil.copy("/etc/resolv.conf", top / "etc/resolv.conf")


@contextmanager
def running(top: Path, binds: list[str]) -> Iterator[list[str]]:
    """Run the system as long as it is needed. Yields what begins a command that its user runs. All of it ends with its
    first process, and that one with us.
    """
    with_us = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child"]
    words = [*with_us, "sh", "-c", HOLD, "hold", str(top), *binds]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as held:
        try:
            assert held.stdout is not None
            if held.stdout.readline() != "ready\n":
                raise SystemExit("no such system can be started here")
            (first,) = Path(f"/proc/{held.pid}/task/{held.pid}/children").read_text().split()
            yield ["nsenter", "-t", first, "-m", "-p", "setpriv", f"--reuid={ME}", f"--regid={ME}", "--clear-groups"]
        finally:
            held.send_signal(signal.SIGKILL)


class There(Reader):
    """A user of that system. Its names are those that README shows."""

    def __init__(self, top: Path, begin: list[str]) -> None:
        self.home: Home = SimpleNamespace(home=top / "home/me", namespace=top / "tmp/ns.me.:0")  # type: ignore[assignment]
        self.checkout = Path("/home/me/anvillm")
        self.replaced = {}
        given = [f"{k}={v}" for k, v in os.environ.items() if k.startswith(("PIP_", "SSL_")) or k.endswith("_proxy")]
        env = ["HOME=/home/me", "USER=me", "LANG=C.UTF-8", "PATH=/home/me/bin:/home/me/nine:/usr/bin:/bin", *given]
        self.env = dict(os.environ)
        self.begin = [*begin, "env", "-i", "-C", str(self.checkout), *env]

    def argv(self, words: list[str]) -> list[str]:
        return [*self.begin, *words]

    def do(self, block: Block) -> None:
        super().do(block)
        if "file" in block.options:
            subprocess.run(["chown", "-R", f"{ME}:{ME}", str(self.home.home)], check=True)


def tried(suite: str, top: Path, mirror: str, binds: list[str]) -> None:
    """Try all of it on one release of Debian; raises if something that README shows does not happen."""
    make(suite, top, mirror)
    with running(top, binds) as begin:
        reader = There(top, begin)
        shell = [*reader.begin, "sh", "-ec"]
        version = subprocess.run(
            [*shell, "cat /etc/debian_version; python3 -V; tmux -V; id -un"], stdout=subprocess.PIPE
        )
        print(suite, *version.stdout.decode().split("\n"), flush=True)
        subprocess.run([*shell, "./install && mkdir -p ~/nine && ln -s ~/bin/anvil9p ~/nine/9p"], check=True)
        reader.do(Block("begin", "sh", ["run"], BEGIN))
        count = 0
        for block in markdown(ROOT / "README.md"):
            if "./quickstart" not in block.text:
                reader.do(block)
                count += block.runs
        reader.run("anvilsrv stop", Block("end", "sh", [], ""))
        subprocess.run([*shell, "./install --uninstall"], check=True)
        print(f"{suite}: {count} blocks of README hold", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="Run README on a fresh Debian.")
    parser.add_argument("suites", nargs="*", default=["bookworm", "trixie"])
    parser.add_argument("--keep", type=Path, help="a directory in which the systems stay")
    parser.add_argument("--mirror", default="http://deb.debian.org/debian")
    parser.add_argument("--bind", action="append", default=[], help="a path of this machine that is there too")
    args = parser.parse_args()
    missing = [one for one in ("debootstrap", "unshare", "nsenter", "setpriv") if shutil.which(one) is None]
    if os.getuid() or missing:
        print(f"skipped: this needs root and {', '.join(missing) or 'nothing else'}", file=sys.stderr)
        return LACKING
    base = args.keep or Path(tempfile.mkdtemp(prefix="av-debian-"))
    try:
        for suite in args.suites:
            tried(suite, (base / suite).absolute(), args.mirror, args.bind)
    finally:
        if not args.keep:
            shutil.rmtree(base)
    return 0


if __name__ == "__main__":
    sys.exit(main())
