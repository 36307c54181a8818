"""The ASGI application: from a scope to a reply, with every error in the official envelope."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping

import msgspec

from catena.errors import BadRequest, CatenaError, MethodNotAllowed, NotFound
from catena.limits.ticket import Ticket
from catena.taps import Tapped, drawn
from catena.web.correlation import Correlation
from catena.web.gate import Gate
from catena.web.http import Receive, Reply, Request, Scope, Send, Stream, Visitor
from catena.web.metering import Meter
from catena.web.outlet import ByAsgi, Outlet, Way
from catena.web.routes import Route, Routes, Socket
from catena.web.traffic import GONE, SWITCHED, Traffic

__all__ = ["App", "Behind", "Terms"]

log = logging.getLogger("catena.web")

_encode = msgspec.json.Encoder().encode

_ALWAYS = [(b"openai-version", b"2020-10-01")]
_STREAM = [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What clients may do. A body has `max_body` bytes at most.

    Times are in seconds. `patience` is how long a client may not come on, before it is closed; 0 is without end. A
    connection over which nothing is asked stays open for `keep_alive`. A stream that is idle for `ping` gets a comment;
    0 sends none.
    """

    max_body: int
    patience: float = 30.0
    keep_alive: int = 75
    ping: float = 0.0


async def _nothing() -> None: ...


class Behind(msgspec.Struct, frozen=True, kw_only=True):
    """What goes on behind the doors: how it begins, how what lasts is let end, and how all of it ends."""

    start: Callable[[], Awaitable[None]] = _nothing
    stop: Callable[[], Awaitable[None]] = _nothing
    close: Callable[[], Awaitable[None]] = _nothing


