"""Whose socket it is that a client connects to."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from anvilsrv.errors import Denied, Unavailable
from anvilsrv.p9 import address

NOBODY = 65534
as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can act as another user")
SERVE = """
import os, socket, sys
sock = socket.socket(socket.AF_UNIX)
sock.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o777)
os.setgid({nobody}), os.setuid({nobody})
sock.listen()
print(flush=True)
sys.stdin.read()
"""


@pytest.fixture
def namespace(tmp_path: Path) -> Iterator[Path]:
    """A directory of our own, with a socket of ours that listens."""
    directory = tmp_path / "ns"
    directory.mkdir(0o700)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(directory / "agent"))
        sock.listen()
        yield directory


def test_ones_own_socket_is_connected_to_through_ones_own_link_too(namespace: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(namespace)
    for directory in (namespace, tmp_path / "link"):
        address.connect(str(directory / "agent")).close()


def test_a_directory_into_which_others_may_write_is_refused(namespace: Path) -> None:
    for mode in (0o770, 0o702, 0o1777):
        namespace.chmod(mode)
        with pytest.raises(
            Denied, match=f"permission denied: others may write to '{namespace}', its mode is {mode:04o}"
        ):
            address.connect(str(namespace / "agent"))
    namespace.chmod(0o755)
    address.connect(str(namespace / "agent")).close()


def test_a_missing_directory_and_a_missing_socket_are_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    for path in (tmp_path / "none" / "agent", tmp_path / "agent"):
        with pytest.raises(Unavailable, match=f"cannot connect to '{path}': no such file or directory"):
            address.connect(str(path))


@as_root
def test_a_directory_that_somebody_else_made_first_is_refused(namespace: Path) -> None:
    os.chown(namespace, NOBODY, NOBODY)
    with pytest.raises(Denied, match=f"permission denied: '{namespace}' belongs to another user"):
        address.connect(str(namespace / "agent"))


@as_root
def test_a_link_that_somebody_else_made_is_refused_wherever_it_leads(namespace: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(namespace)
    os.lchown(link, NOBODY, NOBODY)
    with pytest.raises(Denied, match=f"permission denied: '{link}' belongs to another user"):
        address.connect(str(link / "agent"))


@as_root
def test_a_process_of_another_user_behind_the_socket_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    path = str(tmp_path / "agent")
    with subprocess.Popen(
        [sys.executable, "-I", "-c", SERVE.format(nobody=NOBODY), path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None and other.stdout.readline()
        with pytest.raises(Denied, match=f"permission denied: '{path}' is served by another user"):
            address.connect(path)
        assert other.stdin is not None
        other.stdin.close()
