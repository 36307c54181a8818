"""What a request gives: a reply, whose body is read as it arrives, or an error.

A reply is the buffer between a connection that pushes and a task that pulls. It holds its connection until
the last byte has arrived, not until it was read. Whoever lets go of it earlier closes the socket at once, and
what has arrived is given before any error is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Final, Literal, Protocol, Self, TypeAlias

from catena.upstream.http.head import Origin

__all__ = ["HttpError", "Kind", "Reply", "Source"]

Kind: TypeAlias = Literal[
    "connect", "connect_timeout", "first_timeout", "between_timeout", "lost", "protocol"
]

_READ_LIMIT: Final = 16 * 1024 * 1024


class HttpError(Exception):
    """A request without an answer, or with half of one. The message names host and port, never what was said.

    `sent_nothing`: no byte of the request left, so that another try cannot make the engine work twice.
    `answered`: a part of the answer's body had arrived, so that another try could tell it twice.
    """

    def __init__(
        self, kind: Kind, message: str, *, sent_nothing: bool = False, answered: bool = False
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.sent_nothing = sent_nothing
        self.answered = answered


class Source(Protocol):
    """What a reply needs of its connection."""

    origin: Origin

    def resume(self) -> None:
        """All that had arrived was read."""
        ...

    def linger(self) -> None:
        """Nobody reads on, but the end is near."""
        ...

    def abort(self) -> None:
        """Nobody reads on, and the engine is to stop."""
        ...


class Reply:
    """An answer whose head has arrived. Iterating gives its body as it arrives, joined per wake-up; `pour` pushes it.

    It holds a connection until the end of the body has arrived, so read it to its end, or `release` or
    `close` it (`async with` closes it). Cancelling a task that reads it closes the connection at once.
    Reading raises HttpError, after everything that had arrived was given. One task reads it at a time.
    """

    __slots__ = (
        "_error",
        "_fields",
        "_full",
        "_headers",
        "_into",
        "_origin",
        "_pieces",
        "_source",
        "_waiter",
        "size",
        "status",
    )

    def __init__(self, source: Source) -> None:
        self.status = 0
        self.size = 0
        """Bytes of the body that have arrived and were not read yet."""
        self._source: Source | None = source
        self._origin = source.origin
        self._error: HttpError | None = None
        self._fields: Sequence[tuple[bytes, bytes]] = ()
        self._headers: Mapping[str, str] | None = None
        self._pieces: list[bytes] = []
        self._into: Callable[[bytes], bool] | None = None
        self._full = False
        self._waiter: asyncio.Future[None] | None = None

    @property
    def headers(self) -> Mapping[str, str]:
        """Names in lower case; the values of a repeated one joined by commas. Trailers are not among them."""
        if self._headers is None:
            headers: dict[str, str] = {}
            for raw_name, raw_value in self._fields:
                name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
                headers[name] = f"{headers[name]}, {value}" if name in headers else value
            self._headers = headers
        return self._headers

    def header(self, name: bytes) -> str | None:
        """The first header of this lower-case name, for who asks for no other."""
        for given, value in self._fields:
            if given.lower() == name:
                return value.decode("latin-1")
        return None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while not self._pieces:
            if self._source is None:
                if self._error is not None:
                    raise self._error
                raise StopAsyncIteration
            await self._wait()
        return self._taken()

    async def pour(self, into: Callable[[bytes], bool]) -> bool:
        """Call `into` with what arrives, from within the read of the socket, until it returns False: it wants no more.

        False if the body has ended. Raises HttpError, as reading does; `into` must not raise.
        """
        while True:
            while self._pieces:
                if not into(self._taken()):
                    return True
            if self._source is None:
                if self._error is not None:
                    raise self._error
                return False
            self._into, self._full = into, False
            await self._wait()
            self._into = None
            if self._full:
                return True

    def _taken(self) -> bytes:
        """All that has arrived."""
        pieces = self._pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self.size = 0
        if self._source is not None:
            self._source.resume()
        return data

    async def read(self, limit: int = _READ_LIMIT) -> bytes:
        """The rest of the body. Raises HttpError if it is longer than `limit` bytes."""
        pieces = []
        size = 0
        async for piece in self:
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                self.abort()
                raise HttpError("protocol", f"{self._origin} sent more than {limit} bytes", answered=True)
        return b"".join(pieces)

    def release(self) -> None:
        """Read no more, as all that matters was read.

        If the end comes soon, the connection is used again; otherwise it is closed. This is for the few bytes
        behind an engine's last event, and costs no waiting for them.
        """
        source = self._leave()
        if source is not None:
            source.linger()

    def abort(self) -> None:
        """Close the connection, unless the end of the body has arrived: then it may already serve others."""
        source = self._leave()
        if source is not None:
            source.abort()

    async def close(self) -> None:
        """The same as `abort`."""
        self.abort()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()

    # What the connection does: a head, some body, an end, and a wake-up after each read of the socket.

    def begin(self, status: int, fields: Sequence[tuple[bytes, bytes]]) -> None:
        """The head has arrived."""
        self.status = status
        self._fields = fields

    def push(self, data: bytes) -> None:
        """More of the body has arrived."""
        self._pieces.append(data)
        self.size += len(data)

    def end(self, error: HttpError | None) -> None:
        """Nothing more will arrive, and the connection is not this reply's any more."""
        self._source = None
        self._error = error
        self.wake()

    def wake(self) -> None:
        """Let the reader look again, unless it has everything."""
        if self._waiter is None or self._waiter.done():
            return
        if self._into is not None and self._pieces:
            self._full = not self._into(self._taken())
            if self._full:
                self._into = None
            elif self._source is not None:
                return
        self._waiter.set_result(None)

    async def head(self) -> None:
        """Wait for the head. Raises HttpError."""
        while not self.status:
            if self._error is not None:
                raise self._error
            await self._wait()

    def _leave(self) -> Source | None:
        source, self._source = self._source, None
        self._pieces.clear()
        if source is not None:
            self.end(HttpError("lost", f"the reply of {self._origin} was closed", answered=True))
        return source

    async def _wait(self) -> None:
        self._waiter = waiter = asyncio.get_running_loop().create_future()
        try:
            await waiter
        except BaseException:  # cancelled, or thrown away: either way nobody reads on
            self._waiter = None
            self.abort()
            raise
        self._waiter = None
