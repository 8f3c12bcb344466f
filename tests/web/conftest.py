"""A daemon with anvilweb before it, shared by the tests of a module, and Chromium."""

import http.client
import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.conftest import PATIENCE, ROOT, Daemon, Home

expect.set_options(timeout=PATIENCE * 1000)
CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP evil.test 127.0.0.1",
)  # fmt: skip


class Reply(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Site:
    """A running anvilweb."""

    def __init__(self, home: Home, *options: str) -> None:
        argv = [sys.executable, "-m", "web", "--addr", "127.0.0.1:0", *options]
        self.process = subprocess.Popen(
            argv, env=home.env, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert self.process.stdout is not None
        self.link = re.search(r"http://\S+", self.process.stdout.readline())[0]  # type: ignore[index]
        self.process.stdout.readline()
        self.port = int(re.search(r":(\d+)/", self.link)[1])  # type: ignore[index]
        self.token = self.link.partition("token=")[2]
        self.origin = f"http://127.0.0.1:{self.port}"
        entered = self.ask("GET", f"/?token={self.token}", bare=True)
        self.cookie = entered.headers["Set-Cookie"].partition(";")[0]
        self.key = re.search(rb'"anvil-key" content="(\w+)"', entered.body)[1].decode()  # type: ignore[index]

    def ask(self, method: str, path: str, body: Any = None, *, bare: bool = False, **headers: str) -> Reply:
        """Make one request, with the token unless ``bare``; ``X_Y`` is the header ``X-Y``."""
        sent = {} if bare else {"Authorization": f"Bearer {self.token}"}
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            return Reply(response.status, response.headers, response.read())
        finally:
            connection.close()

    @property
    def page_headers(self) -> dict[str, str]:
        """What the page sends."""
        return {"Cookie": self.cookie, "X_Anvil_Key": self.key, "Origin": self.origin}

    def close(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(PATIENCE)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return status


@pytest.fixture(scope="module")
def shared() -> Iterator[Daemon]:
    """A daemon for all tests of a module."""
    top = Path(tempfile.mkdtemp(prefix="av-", dir="/tmp"))
    made = Daemon(Home(top))
    try:
        yield made.start()
    finally:
        made.close()
        shutil.rmtree(top, ignore_errors=True)


@pytest.fixture(scope="module")
def site(shared: Daemon) -> Iterator[Site]:
    made = Site(shared.home)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield made
        made.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context(viewport={"width": 1280, "height": 800})
    made.set_default_timeout(PATIENCE * 1000)
    yield made
    made.close()


class Watched(NamedTuple):
    """A page, and what went wrong in it."""

    page: Page
    wrong: list[str]


@pytest.fixture
def watched(context: BrowserContext, site: Site) -> Watched:
    """The page, entered by its link. Script errors, policy violations and dialogs are written down."""
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(f"error {error}"))
    page.on("dialog", lambda dialog: (wrong.append(f"dialog {dialog.message}"), dialog.dismiss()))
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.goto(site.link)
    page.wait_for_selector("#link.live")
    return Watched(page, wrong)
