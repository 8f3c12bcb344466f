"""Installing into a home, using it, upgrading it, and leaving the home as it was."""

import fcntl
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from anvilsrv.agents import commands
from tests.conftest import ROOT, Home, wait_until
from tests.install.conftest import NEXT, borrow, listing

pytestmark = pytest.mark.timeout(400)  # building and pip on a busy machine; 10 to 20 s each on an idle one

Wheels = tuple[Path, Path]
COMMANDS = {
    "9p-read-inbox", "Alog", "Assist", "Claude", "Kiro", "Tell",
    "anvil-sandbox", "anvil9p", "anvillm", "anvillm-hook", "anvillm-notify",
    "anvillm-skills", "anvilmcp", "anvilsrv", "anvilweb",
}  # fmt: skip


def install(home: Home, *argv: str, status: int = 0) -> str:
    """Run ./install in a home; what it said."""
    done = home.run(str(ROOT / "install"), *argv, timeout=300)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def ready(home: Home) -> None:
    borrow(home.home / ".local/share/anvillm/env")


def session(home: Home) -> str:
    """Start a shell session of the installed daemon. Returns its process id, from inside and outside."""
    assert home.run("anvilsrv", "start").returncode == 0
    made = home.run("anvil9p", "write", "agent/ctl", input=f"new shell {home.work} alias=one\n")
    assert made.returncode == 0, made.stderr
    return ask(home, "echo $$; echo one >>seen") + home.run("anvil9p", "read", "agent/one/pid").stdout


def finds_its_commands(home: Home) -> None:
    """The agent runs the commands that skills name, of the installed program."""
    for name in commands.COMMANDS.keys() - {"anvilmcp"}:  # its library is not copied
        assert ask(home, f"{name} --version").startswith(f"{name} "), name
    assert "anvillm-communication" in ask(home, "anvillm-skills list")
    assert "one" in ask(home, "anvil9p read agent/list")


def ask(home: Home, prompt: str) -> str:
    assert home.run("anvil9p", "write", "agent/one/in", input=prompt).returncode == 0
    return home.run("anvil9p", "read", "agent/one/out").stdout


