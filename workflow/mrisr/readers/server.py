"""The server of a reader study: a page, pairs of images, and answers that are kept.

Whoever has a reader's link is that reader. Nothing that is sent depends on which method an image
is by: no name, address, length or time.
"""

import asyncio
import contextlib
import gzip
import hashlib
import re
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mrisr.common.assets import NIIVUE, PAGE
from mrisr.common.errors import InputError
from mrisr.common.progress import log
from mrisr.readers.folder import SIDES
from mrisr.readers.store import Answer, Conflict, NoSpace, Reader, Reused, Store
from mrisr.readers.submission import LIMIT, Refused, parse

#: The page: `index.html`, and the scripts and styles that it loads.
STUDY_PAGE = PAGE.parent / "study"
KINDS = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}
VIEWER = "niivue.js"
BODY_SECONDS = 20.0
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " img-src 'self' data:; connect-src 'self'; form-action 'none'; base-uri 'none';"
    " frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-robots-tag": "noindex, nofollow",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
# Proxies leave bodies as they are: compressed, the smoother image of a pair would be shorter.
_PRIVATE = {"cache-control": "no-store, no-transform"}
_NOT_FOUND = (
    "<!DOCTYPE html>\n"
    '<html lang="en"><meta charset="utf-8"><title>Not found</title>'
    "<p>There is nothing here. Check the link that you were sent, to its last letter.</p></html>\n"
)


def application(store: Store, root_path: str = "", page: Path = STUDY_PAGE) -> ASGIApp:
    """Return the server of a study.

    Args:
        store: Its readers and answers; closed when the server ends.
        root_path: What a proxy has before every path, `/study`; it may take it away or not.
        page: Folder of `index.html` and what it loads.
    """
    server = _Server(store, page)
    routes: list[BaseRoute] = [
        Route("/health", server.health),
        Route("/assets/{name}", server.asset),
        Route("/r/{token}", server.without_slash),
        Route("/r/{token}/", server.page),
        Route("/r/{token}/study", server.study),
        Route("/r/{token}/image/{case}/{side}", server.image),
        Route("/r/{token}/answer/{case}", server.answer, methods=["PUT"]),
    ]
    if root_path.strip("/"):
        routes.append(Mount(f"/{root_path.strip('/')}", routes=list(routes)))

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        store.close()

    app = Starlette(
        routes=routes,
        lifespan=lifespan,
        exception_handlers={404: _not_found, HTTPException: _refused, Exception: _broken},
    )
    app.router.redirect_slashes = False
    # Around all of it, and not Starlette's middleware: failures need them too.
    return _Headers(app)


