"""Where people start it: odd shells, locales, links, long names. Sessions run there, or one sentence says why not."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from anvilsrv.errors import AnvilError
from tests.conftest import Daemon, Home
from tests.session import Session

Surround = Callable[[Home], None]


def env(**values: str) -> Surround:
    return lambda home: home.env.update(values)


def shell(name: str) -> Surround:
    """Return a shell that fails at whatever it is given, as those do whose language is another, or that let nobody in."""

    def surround(home: Home) -> None:
        program = home.top / name
        program.write_text(f"#!/bin/sh\ntouch {home.top}/called\nexit 1\n")
        program.chmod(0o755)
        home.env["SHELL"] = str(program)

    return surround


def through_a_link(name: str) -> Surround:
    def surround(home: Home) -> None:
        real = Path(home.env[name])
        real.mkdir(parents=True, exist_ok=True)
        link = home.top / f"link-{name}"
        link.symlink_to(real)
        home.env[name] = str(link)
        if name == "HOME":
            for one in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "ANVILLM_BEADS_PATH"):
                del home.env[one]

    return surround


def long_namespace(home: Home) -> None:
    """94 bytes, the longest that leaves room for the name of tmux's socket."""
    home.namespace = home.top / ("n" * (93 - len(os.fsencode(home.top))))
    home.namespace.mkdir(mode=0o700)
    home.env["NAMESPACE"] = str(home.namespace)
    assert len(os.fsencode(home.namespace)) == 94


def inside_tmux(home: Home) -> None:
    """The person's own tmux has its socket in his home."""
    socket = home.home / "tmux.sock"
    run = [
        "tmux",
        "-f/dev/null",
        "-S",
        str(socket),
        "new-session",
        "-d",
        "-P",
        "-F",
        "#{pid},#{session_id}",
        "sleep",
        "60",
    ]
    said = subprocess.run(run, env=home.env, check=True, capture_output=True, text=True).stdout.strip()
    home.env |= {"TMUX": f"{socket},{said.replace('$', '')}", "TMUX_PANE": "%0", "TERM": "tmux-256color"}


SURROUNDINGS: dict[str, Surround] = {
    **{f"SHELL is {name}": shell(name) for name in ("rc", "fish", "false", "nologin")},
    "SHELL is not set": lambda home: home.env.pop("SHELL", None) and None,
    "SHELL is not there": env(SHELL="/no/such/shell"),
    "LC_ALL is C": env(LC_ALL="C"),
    "the locale is not there": env(LC_ALL="xx_YY.UTF-8", LANG="xx_YY.UTF-8"),
    "it is inside a tmux whose socket lies in HOME": inside_tmux,
    "HOME leads through a link": through_a_link("HOME"),
    "XDG_STATE_HOME leads through a link": through_a_link("XDG_STATE_HOME"),
    "the namespace has the longest name": long_namespace,
    "umask is 0": lambda home: None,  # see ``daemon``
    "XDG paths are relative": env(XDG_CONFIG_HOME="c", XDG_STATE_HOME="s", XDG_DATA_HOME="d", XDG_CACHE_HOME="k"),
    "TERM is not set": lambda home: home.env.pop("TERM", None) and None,
}


@pytest.fixture
def daemon(home: Home, surrounding: str) -> Iterator[Daemon]:
    SURROUNDINGS.get(surrounding, lambda home: None)(home)
    made = Daemon(home, (lambda: os.umask(0) and None) if surrounding == "umask is 0" else None)
    try:
        yield made.start()
    finally:
        made.close()
        if "TMUX" in home.env:
            home.run("tmux", "-S", home.env["TMUX"].split(",")[0], "kill-server")


@pytest.mark.slow(4)
@pytest.mark.parametrize("surrounding", SURROUNDINGS)
def test_a_session_works_in_strange_surroundings(daemon: Daemon, surrounding: str) -> None:
    session = Session.new(daemon)
    assert session.ask("echo é") == "é\n"
    session.write("ctl", "restart")
    session.wait("idle")
    assert session.ask("umask") == ("0000\n" if surrounding == "umask is 0" else "0022\n")
    assert not (daemon.home.top / "called").exists()
    for one in (daemon.home.home, daemon.home.work):
        open_to_all = [path for path in one.rglob("*") if not path.is_symlink() and path.stat().st_mode & 0o002]
        assert open_to_all == []


@pytest.mark.parametrize("surrounding", ["nothing is odd"])
def test_a_directory_whose_real_path_is_no_text_is_refused_in_a_sentence(daemon: Daemon, surrounding: str) -> None:
    real = os.fsencode(daemon.home.work) + b"/\xff\xfe"
    os.mkdir(real)
    link = daemon.home.work / "link"
    os.symlink(real, link)
    with pytest.raises(AnvilError, match=r"invalid path '/.*/link': its real path is not UTF-8"):
        daemon.client().write("ctl", f"new shell {link}".encode())
