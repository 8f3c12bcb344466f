"""What may pass: the name we are called by, where a request comes from, who sends it, and how large it is.

Threats and answers:

- a page of another origin that sends requests: ``Origin`` and ``Sec-Fetch-Site`` must be our own, the cookie is SameSite=Strict,
  bodies must be JSON (which needs a preflight that is never granted), and a GET changes nothing;
- a name that an attacker makes resolve to loopback: ``Host`` must be a name of ours;
- another server on this machine, which is sent our cookie since cookies know no ports: the cookie alone opens nothing, the key
  that goes with it lies in the page's local storage, which knows ports;
- other users and sandboxed agents with a network: they have no token;
- what agents say: the page builds text nodes only, and the content-security policy forbids the rest.
"""

import hashlib
import hmac
import ipaddress
import secrets
from collections.abc import Iterable
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from anvilsrv.strict_json import dumps

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; manifest-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}
SAFE = ("GET", "HEAD")
MAX_BODY = 4 << 20  # bytes; operations may bound theirs more tightly
COOKIE_AGE = 30 * 86400  # s


class Secrets:
    """The token of this run and what is derived from it: the cookie and the page's key, of which neither tells the token."""

    def __init__(self, token: str | None = None) -> None:
        self.token = token or secrets.token_urlsafe(32)
        self.cookie = self._derive("cookie")
        self.key = self._derive("key")

    def _derive(self, what: str) -> str:
        return hmac.new(self.token.encode(), what.encode(), hashlib.sha256).hexdigest()


class Names:
    """The names that this server may be called by in ``Host``. ``anywhere``: any address in digits, for ``--unsafe-listen``.

    An address in digits cannot be rebound: a page at it came from us.
    """

    def __init__(self, extra: Iterable[str] = (), anywhere: bool = False) -> None:
        self._names = {"localhost", *(name.lower() for name in extra)}
        self._anywhere = anywhere

    def ours(self, host: str) -> bool:
        """Return whether ``Host: host`` names us; the port does not matter (it may be forwarded)."""
        name = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
        if name.lower() in self._names:
            return True
        try:
            address = ipaddress.ip_address(name[1:-1] if name.startswith("[") and name.endswith("]") else name)
        except ValueError:
            return False
        return self._anywhere or address.is_loopback


class Refused(Exception):
    """A request that does not pass: HTTP status and a sentence."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Guard:
    """ASGI middleware. ``port`` tells the cookies of several servers on one machine apart."""

    def __init__(self, app: ASGIApp, *, secrets: Secrets, names: Names, port: int) -> None:
        self._app = app
        self._secrets = secrets
        self._names = names
        self._cookie = f"anvilweb-{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        begun = False

        async def dressed(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if scope.get("state", {}).get("entered"):
                    headers["Set-Cookie"] = (
                        f"{self._cookie}={self._secrets.cookie}; Path=/; HttpOnly; SameSite=Strict; Max-Age={COOKIE_AGE}"
                    )
            await send(message)

        try:
            self._check(scope)
            await self._app(scope, _bounded(receive), dressed)
        except Refused as refused:
            if not begun:
                await _answer(dressed, refused, scope["path"].startswith("/api/"))

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._names.ours(hosts[0]):
            raise Refused(403, f"this server is not called '{hosts[0][:80] if hosts else ''}'")
        self._check_origin(scope, headers, hosts[0])
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > MAX_BODY:
            raise Refused(413, f"more than {MAX_BODY >> 20} MiB")
        self._check_who(scope, headers)

    def _check_origin(self, scope: Scope, headers: Headers, host: str) -> None:
        origin = headers.get("origin")
        if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
            raise Refused(403, "from another origin: open the page at the address that anvilweb printed")
        site = headers.get("sec-fetch-site", "none")
        arrives = (
            scope["method"] == "GET"
            and scope["path"] == "/"
            and headers.get("sec-fetch-dest", "document") == "document"
        )
        if site not in ("same-origin", "none") and not arrives:
            raise Refused(403, "from another site: open the page at the address that anvilweb printed")

    def _check_who(self, scope: Scope, headers: Headers) -> None:
        if self._same(headers.get("authorization", ""), f"Bearer {self._secrets.token}"):
            return
        path, state = scope["path"], scope.setdefault("state", {})
        if path == "/" and scope["method"] in SAFE:
            given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
            if self._same(given, self._secrets.token):
                state["entered"] = True
                return
        if not self._same(self._cookie_of(headers), self._secrets.cookie):
            raise Refused(401, "no token: open the link that anvilweb printed when it started")
        if not path.startswith("/api/"):
            return
        if not self._same(headers.get("x-anvil-key", ""), self._secrets.key):
            raise Refused(401, "no key: open the link that anvilweb printed when it started")
        if scope["method"] not in SAFE and headers.get("origin") is None:
            raise Refused(403, "the Origin header is missing")

    def _cookie_of(self, headers: Headers) -> str:
        for part in "; ".join(headers.getlist("cookie")).split(";"):
            name, _, value = part.strip().partition("=")
            if name == self._cookie:
                return value
        return ""

    @staticmethod
    def _same(given: str, right: str) -> bool:
        return hmac.compare_digest(given.encode("utf-8", "replace"), right.encode())


def _bounded(receive: Receive) -> Receive:
    """Count what comes; a body without a length, or longer than it said, is cut off too."""
    size = 0

    async def counted() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > MAX_BODY:
            raise Refused(413, f"more than {MAX_BODY >> 20} MiB")
        return message

    return counted


async def _answer(send: Send, refused: Refused, as_json: bool) -> None:
    body = dumps({"error": str(refused)}).encode() if as_json else f"{refused}\n".encode()
    kind = b"application/json" if as_json else b"text/plain; charset=utf-8"
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    if refused.status == 413:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
