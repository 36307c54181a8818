"""What the connections of this server do for a request beyond ASGI: its reply in one write, the pieces of a stream
straight to the socket, and word of a client that went away.

For a reply ASGI has two messages, each of which is written by itself; for a piece one, which is checked and taken apart
again; and for word of a client a task that waits. With an engine that answers at once that is a tenth of a plain
request, and a sixth of a stream. Under any other server requests come without a line, and go the way of ASGI.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, Protocol, Self

from uvicorn.protocols.http.httptools_impl import HEADER_VALUE_RE, STATUS_LINE

if TYPE_CHECKING:
    from uvicorn.protocols.http.flow_control import FlowControl
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

__all__ = ["LINE", "Connection", "Line", "OldLine"]

LINE: Final = "catena.line"
"""Where it is among the extensions of a scope."""


_AT_ONCE: Final = 16 * 1024
"""Bytes that wait for what comes behind them, at most: only what was written tells whether the client keeps up."""


class Connection(Protocol):
    """What a line needs of its connection."""

    flow: FlowControl
    lost: bool
    """Whether the client is gone, or was turned away: nothing more can be sent."""
    watched: Line | None
    """Who is told when it goes; one request is answered at a time."""


class Line:
    """The connection, for one request. Entered after `watch`, it calls back if the client goes away.

    Of a reply in pieces, what a task sends in one go, without waiting in between, leaves as one: its head with the
    first piece, its last piece with the end. What is pushed leaves at once.
    """

    __slots__ = ("_callback", "_connection", "_cycle", "_flushing", "_held", "_telling")

    def __init__(self, connection: Connection, cycle: RequestResponseCycle) -> None:
        self._connection = connection
        self._cycle = cycle
        self._callback: Callable[[], object] = _nothing
        self._telling: asyncio.Handle | None = None
        self._held = b""
        self._flushing: asyncio.Handle | None = None

    def watch(self, callback: Callable[[], object]) -> Self:
        """Whom to call, once it is entered."""
        self._callback = callback
        return self

    def __enter__(self) -> None:
        self._connection.flow.resume_reading()  # what is not read does not end
        self._connection.watched = self
        if self._connection.lost:
            self.gone()

    def __exit__(self, *_: object) -> None:
        self._connection.watched = None
        if self._telling is not None:
            self._telling.cancel()

    def gone(self) -> None:
        """The client went away."""
        self._is_gone()
        self._telling = asyncio.get_running_loop().call_soon(self._callback)

    async def reply(self, status: int, fields: Sequence[tuple[bytes, bytes]], body: bytes) -> None:
        """Send a whole reply, whose `fields` tell its length."""
        cycle = self._cycle
        if not await self._has_room():
            return
        head = self._head(status, fields)
        # asyncio's own transport never gets rid of an empty piece at the end (Python 3.12, 3.13).
        cycle.transport.writelines((head, body) if body and cycle.scope["method"] != "HEAD" else (head,))
        self._complete()

    async def open(self, fields: Sequence[tuple[bytes, bytes]]) -> None:
        """Begin a reply of status 200 that comes in pieces."""
        if await self._has_room():
            self._hold(self._head(200, fields, b"transfer-encoding: chunked\r\n"))

    def push(self, piece: bytes) -> bool:
        """Send a piece at once; False if the client does not keep up."""
        if self._cycle.flow.write_paused:
            return False
        self._write(b"%x\r\n%b\r\n" % (len(piece), piece))
        return True

    async def send(self, piece: bytes) -> None:
        """The same when the client keeps up."""
        if await self._has_room():
            self._hold(b"%x\r\n%b\r\n" % (len(piece), piece))

    async def close(self) -> None:
        """No piece comes after this."""
        if await self._has_room():
            self._write(b"0\r\n\r\n")
            self._complete()

    def break_off(self) -> None:
        """Close the connection, when what was sent before has left."""
        self._write()
        self._cycle.disconnected = True  # or uvicorn would take it for a reply that was forgotten
        self._cycle.transport.close()

    def abandon(self) -> None:
        """The reply stays as it is."""
        self._write()

    def _hold(self, data: bytes) -> None:
        """Have it leave with what comes next, or when the task waits."""
        if len(self._held) + len(data) > _AT_ONCE:
            self._write(data)
            return
        self._held += data
        if self._flushing is None:
            self._flushing = asyncio.get_running_loop().call_soon(self._write)

    def _write(self, data: bytes = b"") -> None:
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
            data = self._held + data
            self._held = b""
        if data and not self._cycle.disconnected:
            self._cycle.transport.write(data)

    async def _has_room(self) -> bool:
        """Wait until there is room to write; False if the client is gone."""
        if self._cycle.flow.write_paused and not self._is_gone():
            await self._cycle.flow.drain()
        return not self._is_gone()

    def _is_gone(self) -> bool:
        if self._connection.lost:  # of requests that came at once, uvicorn only says so of the last
            self._cycle.disconnected = True
        return self._cycle.disconnected

    def _head(self, status: int, fields: Sequence[tuple[bytes, bytes]], more: bytes = b"") -> bytes:
        cycle = self._cycle
        lines = [STATUS_LINE[status]]
        for name, value in (*cycle.default_headers, *fields):
            if HEADER_VALUE_RE.search(value):
                raise ValueError(f"the header {name!r} cannot have this value")
            lines += (name, b": ", value, b"\r\n")
        lines += (b"" if cycle.keep_alive else b"connection: close\r\n", more, b"\r\n")
        cycle.response_started = True
        cycle.waiting_for_100_continue = False
        return b"".join(lines)

    def _complete(self) -> None:
        cycle = self._cycle
        cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            cycle.transport.close()
        cycle.on_response()


class OldLine(Line):
    """One to a client that speaks HTTP/1.0 and knows no pieces: what it is sent ends where the connection does."""

    __slots__ = ()

    async def open(self, fields: Sequence[tuple[bytes, bytes]]) -> None:
        if await self._has_room():
            self._hold(self._head(200, fields))

    def push(self, piece: bytes) -> bool:
        if self._cycle.flow.write_paused:
            return False
        self._write(piece)
        return True

    async def send(self, piece: bytes) -> None:
        if await self._has_room():
            self._hold(piece)

    async def close(self) -> None:
        if await self._has_room():
            self._write()
            self._complete()


def _nothing() -> None: ...
