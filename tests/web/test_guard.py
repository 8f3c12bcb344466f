"""What may pass anvilweb and what may not, tried with bare HTTP on a real server."""

import http.client
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PATIENCE, ROOT, Daemon
from tests.web.conftest import Site
from web.api import OPERATIONS
from web.guard import Names, Secrets
from web.server import loopback, split_address

NEW = {"backend": "shell", "cwd": "/tmp"}


def count(site: Site) -> int:
    return len(site.ask("GET", "/api/sessions").json)


@pytest.mark.parametrize(
    "path", ["/", "/app.js", "/style.css", "/api/sessions", "/api/stream", "/api/openapi.json", "/nothing"]
)
@pytest.mark.parametrize("how", ["nothing", "wrong token", "wrong bearer", "wrong cookie", "empty"])
def test_without_the_token_nothing_is_served(site: Site, path: str, how: str) -> None:
    query = "?token=wrong" if how == "wrong token" else "?token=" if how == "empty" else ""
    headers = {
        "wrong bearer": {"Authorization": "Bearer wrong"},
        "wrong cookie": {"Cookie": f"anvilweb-{site.port}=wrong", "X_Anvil_Key": "wrong"},
        "empty": {"Authorization": "Bearer ", "Cookie": f"anvilweb-{site.port}=", "X_Anvil_Key": ""},
    }.get(how, {})
    reply = site.ask("GET", path + query, bare=True, **headers)
    assert reply.status == 401
    assert b"open the link" in reply.body
    assert "Set-Cookie" not in reply.headers


def test_the_link_gives_a_cookie_that_scripts_and_other_sites_do_not_get(site: Site) -> None:
    reply = site.ask("GET", f"/?token={site.token}", bare=True)
    assert reply.status == 200
    attributes = {part.strip() for part in reply.headers["Set-Cookie"].split(";")[1:]}
    assert attributes >= {"HttpOnly", "SameSite=Strict", "Path=/"}
    assert site.token not in reply.headers["Set-Cookie"]
    assert site.token.encode() not in reply.body


def test_the_page_has_its_key_only_from_the_link(site: Site) -> None:
    reply = site.ask("GET", "/", bare=True, Cookie=site.cookie)
    assert reply.status == 200
    assert site.key.encode() not in reply.body
    assert b'name="anvil-key" content=""' in reply.body


def test_cookie_and_key_together_open_the_interface(site: Site) -> None:
    assert site.ask("GET", "/api/sessions", bare=True, **site.page_headers).status == 200


def test_the_cookie_alone_opens_nothing_for_a_server_on_another_port_is_sent_it_too(site: Site) -> None:
    assert site.ask("GET", "/api/sessions", bare=True, Cookie=site.cookie).status == 401
    assert site.ask("POST", "/api/sessions", NEW, bare=True, Cookie=site.cookie, Origin=site.origin).status == 401


def test_the_key_alone_opens_nothing(site: Site) -> None:
    assert site.ask("GET", "/api/sessions", bare=True, X_Anvil_Key=site.key).status == 401


@pytest.mark.parametrize(
    "host",
    ["evil.test", "evil.test:{port}", "127.0.0.1.evil.test:{port}", "localhost.:{port}", "localhost.evil.test", "", "[::2]:{port}",
     "10.0.0.1:{port}", "0.0.0.0:{port}", "127.0.0.1@evil.test", "evil.test#127.0.0.1", "xn--lcalhost-0za:{port}"],
)  # fmt: skip
def test_a_name_that_is_not_ours_is_refused_even_with_the_token(site: Site, host: str) -> None:
    assert site.ask("GET", "/api/sessions", Host=host.format(port=site.port)).status in (400, 403)
    assert site.ask("GET", f"/?token={site.token}", bare=True, Host=host.format(port=site.port)).status in (400, 403)


@pytest.mark.parametrize("host", ["localhost", "localhost:9000", "127.0.0.1", "[::1]:8080", "LOCALHOST:1"])
def test_names_of_loopback_are_ours_at_any_port_for_it_may_be_forwarded(site: Site, host: str) -> None:
    assert site.ask("GET", "/api/sessions", Host=host).status == 200


