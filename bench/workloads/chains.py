"""W2: responses that continue others, and what a turn costs at a depth."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from bench.load import Asker, Connection
from bench.systems import Process
from bench.workloads.asking import ASKED, id_in
from bench.workloads.timing import Figures, side_by_side, timed

__all__ = ["DEPTHS", "chain", "chains", "depth", "growing"]

DEPTHS: Final = (1, 10, 50, 100, 200, 500, 1000)
"""Where the cost of a turn is told."""

_LONGEST: Final = 120.0
"""Seconds after which a chain is not continued: some take longer with each turn."""


async def growing(
    connection: Asker, turns: int, text: str = ASKED, *, root: str = ""
) -> AsyncIterator[tuple[str, float]]:
    """The id of each turn of a chain, as it is made, and the milliseconds that took."""
    last = root
    for number in range(turns):
        body: dict[str, Any] = {"model": "m", "input": f"{text} {number}"}
        if last:
            body["previous_response_id"] = last
        begun = time.perf_counter()
        last = id_in(await connection.ask("/responses", body))
        yield last, (time.perf_counter() - begun) * 1e3


async def chain(connection: Asker, turns: int, text: str = ASKED) -> list[tuple[str, float]]:
    """The ids of a chain's turns, with the milliseconds that each took."""
    return [made async for made in growing(connection, turns, text)]


async def chains(system: Process, *, chains_at_once: int, turns: int) -> Figures:
    """Chains that grow side by side."""

    async def work(connection: Connection) -> None:
        await chain(connection, turns)

    return await timed(system, chains_at_once * turns, side_by_side(chains_at_once, system.port, work))


async def depth(system: Process, *, turns: int) -> Figures:
    """What a turn costs at each of `DEPTHS`, two chains side by side: medians around it, in milliseconds.

    `reached` is how long the chains became: a server that refuses to go on, or needs too long, ends there. `whole_to`
    is how deep the engine was sent all of the history; one that is cut without a word is found by that.
    """
    taken: list[list[float]] = [[], []]
    whole_to = 0

    async def one(times: list[float], *, is_first: bool) -> None:
        nonlocal whole_to
        connection = await Connection.open(system.port)
        with contextlib.closing(connection):
            async for _, took in growing(connection, turns):
                times.append(took)
                if is_first and len(times) in DEPTHS and await _seen(system) >= len(times):
                    whole_to = len(times)

    async def both() -> None:
        with contextlib.suppress(RuntimeError, OSError, ValueError, TimeoutError):
            async with asyncio.timeout(_LONGEST):
                ended = await asyncio.gather(
                    *(one(times, is_first=times is taken[0]) for times in taken), return_exceptions=True
                )
                for error in ended:
                    if error is not None and not isinstance(error, RuntimeError | OSError | ValueError):
                        raise error

    figures = await timed(system, 2 * turns, both())
    reached = min(map(len, taken))
    if reached < turns:  # what was not done was not measured
        figures = {}
    return figures | _at_depths(taken, reached) | {"reached": reached, "whole_to": whole_to}


def _at_depths(taken: Sequence[Sequence[float]], reached: int) -> Figures:
    figures: Figures = {}
    for place in DEPTHS:
        if place <= reached:
            around = min(10, max(1, place // 5))
            near = [took for times in taken for took in times[max(0, place - around) : place + around + 1]]
            figures[f"ms_at_{place}"] = statistics.median(near)
    return figures


async def _seen(system: Process) -> int:
    """How many turns the longest prompt had that the engine got since it was last asked."""
    connection = await Connection.open((system.behind or system).port)
    with contextlib.closing(connection):
        return int(await connection.ask("/seen", method="GET"))
