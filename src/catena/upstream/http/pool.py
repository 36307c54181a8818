"""Which connections there are, and which of them are free for the next request.

Free ones wait in a stack for each origin: the one that was used last is taken first, so that those that are
not needed grow old and close. There is no bound on those in use: a thousand streams are a thousand sockets.
"""

from __future__ import annotations

import asyncio
from typing import Final

from catena.upstream.http.connection import Connection
from catena.upstream.http.head import Origin

__all__ = ["Pool"]

_IDLE_SECONDS: Final = 15.0


class Pool:
    """Keeps at most `max_idle` free connections to one origin, each for at most 15 s."""

    def __init__(self, max_idle: int) -> None:
        self.closed = False
        self._max_idle = max_idle
        self._free: dict[Origin, list[Connection]] = {}
        self._open: set[Connection] = set()
        self._emptied = asyncio.Event()

    def take(self, origin: Origin) -> Connection | None:
        """A free connection to `origin`, if there is one."""
        free = self._free.get(origin)
        while free:
            connection = free.pop()
            if not connection.is_closing:
                return connection
        return None

    async def close(self) -> None:
        """Close every connection, in use or not; those that come later are closed as they come."""
        self.closed = True
        for connection in tuple(self._open):
            connection.close()
        while self._open:
            self._emptied.clear()
            await self._emptied.wait()

    # What connections tell their owner.

    def opened(self, connection: Connection) -> None:
        self._open.add(connection)

    def freed(self, connection: Connection) -> None:
        free = self._free.setdefault(connection.origin, [])
        if self.closed or len(free) >= self._max_idle:
            connection.abort()
        else:
            connection.expire_in(_IDLE_SECONDS)
            free.append(connection)

    def lost(self, connection: Connection) -> None:
        self._open.discard(connection)
        free = self._free.get(connection.origin, [])
        if connection in free:
            free.remove(connection)
        if not self._open:
            self._emptied.set()
