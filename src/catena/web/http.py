"""Requests and replies over ASGI, with no more in between than what pays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping, MutableMapping, Sequence
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl

import msgspec

from catena.errors import BadRequest, PayloadTooLarge
from catena.limits.ticket import Ticket
from catena.web.line import LINE, Line

__all__ = [
    "NO_ROUTE",
    "Handler",
    "Receive",
    "Reply",
    "Request",
    "Scope",
    "Send",
    "SocketHandler",
    "Stream",
    "Visitor",
    "json_reply",
]

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_encode = msgspec.json.Encoder().encode


NO_ROUTE: Final = ("-", "-")


class _Compressed(BadRequest):
    """The body of the request is compressed."""

    status = 415


class Reply(msgspec.Struct, frozen=True):
    """A whole reply. Header names are lower-case."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = {}


class Stream(msgspec.Struct, frozen=True):
    """A reply in pieces; each is written as one. The generator is closed when the client is gone.

    It may push pieces (see `taps`).
    """

    pieces: AsyncGenerator[bytes, Any]
    content_type: str = "text/event-stream; charset=utf-8"
    headers: Mapping[str, str] = {}


def json_reply(body: Any, status: int = 200) -> Reply:
    """Anything that msgspec can encode, as a JSON reply."""
    return Reply(_encode(body), status)