class _Headers:
    """Adds the headers that every answer has, those of failures too."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name for name, _ in message["headers"]}
                message["headers"] += [
                    (name.encode(), value.encode())
                    for name, value in {**_HEADERS, **_PRIVATE}.items()
                    if name.encode() not in present
                ]
            await send(message)

        await self.app(scope, receive, sent if scope["type"] == "http" else send)


class _Server:
    def __init__(self, store: Store, page: Path):
        self.store = store
        self.cases = {case.name: case for case in store.study.cases}
        self.questions = [question["key"] for question in store.study.questions]
        self.html = (page / "index.html").read_bytes()
        self.packed = NIIVUE.read_bytes()
        # Read once: an address names one of these, never a path.
        self.assets = {VIEWER: gzip.decompress(self.packed)}
        for path in sorted(page.iterdir()):
            if path.suffix in KINDS:
                self.assets[path.name] = path.read_bytes()

    async def health(self, _: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def asset(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self.assets:
            raise HTTPException(404)
        content = self.assets[name]
        tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        headers = {"cache-control": "no-cache", "etag": tag, "vary": "accept-encoding"}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        if name == VIEWER and "gzip" in request.headers.get("accept-encoding", ""):
            content = self.packed
            headers["content-encoding"] = "gzip"
        return Response(content, media_type=KINDS[Path(name).suffix], headers=headers)

    async def without_slash(self, request: Request) -> Response:
        await self._reader(request)
        return RedirectResponse(f"{request.path_params['token']}/", 308)

    async def page(self, request: Request) -> Response:
        await self._reader(request)
        return Response(self.html, media_type="text/html; charset=utf-8")

    async def study(self, request: Request) -> Response:
        reader = await self._reader(request)
        return JSONResponse(await run_in_threadpool(self._described, reader))

    async def image(self, request: Request) -> Response:
        reader = await self._reader(request)
        side = request.path_params["side"]
        shown = await run_in_threadpool(self.store.case, reader, request.path_params["case"])
        if shown is None or side not in SIDES:
            raise HTTPException(404)
        path = self.store.study.image(shown.left if side == "left" else shown.right)
        content = await run_in_threadpool(path.read_bytes)
        return Response(content, media_type="application/octet-stream")

    async def answer(self, request: Request) -> Response:
        _check_origin(request)
        reader = await self._reader(request)
        name = request.path_params["case"]
        if await run_in_threadpool(self.store.case, reader, name) is None:
            raise HTTPException(404)
        try:
            given = parse(await _body(request), self.questions)
            kept = await run_in_threadpool(
                self.store.save, reader, name, given.id, given.scores, given.seconds, given.revision
            )
        except (Refused, Reused) as error:
            raise HTTPException(422, str(error)) from None
        except Conflict as conflict:
            current = _shown(conflict.answer)
            return JSONResponse({"error": str(conflict), "answer": current}, 409)
        except NoSpace as error:
            log.error("%s; free some space: the reader's page tries again", error)
            raise HTTPException(507, "the server's disk is full; nothing was lost") from None
        return JSONResponse({"case": name, **_told(kept)})

    async def _reader(self, request: Request) -> Reader:
        """Return whose link was used; whoever has none learns nothing."""
        token = request.path_params["token"]
        found = None
        if _TOKEN.fullmatch(token):
            found = await run_in_threadpool(self.store.reader, token)
        if found is None:
            raise HTTPException(404)
        return found

    def _described(self, reader: Reader) -> dict:
        study = self.store.study
        answers = self.store.latest(reader)
        return {
            "title": study.title,
            "instructions": study.instructions,
            "reader": reader.name,
            "questions": list(study.questions),
            "choices": list(study.choices),
            "cases": [
                {
                    "case": shown.name,
                    "number": shown.number,
                    "shape": list(self.cases[shown.name].shape),
                    "slices": self.cases[shown.name].slices,
                    "window": list(self.cases[shown.name].window),
                    "answer": _shown(answers.get(shown.name)),
                }
                for shown in self.store.cases(reader)
            ],
        }


def _told(answer: Answer) -> dict:
    """Return what the page is told of an answer."""
    return {"revision": answer.revision, "scores": answer.scores}


def _shown(answer: Answer | None) -> dict | None:
    return None if answer is None else _told(answer)


def _check_origin(request: Request) -> None:
    """Refuse what another site's page sends.

    Browsers say where a request comes from; other programs need not, and need the token.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        foreign = site != "same-origin"
    else:
        foreign = origin is not None and urlsplit(origin).netloc != request.headers.get("host")
    if foreign:
        raise HTTPException(403, "sent by the page of another site")


async def _body(request: Request) -> bytes:
    """Return a request's body, which is short JSON."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HTTPException(415, "content-type: is not application/json")
    stated = request.headers.get("content-length", "0")
    if not stated.isdecimal() or len(stated) > 9 or int(stated) > LIMIT:
        raise HTTPException(413, f"body: is longer than {LIMIT} bytes")
    body = b""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                body += part
                if len(body) > LIMIT:
                    raise HTTPException(413, f"body: is longer than {LIMIT} bytes")
    except TimeoutError:
        raise HTTPException(408, "body: did not come") from None
    except ClientDisconnect:
        raise HTTPException(400, "body: broke off") from None
    return body


async def _not_found(_: Request, __: Exception) -> Response:
    return Response(_NOT_FOUND, 404, media_type="text/html; charset=utf-8")


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if error.status_code in (408, 413):
        headers["connection"] = "close"  # what else comes of the body is not read
    return JSONResponse({"error": error.detail}, error.status_code, headers)


async def _broken(request: Request, error: Exception) -> Response:
    # Not the path: it holds the reader's token.
    log.error("%s failed: %s: %s", request.method, type(error).__name__, error)
    return JSONResponse({"error": "the server failed; try again"}, 500)


def serve(
    store: Store,
    host: str,
    port: int,
    *,
    root_path: str = "",
    behind_proxy: bool = False,
    started: Callable[[int], None] | None = None,
) -> None:
    """Serve a study until SIGINT or SIGTERM; requests that are under way are finished.

    Args:
        store: Its readers and answers.
        host: Address to listen on.
        port: Likewise; 0 for a free one.
        root_path: See `application`.
        behind_proxy: Whether a proxy on this machine says who asks, and by which scheme.
        started: Called with the port once requests are taken.

    Raises:
        InputError: The address or the port cannot be had.
    """
    import uvicorn

    from mrisr.readers.connections import Connection

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        bound = socket.create_server((host, port), family=family)
    except OSError as error:
        reason = str(error.strerror).partition(" (while")[0]  # "attempting to bind on ..."
        raise InputError(
            f"{host}, port {port}: {reason}; give another --host or --port (0 for a free one)"
        ) from None
    # No log of requests: every address has a reader's token in it.
    config = uvicorn.Config(
        application(store, root_path),
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=behind_proxy,
        timeout_graceful_shutdown=10,
        ws="none",
        http=Connection,
    )
    if started:
        started(bound.getsockname()[1])
    uvicorn.Server(config).run(sockets=[bound])
