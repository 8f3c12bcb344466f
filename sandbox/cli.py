"""anvil-sandbox(1): what this kernel can enforce, what a policy comes to, and running a command in it."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.errors import SandboxError

if TYPE_CHECKING:
    from sandbox.policy import Policy

REFUSED = 126


def main(arguments: Sequence[str] | None = None) -> int:
    """The entry point; the exit status (``run`` does not come back)."""
    options = _parser().parse_args(arguments)
    try:
        return _obey(options)
    except BrokenPipeError:  # `anvil-sandbox show | head` is no error
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is still buffered has nowhere to go
        return 0


def _obey(options: argparse.Namespace) -> int:
    try:
        status: int = options.command(options)
    except SandboxError as error:
        print(f"anvil-sandbox: {error}", file=sys.stderr)
        return REFUSED if options.command is _run else 1
    sys.stdout.flush()
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="anvil-sandbox", description=__doc__, allow_abbrev=False)
    parser.add_argument("--version", action=_Version, nargs=0, help="show program's version number and exit")
    commands = parser.add_subparsers(required=True, metavar="command")
    check = commands.add_parser("check", help="what this kernel gives, which tier, and why not a better one")
    check.set_defaults(command=_check)
    show = commands.add_parser("show", help="the effective policy, each line with the layer it came from")
    show.set_defaults(command=_show)
    run = commands.add_parser("run", help="run a command in the sandbox: run [options] -- command [argument ...]")
    run.set_defaults(command=_run)
    why = commands.add_parser("why", help="why a path (or tcp:PORT) can or cannot be used")
    why.set_defaults(command=_why)
    setup = commands.add_parser("setup", help="let the launcher use user namespaces (Ubuntu's AppArmor); asks sudo")
    setup.set_defaults(command=_setup)
    setup.add_argument("--dry-run", action="store_true", help="only say what would be done")
    for command in (show, run, why):
        _policy_options(command)
    why.add_argument("path", nargs="+", help="a path, or tcp:PORT")
    run.add_argument("argv", nargs="+", metavar="command", help="the program and its arguments, after --")
    return parser


class _Version(argparse.Action):
    """Looked up only when it is asked for, since this package stands alone."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import PackageNotFoundError, version

        try:
            print(f"{parser.prog} {version('anvillm')}")
        except PackageNotFoundError:
            print(f"{parser.prog}, not installed")
        parser.exit()


def _policy_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--backend", default="", metavar="B", help="with the layer of this backend")
    parser.add_argument("--role", metavar="R", help="with this role instead of the default one")
    parser.add_argument("--task", action="append", default=[], metavar="T", help="with this task (repeat for more)")
    parser.add_argument("--cwd", default=".", metavar="D", help="the working directory (default: this one)")
    for word in ("ro", "rox", "rw", "rwx"):
        parser.add_argument(f"--{word}", action="append", default=[], metavar="PATH", help=f"grant a path {word}")
    parser.add_argument(
        "--unix", action="append", default=[], metavar="SOCKET", help="let in a socket, by path or name"
    )
    parser.add_argument(
        "--connect-tcp", action="append", default=[], type=int, metavar="PORT", help="let it connect to a port"
    )
    parser.add_argument("--bind-tcp", action="append", default=[], type=int, metavar="PORT", help="let it serve a port")
    parser.add_argument("--network", action="store_true", help="leave the network open")
    parser.add_argument("--env", action="append", default=[], metavar="NAME[=VALUE]", help="pass or set a variable")


def config() -> list[Path]:
    """The user's configuration directory, then the shipped one."""
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    shipped = Path(__file__).resolve().parents[1] / "cfg"
    if not shipped.is_dir():  # installed: beside the programs
        shipped = Path(sys.prefix, "share", "anvillm", "cfg")
    return [Path(home, "anvillm"), shipped]