def test_two_hosts_are_refused(site: Site) -> None:
    with socket.create_connection(("127.0.0.1", site.port), PATIENCE) as sock:
        sock.sendall(f"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.test\r\nCookie: {site.cookie}\r\n\r\n".encode())
        assert re.match(rb"HTTP/1.1 40[03] ", sock.recv(4096))


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.test",
        "null",
        "http://127.0.0.1",
        "http://127.0.0.1:1",
        "https://evil.test",
        "file://",
        "http://localhost:{port}",
        "",
    ],
)
def test_another_origin_is_refused_whatever_it_brings(site: Site, origin: str) -> None:
    before = count(site)
    origin = origin.format(port=site.port)
    assert site.ask("POST", "/api/sessions", NEW, Origin=origin).status == 403
    assert site.ask("POST", "/api/sessions", NEW, bare=True, **(site.page_headers | {"Origin": origin})).status == 403
    assert site.ask("GET", "/api/sessions", Origin=origin).status == 403
    assert count(site) == before


@pytest.mark.parametrize("where", ["cross-site", "same-site"])
def test_another_site_may_only_lead_to_the_page(site: Site, where: str) -> None:
    headers = site.page_headers | {"Sec_Fetch_Site": where}
    assert site.ask("GET", "/api/sessions", bare=True, **headers).status == 403
    assert site.ask("GET", "/app.js", bare=True, Cookie=site.cookie, Sec_Fetch_Site=where).status == 403
    assert (
        site.ask("GET", "/", bare=True, Cookie=site.cookie, Sec_Fetch_Site=where, Sec_Fetch_Dest="document").status
        == 200
    )
    assert (
        site.ask("GET", "/", bare=True, Cookie=site.cookie, Sec_Fetch_Site=where, Sec_Fetch_Dest="iframe").status == 403
    )


def test_a_change_by_cookie_needs_an_origin(site: Site) -> None:
    before = count(site)
    assert site.ask("POST", "/api/sessions", NEW, bare=True, Cookie=site.cookie, X_Anvil_Key=site.key).status == 403
    assert count(site) == before


def test_no_preflight_is_granted(site: Site) -> None:
    asked = {"Origin": "http://evil.test", "Access_Control_Request_Method": "POST"}
    for headers in (asked, asked | {"Origin": site.origin}):
        reply = site.ask("OPTIONS", "/api/sessions", bare=True, **headers)
        assert reply.status in (401, 403)
        assert not [name for name in reply.headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize("operation", [one for one in OPERATIONS if one.method != "GET"], ids=lambda one: one.name)
def test_a_get_changes_nothing(site: Site, operation: object) -> None:
    path = re.sub(r"\{\w+\}", "user", operation.path)  # type: ignore[attr-defined]
    gets = {one.path for one in OPERATIONS if one.method == "GET"}
    for method in ("GET", "HEAD", "DELETE", "PATCH"):
        expected = {200, 405} if method in ("GET", "HEAD") and path in gets else {404, 405}
        assert site.ask(method, path).status in expected


def test_a_body_must_say_that_it_is_json(site: Site) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        assert site.ask("POST", "/api/sessions", b'{"backend":"shell","cwd":"/tmp"}', Content_Type=kind).status == 415


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"1", b'"x"', b"[" * 100_000, b"\xff\xfe", b'{"backend":NaN}']
)
def test_a_malformed_body_is_refused(site: Site, body: bytes) -> None:
    assert site.ask("POST", "/api/sessions", body, Content_Type="application/json").status == 400


@pytest.mark.parametrize("length", ["5000000", "99999999999999999999", "-1", "x"])
def test_a_body_that_says_it_is_too_large_is_refused_unread(site: Site, length: str) -> None:
    with socket.create_connection(("127.0.0.1", site.port), PATIENCE) as sock:
        head = f"POST /api/sessions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {site.token}\r\n"
        sock.sendall(f"{head}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n".encode())
        assert re.match(rb"HTTP/1.1 4(13|00) ", sock.recv(4096))


def test_a_body_without_a_length_is_cut_off(site: Site) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=PATIENCE)
    headers = {"Authorization": f"Bearer {site.token}", "Content-Type": "application/json"}
    try:
        connection.request("POST", "/api/sessions", iter([b"x" * 65536] * 100), headers, encode_chunked=True)
        status = connection.getresponse().status
    except (BrokenPipeError, ConnectionResetError):
        status = 413
    finally:
        connection.close()
    assert status == 413


