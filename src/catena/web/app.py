"""The ASGI application: from a scope to a reply, with every error in the official envelope."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import urlsplit

import msgspec

from catena.errors import BadRequest, CatenaError, Forbidden, MethodNotAllowed, NotFound
from catena.web.http import Receive, Reply, Request, Scope, Send, SocketHandler, Stream
from catena.web.keys import Keys
from catena.web.pings import Pinger
from catena.web.routes import Match, Routes

__all__ = ["App"]

log = logging.getLogger("catena.web")
access = logging.getLogger("catena.access")

_encode = msgspec.json.Encoder().encode

_ALWAYS = [(b"openai-version", b"2020-10-01")]
_STREAM = [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]


class App:
    """Finds the handler, checks the key, sends the reply.

    `ping` is in seconds: a stream that is idle this long gets a comment; 0 sends none.
    """

    def __init__(
        self,
        routes: Routes,
        keys: Keys,
        *,
        max_body: int,
        ping: float = 0.0,
        on_start: Callable[[], Awaitable[None]] | None = None,
        on_stop: Callable[[], Awaitable[None]] | None = None,
        on_close: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.routes = routes
        self.max_body = max_body
        self.ping = ping
        self._keys = keys
        self._on_start = on_start
        self._on_stop = on_stop
        self._on_close = on_close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._serve(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._serve_socket(scope, receive, send)

    async def start(self) -> None:
        """Begin what goes on behind the doors, before anybody connects."""
        if self._on_start is not None:
            await self._on_start()

    async def stop(self) -> None:
        """The server is to stop: let what lasts, and would never end by itself, come to its end."""
        if self._on_stop is not None:
            await self._on_stop()

    async def close(self) -> None:
        """End what goes on behind the doors; nobody is connected any more."""
        if self._on_close is not None:
            await self._on_close()

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        request_id = "req_" + os.urandom(16).hex()
        request = Request(scope, receive, max_body=self.max_body, request_id=request_id)
        reply = await self._answer(request)
        head = [
            (b"content-type", reply.content_type.encode()),
            (b"x-request-id", request_id.encode()),
            (b"openai-processing-ms", b"%d" % ((time.perf_counter() - began) * 1000)),
            *_ALWAYS,
            *_encoded(reply.headers),
        ]
        if isinstance(reply, Stream):
            await _send_stream(request, reply, head, send, self.ping)
            status = 200
        else:
            status = reply.status
            await _send_whole(reply, head, send)
        if access.isEnabledFor(logging.INFO):
            took = (time.perf_counter() - began) * 1000
            access.info("%s %s %s %d %.1fms", request_id, request.method, request.path, status, took)

    async def _serve_socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = "req_" + os.urandom(16).hex()
        head = [(b"x-request-id", request_id.encode()), *_ALWAYS]
        request = Request({**scope, "method": "GET"}, receive, max_body=self.max_body, request_id=request_id)
        await receive()  # what says that somebody connects
        try:
            serve = self._upgrade(request)
        except CatenaError as error:
            await _refuse_socket(_error_reply(error), head, send)
            return
        await send({"type": "websocket.accept", "headers": head})
        await serve(request.project, receive, send)
        if access.isEnabledFor(logging.INFO):
            access.info("%s WEBSOCKET %s closed", request_id, request.path)

    def _upgrade(self, request: Request) -> SocketHandler:
        match = self.routes.find(request.path)
        route = match.methods.get("GET") if match is not None else None
        if route is None or route.upgraded is None:
            raise NotFound(f"Invalid URL (WebSocket {request.path})")
        grant = self._keys.grant(request.header(b"authorization"))
        grant.check(route.scope)
        if not self._keys.required:
            _check_origin(request)
        request.project = grant.project
        return route.upgraded

    async def _answer(self, request: Request) -> Reply | Stream:
        try:
            return await self._route(request)
        except CatenaError as error:
            return _error_reply(error)
        except Exception:
            log.exception("%s: a fault of this server", request.request_id)
            return _error_reply(
                CatenaError(
                    "The server had an error while processing your request. Its log has the details under request "
                    f"id {request.request_id}."
                )
            )

    async def _route(self, request: Request) -> Reply | Stream:
        match = self.routes.find(request.path)
        if match is None:
            raise NotFound(f"Invalid URL ({request.method} {request.path})")
        route = match.methods.get(request.method)
        if route is None:
            raise MethodNotAllowed(
                f"Not allowed to {request.method} on {request.path}. (HINT: Perhaps you meant to use a different "
                "HTTP method?)",
                code="method_not_supported",
                headers={"allow": ", ".join(sorted(_plain(match)))},
            )
        grant = self._keys.grant(request.header(b"authorization"))
        grant.check(route.scope)
        request.project = grant.project
        request.path_ids = match.ids
        return await route.handler(request)


def _error_reply(error: CatenaError) -> Reply:
    headers = dict(error.headers)
    if error.http_status in (409, 429) and not isinstance(error, BadRequest) and "retry-after" not in headers:
        headers["x-should-retry"] = "false"
    return Reply(_encode({"error": error.body()}), error.http_status, headers=headers)


def _plain(match: Match) -> list[str]:
    """The methods that are answered without an upgrade."""
    return [method for method, route in match.methods.items() if route.upgraded is None]


def _check_origin(request: Request) -> None:
    # Browsers let any page open a WebSocket to this machine, and read it: a server without keys is only for the pages
    # that it has itself.
    origin = request.header(b"origin")
    if origin is not None and urlsplit(origin).netloc != request.header(b"host"):
        raise Forbidden("Pages of other origins may not connect to this server, as it needs no key.")


async def _refuse_socket(reply: Reply, head: list[tuple[bytes, bytes]], send: Send) -> None:
    head = [(b"content-type", reply.content_type.encode()), *head, *_encoded(reply.headers)]
    await send({"type": "websocket.http.response.start", "status": reply.status, "headers": head})
    await send({"type": "websocket.http.response.body", "body": reply.body})


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]


async def _send_whole(reply: Reply, head: list[tuple[bytes, bytes]], send: Send) -> None:
    head.append((b"content-length", b"%d" % len(reply.body)))
    await send({"type": "http.response.start", "status": reply.status, "headers": head})
    await send({"type": "http.response.body", "body": reply.body})


async def _send_stream(
    request: Request, reply: Stream, head: list[tuple[bytes, bytes]], send: Send, ping: float
) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": head + _STREAM})
    sending = asyncio.current_task()
    assert sending is not None
    gone = False

    def leave() -> None:
        nonlocal gone
        gone = True
        sending.cancel()

    pinger = Pinger(send, ping)
    try:
        async with contextlib.aclosing(reply.pieces) as pieces:
            with request.on_disconnect(leave), pinger:
                async for piece in pieces:
                    pinger.busy = True
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                    pinger.busy = False
        await send({"type": "http.response.body", "body": b""})
    except asyncio.CancelledError:
        if not gone:
            raise
        sending.uncancel()
