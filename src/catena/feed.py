"""The followable event log of one response.

Whoever wants a response's events follows its feed, from any place, any number of them at once: the request that
began it, one that comes back, a page that watches. A follower takes what is there and then waits for more; a slow one
holds up nobody, for all read from the same log. One that keeps up may leave a tap (see `taps`), and is told new events
while they are published.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, TypeAlias

from catena.taps import Tap, Tapped
from catena.wire.events import Event

__all__ = ["Feed"]

_MOST_AT_ONCE: Final = 256

EventTap: TypeAlias = Tap[Sequence[Event]]


class Feed:
    """Events in the order of their sequence numbers, from 0."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._waiting: set[_Waiting] = set()
        self.ended = False

    def __len__(self) -> int:
        return len(self._events)

    @property
    def events(self) -> Sequence[Event]:
        """What was told so far."""
        return self._events

    def publish(self, events: Sequence[Event]) -> None:
        """Add events and tell who waits for them."""
        if events:
            self._events += events
            for waiting in self._waiting:
                waiting.tell(events)

    def end(self, events: Sequence[Event] = ()) -> None:
        """Nothing comes after these events. They are pulled: who waits has to wake up for the end anyway, and can send
        all of it as one."""
        self._events += events
        self.ended = True
        for waiting in self._waiting:
            waiting.wake()

    async def reaches(self, position: int) -> bool:
        """Wait until there is an event number `position`; False if the feed ends before."""
        while len(self._events) <= position:
            if self.ended:
                return False
            await self._more()
        return True

    async def finished(self) -> None:
        """Wait until nothing more comes."""
        if not self.ended:
            await self._more(_takes_all)

    async def follow(self, start: int = 0) -> Tapped[Sequence[Event]]:
        """The events from number `start` on, until the end: at each step those that came since the last.

        They are not too many at once, so that who is slow or late has no copy of the whole log on the way.
        """
        position = start
        tap: EventTap | None = None
        while True:
            batch = self._events[position : position + _MOST_AT_ONCE]
            if batch:
                position += len(batch)
                tap = yield batch
            elif self.ended:
                return
            else:
                position += await self._more(tap if position == len(self._events) else None)

    async def _more(self, tap: EventTap | None = None) -> int:
        """Wait until there are events that `tap` does not take, or the end. How many it has taken before."""
        waiting = _Waiting(tap)
        self._waiting.add(waiting)
        try:
            await waiting.woken
        finally:
            self._waiting.discard(waiting)
        return waiting.taken


class _Waiting:
    """Somebody who has heard everything, and waits for more."""

    __slots__ = ("_tap", "taken", "woken")

    def __init__(self, tap: EventTap | None) -> None:
        self.taken = 0
        self.woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tap = tap

    def tell(self, events: Sequence[Event]) -> None:
        if self._tap is not None and self._takes(self._tap, events):
            self.taken += len(events)
        else:
            self.wake()

    def _takes(self, tap: EventTap, events: Sequence[Event]) -> bool:
        try:
            return tap(events)
        except Exception:
            return False  # it meets the same when it pulls, and only there it is its own

    def wake(self) -> None:
        """Nothing is pushed any more: the rest is pulled."""
        self._tap = None
        if not self.woken.done():
            self.woken.set_result(None)


def _takes_all(events: Sequence[Event]) -> bool:
    return True
