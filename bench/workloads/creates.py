"""W1: responses without a past."""

from __future__ import annotations

from bench.load import Connection
from bench.systems import Process
from bench.workloads.asking import body_of, path_of
from bench.workloads.timing import Figures, side_by_side, timed

__all__ = ["stateless", "stored"]


async def stateless(system: Process, *, at_once: int, requests: int, stream: bool) -> Figures:
    """Creates that leave nothing behind."""
    body = body_of(system, "Say hello.", store=False, stream=stream)

    async def work(connection: Connection) -> None:
        for _ in range(requests // at_once):
            await connection.ask(path_of(system), body)

    return await timed(system, requests, side_by_side(at_once, system.port, work))


async def stored(system: Process, *, at_once: int, requests: int) -> Figures:
    """Creates that are kept, each a root."""

    async def work(connection: Connection) -> None:
        for _ in range(requests // at_once):
            await connection.ask("/responses", {"model": "m", "input": "Say hello."})

    return await timed(system, requests, side_by_side(at_once, system.port, work))