def _policy(options: argparse.Namespace) -> Policy:
    from sandbox import policy

    layer: dict[str, Any] = {"filesystem": {word: getattr(options, word) for word in ("ro", "rox", "rw", "rwx")}}
    for paths in layer["filesystem"].values():
        paths[:] = [path if path[:1] in "/{~" else os.path.abspath(path) for path in paths]
    layer |= {"unix": options.unix, "env": options.env}
    if options.network or options.connect_tcp or options.bind_tcp:
        layer["network"] = {"enabled": True, "unrestricted": options.network,
                            "connect_tcp": options.connect_tcp, "bind_tcp": options.bind_tcp}  # fmt: skip
    return policy.load(
        config=config(), backend=options.backend, role=options.role, tasks=options.task,
        cwd=os.path.realpath(options.cwd), namespace=_namespace(), env=os.environ, extra=[("command line", layer)],
    )  # fmt: skip


def _namespace() -> str:
    """As plan9port finds it; nothing is made there."""
    display = os.environ.get("DISPLAY") or ":0"
    user = os.environ.get("USER") or str(os.getuid())
    return os.environ.get("NAMESPACE") or f"/tmp/ns.{user}.{display.removesuffix('.0').replace('/', '_')}"


def _check(_: argparse.Namespace) -> int:
    from sandbox import landlock, tiers
    from sandbox.text import TIERS

    report = tiers.probe()
    print(f"kernel\t{os.uname().release} {os.uname().machine}")
    print(f"landlock\tABI {report.abi} (newest known: {landlock.NEWEST})")
    print(f"tier\t{report.tier}\t{TIERS[report.tier]}")
    for reason in report.reasons:
        print(f"because\t{reason}")
    for sentence in report.advice:
        print(f"do\t{sentence}")
    for sentence in _what_old_kernels_lack(report.abi):
        print(f"note\t{sentence}")
    return 0 if report.tier in ("full", "ll9") else REFUSED


def _what_old_kernels_lack(abi: int) -> list[str]:
    found = []
    if 0 < abi < 4:
        found.append("a network limited to ports (connect_tcp) needs Landlock ABI 4, Linux 6.7")
    if 0 < abi < 6:
        found.append(
            "any network needs Landlock ABI 6, Linux 6.12, to keep abstract sockets (X11) closed, or best_effort"
        )
    return found


def _show(options: argparse.Namespace) -> int:
    from sandbox import tiers
    from sandbox.text import describe

    found, report = _policy(options), tiers.probe()
    try:
        tier = tiers.choose(found, report)
    except SandboxError as error:
        print(describe(found, report.tier), end="")
        print(f"refused\t{error}")
        return 1
    print(describe(found, tier), end="")
    for gap in tiers.gaps(found, tier, report.abi):
        print(f"gap\t{gap}")
    return 0


def _run(options: argparse.Namespace) -> int:
    import json
    import tempfile

    from sandbox import launcher, tiers
    from sandbox.plan import specification

    found, report = _policy(options), tiers.probe()
    tier = tiers.choose(found, report)
    for gap in tiers.gaps(found, tier, report.abi):
        print(f"anvil-sandbox: warning: {gap}", file=sys.stderr)
    spec = specification(found, options.argv, tier=tier, namespace_source="", tmpdir="", env=os.environ)
    directory = tempfile.mkdtemp(prefix="anvil-run-")
    path = os.path.join(directory, "spec.json")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(spec | {"once": True}, file)
    sys.stdout.flush()
    command = launcher.command(path)
    os.execv(command[0], command)


def _why(options: argparse.Namespace) -> int:
    from sandbox.why import explain

    found = _policy(options)
    answers = [explain(found, path, os.environ) for path in options.path]
    print("\n\n".join("\n".join(lines) for lines in answers))
    return 0


def _setup(options: argparse.Namespace) -> int:
    from sandbox.apparmor import setup

    return setup(dry_run=options.dry_run)


if __name__ == "__main__":
    sys.exit(main())