class Request:
    """One request: its method, its path, its body within bounds, who sent it."""

    __slots__ = (
        "_max_body",
        "_receive",
        "client_id",
        "headers",
        "line",
        "path_ids",
        "project",
        "request_id",
        "route",
        "scope",
    )

    def __init__(self, scope: Scope, receive: Receive, *, max_body: int, request_id: str = "") -> None:
        self.scope = scope
        self.headers: Mapping[bytes, bytes] = dict(reversed(scope["headers"]))
        """By their lower-case names; of those that come twice the first."""
        # Taken out, as it leads back to the scope: of a circle only the collector would make an end.
        self.line: Line | None = scope["extensions"].pop(LINE, None) if "extensions" in scope else None
        """The connection that it came by, where that is one of this server's own."""
        self.request_id = request_id
        self.client_id: str | None = None
        self.project = ""
        self.route: tuple[str, str] = NO_ROUTE
        """The method and the path of the route that answers, with `{…}` for ids."""
        self.path_ids: Sequence[str] = ()
        self._receive = receive
        self._max_body = max_body

    @property
    def method(self) -> str:
        return str(self.scope["method"])

    @property
    def path(self) -> str:
        return str(self.scope["path"])

    def header(self, name: bytes) -> str | None:
        """The first header of this lower-case name."""
        value = self.headers.get(name)
        return None if value is None else str(value, "latin-1")

    async def body(self) -> bytes:
        """The whole body. Raises PayloadTooLarge, before reading it where its length is told, and BadRequest."""
        if b"content-encoding" in self.headers:
            self._check_encoding()
        told = self.header(b"content-length")
        if told is not None and told.isdigit() and int(told) > self._max_body:
            raise self._too_large()
        message = await self._received()
        body: bytes = message.get("body", b"")
        if not message.get("more_body"):
            return body
        pieces, size = [body], len(body)
        while message.get("more_body"):
            message = await self._received()
            pieces.append(message.get("body", b""))
            size += len(pieces[-1])
            if size > self._max_body:
                raise self._too_large()
        return b"".join(pieces)

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The body as it arrives, of any length. It just ends where the client goes away in the middle."""
        if b"content-encoding" in self.headers:
            self._check_encoding()
        more = True
        while more:
            message = await self._receive()
            yield message.get("body", b"")
            more = bool(message.get("more_body"))

    async def _received(self) -> MutableMapping[str, Any]:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            # The half of a request may look like a whole one.
            raise BadRequest(
                "The client went away before its request had arrived.", code="request_incomplete"
            )
        return message

    def _check_encoding(self) -> None:
        encoding = self.header(b"content-encoding")
        if encoding not in (None, "", "identity"):
            raise _Compressed(
                f"Unsupported content encoding: '{encoding}'. This server takes request bodies as they are, without "
                "compression.",
                code="unsupported_content_encoding",
                headers={"accept-encoding": "identity"},
            )

    def _too_large(self) -> PayloadTooLarge:
        return PayloadTooLarge(
            f"The request body is larger than this server accepts: {self._max_body} bytes. Send less, or raise "
            "`server.max_body_bytes`.",
            code="request_too_large",
        )

    def query(self) -> Query:
        """The query string."""
        return Query(self.scope["query_string"].decode("latin-1"))

    def on_disconnect(self, callback: Callable[[], object]) -> Watch | Line:
        """While inside, call `callback` if the client goes away. The body must have been read."""
        if self.line is not None:
            return self.line.watch(callback)
        return Watch(self._disconnected(), callback)

    async def _disconnected(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass


class Watch:
    """While entered, calls back if what it waits for happens."""

    __slots__ = ("_callback", "_event", "_watcher")

    def __init__(self, event: Coroutine[Any, Any, None], callback: Callable[[], object]) -> None:
        self._event = event
        self._callback = callback

    def __enter__(self) -> None:
        self._watcher = asyncio.ensure_future(self._event)
        self._watcher.add_done_callback(self._happened)

    def __exit__(self, *_: object) -> None:
        self._watcher.cancel()

    def _happened(self, watcher: asyncio.Future[None]) -> None:
        if not watcher.cancelled():
            self._callback()


class Query:
    """A query string, read by name. Arrays come as `name[]=a&name[]=b` or `name=a&name=b` (spec §1.1.8)."""

    def __init__(self, text: str) -> None:
        self.pairs = parse_qsl(text, keep_blank_values=True)

    def one(self, name: str) -> str | None:
        return next((value for key, value in self.pairs if key == name), None)

    def many(self, name: str) -> list[str]:
        return [value for key, value in self.pairs if key in (name, f"{name}[]")]

    def keyed(self, name: str) -> dict[str, str]:
        """What was sent as `name[key]=value`. Raises BadRequest for one without a key, which would choose nothing."""
        if self.many(name):
            raise BadRequest(
                f"Invalid type for '{name}': expected an object, as in '{name}[key]=value', but got a string instead.",
                param=name,
                code="invalid_type",
            )
        opening = f"{name}["
        return {
            key[len(opening) : -1]: value
            for key, value in self.pairs
            if key.startswith(opening) and key.endswith("]") and key != f"{name}[]"
        }

    def flag(self, name: str) -> bool:
        """A boolean; absent is false. Raises BadRequest for anything but true and false."""
        value = self.one(name)
        if value not in (None, "", "true", "false", "True", "False", "1", "0"):
            raise BadRequest(
                f"Invalid type for '{name}': expected a boolean, but got a string instead.",
                param=name,
                code="invalid_type",
            )
        return value in ("true", "True", "1")

    def integer(self, name: str, default: int, *, least: int, most: int | None = None) -> int:
        """A bounded integer. Raises BadRequest in the official wording."""
        text = self.one(name)
        if text is None or text == "":
            return default
        try:
            value = int(text)
        except ValueError:
            raise BadRequest(
                f"Invalid type for '{name}': expected an integer, but got a string instead.",
                param=name,
                code="invalid_type",
            ) from None
        if value < least:
            raise _out_of_bounds(name, "below minimum", f">= {least}", value, "integer_below_min_value")
        if most is not None and value > most:
            raise _out_of_bounds(name, "above maximum", f"<= {most}", value, "integer_above_max_value")
        return value

    def choice(self, name: str, default: str, allowed: Sequence[str]) -> str:
        """One of a few words. Raises BadRequest in the official wording."""
        value = self.one(name)
        if value is None or value == "":
            return default
        if value not in allowed:
            spoken = " and ".join(f"'{word}'" for word in allowed)
            raise BadRequest(
                f"Invalid value: '{value}'. Supported values are: {spoken}.", param=name, code="invalid_value"
            )
        return value


def _out_of_bounds(name: str, what: str, bound: str, value: int, code: str) -> BadRequest:
    return BadRequest(
        f"Invalid '{name}': integer {what} value. Expected a value {bound}, but got {value} instead.",
        param=name,
        code=code,
    )


Handler: TypeAlias = Callable[[Request], Awaitable["Reply | Stream"]]


class Visitor(msgspec.Struct, frozen=True):
    """Who has a WebSocket open. `admit` asks whether one more request of so many bytes may come in, and raises the
    error that says why not."""

    project: str
    admit: Callable[[int], Awaitable[Ticket]]


SocketHandler: TypeAlias = Callable[[Visitor, Receive, Send], Awaitable[None]]
"""Serves a WebSocket that was accepted."""