def test_the_wheel_carries_everything_that_the_program_looks_for(wheels: Wheels) -> None:
    tops = "anvilsrv acme sandbox tui web cfg skills workflows services emacs man bin claude kiro-cli"
    listed = subprocess.run(["git", "ls-files", *tops.split()], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("this is no checkout: no list of the files that belong to it")
    with zipfile.ZipFile(wheels[0]) as file:
        inside = {name.partition(".data/")[2] or name for name in file.namelist()}
    carried = {name.removeprefix("data/share/anvillm/").removeprefix("data/share/") for name in inside}
    names = [name for name in listed.stdout.split() if (ROOT / name).exists()]
    scripts = {name for name in names if f"scripts/{Path(name).name}" in inside}
    pages = {name for name in names if f"man/man{name[-1]}/{Path(name).name}" in carried}
    missing = set(names) - carried - scripts - pages
    assert not missing, f"add them to pyproject.toml: {sorted(missing)}"
    assert {"acme/Assist", "acme/Kiro", "acme/Claude", "bin/Alog"} <= scripts


@pytest.mark.slow(20)
def test_a_home_is_as_before_after_install_use_upgrade_and_uninstall(lived_in: Home, wheels: Wheels) -> None:
    home, config = lived_in, lived_in.config
    before = listing(home.home)
    ready(home)
    said = install(home, "--wheel", str(wheels[0]))
    assert "anvilsrv doctor" in said
    for command in COMMANDS:
        assert os.access(home.home / "bin" / command, os.X_OK), command
    assert home.run("man", "-w", "-M", str(home.home / ".local/share/man"), "anvilsrv").returncode == 0
    for completion in (
        "bash-completion/completions/anvil9p",
        "zsh/site-functions/_anvillm",
        "fish/vendor_conf.d/anvillm.fish",
    ):
        assert (home.home / ".local/share" / completion).is_file()
    assert list((home.home / ".local/share/anvillm/env").rglob("anvilsrv/p9/__pycache__/client.*.pyc")), "not compiled"

    agent = session(home)
    finds_its_commands(home)
    mine = (config / "roles/default.yaml").read_text() + "# my own line\n"
    (config / "roles/default.yaml").write_text(mine)
    (config / "tasks/go.yaml").unlink()
    killed = home.home / ".local/share/anvillm/stage-killed/stage"  # what an installation that was killed leaves
    killed.mkdir(parents=True)
    said = install(home, "--wheel", str(wheels[1]))
    assert not killed.parent.exists()

    assert "agents run on" in said
    assert NEXT in home.run("anvilsrv", "--version").stdout
    assert ask(home, "echo $$; echo two >>seen") + home.run("anvil9p", "read", "agent/one/pid").stdout == agent
    assert (home.work / "seen").read_text() == "one\ntwo\n"
    assert (config / "roles/default.yaml").read_text() == mine, "a file that the user changed is the user's"
    assert (config / "roles/default.yaml.new").read_text().endswith("# of the next version\n")
    assert "roles/default.yaml.new" in said
    assert (config / "roles/reader.yaml").read_text().endswith("# of the next version\n"), "an unchanged one is ours"
    assert not (config / "tasks/go.yaml").exists(), "what the user removed stays away"
    assert not (config / "tasks/maven.yaml").exists(), "what is shipped no more goes"
    assert "default.yaml.new" in home.run("anvilsrv", "doctor").stdout

    again = install(home, "--wheel", str(wheels[1]))
    assert ".new" not in again, "said once"
    assert "anvilsrv stop" in install(home, "--uninstall", status=1), "not below a daemon that runs"
    assert home.run("anvilsrv", "stop").returncode == 0
    killed.mkdir(parents=True)
    said = install(home, "--uninstall")
    assert "default.yaml" in said
    after = listing(home.home)
    assert after.pop(".config/anvillm/roles/default.yaml") == mine.encode().hex()
    assert after == before


@pytest.mark.slow(16)
def test_mk_of_9base_builds_installs_and_uninstalls(lived_in: Home) -> None:
    mk = shutil.which("mk", path=f"{os.environ['PATH']}:/usr/lib/plan9/bin")
    if mk is None:
        pytest.skip("no mk: apt-get install 9base")
    before = listing(lived_in.home)
    ready(lived_in)
    lived_in.env["INSTALL_PATH"] = str(lived_in.home / "elsewhere")
    done = lived_in.run(mk, cwd=ROOT, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert lived_in.run(str(lived_in.home / "elsewhere/anvilsrv"), "--version").returncode == 0
    emacs = lived_in.home / ".local/share/emacs/site-lisp/anvillm"
    if shutil.which("emacs"):
        loaded = lived_in.run(
            "emacs", "--quick", "--batch", "-l", f"{emacs}/anvillm-autoloads", "--eval", "(require 'anvillm)"
        )
        assert loaded.returncode == 0, loaded.stderr
        assert (emacs / "anvillm.elc").exists()
        shutil.rmtree(lived_in.home / ".emacs.d", ignore_errors=True)
    done = lived_in.run(mk, "uninstall", cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert listing(lived_in.home) == before


def test_mk_cleans_and_knows_how_to_test_and_measure(lived_in: Home) -> None:
    mk = shutil.which("mk", path=f"{os.environ['PATH']}:/usr/lib/plan9/bin")
    if mk is None:
        pytest.skip("no mk: apt-get install 9base")
    tree = lived_in.work / "tree"
    for made in ("build", "x.egg-info", ".mypy_cache", "anvilsrv/__pycache__", ".venv/__pycache__"):
        (tree / made).mkdir(parents=True)
    (tree / "emacs").mkdir()
    for name in ("emacs/a.elc", "emacs/a.el"):
        (tree / name).touch()
    shutil.copy(ROOT / "mkfile", tree)
    done = lived_in.run(mk, "clean", cwd=tree)
    assert done.returncode == 0, done.stderr
    assert set(listing(tree)) == {"mkfile", "anvilsrv", "emacs", "emacs/a.el", ".venv", ".venv/__pycache__"}
    assert lived_in.run(mk, "-n", "test", cwd=tree).stdout == "./check\n"
    assert "bench/*.py" in lived_in.run(mk, "-n", "bench", cwd=tree).stdout
    done = lived_in.run(mk, "bench", cwd=tree)
    assert done.returncode != 0 and "./quickstart" in done.stderr


@pytest.mark.slow(6)
def test_a_command_of_somebody_else_is_never_replaced(lived_in: Home, wheels: Wheels) -> None:
    (lived_in.home / "bin/Claude").write_text("mine\n")
    before = listing(lived_in.home)
    ready(lived_in)
    said = install(lived_in, "--wheel", str(wheels[0]), status=1)
    assert "bin/Claude" in said and "move away" in said
    shutil.rmtree(lived_in.home / ".local/share/anvillm")
    assert listing(lived_in.home) == before


def test_two_installations_at_once_leave_each_other_alone(home: Home) -> None:
    top = home.home / ".local/share/anvillm"
    working = top / "stage-other/stage"
    working.mkdir(parents=True)
    (top / "installed.json").write_text("{}")
    held = os.open(top, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        for words in ((), ("--uninstall",)):
            assert install(home, *words, status=1) == f"install: another ./install is at work in {top}: wait for it\n"
    finally:
        os.close(held)
    assert working.is_dir()


@pytest.mark.slow(12)
def test_a_prefix_gets_no_configuration_and_is_empty_afterwards(lived_in: Home, wheels: Wheels) -> None:
    before = listing(lived_in.home)
    prefix = lived_in.top / "usr local"
    borrow(prefix / "lib/anvillm/env")
    install(lived_in, "--prefix", str(prefix), "--wheel", str(wheels[0]))
    assert NEXT not in lived_in.run(str(prefix / "bin/anvilsrv"), "--version").stdout
    assert (prefix / "share/man/man4/anvilsrv.4").exists()
    install(lived_in, "--prefix", str(prefix), "--uninstall")
    assert listing(lived_in.home) == before
    assert [path for path in prefix.rglob("*") if not path.is_dir()] == []


@pytest.mark.slow(10)
def test_pip_alone_gives_a_daemon_that_runs_sessions(lived_in: Home, wheels: Wheels) -> None:
    env = lived_in.home / "env"
    borrow(env)
    lived_in.env["PATH"] = f"{env}/bin:{lived_in.env['PATH']}"
    argv = (f"{env}/bin/python", "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", str(wheels[0]))
    done = lived_in.run(*argv, timeout=300)
    assert done.returncode == 0, done.stderr
    assert session(lived_in).split()[0].isdecimal()
    finds_its_commands(lived_in)
    assert "anvillm-communication" in lived_in.run("anvillm-skills", "list").stdout
    for command in COMMANDS:
        assert (env / "bin" / command).exists()
    wait_until(lambda: "idle" in lived_in.run("anvil9p", "read", "agent/list").stdout, "not idle")
    assert lived_in.run("anvilsrv", "doctor").returncode == 0
