"""What people run finds the granted host with no variable of a proxy set, and says of another one that it cannot be resolved."""

import functools
import http.server
import json
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from door_world import PATIENCE, RAW, TLS, DoorWorld

NAME = "files.test"
URL = f"https://{NAME}:{TLS}"


class Files(http.server.SimpleHTTPRequestHandler):
    """Serves a directory."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass


def need(program: str) -> str:
    found = shutil.which(program, path="/usr/bin:/bin")
    if found is None:
        pytest.skip(f"no {program} in /usr/bin")
    return found


@pytest.fixture
def files(door: DoorWorld) -> Path:
    """A directory that is served by TLS under the name."""
    top = door.world.top / "served"
    top.mkdir()
    (top / "hello").write_text("hello\n")
    door.start()
    door.serve(TLS, NAME, functools.partial(Files, directory=str(top)))  # type: ignore[arg-type]
    return top


def sh(door: DoorWorld, script: str, *more: str, rox: Sequence[str] = ()) -> "subprocess.CompletedProcess[str]":
    trust = ("GIT_SSL_CAINFO", "NODE_EXTRA_CA_CERTS", "PIP_CERT", "npm_config_cafile")
    env = [f"{name}={door.authority.file}" for name in trust]
    hosts = [door.host(f"{NAME}:{TLS}"), *(door.host(one) for one in more)]
    return door.run(
        ["sh", "-euc", script],
        hosts,
        env=env,
        filesystem={"ro": [str(door.authority.file)], "rwx": ["{CWD}", "{TMPDIR}"], "rox": list(rox)},
    )


def repository(top: Path) -> None:
    """A bare one, for the dumb protocol."""
    env = {"GIT_CONFIG_GLOBAL": "/dev/null", "HOME": str(top), "PATH": "/usr/bin:/bin"}
    env |= {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    for words in (["init", "-q", "work"], ["-C", "work", "commit", "-q", "--allow-empty", "-m", "one"],
                  ["clone", "-q", "--bare", "work", "it.git"], ["-C", "it.git", "update-server-info"]):  # fmt: skip
        subprocess.run(["git", *words], cwd=top, env=env, check=True)


def registry(top: Path) -> None:
    """Of npm and of Python packages, with one package each."""
    (top / "thing").write_text(json.dumps({"name": "thing", "dist-tags": {"latest": "1.2.3"}, "versions": {"1.2.3": {
        "name": "thing", "version": "1.2.3", "dist": {"tarball": f"{URL}/thing.tgz", "shasum": "0" * 40}}}}))  # fmt: skip
    (top / "simple/thing").mkdir(parents=True)
    (top / "simple/thing/index.html").write_text(
        '<a href="/thing-1.2.3-py3-none-any.whl">thing-1.2.3-py3-none-any.whl</a>'
    )


def modules(top: Path) -> None:
    """A proxy of Go modules."""
    (top / "thing.test/thing/@v").mkdir(parents=True)
    (top / "thing.test/thing/@v/list").write_text("v1.2.3\n")
    (top / "thing.test/thing/@v/v1.2.3.info").write_text('{"Version": "v1.2.3", "Time": "2026-01-01T00:00:00Z"}')
    (top / "thing.test/thing/@v/v1.2.3.mod").write_text("module thing.test/thing\n")


def packages(top: Path) -> None:
    """Of Debian packages, none of them."""
    (top / "flat").mkdir()
    (top / "flat/Packages").write_text("")


JAVA = """cat > A.java <<'END'
import javax.net.ssl.*; import java.security.cert.*; import java.net.*;
class A { public static void main(String[] a) throws Exception {
  TrustManager all = new X509TrustManager() {
    public void checkClientTrusted(X509Certificate[] c, String s) {} public void checkServerTrusted(X509Certificate[] c, String s) {}
    public X509Certificate[] getAcceptedIssuers() { return new X509Certificate[0]; } };
  SSLContext c = SSLContext.getInstance("TLS"); c.init(null, new TrustManager[] { all }, null);
  HttpsURLConnection.setDefaultSSLSocketFactory(c.getSocketFactory());
  System.out.write(new URL("@URL@/hello").openStream().readAllBytes()); System.out.flush(); } }
