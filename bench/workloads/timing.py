"""What a piece of work took: seconds, and processor time of each who took part in it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from bench.load import Connection
from bench.systems import Process

__all__ = ["Figures", "Meter", "quantile", "side_by_side", "timed"]

Figures: TypeAlias = dict[str, float]


class Meter:
    """Counts from when it is made."""

    def __init__(self, system: Process) -> None:
        self._system = system
        self._begun = self._now()

    def each(self, units: int) -> Figures:
        """What one of so many units took since: `per_s`, and microseconds of the processor: `cpu_us` of the system
        itself, `database_us` of its database, where that is a server, and `load_us` of generator and engine."""
        took, system, database, load = (
            now - begun for now, begun in zip(self._now(), self._begun, strict=True)
        )
        figures = {"per_s": units / took, "cpu_us": system / units * 1e6, "load_us": load / units * 1e6}
        if self._system.database is not None:
            figures["database_us"] = database / units * 1e6
        return figures

    def _now(self) -> Sequence[float]:
        system = self._system
        engine = system.behind or system
        database = system.database.cpu() if system.database is not None else 0.0
        return time.perf_counter(), system.cpu(), database, time.process_time() + engine.cpu()


async def timed(system: Process, units: int, work: Awaitable[object]) -> Figures:
    """Do the work, which are so many units. See `Meter.each`."""
    meter = Meter(system)
    await work
    return meter.each(units)


async def side_by_side(connections: int, port: int, work: Callable[[Connection], Awaitable[None]]) -> None:
    """Do the work on so many connections at once."""

    async def one() -> None:
        connection = await Connection.open(port)
        try:
            await work(connection)
        finally:
            connection.close()

    tasks = [asyncio.ensure_future(one()) for _ in range(connections)]
    try:
        await asyncio.gather(*tasks)  # the first error is told by itself, not in a group
    finally:
        for task in tasks:
            task.cancel()


def quantile(values: Sequence[float], share: float) -> float:
    """The value that so large a share of them does not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]
