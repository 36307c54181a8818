"""One socket to an engine: it turns what arrives into replies, one after another.

It watches the clock and the reader's pace, and decides when the socket can serve again: when an answer has
arrived whole, with nothing behind it, and its request had left whole. What is in a body it does not know.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final, Protocol, cast

import httptools
import msgspec

from catena.upstream.http.deadline import Deadline
from catena.upstream.http.head import Origin
from catena.upstream.http.reply import HttpError, Kind, Reply

__all__ = ["Connection", "Owner", "Timeouts"]

_HIGH_WATER: Final = 256 * 1024
"""Bytes of a body that may wait for their reader; beyond, the socket is not read."""
_MAX_HEAD: Final = 64 * 1024
"""Bytes that may arrive without any of a body among them: a head, trailers, extensions of chunks."""
_MANY: Final = 16
"""Pieces of a request that are cheaper to copy than to hand on one by one. With TLS each would be a record."""
_LINGER: Final = 1.0
"""Seconds in which an answer that nobody reads on may end by itself."""


class Timeouts(msgspec.Struct, frozen=True):
    """How long an engine may take, in seconds.

    `connect`: name lookup, TCP and TLS together, for a new connection; a kept one has none.
    `first`: from handing the request to the connection until the first byte of the answer's body, or its end
    if it has none. The head of the answer does not stop this clock, as engines send it before they think.
    `between`: silence within the body after that. It stands still while the reader lags behind.
    """

    connect: float = 5.0
    first: float = 300.0
    between: float = 120.0


class Owner(Protocol):
    """Who is told what becomes of a connection."""

    def opened(self, connection: Connection) -> None:
        """It can be used; `lost` will follow."""
        ...

    def freed(self, connection: Connection) -> None:
        """Its answer has arrived whole, and it can be asked again."""
        ...

    def lost(self, connection: Connection) -> None:
        """Its socket is closed."""
        ...


class Connection(asyncio.Protocol):
    """A socket to `origin` that carries one request at a time."""

    def __init__(self, origin: Origin, owner: Owner) -> None:
        self.origin = origin
        self.heard = False
        """Whether anything has arrived since the last request."""
        self._owner = owner
        self._parser = httptools.HttpResponseParser(self)
        self._deadline = Deadline(asyncio.get_running_loop(), self._when_due)
        self._transport: asyncio.Transport
        self._reply: Reply | None = None
        self._fields: list[tuple[bytes, bytes]] = []
        self._between = 0.0
        self._without_body = 0
        self._started = False
        self._reusable = True
        self._paused = False
        self._lingering = False

    async def ask(self, head: bytes, body: Sequence[bytes], timeouts: Timeouts) -> Reply:
        """Send a request and wait for the head of its answer. The connection must be free."""
        self._reply = reply = Reply(self)
        self._between = timeouts.between
        self._without_body = 0
        self._started = self._lingering = self.heard = False
        self._deadline.set(timeouts.first)
        if self.origin.tls or len(body) > _MANY:
            self._transport.write(b"".join((head, *body)))
        else:
            self._transport.writelines((head, *body))
        await reply.head()
        return reply

    def expire_in(self, seconds: float) -> None:
        """Close in `seconds`, unless something is asked before."""
        self._deadline.set(seconds)

    def resume(self) -> None:
        """All that had arrived was read."""
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
            self._deadline.set(self._between)

    def linger(self) -> None:
        """Nobody reads on, but the end is near: what still comes goes nowhere."""
        self._reply = Reply(self)
        self._lingering = True
        self.resume()
        self._deadline.set(_LINGER)

    def abort(self) -> None:
        """Close the socket now. A reply that is under way is not told: who read it has left."""
        self._reply = None
        self._transport.abort()

    def close(self) -> None:
        """Close the socket now. Reading a reply that is under way raises HttpError."""
        self._fail("lost", "was left, as the client is closed")

    @property
    def is_closing(self) -> bool:
        """Whether it is closed, or about to be, so that nothing can be asked."""
        return self._transport.is_closing()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's has no such base class
        self._owner.opened(self)

    def data_received(self, data: bytes) -> None:
        reply = self._reply
        if reply is None:
            # Nothing was asked: a farewell (408), or rubbish. Either way there will be no answer here.
            self._transport.abort()
            return
        self.heard = True
        self._without_body += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._reusable = False
            if self._reply is not None:
                self._fail("protocol", "sent what is not HTTP/1.1")
                return
        if self._reply is None:
            self._end(reply)
        elif self._without_body > _MAX_HEAD:
            self._fail("protocol", "sent more headers than are accepted")
        else:
            self._go_on(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        self._deadline.cancel()
        reply = self._reply
        if reply is not None and exc is None and reply.status and _ends_by_closing(reply.headers):
            self._reply = None
            reply.end(None)
        else:
            self._give_up("lost", "closed the connection before its answer was complete")
        self._owner.lost(self)

    # httptools; a message that nobody asked for finds no reply

    def on_message_begin(self) -> None:
        if self._reply is None:
            self._reusable = False
        self._fields = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 100:
            raise ValueError(status)  # the parser takes any three digits, and turns this into its own error
        if self._reply is not None and status >= 200:
            self._reply.begin(status, self._fields)
            self._fields = []  # trailers come the same way, and are not headers

    def on_body(self, data: bytes) -> None:
        if self._reply is not None:
            self._started = True
            self._without_body = 0
            self._reply.push(data)

    def on_message_complete(self) -> None:
        if self._reply is not None and self._parser.get_status_code() >= 200:  # else an interim answer
            self._reply = None
            if not self._parser.should_keep_alive():
                self._reusable = False

    # the course of an answer

    def _go_on(self, reply: Reply) -> None:
        """Some of it has arrived, and there is more to come."""
        if reply.size > _HIGH_WATER:
            if self._lingering:
                self.abort()
                return
            self._paused = True
            self._transport.pause_reading()
            self._deadline.clear()
        elif self._started and not self._lingering:
            self._deadline.set(self._between)
        reply.wake()

    def _end(self, reply: Reply) -> None:
        """All of it has arrived."""
        reply.end(None)
        # An answer that overtook its request leaves the rest of the request on the way.
        if self._reusable and not self._transport.get_write_buffer_size():
            self._owner.freed(self)
        else:
            self._transport.abort()

    def _fail(self, kind: Kind, what: str) -> None:
        """No more of it is wanted."""
        self._give_up(kind, what)
        self._transport.abort()

    def _give_up(self, kind: Kind, what: str) -> None:
        """No more of it will come."""
        reply, self._reply = self._reply, None
        if reply is not None:
            reply.end(HttpError(kind, f"{self.origin} {what}", answered=self._started))

    def _when_due(self) -> None:
        if self._reply is None or self._lingering:
            self.abort()
        elif self._started:
            self._fail("between_timeout", f"fell silent within its answer for {self._between:g} s")
        else:
            self._fail("first_timeout", "did not begin its answer in time")


def _ends_by_closing(headers: Mapping[str, str]) -> bool:
    """Whether nothing but the end of the connection ends this answer (RFC 9112 §6.3)."""
    coding = headers.get("transfer-encoding")
    if coding is not None:
        return not coding.lower().endswith("chunked")
    return "content-length" not in headers