END
java -XX:TieredStopAtLevel=1 A.java""".replace("@URL@", URL)
APT = (
    "mkdir -p a/lists/partial a/cache/archives/partial a/etc/apt.conf.d a/etc/preferences.d a/etc/trusted.gpg.d; touch a/status; "
    f'echo "deb [trusted=yes] {URL}/flat ./" > a/list; apt-get -q -o APT::Sandbox::User=root -o Dir::State::Lists=$PWD/a/lists '
    "-o Dir::State::status=$PWD/a/status -o Dir::Cache=$PWD/a/cache -o Dir::Etc=$PWD/a/etc -o Dir::Etc::SourceList=$PWD/a/list "
    "-o Dir::Log=$PWD/a -o Acquire::Languages=none -o Acquire::https::CAInfo=$GIT_SSL_CAINFO update"
)
CLIENTS: dict[str, tuple[str, str, Callable[[Path], None] | None]] = {
    "curl": (f"curl -sS {URL}/hello", "hello", None),
    "wget": (f"wget -q -O - --ca-certificate=$GIT_SSL_CAINFO {URL}/hello", "hello", None),
    "git": (f"git clone -q {URL}/it.git && git -C it log --format=%s", "one", repository),
    "node": (f"node -e 'fetch(\"{URL}/hello\").then(r => r.text()).then(console.log)'", "hello", None),
    "node https": (f'node -e \'require("https").get("{URL}/hello", r => r.pipe(process.stdout))\'', "hello", None),
    "npm": (f"npm view --registry {URL} --cache $TMPDIR/npm thing version", "1.2.3", registry),
    "pip": (
        f"/usr/bin/python3 -m pip --disable-pip-version-check index versions -i {URL}/simple thing",
        "1.2.3",
        registry,
    ),
    "go": (
        f"GOPROXY={URL} GONOSUMDB=* GOPATH=$TMPDIR/go GOCACHE=$TMPDIR/cache SSL_CERT_FILE=$GIT_SSL_CAINFO "
        "go list -m -versions thing.test/thing",
        "v1.2.3",
        modules,
    ),
    "java": (JAVA, "hello", None),
    "apt-get": (APT, "flat ./ Packages", packages),
    "python3": (
        f"/usr/bin/python3 -c 'import urllib.request as u; print(u.urlopen(\"{URL}/hello\").read().decode())'",
        "hello",
        None,
    ),
}


SLOW = ("npm", "pip", "go", "java", "apt-get")


@pytest.mark.parametrize(
    "client", [pytest.param(name, marks=pytest.mark.slow(4)) if name in SLOW else name for name in CLIENTS]
)
def test_a_client_reaches_the_granted_host(door: DoorWorld, files: Path, client: str) -> None:
    need(client.split()[0].replace("pip", "pip3"))
    script, expected, prepare = CLIENTS[client]
    if prepare is not None:
        prepare(files)
    result = sh(door, script)
    assert result.returncode == 0, result.stderr
    assert expected in result.stdout


@pytest.mark.parametrize(
    ("client", "script"),
    [
        ("curl", "curl -sS https://evil.test/"),
        ("wget", "wget -O - https://evil.test/"),
        ("git", "git clone https://evil.test/x"),
        ("node", "node -e 'fetch(\"https://evil.test\").catch(e => {console.error(e.cause.code); process.exit(1)})'"),
    ],
)
def test_a_client_says_of_another_host_that_it_cannot_be_resolved(
    door: DoorWorld, files: Path, client: str, script: str
) -> None:
    need(client)
    result = sh(door, script)
    assert result.returncode
    assert any(
        words in result.stderr.lower() for words in ("resolve", "not known", "enotfound", "unable to resolve")
    ), result.stderr


def test_ssh_speaks_to_the_granted_host(doors: DoorWorld) -> None:
    """As far as the other side's banner; no proxy command is set."""
    need("ssh")
    if doors.world.uid != 0:
        pytest.skip("ssh wants a user that passwd(5) knows")
    doors.start()
    heard: list[bytes] = []

    def serve(listener: socket.socket) -> None:
        sock, _ = listener.accept()
        with sock:
            sock.settimeout(PATIENCE)
            sock.sendall(b"SSH-2.0-standin\r\n")
            heard.append(sock.recv(8))

    with socket.create_server((doors.address, RAW)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        sh(
            doors,
            f"ssh -F none -o BatchMode=yes -o StrictHostKeyChecking=no -p {RAW} git@code.test true || true",
            f"code.test:{RAW}",
        )
        thread.join(PATIENCE)
    assert heard == [b"SSH-2.0-"]


SSHD = """Port {port}
ListenAddress {address}
HostKey {top}/host
AuthorizedKeysFile {top}/key.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
"""


@pytest.mark.slow(4)
def test_git_clones_by_ssh_from_the_granted_host(doors: DoorWorld) -> None:
    """With a real server of ssh; no proxy command is set."""
    need("ssh"), need("git")
    server = shutil.which("sshd", path="/usr/sbin:/sbin")
    if doors.world.uid != 0 or server is None:
        pytest.skip("a server of ssh, and root, whom passwd(5) knows, are needed")
    top = doors.world.top / "ssh"
    top.mkdir()
    repository(top)
    for name in ("host", "key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", top / name], check=True)
    (top / "config").write_text(SSHD.format(port=RAW, address=doors.address, top=top))
    made = not Path("/run/sshd").exists()
    Path("/run/sshd").mkdir(exist_ok=True)  # it wants this directory
    doors.start()
    process = subprocess.Popen([server, "-D", "-e", "-f", top / "config"], stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        assert "listening" in (said := process.stderr.readline()), said
        ssh = f"ssh -F none -i {top}/key -o IdentitiesOnly=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
        script = f"GIT_SSH_COMMAND='{ssh}' git clone -q ssh://root@code.test:{RAW}{top}/it.git there && git -C there log --format=%s"
        result = sh(doors, script, f"code.test:{RAW}", rox=[str(top)])
        assert (result.returncode, result.stdout) == (0, "one\n"), result.stderr
    finally:
        process.terminate()
        process.communicate()
        if made:
            Path("/run/sshd").rmdir()