@pytest.mark.parametrize("path", ["/?token={token}", "/api/sessions", "/nothing", "/api/sessions/user/sandbox"])
def test_every_answer_carries_the_policy(site: Site, path: str) -> None:
    reply = site.ask("GET", path.format(token=site.token))
    policy = dict(part.strip().partition(" ")[::2] for part in reply.headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert "unsafe" not in reply.headers["Content-Security-Policy"]
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert reply.headers["Cache-Control"] == "no-store"
    assert reply.headers["Referrer-Policy"] == "no-referrer"
    assert "server" not in reply.headers


def test_a_websocket_is_refused(site: Site) -> None:
    headers = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec_WebSocket_Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec_WebSocket_Version": "13",
    }
    assert site.ask("GET", "/api/stream", bare=True, **headers).status in (400, 401, 403, 426)


@pytest.mark.parametrize(
    "name", ["user", "beads", "events", "..", ".", "ctl", "a%2fb", "a%0ab", "%00", "x" * 65, "%2e%2e"]
)
def test_a_name_that_is_no_session_reaches_no_file(site: Site, name: str) -> None:
    assert site.ask("GET", f"/api/sessions/{name}/sandbox").status == 404
    assert site.ask("POST", f"/api/sessions/{name}/control", {"command": "stop"}).status in (404, 405)
    assert site.ask("GET", f"/api/stream?session={name}").status in (400, 404)


@pytest.mark.parametrize(
    "address", ["0.0.0.0:0", "[::]:0", ":x", "127.0.0.1", "127.0.0.1:99999", "no.such.name.test:80"]
)
def test_it_listens_on_loopback_alone(site: Site, shared: Daemon, address: str) -> None:
    done = shared.home.run(sys.executable, "-m", "web", "--addr", address, cwd=ROOT)
    assert done.returncode == 2
    assert "token" not in done.stdout
    if address in ("0.0.0.0:0", "[::]:0"):
        assert "unsafe-listen" in done.stderr


def test_an_address_in_use_is_said(site: Site, shared: Daemon) -> None:
    done = shared.home.run(sys.executable, "-m", "web", "--addr", f"127.0.0.1:{site.port}", cwd=ROOT)
    assert (done.returncode, done.stdout) == (1, "")
    assert "in use" in done.stderr.lower()


def test_it_ends_at_once_though_pages_are_open(shared: Daemon) -> None:
    site = Site(shared.home)
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=PATIENCE)
    connection.request("GET", "/api/stream", headers={"Authorization": f"Bearer {site.token}"})
    response = connection.getresponse()
    assert response.readline().startswith(b"event: sessions")
    site.process.terminate()
    assert site.process.wait(10) == 0
    connection.close()
    site.process.stdout.close()  # type: ignore[union-attr]


def test_each_run_has_a_token_of_its_own() -> None:
    one, two = Secrets(), Secrets()
    assert len(one.token) >= 43
    assert len({one.token, one.cookie, one.key, two.token, two.cookie, two.key}) == 6


def test_with_unsafe_listen_it_takes_numeric_addresses_but_no_names() -> None:
    names = Names(["box.example"], anywhere=True)
    assert names.ours("192.168.1.5:8080")
    assert names.ours("[fe80::1]:80")
    assert names.ours("box.example")
    assert not names.ours("evil.test:8080")
    assert not Names().ours("192.168.1.5")


def test_addresses_are_read_as_people_write_them() -> None:
    assert split_address("127.0.0.1:8080") == ("127.0.0.1", 8080)
    assert split_address("[::1]:80") == ("::1", 80)
    assert split_address(":9000") == split_address("9000") == ("127.0.0.1", 9000)
    assert loopback("127.0.0.9")
    assert loopback("::1")
    assert loopback("localhost")
    assert not loopback("0.0.0.0")
    for bad in ("", "x", "host:", "host:-1", "host:70000"):
        with pytest.raises(ValueError, match="bad address"):
            split_address(bad)


def test_nothing_of_the_page_comes_from_elsewhere() -> None:
    for file in (ROOT / "web/static").iterdir():
        text = Path(file).read_text().replace('xmlns="http://www.w3.org/2000/svg"', "")
        assert not re.search(
            r"https?://|//[a-z]+\.[a-z]|innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|\son\w+=", text
        ), file


def test_the_program_says_how_to_use_it() -> None:
    done = subprocess.run([sys.executable, "-m", "web", "--help"], capture_output=True, text=True, check=True, cwd=ROOT)
    assert "--unsafe-listen" in done.stdout
