"""A door, services on the loopback that stand in for those of the world, and programs in a sandbox between them.

Each stand-in has an address of its own in 127.0.0.0/8, so that every one can have the port that it has in the world; a sandbox knows it
by a name that is granted with that address.
"""

import http.server
import json
import os
import select
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h11
from sandbox_world import PATIENCE, PYTHON, World

from sandbox.door_client import Watch
from sandbox.plan import specification
from tests.authority import Authority

LONG = 30  # seconds that a client may take on a busy machine
TLS, HTTP, RAW = 8443, 8080, 7022  # ports that an ordinary user can have


class Web(http.server.BaseHTTPRequestHandler):
    """Answers with what it got, as JSON."""

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.headers.get("transfer-encoding"):
            body = self.chunks()
        told = {
            "method": self.command,
            "path": self.path,
            "headers": self.headers.items(),
            "body": body.decode("latin-1"),
        }
        text = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = answer

    def chunks(self) -> bytes:
        found = b""
        while size := int(self.rfile.readline(), 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return found

    def log_message(self, *_: object) -> None:
        pass


class Service(http.server.ThreadingHTTPServer):
    """One stand-in; ``came`` counts connections."""

    daemon_threads = False
    request_queue_size = 128

    def __init__(
        self, address: tuple[str, int], handler: type[http.server.BaseHTTPRequestHandler], tls: ssl.SSLContext | None
    ) -> None:
        super().__init__(address, handler)
        self.came, self.tls = 0, tls

    def get_request(self) -> tuple[socket.socket, Any]:
        sock, address = super().get_request()
        self.came += 1
        return sock, address

    def finish_request(self, request: Any, client_address: Any) -> None:
        request.settimeout(PATIENCE)
        try:
            if self.tls is None:
                super().finish_request(request, client_address)
                return
            with self.tls.wrap_socket(request, server_side=True) as wrapped:
                super().finish_request(wrapped, client_address)
        except (OSError, ssl.SSLError):
            pass  # the client went away

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


class DoorWorld:
    """A world with a door. ``address`` is the one at which its services are."""

    def __init__(self, world: World, authority: Authority) -> None:
        self.world, self.authority = world, authority
        self.address = ".".join(["127", *(str(1 + byte % 250) for byte in os.urandom(3))])
        self.top = world.top / "door"
        self.top.mkdir(mode=0o700)
        os.chown(self.top, world.uid, world.uid)
        self.socket = str(self.top / "door")
        self.env = {
            "PYTHONPATH": str(world.top / "lib"),
            "SSL_CERT_FILE": str(authority.file),
            "PATH": "/usr/bin:/bin",
            "HOME": "/",
        }
        self._closing: list[Any] = []

    def start(self, **env: str) -> Watch:
        """Start the door and watch it."""
        with open(self.top / "log", "ab") as log:
            process = subprocess.Popen(
                [PYTHON, "-P", "-m", "sandbox.door", self.socket], stdout=subprocess.PIPE, stderr=log,
                env=self.env | env, start_new_session=True, **self.world.identity,
            )  # fmt: skip
        assert process.stdout is not None
        with process.stdout:
            line = process.stdout.readline()
        process.wait(PATIENCE)
        assert line == b"ready\n", (self.top / "log").read_text()
        watch = Watch(self.socket)
        self._closing.append(watch)
        return watch

    def serve(self, port: int, name: str = "", handler: type[http.server.BaseHTTPRequestHandler] = Web) -> Service:
        """Serve a stand-in on that port; with a name it speaks TLS, with a certificate for it. Returns it."""
        made = Service((self.address, port), handler, self.authority.context(name) if name else None)
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()

        class Closing:
            def close(self) -> None:
                made.shutdown()
                thread.join(PATIENCE)
                made.server_close()

        self._closing.append(Closing())
        return made

    def host(self, name: str, **more: Any) -> dict[str, Any]:
        """Return a host of a layer that leads to our address."""
        return {"name": name, "addresses": [self.address], **more}

    def spec(self, argv: list[str], hosts: list[Any], session: str = "s", **layer: Any) -> dict[str, Any]:
        readable = {"filesystem": {"ro": [str(self.authority.file)]}}
        found = self.world.policy({"network": {"hosts": hosts, **layer.pop("network", {})}} | readable | layer)
        env = self.world.env | {"SSL_CERT_FILE": str(self.authority.file)}
        made = specification(
            found,
            argv,
            tier="full",
            namespace_source=str(self.world.sess),
            tmpdir="",
            env=env,
            door=self.socket,
            session=session,
        )
        made["env"] |= {"SSL_CERT_FILE": env["SSL_CERT_FILE"], "CURL_CA_BUNDLE": env["SSL_CERT_FILE"]}
        return made

    def run(self, argv: list[str], hosts: list[Any], **more: Any) -> subprocess.CompletedProcess[str]:
        """Run a program inside to its end."""
        return self.world.start(self.spec(argv, hosts, **more), timeout=LONG)

    def python(self, code: str, hosts: list[Any], **more: Any) -> str:
        """Return what a program prints inside."""
        result = self.run([PYTHON, "-I", "-c", PRELUDE + code], hosts, **more)
        assert result.returncode == 0, result.stderr
        return result.stdout.strip()

    @contextmanager
    def running(self, code: str, hosts: list[Any], **more: Any) -> Iterator[subprocess.Popen[str]]:
        """Yield a program inside, with its standard input and output."""
        spec = self.spec([PYTHON, "-I", "-u", "-c", PRELUDE + code], hosts, **more)
        process = subprocess.Popen(
            self.world.command(spec), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=self.world.env,
            cwd=self.world.proj, **self.world.identity,
        )  # fmt: skip
        with process:
            try:
                yield process
            finally:
                process.kill()

    def close(self) -> None:
        for one in reversed(self._closing):
            one.close()
        for pid in processes(self.socket):  # they end now, and remove what is theirs
            try:
                end = os.pidfd_open(pid)
            except ProcessLookupError:
                continue
            assert select.select([end], [], [], PATIENCE)[0], f"the door {pid} does not end"
            os.close(end)


def processes(path: str) -> list[int]:
    """Return the processes of the door at a socket, the oldest first."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
        except OSError:
            continue
        if path.encode() in words and b"sandbox.door" in words:
            found.append(int(name))
    return sorted(found)


#: What every program inside can use: ``told`` is the errno's name of what did not work.
PRELUDE = """
import errno, json, os, socket, ssl, struct, sys, urllib.request
socket.setdefaulttimeout(15)
def told(call, *args):
    try:
        return call(*args)
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
def reach(name, port, data=b"", more=65536):
    with socket.create_connection((name, port)) as sock:
        sock.sendall(data)
        found = b""
        while len(found) < more and (part := sock.recv(more - len(found))):
            found += part
        return found.decode("latin-1")
def tls(name, port, server_name, data=b"GET / HTTP/1.0\\r\\n\\r\\n"):
    context = ssl.create_default_context()
    context.check_hostname = False
    with socket.create_connection((name, port)) as plain:
        with context.wrap_socket(plain, server_hostname=server_name) as sock:
            sock.sendall(data)
            return sock.recv(4096)[:15].decode()
"""


def lines(watch: Watch, wanted: int) -> list[dict[str, Any]]:
    """Return that many messages of the door, beside those that a session has come."""
    found: list[dict[str, Any]] = []
    while len(found) < wanted and select.select([watch], [], [], PATIENCE)[0]:
        more = watch.read()
        if more is None:
            break
        found += beside(more)
    return found


def beside(said: list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    """Return messages of the door without those that a session has come."""
    return [words for words in said or [] if "came" not in words]


def with_h11(library: Path) -> None:
    """The door runs from the copy of the package, with an interpreter that may not have h11."""
    if not (library / "h11").exists():
        shutil.copytree(Path(h11.__file__).parent, library / "h11", ignore=shutil.ignore_patterns("__pycache__"))
