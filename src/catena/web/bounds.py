"""What one connection may take of the server: the size of a head, and the time of clients that do not come on.

A client that sends its request too slowly is told 408 and closed; one that takes nothing of its reply is closed. What
arrives in one piece, as nearly every request does, starts no clock.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, Final, cast

import httptools
import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from catena.errors import BadRequest, CatenaError
from catena.web.line import LINE, Line, OldLine

__all__ = ["MAX_HEAD", "Bounds", "bounded"]

MAX_HEAD: Final = 64 * 1024
"""Bytes of a request's first line and headers."""

_LEAST_RATE: Final = 1024
"""Bytes in a second that a request must come at, in the mean, once its first seconds are over."""

_LINGER: Final = 2.0
"""Seconds that a client has to read why it was refused."""

_NO_HTTP: Final = "Invalid HTTP request received."

_encode = msgspec.json.Encoder().encode


class Bounds(msgspec.Struct, frozen=True):
    """`patience` is in seconds: how long a client may not come on, with its request or with taking the reply."""

    patience: float


class _HeadTooLarge(BadRequest):
    """The headers of the request are larger than this server accepts."""

    status = 431


class _TooSlow(BadRequest):
    """The request did not arrive in time."""

    status = 408


def bounded(bounds: Bounds) -> type[asyncio.Protocol]:
    """What uvicorn makes for each connection."""
    return cast("type[asyncio.Protocol]", partial(_BoundedProtocol, bounds))


class _BoundedProtocol(HttpToolsProtocol):
    def __init__(self, bounds: Bounds, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lost = False
        self.watched: Line | None = None
        self._patience = bounds.patience
        self._heading = False
        self._receiving = True  # a connection is there for a request
        self._head = 0
        self._arrived = 0
        self._began = 0.0
        self._asked = False
        self._refused = False
        self._incoming: asyncio.TimerHandle | None = None
        self._outgoing: asyncio.TimerHandle | None = None

    # What arrives

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._arrived += len(data)
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.logger.warning(_NO_HTTP)
            self.send_400_response(_NO_HTTP)
        except httptools.HttpParserUpgrade as asked:
            if self._should_upgrade():
                self.handle_websocket_upgrade()
            elif self._asks_for_another_protocol():
                self._read_again(data[asked.args[0] :])
        if not self._refused:
            self._look_at_head(data)
            self._mind_the_time()

    def _asks_for_another_protocol(self) -> bool:
        return any(name == b"upgrade" for name, _ in self.headers) and not self._should_upgrade()

    def _read_again(self, rest: bytes) -> None:
        """Read a request without its wish for another protocol, which a server may ignore (RFC 9110, 7.8).

        Java's HTTP client has that wish, for HTTP/2, with every request; and the parser takes what comes behind such a
        head, the body, for the other protocol.
        """
        version = self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b\r\n" % (self.parser.get_method(), self.url, version)]
        lines += [b"%b: %b\r\n" % field for field in self.headers if field[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.data_received(b"".join((*lines, b"\r\n", rest)))

    def _look_at_head(self, data: bytes) -> None:
        if self._heading:
            self._head += len(data)  # of a head that goes on in the next piece
            if self._head > MAX_HEAD:
                self._refuse(_HeadTooLarge(code="headers_too_large"))

    def _mind_the_time(self) -> None:
        if self._receiving and not self._refused:
            self._expect()
        elif not self._refused:
            self._forget_incoming()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._asked, self._heading, self._receiving = True, True, True
        self._head = 0
        self._forget_incoming()

    def on_headers_complete(self) -> None:
        self._heading = False
        if len(self.url) + sum([len(name) + len(value) for name, value in self.headers]) > MAX_HEAD:
            self._refuse(_HeadTooLarge(code="headers_too_large"))
        if self.parser.should_upgrade() and self._asks_for_another_protocol():
            return
        if not self._refused:
            super().on_headers_complete()
            cycle: RequestResponseCycle | None = self.cycle  # there is none yet for a WebSocket
            if cycle is not None and cycle.scope is self.scope:
                line = Line if self.scope["http_version"] == "1.1" else OldLine
                cast("dict[str, Any]", self.scope)["extensions"] = {LINE: line(self, cycle)}

    def on_body(self, body: bytes) -> None:
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade() and self._asks_for_another_protocol():
            return
        self._receiving = False
        if not self._refused:
            super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        self._forget_incoming()
        if not self._refused:
            super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP. uvicorn's own answer is no JSON."""
        if not self._refused:
            self._refuse(BadRequest(msg, code="invalid_request"))

    def _expect(self) -> None:
        """Start the clock, unless it goes already."""
        if self._incoming is None and self._patience:
            self._began, self._arrived = self.loop.time(), 0
            self._incoming = self.loop.call_later(self._patience, self._look)

    def _look(self) -> None:
        """The time is over: did enough arrive meanwhile?"""
        self._incoming = None
        passed = self.loop.time() - self._began
        if self.flow.read_paused or self._arrived >= max(1.0, (passed - self._patience / 2) * _LEAST_RATE):
            self._expect()  # it is we who are slow, or it comes on
        elif not self._asked:
            self.transport.close()
        else:
            self._refuse(_TooSlow(code="request_timeout"))

    def _refuse(self, error: CatenaError) -> None:
        """Say why, unless a reply has begun, and hang up."""
        self._refused = True
        self._forget_incoming()
        cycle: RequestResponseCycle | None = self.cycle  # there is none before the first head is whole
        if cycle is not None and cycle.response_started and not cycle.response_complete:
            self.transport.abort()
            return
        body = _encode({"error": error.body()})
        head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(
            body
        )
        self.transport.write(STATUS_LINE[error.http_status] + head + body)
        # To close while more arrives would take the reply away from the client before it is read.
        self.transport.write_eof()
        self._lose()
        self.flow.resume_reading()
        self._incoming = self.loop.call_later(_LINGER, self.transport.abort)

    def _forget_incoming(self) -> None:
        if self._incoming is not None:
            self._incoming.cancel()
            self._incoming = None

    # What leaves

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._outgoing is None and self._patience:
            self._outgoing = self.loop.call_later(self._patience, self._hang_up)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._forget_outgoing()

    def _hang_up(self) -> None:
        self._outgoing = None
        self.transport.abort()

    def _forget_outgoing(self) -> None:
        if self._outgoing is not None:
            self._outgoing.cancel()
            self._outgoing = None

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_incoming()
        self._forget_outgoing()
        super().connection_lost(exc)
        self._lose()

    def _lose(self) -> None:
        """Nothing more can be sent: who is being answered hears it, once."""
        lost, self.lost = self.lost, True
        if self.watched is not None and not lost:
            self.watched.gone()
