"""What is counted against limits: buckets that fill up again, and places that are held for a while.

A bucket holds what may be used in a minute, and fills evenly. A place is one of a few, held under a lease, so that who
dies gives it back. Both are found under names, are made by the first who names them, and need not survive a restart.
Servers that share a store share these; each verb is one atomic step, on whichever of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

import msgspec

__all__ = ["Counters", "Draw", "Drawn", "MemoryCounters", "Place"]

_MINUTE: Final = 60.0
_MOST: Final = 10_000
"""How many buckets are looked after before the full ones, which say nothing, are forgotten."""


class Draw(msgspec.Struct, frozen=True):
    """So much from the bucket of this name, which holds `limit` and fills in a minute."""

    name: str
    amount: float
    limit: int


class Drawn(msgspec.Struct, frozen=True):
    """What came of it: `levels` is what is in each bucket now; `short` the first that had too little, if any had.

    Then nothing was taken from any.
    """

    levels: Sequence[float]
    short: int | None = None


class Place(msgspec.Struct, frozen=True):
    """One of `limit` places under this name."""

    name: str
    limit: int


class Counters(Protocol):
    """The verbs, each one atomic step. All raise StoreUnavailable. Time is that of the counters."""

    async def draw(self, draws: Sequence[Draw]) -> Drawn:
        """Take every amount from its bucket; or nothing from any, if one of them has less."""
        ...

    async def give(self, draws: Sequence[Draw]) -> None:
        """Put amounts back, up to what a bucket holds. A negative amount is taken, whether it is there or not."""
        ...

    async def hold(self, holder: str, places: Sequence[Place], lease: float) -> int | None:
        """Hold one place under each name for `lease` seconds; or none, and say which was the first without one free."""
        ...

    async def renew(self, holders: Sequence[str], lease: float) -> None:
        """Have `lease` seconds more for the places of these holders."""
        ...

    async def let_go(self, holder: str) -> None:
        """Give the places of this holder back."""
        ...


class _Bucket(NamedTuple):
    level: float
    at: float
    limit: int


class MemoryCounters:
    """Those of one server. `clock` gives seconds that never go back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}
        self._places: dict[str, dict[str, float]] = {}

    async def draw(self, draws: Sequence[Draw]) -> Drawn:
        levels = [self._level(draw) for draw in draws]
        for number, (draw, level) in enumerate(zip(draws, levels, strict=True)):
            if level < draw.amount:
                return Drawn(levels, number)
        after = [level - draw.amount for draw, level in zip(draws, levels, strict=True)]
        self._set(draws, after)
        return Drawn(after)

    async def give(self, draws: Sequence[Draw]) -> None:
        self._set(draws, [min(draw.limit, self._level(draw) + draw.amount) for draw in draws])

    def _level(self, draw: Draw) -> float:
        found = self._buckets.get(draw.name)
        if found is None:
            return draw.limit
        return min(draw.limit, found.level + (self._clock() - found.at) * draw.limit / _MINUTE)

    def _set(self, draws: Sequence[Draw], levels: Sequence[float]) -> None:
        now = self._clock()
        for draw, level in zip(draws, levels, strict=True):
            self._buckets[draw.name] = _Bucket(level, now, draw.limit)
        if len(self._buckets) > _MOST:
            self._buckets = {
                name: bucket
                for name, bucket in self._buckets.items()
                if bucket.level + (now - bucket.at) * bucket.limit / _MINUTE < bucket.limit
            }

    async def hold(self, holder: str, places: Sequence[Place], lease: float) -> int | None:
        now = self._clock()
        for number, place in enumerate(places):
            held = self._places.setdefault(place.name, {})
            for other in [other for other, until in held.items() if until <= now]:
                del held[other]
            if len(held) >= place.limit:
                return number
        for place in places:
            self._places[place.name][holder] = now + lease
        return None

    async def renew(self, holders: Sequence[str], lease: float) -> None:
        until = self._clock() + lease
        for held in self._places.values():
            held.update({holder: until for holder in holders if holder in held})

    async def let_go(self, holder: str) -> None:
        for name, held in list(self._places.items()):
            held.pop(holder, None)
            if not held:
                del self._places[name]