class App:
    """Finds the handler, checks the key, sends the reply."""

    def __init__(self, routes: Routes, gate: Gate, meter: Meter, *, terms: Terms, behind: Behind) -> None:
        self.routes = routes
        self.traffic = Traffic()
        self.terms = terms
        self.gate = gate
        self._meter = meter
        self._behind = behind

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._serve(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._serve_socket(scope, receive, send)

    async def start(self) -> None:
        """Begin what goes on behind the doors, before anybody connects."""
        await self._behind.start()

    async def stop(self) -> None:
        """The server is to stop: let what lasts, and would never end by itself, come to its end."""
        await self._behind.stop()

    async def close(self) -> None:
        """End what goes on behind the doors; nobody is connected any more."""
        await self._behind.close()

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        request = Request(scope, receive, max_body=self.terms.max_body)
        known = Correlation(request.headers)
        request.request_id, request.client_id = known.request_id, known.client_id
        reply = await self._answer(request, known)
        head = [
            (b"content-type", reply.content_type.encode()),
            *known.headers,
            (b"openai-processing-ms", b"%d" % ((time.perf_counter() - began) * 1000)),
            *_ALWAYS,
        ]
        if reply.headers:
            head += _encoded(reply.headers)
        if isinstance(reply, Stream):
            status = await _send_stream(request, reply, head, send, self.terms.ping)
        else:
            status = reply.status
            await _send_whole(request, reply, head, send)
        self.traffic.count(request, status, time.perf_counter() - began)

    async def _serve_socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        request = Request({**scope, "method": "GET"}, receive, max_body=self.terms.max_body)
        known = Correlation(request.headers)
        request.request_id, request.client_id = known.request_id, known.client_id
        head = [*known.headers, *_ALWAYS]
        await receive()  # what says that somebody connects
        try:
            known.check()
            served = await self._upgrade(request)
        except CatenaError as error:
            await _refuse_socket(_error_reply(error), head, send)
            self.traffic.count(request, error.http_status, time.perf_counter() - began)
            return
        await send({"type": "websocket.accept", "headers": head})
        self.traffic.sockets += 1
        try:
            await served.handler(self._visitor(request, served), receive, send)
        finally:
            self.traffic.sockets -= 1
            self.traffic.count(request, SWITCHED, time.perf_counter() - began)

    async def _upgrade(self, request: Request) -> Socket:
        served = self.routes.socket(request.path)
        if served is None:
            raise NotFound(f"Invalid URL (WebSocket {request.path})")
        request.route = ("WEBSOCKET", request.path)
        await self.gate.admit(request, served.scope)
        return served

    def _visitor(self, request: Request, served: Socket) -> Visitor:
        async def admit(size: int) -> Ticket:
            # A connection may last longer than what its key gives.
            grant = await self.gate.admit(request, served.scope)
            return await self._meter.limiter.admit(grant.allowances, size)

        return Visitor(request.project, admit)

    async def _answer(self, request: Request, known: Correlation) -> Reply | Stream:
        try:
            known.check()
            route = self._route(request)
            grant = await self.gate.admit(request, route.scope) if route.scope is not None else None
            if grant is not None and grant.allowances and route.cost != "nothing":
                return await self._meter.answer(request, route, grant)
            return await route.handler(request)
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

    def _route(self, request: Request) -> Route:
        """What is to answer. Raises NotFound and MethodNotAllowed."""
        match = self.routes.find(request.path)
        if match is None:
            raise NotFound(f"Invalid URL ({request.method} {request.path})")
        route = match.methods.get(request.method)
        if route is None:
            raise MethodNotAllowed(
                f"Not allowed to {request.method} on {request.path}. (HINT: Perhaps you meant to use a different "
                "HTTP method?)",
                code="method_not_supported",
                headers={"allow": ", ".join(sorted(match.methods))},
            )
        request.route = (route.method, route.path)
        request.path_ids = match.ids
        return route


def _error_reply(error: CatenaError) -> Reply:
    headers = dict(error.headers)
    if error.http_status in (409, 429) and not isinstance(error, BadRequest) and "retry-after" not in headers:
        headers["x-should-retry"] = "false"
    return Reply(_encode({"error": error.body()}), error.http_status, headers=headers)


async def _refuse_socket(reply: Reply, head: list[tuple[bytes, bytes]], send: Send) -> None:
    head = [(b"content-type", reply.content_type.encode()), *head, *_encoded(reply.headers)]
    await send({"type": "websocket.http.response.start", "status": reply.status, "headers": head})
    await send({"type": "websocket.http.response.body", "body": reply.body})


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]


async def _send_whole(request: Request, reply: Reply, head: list[tuple[bytes, bytes]], send: Send) -> None:
    head.append((b"content-length", b"%d" % len(reply.body)))
    if request.line is not None:
        await request.line.reply(reply.status, head, reply.body)
        return
    await send({"type": "http.response.start", "status": reply.status, "headers": head})
    await send({"type": "http.response.body", "body": reply.body})


async def _send_stream(
    request: Request, reply: Stream, head: list[tuple[bytes, bytes]], send: Send, ping: float
) -> int:
    """The status that it came to: that of the error, where it broke off."""
    way: Way = ByAsgi(send)
    if not reply.content_type.startswith("text/event-stream"):
        ping = 0.0  # a comment is for event streams only
    elif request.line is not None:
        way = request.line
    await way.open(head + _STREAM)
    sending = asyncio.current_task()
    assert sending is not None
    gone = False

    def leave() -> None:
        nonlocal gone
        gone = True
        sending.cancel()

    outlet = Outlet(way, ping)
    source: Tapped[bytes] = reply.pieces
    try:
        async with contextlib.aclosing(source) as pieces:
            with request.on_disconnect(leave), outlet:
                piece = await drawn(pieces)
                while piece is not None:
                    await outlet.send(piece)
                    piece = await drawn(pieces, outlet.push)
                await outlet.close()
    except asyncio.CancelledError:
        if not gone:
            raise
        sending.uncancel()
        return GONE
    except CatenaError as error:
        log.info("%s: a stream broke off: %s", request.request_id, error.message)
        outlet.break_off()
        return error.http_status
    return 200
