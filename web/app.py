"""The application: routes from the table of operations, the page, the stream, and the guard before them all."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib import resources
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from anvilsrv.errors import AnvilError, Invalid, Unavailable
from anvilsrv.strict_json import loads
from anvilsrv.words import ROOT, USER
from web import openapi
from web.api import OPERATIONS, Operation, status_of
from web.guard import Guard, Names, Secrets
from web.schema import SEQ, SESSION, wrong
from web.stream import STREAMS, Hub

KINDS = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
PAGE = (
    "index.html",
    "app.js",
    "dom.js",
    "net.js",
    "kept.js",
    "turn.js",
    "pace.js",
    "sessions.js",
    "session.js",
    "changes.js",
    "talk.js",
    "queue.js",
    "mail.js",
    "beads.js",
    "style.css",
    "icon.svg",
)
KEY_PLACE = b'content="KEY"'  # in index.html: filled in only for who came with the token
VERSION = "1.0"  # of the interface


def build(secrets: Secrets, names: Names, port: int, socket: str | None = None) -> Starlette:
    """Return the application; it follows the daemon at ``socket`` while its lifespan lasts. ``app.state.hub`` is its
    hub.
    """
    hub = Hub(socket)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        hub.start()
        try:
            yield
        finally:
            await hub.stop()

    made = Starlette(
        routes=[
            *(
                Route("/" if name == "index.html" else f"/{name}", _page(name, secrets), methods=["GET"])
                for name in PAGE
            ),
            Route("/api/openapi.json", _openapi, methods=["GET"]),
            Route("/api/stream", _stream, methods=["GET"]),
            *(Route(one.path, _operation(one), methods=[one.method]) for one in OPERATIONS),
        ],
        middleware=[Middleware(Guard, secrets=secrets, names=names, port=port)],
        exception_handlers={404: _plain, 405: _plain},
        lifespan=lifespan,
    )
    made.state.hub = hub
    return made


async def _plain(request: Request, error: Exception) -> Response:
    """Return routing errors in the form of all others."""
    return failed(getattr(error, "status_code", 500), getattr(error, "detail", "error").lower())


def failed(status: int, why: str) -> JSONResponse:
    """Return an error as JSON."""
    return JSONResponse({"error": why}, status)


Handler = Callable[[Request], Awaitable[Response]]


def _page(name: str, secrets: Secrets) -> Handler:
    kind = KINDS[name.rpartition(".")[2]]
    content = resources.files("web").joinpath("static", name).read_bytes()

    async def serve(request: Request) -> Response:
        entered = getattr(request.state, "entered", False)
        key = f'content="{secrets.key}"'.encode() if entered else b'content=""'
        return Response(content.replace(KEY_PLACE, key), media_type=kind)

    return serve


async def _openapi(request: Request) -> Response:
    return JSONResponse(openapi.document(VERSION))


async def _stream(request: Request) -> Response:
    hub: Hub = request.app.state.hub
    session = request.query_params.get("session")
    if session is not None and (why := wrong(session, SESSION, "session")):
        return failed(400, why)
    after = request.query_params.get("after")
    if after is not None and (why := wrong(after, SEQ, "after")):
        return failed(400, why)
    if session in ROOT:
        return failed(404, f"no such session '{session}'")
    if len(hub.feeds) >= STREAMS or hub.closing:
        return failed(503, f"{STREAMS} pages are open: close one")
    return StreamingResponse(
        hub.serve(session, request.query_params.get("as") == "turns", int(after) if after else None),
        media_type="text/event-stream",
        headers={"X-Accel-Buffering": "no"},
    )


def _operation(operation: Operation) -> Handler:
    async def serve(request: Request) -> Response:
        found: dict[str, Any] = dict(request.path_params)
        for name, schema in operation.params.items():
            if wrong(found[name], schema, name):
                return failed(404, f"no such {name}")
        if found.get("session") in ROOT or (found.get("owner") in ROOT - {USER}):
            return failed(404, "no such session")
        if operation.body is not None:
            if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
                return failed(415, "the body must be application/json")
            try:
                body = loads(await request.body())
            except Invalid as error:
                return failed(400, f"the body is {error}")
            except ClientDisconnect:
                return failed(400, "the body was cut off")
            if why := wrong(body, operation.body):
                return failed(400, why)
            found |= body
        return await _run(request.app.state.hub, operation, found)

    return serve


async def _run(hub: Hub, operation: Operation, found: dict[str, Any]) -> Response:
    try:
        result = await run_in_threadpool(_ask, hub, operation, found)
    except AnvilError as error:
        return failed(status_of(error), str(error))
    if operation.reply is None:
        return Response(status_code=204)
    return JSONResponse(result, operation.status)


def _ask(hub: Hub, operation: Operation, found: dict[str, Any]) -> Any:
    if hub.closing:
        raise Unavailable("anvilweb ends")
    return operation.run(hub.follower.client(), **found)
