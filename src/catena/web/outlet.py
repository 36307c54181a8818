"""The way out of a streamed reply: to the web server, piece by piece, with comments while it is idle.

A piece that is pushed (see `taps`) is given to the web server at once, from within whatever brought it. Where the web
server makes it wait, as the client does not keep up, that piece waits in a task of its own, and no other is taken
until it has left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, MutableMapping
from types import TracebackType, coroutine
from typing import Any, Final, Self

__all__ = ["PING", "Outlet"]

PING: Final = b": ping\n\n"


class Outlet:
    """Where the pieces of one reply go. While it is entered, a comment goes out whenever nothing else did for so many
    seconds as `interval` has; 0 is for never.
    """

    def __init__(
        self, send: Callable[[MutableMapping[str, Any]], Awaitable[None]], interval: float = 0.0
    ) -> None:
        self._send = send
        self._interval = interval
        self._busy = False
        self._idle = True
        self._late: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._ping: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        if self._interval > 0:
            self._arm()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._late is not None:
            self._late.cancel()

    async def send(self, piece: bytes) -> None:
        """Send a piece, behind those that were pushed before."""
        self._busy = True
        await self.settle()
        await self._send({"type": "http.response.body", "body": piece, "more_body": True})
        self._busy = self._idle = False

    async def settle(self) -> None:
        """Wait until what was pushed has left."""
        if self._late is not None:
            await self._late
            self._late = None

    def push(self, piece: bytes) -> bool:
        """Send a piece at once; False if one that was pushed before has not left yet."""
        if self._late is not None:
            return False
        steps = self._send({"type": "http.response.body", "body": piece, "more_body": True}).__await__()
        self._idle = False
        try:
            waits_for = next(steps)
        except StopIteration:
            return True
        self._late = asyncio.ensure_future(_finished(steps, waits_for))
        return True

    def _arm(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._interval, self._tick)

    def _tick(self) -> None:
        if self._idle and not self._busy and (self._late is None or self._late.done()):
            self._ping = asyncio.ensure_future(self._tell())
        self._idle = True
        self._arm()

    async def _tell(self) -> None:
        await self._send({"type": "http.response.body", "body": PING, "more_body": True})


async def _finished(steps: Generator[Any, None, None], waits_for: object) -> None:
    """The other steps of what has taken its first and `waits_for` something now."""
    await _others(steps, waits_for)


@coroutine
def _others(steps: Generator[Any, None, None], waits_for: object) -> Generator[Any, None, None]:
    yield waits_for
    yield from steps
