"""The way out of a streamed reply: to the web server, piece by piece, with comments while it is idle.

A piece that is pushed (see `taps`) leaves at once, from within whatever brought it. A connection of this server's own
does not take one while the client does not keep up (see `line`). Of any other nothing is known but ASGI: where it makes
a piece wait, that one waits in a task of its own, and no other is taken until it has left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, MutableMapping, Sequence
from types import TracebackType, coroutine
from typing import Any, Final, Protocol, Self

__all__ = ["PING", "ByAsgi", "Outlet", "Way"]

PING: Final = b": ping\n\n"


class Way(Protocol):
    """What a reply in pieces goes by. No piece is empty."""

    async def open(self, fields: Sequence[tuple[bytes, bytes]]) -> None:
        """Begin it, with status 200 and these headers."""
        ...

    def push(self, piece: bytes) -> bool:
        """Send a piece at once, or say that it has to wait."""
        ...

    async def send(self, piece: bytes) -> None:
        """Send a piece, behind those that were pushed before."""
        ...

    async def close(self) -> None:
        """No piece comes after this."""
        ...

    def break_off(self) -> None:
        """Close the connection, so that the client sees that more should have come."""
        ...

    def abandon(self) -> None:
        """What has not left need not leave."""
        ...


class Outlet:
    """Where the pieces of one reply go. While it is entered, a comment goes out whenever nothing else did for so many
    seconds as `interval` has; 0 is for never.
    """

    def __init__(self, way: Way, interval: float = 0.0) -> None:
        self._way = way
        self._interval = interval
        self._busy = False
        self._idle = True
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        if self._interval > 0:
            self._arm()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._way.abandon()

    async def send(self, piece: bytes) -> None:
        """Send a piece, behind those that were pushed before."""
        self._busy = True
        await self._way.send(piece)
        self._busy = self._idle = False

    async def close(self) -> None:
        """No piece comes after this; those that were pushed have left."""
        self._busy = True
        await self._way.close()

    def break_off(self) -> None:
        """Close the connection, so that the client sees that more should have come."""
        self._way.break_off()

    def push(self, piece: bytes) -> bool:
        """Send a piece at once; False if it has to wait."""
        self._idle = False
        return self._way.push(piece)

    def _arm(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._interval, self._tick)

    def _tick(self) -> None:
        if self._idle and not self._busy:
            self._way.push(PING)
        self._idle = True
        self._arm()


class ByAsgi:
    """A reply in pieces to a web server that has nothing but ASGI."""

    def __init__(self, send: Callable[[MutableMapping[str, Any]], Awaitable[None]]) -> None:
        self._send = send
        self._late: asyncio.Task[None] | None = None

    async def open(self, fields: Sequence[tuple[bytes, bytes]]) -> None:
        await self._send({"type": "http.response.start", "status": 200, "headers": fields})

    def push(self, piece: bytes) -> bool:
        """Send a piece at once; False if one that was pushed before has not left yet."""
        if self._late is not None:
            return False
        steps = self._send(_body(piece)).__await__()
        try:
            waits_for = next(steps)
        except StopIteration:
            return True
        self._late = asyncio.ensure_future(self._finish(steps, waits_for))
        return True

    async def send(self, piece: bytes) -> None:
        await self._settle()
        await self._send(_body(piece))

    async def close(self) -> None:
        await self._settle()
        await self._send({"type": "http.response.body", "body": b""})

    def break_off(self) -> None:
        """Raises ConnectionAbortedError: a web server closes the connection of an application that fails."""
        raise ConnectionAbortedError("a stream could not be told to its end")

    def abandon(self) -> None:
        if self._late is not None:
            self._late.cancel()

    async def _settle(self) -> None:
        if self._late is not None:
            await self._late

    async def _finish(self, steps: Generator[Any, None, None], waits_for: object) -> None:
        """The other steps of what has taken its first and `waits_for` something now."""
        await _others(steps, waits_for)
        self._late = None  # after a failure it stays, and who comes next meets that


def _body(piece: bytes) -> MutableMapping[str, Any]:
    return {"type": "http.response.body", "body": piece, "more_body": True}


@coroutine
def _others(steps: Generator[Any, None, None], waits_for: object) -> Generator[Any, None, None]:
    yield waits_for
    yield from steps
