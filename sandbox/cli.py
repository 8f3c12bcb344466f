"""anvil-sandbox(1): what this kernel can enforce, what a policy comes to, and running a command in it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from sandbox.errors import PolicyError, SandboxError
from sandbox.pathnames import resolve
from sandbox.written import Written

if TYPE_CHECKING:
    from sandbox.policy import Policy

REFUSED = 126
F = TypeVar("F", bound=Callable[..., Any])
_RIGHTS = {"ro": "read", "rox": "read and execute", "rw": "read and write", "rwx": "read, write and execute"}
_MORE: dict[str, Any] = {"multiple": True}
_POLICY = (
    click.option("--backend", default="", metavar="B", help="Add the layer of this backend."),
    click.option("--role", metavar="R", help="Use this role instead of the default one."),
    click.option("--task", **_MORE, metavar="T", help="Add this task (can be repeated)."),
    click.option("--cwd", default=".", metavar="D", help="The working directory (default: this one)."),
    *(
        click.option(f"--{word}", **_MORE, metavar="PATH", help=f"Grant a path: {rights}.")
        for word, rights in _RIGHTS.items()
    ),
    click.option("--unix", **_MORE, metavar="SOCKET", help="Grant a socket, by path or name."),
    click.option("--host", **_MORE, metavar="NAME[:PORT]", help="Grant a host by name (default port: 443)."),
    click.option(
        "--connect-tcp", **_MORE, type=int, metavar="PORT", help="Let it connect to this TCP port of any host."
    ),
    click.option("--bind-tcp", **_MORE, type=int, metavar="PORT", help="Let it listen on this TCP port."),
    click.option("--network", is_flag=True, help="Grant the whole network."),
    click.option("--env", **_MORE, metavar="NAME[=VALUE]", help="Pass or set a variable."),
)


class Failure(click.ClickException):
    """A SandboxError on its way to the terminal."""

    def show(self, file: Any = None) -> None:
        click.echo(f"anvil-sandbox: {self.message}", err=True)


class Refusal(Failure):
    """One for which nothing was started."""

    exit_code = REFUSED


@contextmanager
def errors_as(failure: type[Failure]) -> Iterator[None]:
    """Tell an error of the sandbox in a sentence, and exit with the status of ``failure``."""
    try:
        yield
    except SandboxError as error:
        raise failure(str(error)) from None


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program; it exits, or with ``run`` becomes the launcher."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `anvil-sandbox show | head` is not an error
    commands(arguments, prog_name="anvil-sandbox")


def _version(context: click.Context, _: click.Parameter, asked: bool) -> None:
    """Print the version, looked up only when it is asked for, since this package stands alone."""
    from importlib.metadata import PackageNotFoundError, version

    if not asked:
        return
    try:
        click.echo(f"anvil-sandbox {version('anvillm')}")
    except PackageNotFoundError:
        click.echo("anvil-sandbox, not installed")
    context.exit()


@click.group(no_args_is_help=False, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, expose_value=False, is_eager=True, callback=_version, help="Show the version.")
def commands() -> None:
    """Show what this kernel can enforce and what a policy grants; run a command in the sandbox."""


def policy_options(command: F) -> F:
    """Add the options that make a policy."""
    for option in reversed(_POLICY):
        command = option(command)
    return command


def config() -> list[Path]:
    """Return the user's configuration directory, then the shipped one."""
    home = os.environ.get("XDG_CONFIG_HOME", "")
    if not home.startswith("/"):
        home = os.path.expanduser("~/.config")
    shipped = Path(__file__).resolve().parents[1] / "cfg"
    if not shipped.is_dir():  # installed: beside the programs
        shipped = Path(sys.prefix, "share", "anvillm", "cfg")
    return [Path(home, "anvillm"), shipped]


def _policy(options: Mapping[str, Any]) -> Policy:
    from sandbox import policy

    layer: dict[str, Any] = {"filesystem": {
        word: [path if path[:1] in "/{~" else os.path.abspath(path) for path in options[word]] for word in _RIGHTS
    }}  # fmt: skip
    layer |= {"unix": options["unix"], "env": options["env"]}
    if options["network"] or options["host"] or options["connect_tcp"] or options["bind_tcp"]:
        layer["network"] = {"enabled": True, "unrestricted": options["network"], "hosts": options["host"],
                            "connect_tcp": options["connect_tcp"], "bind_tcp": options["bind_tcp"]}  # fmt: skip
    known = Written.of(os.environ).known()
    return policy.load(
        config=config(), backend=options["backend"], role=options["role"], tasks=options["task"],
        cwd=_directory(options["cwd"], known), namespace=_namespace(), env=os.environ, extra=[("command line", layer)],
        untrusted=known,
    )  # fmt: skip


def _directory(path: str, untrusted: list[str]) -> str:
    """Return a directory without links. The current one is named as the shell came there, if that is where it is."""
    shell = os.environ.get("PWD", "")
    here = shell if shell.startswith("/") and os.path.realpath(shell) == os.getcwd() else os.getcwd()
    try:
        return resolve(os.path.join(here, path), untrusted).path
    except PermissionError as error:
        raise PolicyError(
            f"an agent may have made the link {error.filename}: name the directory that is meant"
        ) from None


