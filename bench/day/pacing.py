"""How often something is done: evenly, whatever the server makes of it, at a rate that it can take."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from bench.day.people import People
from bench.systems import Process

__all__ = ["capacity", "settled", "steadily"]

_AT_ONCE = 32
_MOST_UNDER_WAY = 2_000
"""What is begun and not done: with more, the server cannot keep up, and is not asked for more yet."""


async def capacity(system: Process, people: People, *, seconds: float) -> float:
    """How much can be done in a second, by the processor time that it takes on the server's core."""
    end = time.perf_counter() + seconds
    done, cpu = 0, system.cpu()

    async def one() -> None:
        nonlocal done
        while time.perf_counter() < end:
            await people.act()
            done += 1

    await asyncio.gather(*(one() for _ in range(_AT_ONCE)))
    return done / (system.cpu() - cpu)


async def steadily(act: Callable[[], Awaitable[None]], *, rate: float, seconds: float) -> None:
    """Begin `act` so many times a second, whether or not earlier ones are done. Returns when all are."""
    begun = time.perf_counter()
    under_way: set[asyncio.Future[None]] = set()
    for number in range(int(rate * seconds)):
        wait = begun + number / rate - time.perf_counter()
        await asyncio.sleep(max(0.0, wait))
        if len(under_way) >= _MOST_UNDER_WAY:
            await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
        doing = asyncio.ensure_future(act())
        under_way.add(doing)
        doing.add_done_callback(under_way.discard)
    await asyncio.gather(*under_way)


async def settled(system: Process, *, most: float, wanted: int | None = None) -> int:
    """The open handles of a server that nobody asks: those that are `wanted`, or as many as stay for a moment.

    It waits for that `most` seconds.
    """
    end = time.perf_counter() + most
    seen, same = system.handles(), 0
    while time.perf_counter() < end:
        if wanted is not None and seen <= wanted:
            break
        if wanted is None and same >= 4:
            break
        await asyncio.sleep(0.5)
        now = system.handles()
        seen, same = now, same + 1 if now == seen else 0
    return seen
