"""The followable event log of one response.

Whoever wants a response's events follows its feed, from any place, any number of them at once: the request that
began it, one that comes back, a page that watches. A follower takes what is there and then waits for more; a slow one
holds up nobody, for all read from the same log.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Final

from catena.wire.events import Event

__all__ = ["Feed"]

_MOST_AT_ONCE: Final = 256


class Feed:
    """Events in the order of their sequence numbers, from 0."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._waiting: list[asyncio.Future[None]] = []
        self.ended = False

    def __len__(self) -> int:
        return len(self._events)

    @property
    def events(self) -> Sequence[Event]:
        """What was told so far."""
        return self._events

    def publish(self, events: Sequence[Event]) -> None:
        """Add events and wake who waits for them."""
        if events:
            self._events += events
            if self._waiting:
                self._wake()

    def end(self) -> None:
        """Nothing comes after this."""
        self.ended = True
        self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def reaches(self, position: int) -> bool:
        """Wait until there is an event number `position`; False if the feed ends before."""
        while len(self._events) <= position:
            if self.ended:
                return False
            await self._more()
        return True

    def _more(self) -> asyncio.Future[None]:
        """Done when there are more events, or the end."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        return future

    async def finished(self) -> None:
        """Wait until nothing more comes."""
        while await self.reaches(len(self._events)):
            pass

    async def follow(self, start: int = 0) -> AsyncGenerator[Sequence[Event], None]:
        """The events from number `start` on, until the end: at each step those that came since the last.

        They are not too many at once, so that who is slow or late has no copy of the whole log on the way.
        """
        position = start
        while True:
            batch = self._events[position : position + _MOST_AT_ONCE]
            if batch:
                position += len(batch)
                yield batch
            elif self.ended:
                return
            else:
                await self._more()
