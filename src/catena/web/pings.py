"""Comments on idle streams, so that nothing in between closes them (spec §10.7)."""

from __future__ import annotations

import asyncio
from types import TracebackType

from catena.web.http import Send

__all__ = ["PING", "Pinger"]

PING = b": ping\n\n"


class Pinger:
    """While entered, sends a comment whenever `interval` seconds went by in which it stayed `idle`.

    Who sends a piece says that it is `busy` before, and that it was not `idle` afterwards.
    """

    def __init__(self, send: Send, interval: float) -> None:
        self._send = send
        self._interval = interval
        self.busy = False
        self.idle = True
        self._timer: asyncio.TimerHandle | None = None
        self._ping: asyncio.Task[None] | None = None

    def __enter__(self) -> Pinger:
        if self._interval > 0:
            self._arm()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _arm(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._interval, self._tick)

    def _tick(self) -> None:
        if self.idle and not self.busy:
            self._ping = asyncio.ensure_future(self._tell())
        self.idle = True
        self._arm()

    async def _tell(self) -> None:
        await self._send({"type": "http.response.body", "body": PING, "more_body": True})
