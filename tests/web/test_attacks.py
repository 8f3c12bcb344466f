"""A person who is logged in opens a hostile page. Tried in Chromium, with the cookie in the browser."""

import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from playwright.sync_api import Page

from tests.conftest import PATIENCE
from tests.web.conftest import Site, Watched

NEW = '{"backend":"shell","cwd":"/tmp"}'

# each resolves to what the attacker learned; "refused" is what we want to hear
TRIES = {
    "read": "fetch(site + '/api/sessions', {credentials: 'include'}).then(r => r.text())",
    "read without cors": "fetch(site + '/api/sessions', {credentials: 'include', mode: 'no-cors'}).then(r => r.text())",
    "post as text": """fetch(site + '/api/sessions', {method: 'POST', credentials: 'include', mode: 'no-cors', body: NEW})
        .then(r => r.text())""",
    "post as json": """fetch(site + '/api/sessions', {method: 'POST', credentials: 'include', body: NEW,
        headers: {'Content-Type': 'application/json'}}).then(r => r.text())""",
    "beacon": """new Promise(f => { navigator.sendBeacon(site + '/api/sessions', new Blob([NEW], {type: 'text/plain'}));
        setTimeout(f, 300, '') })""",
    "events": """new Promise(f => { const e = new EventSource(site + '/api/stream', {withCredentials: true});
        e.onmessage = e.onopen = () => f('open'); e.onerror = () => f('') })""",
    "script": """new Promise(f => { const s = document.createElement('script'); s.src = site + '/app.js';
        s.onload = () => f('loaded'); s.onerror = () => f(''); document.head.append(s) })""",
    "image": """new Promise(f => { const s = new Image(); s.src = site + '/icon.svg'; s.onload = () => f('loaded');
        s.onerror = () => f('') })""",
    "form": """new Promise(f => { const i = document.createElement('iframe'); i.name = 'x'; document.body.append(i);
        const o = document.createElement('form'), n = document.createElement('input'); o.append(n); document.body.append(o);
        Object.assign(o, {action: site + '/api/sessions', method: 'POST', enctype: 'text/plain', target: 'x'});
        n.name = '{"backend":"shell","cwd":"/tmp","alias":"'; n.value = '"}';
        i.onload = () => setTimeout(f, 100, ''); o.submit() })""",
    "frame": """new Promise(f => { const i = document.createElement('iframe'); i.src = site + '/'; i.onload = () => {
        let seen = ''; try { seen = i.contentDocument ? i.contentDocument.body.textContent : '' } catch {}
        f(seen.includes('Sessions') ? seen : '') }; document.body.append(i) })""",
    "window": """new Promise(f => { const w = open(site + '/'); setTimeout(() => {
        let seen = ''; try { seen = w.document.body.textContent } catch {} f(seen) }, 500) })""",
}  # fmt: skip


class Evil(http.server.BaseHTTPRequestHandler):
    cookies: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.cookies.append(self.headers.get("Cookie", ""))
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", "20")
        self.end_headers()
        self.wfile.write(b"<body>win a prize   ")

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def evil() -> Iterator[int]:
    """The attacker's server; its port."""
    Evil.cookies.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Evil) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join(PATIENCE)


def attack(page: Page, site: str, how: str) -> str:
    return str(
        page.evaluate(
            f"async ([site, NEW]) => {{ try {{ return await {TRIES[how]} }} catch (e) {{ return '' }} }}", [site, NEW]
        )
    )


@pytest.mark.parametrize("name", ["evil.test", "localhost", "127.0.0.1"])
def test_a_page_of_another_origin_learns_nothing_and_changes_nothing(
    watched: Watched, site: Site, evil: int, name: str
) -> None:
    """127.0.0.1 at another port is the same site: the browser sends it our cookie."""
    page = watched.page.context.new_page()
    page.goto(f"http://{name}:{evil}/")
    before = site.ask("GET", "/api/sessions").json
    for how in TRIES:
        assert attack(page, site.origin, how) == "", how
    assert site.ask("GET", "/api/sessions").json == before


def test_a_name_that_is_made_to_resolve_to_us_learns_nothing(watched: Watched, site: Site) -> None:
    page = watched.page.context.new_page()
    answer = page.goto(f"http://evil.test:{site.port}/?token={site.token}")
    assert answer is not None
    assert answer.status == 403
    assert "Sessions" not in page.content()
    before = site.ask("GET", "/api/sessions").json
    own = f"http://evil.test:{site.port}"
    for path, method in (("/api/sessions", "GET"), ("/", "GET"), ("/api/sessions", "POST")):
        script = "async ([url, method, body]) => (await fetch(url, {method, body})).status"
        assert page.evaluate(script, [own + path, method, NEW if method == "POST" else None]) == 403
    assert site.ask("GET", "/api/sessions").json == before


def test_a_stolen_cookie_opens_nothing(watched: Watched, site: Site, evil: int) -> None:
    page = watched.page.context.new_page()
    page.goto(f"http://127.0.0.1:{evil}/")
    page.evaluate("fetch('/again').then(r => r.text())")
    stolen = next(cookie for cookie in Evil.cookies if "anvilweb" in cookie)
    assert site.token not in stolen
    assert site.ask("GET", "/api/sessions", bare=True, Cookie=stolen).status == 401
    assert (
        site.ask("POST", "/api/sessions", json.loads(NEW), bare=True, Cookie=stolen, Origin=site.origin).status == 401
    )
    assert site.key.encode() not in site.ask("GET", "/", bare=True, Cookie=stolen).body
    assert page.evaluate("localStorage.getItem('anvil-key')") is None


def test_without_the_token_the_page_shows_nothing(watched: Watched, site: Site) -> None:
    browser = watched.page.context.browser
    assert browser is not None
    stranger = browser.new_page()
    answer = stranger.goto(site.origin)
    assert answer is not None
    assert answer.status == 401
    assert "open the link that anvilweb printed" in stranger.content()
    stranger.close()


def test_scripts_cannot_read_the_cookie_nor_leave_the_page(watched: Watched, site: Site, evil: int) -> None:
    page = watched.page
    assert page.evaluate("document.cookie") == ""
    assert page.evaluate(f"fetch('http://127.0.0.1:{evil}/').then(() => 'sent', () => 'refused')") == "refused"
    for what in (
        "document.body.innerHTML = '<b>x</b>'",
        "const s = document.createElement('script'); s.textContent = 'window.owned = 1'; document.head.append(s)",
        "const b = document.createElement('b'); b.setAttribute('onclick', 'window.owned = 1'); document.body.append(b); b.click()",
        "const s = document.createElement('style'); s.textContent = 'body {display: none}'; document.head.append(s)",
    ):
        page.evaluate(f"(() => {{ try {{ {what} }} catch {{}} }})()")
    assert page.evaluate("window.owned") is None
    assert page.locator("main b", has_text="x").count() == 0
    assert page.locator("#top").is_visible()
