"""What the connections of this server do for a request beyond ASGI: its reply in one write, and word of a client that
went away.

For the one ASGI has two messages, each of which is written by itself; for the other a task that waits. With an engine
that answers at once that is a tenth of a plain request. Under any other server requests come without a line, and go the
way of ASGI.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, Protocol, Self

from uvicorn.protocols.http.httptools_impl import HEADER_VALUE_RE, STATUS_LINE

if TYPE_CHECKING:
    from uvicorn.protocols.http.flow_control import FlowControl
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

__all__ = ["LINE", "Connection", "Line"]

LINE: Final = "catena.line"
"""Where it is among the extensions of a scope."""


class Connection(Protocol):
    """What a line needs of its connection."""

    flow: FlowControl
    lost: bool
    """Whether the client is gone."""
    watched: Line | None
    """Who is told when it goes; one request is answered at a time."""


class Line:
    """The connection, for one request. Entered after `watch`, it calls back if the client goes away."""

    __slots__ = ("_callback", "_connection", "_cycle", "_telling")

    def __init__(self, connection: Connection, cycle: RequestResponseCycle) -> None:
        self._connection = connection
        self._cycle = cycle
        self._callback: Callable[[], object] = _nothing
        self._telling: asyncio.Handle | None = None

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
        self._telling = asyncio.get_running_loop().call_soon(self._callback)

    async def reply(self, status: int, fields: Sequence[tuple[bytes, bytes]], body: bytes) -> None:
        """Send a whole reply, whose `fields` tell its length."""
        cycle = self._cycle
        if cycle.flow.write_paused and not cycle.disconnected:
            await cycle.flow.drain()
        if cycle.disconnected:
            return
        head = self._head(status, fields)
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        # asyncio's own transport never gets rid of an empty piece at the end (Python 3.12, 3.13).
        cycle.transport.writelines((head, body) if body and cycle.scope["method"] != "HEAD" else (head,))
        cycle.message_event.set()
        if not cycle.keep_alive:
            cycle.transport.close()
        cycle.on_response()

    def _head(self, status: int, fields: Sequence[tuple[bytes, bytes]]) -> bytes:
        lines = [STATUS_LINE[status]]
        for name, value in (*self._cycle.default_headers, *fields):
            if HEADER_VALUE_RE.search(value):
                raise ValueError(f"the header {name!r} cannot have this value")
            lines += (name, b": ", value, b"\r\n")
        lines.append(b"\r\n" if self._cycle.keep_alive else b"connection: close\r\n\r\n")
        return b"".join(lines)


def _nothing() -> None: ...