def _namespace() -> str:
    """Return the namespace as plan9port finds it; nothing is made there."""
    display = os.environ.get("DISPLAY") or ":0"
    user = os.environ.get("USER") or str(os.getuid())
    return os.environ.get("NAMESPACE") or f"/tmp/ns.{user}.{display.removesuffix('.0').replace('/', '_')}"


@commands.command()
def check() -> None:
    """Show the tier that this kernel can enforce, and what it lacks."""
    from sandbox import landlock, tiers
    from sandbox.text import TIERS

    with errors_as(Failure):
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
    sys.exit(0 if report.tier in ("full", "ll9") else REFUSED)


def _what_old_kernels_lack(abi: int) -> list[str]:
    found = []
    if 0 < abi < 4:
        found.append("a network limited to ports (connect_tcp) needs Landlock ABI 4, Linux 6.7")
    if 0 < abi < 6:
        found.append(
            "ports or an unrestricted network need Landlock ABI 6, Linux 6.12, to keep abstract sockets (X11) closed; hosts do not"
        )
    return found


@commands.command()
@policy_options
def show(**options: Any) -> None:
    """Show the effective policy, each line with the layer it came from."""
    from sandbox import delegation, limits, tiers
    from sandbox.git_cover import cover
    from sandbox.git_trust import Trusted
    from sandbox.text import describe

    with errors_as(Failure):
        found = _policy(options)
        over = cover(found, Trusted(Written.of(os.environ)), remember=False)
    with errors_as(Failure):
        report = tiers.probe()
    try:
        tier = tiers.choose(found, report)
    except SandboxError as error:
        print(describe(found, report.tier), end="")
        print(f"refused\t{error}")
        sys.exit(1)
    print(describe(found, tier), end="")
    print(limits.lines(found.limits, delegation.find(daemon=False), tier), end="")
    if tier == "full":
        print(limits.temporary(found.limits, 1 + len(found.private)), end="")  # beside /dev/shm and those
        print(over.text(), end="")
    for gap in tiers.gaps(found, tier, report.abi):
        print(f"gap\t{gap}")


@commands.command()
@policy_options
@click.argument("argv", nargs=-1, required=True, metavar="-- COMMAND [ARGUMENT]...")
def run(argv: tuple[str, ...], **options: Any) -> None:
    """Run a command in the sandbox."""
    import json
    import tempfile

    from sandbox import delegation, launcher, tiers
    from sandbox.git_cover import cover
    from sandbox.git_trust import Trusted
    from sandbox.plan import specification

    with errors_as(Refusal):
        found, report = _policy(options), tiers.probe()
        tier = tiers.choose(found, report)
        for gap in tiers.gaps(found, tier, report.abi):
            print(f"anvil-sandbox: warning: {gap}", file=sys.stderr)
        written = Written.of(os.environ)
        over = cover(found, Trusted(written)) if tier == "full" else None
        door = _door() if tier == "full" and (found.network.mode == "hosts" or found.network.publish) else ""
        spec = specification(
            found,
            list(argv),
            tier=tier,
            namespace_source="",
            tmpdir="",
            env=os.environ,
            cover=over,
            door=door,
            session="run",
            way=(way := delegation.find(daemon=False)),
        )
        written.add(found.writable)
    directory = tempfile.mkdtemp(prefix="anvil-run-")
    path = os.path.join(directory, "spec.json")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(spec | {"once": True}, file)
    sys.stdout.flush()
    command = [*way.prefix, *launcher.command(path)]
    os.execv(command[0], command)


def _door() -> str:
    """Start a door for this run."""
    from sandbox import door_client

    path = door_client.temporary(os.environ)
    door_client.ensure(path)
    return path


@commands.command()
@policy_options
@click.argument("path", nargs=-1, required=True)
def why(path: tuple[str, ...], **options: Any) -> None:
    """Say why a path (or tcp:PORT, host:NAME) can or cannot be used."""
    from sandbox.why import explain

    with errors_as(Failure):
        found = _policy(options)
    answers = [explain(found, one, os.environ) for one in path]
    print("\n\n".join("\n".join(lines) for lines in answers))


@commands.command()
@click.argument("directory")
def trust(directory: str) -> None:
    """Declare a repository yours, although agents could write there.

    From the next start on, it is protected like your others.
    """
    from sandbox.git_trust import Trusted

    path = os.path.abspath(directory)
    git = path if os.path.basename(path) == ".git" else os.path.join(path, ".git")
    with errors_as(Failure):
        if os.path.islink(git) or not os.path.exists(git):
            raise PolicyError(f"no repository in {path}")
        Trusted(Written.of(os.environ)).add(git)


@commands.command()
@click.option("--dry-run", is_flag=True, help="Only print what would be done.")
def setup(dry_run: bool) -> None:
    """Allow the launcher to use user namespaces, with sudo.

    For Ubuntu, where AppArmor restricts them.
    """
    from sandbox import apparmor

    with errors_as(Failure):
        sys.exit(apparmor.setup(dry_run=dry_run))


if __name__ == "__main__":
    main()
