"""What grows with the width of a tree, and with the followers of a stream: processor time of the server, as ratios."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import Any, Final

from bench.load import Connection
from bench.systems import Process
from bench.workloads.asking import id_in
from bench.workloads.timing import Figures, Meter, side_by_side, timed

__all__ = ["followers", "siblings"]

_AT_ONCE: Final = 16


async def siblings(system: Process, *, widths: tuple[int, ...], measured: int) -> Figures:
    """What another turn costs whose parent has so many children already, beside a parent that has none."""
    connection = await Connection.open(system.port)
    root = id_in(await connection.ask("/responses", {"model": "m", "input": "The root."}))
    await _branches(connection, root, measured)  # whatever is done once is done
    figures: Figures = {}
    there = measured
    for width in widths:
        more = max(0, width - there) // _AT_ONCE
        await side_by_side(_AT_ONCE, system.port, partial(_branches, root=root, count=more))
        cost = await timed(system, measured, _branches(connection, root, measured))
        figures[f"cpu_us_at_{width}"] = cost["cpu_us"]
        there = max(there, width) + measured
    connection.close()
    narrow, wide = figures[f"cpu_us_at_{widths[0]}"], figures[f"cpu_us_at_{widths[-1]}"]
    return {**figures, "ratio": wide / narrow}


async def _branches(connection: Connection, root: str, count: int) -> None:
    for number in range(count):
        body = {"model": "m", "input": f"A branch, number {number}", "previous_response_id": root}
        await connection.ask("/responses", body)


async def followers(system: Process, *, counts: tuple[int, int, int], deltas: int) -> Figures:
    """What another follower of a stream costs for each delta where there are some, beside where there are many."""
    alone, some, many = counts
    cost: dict[int, float] = {}
    for count in counts:
        meter = Meter(system)
        await _followed(system.port, count)
        cost[count] = meter.each(deltas)["cpu_us"]
    figures = {
        f"another_cpu_us_at_{count}": (cost[count] - cost[alone]) / (count - alone) for count in (some, many)
    }
    less, more = figures.values()
    return {"cpu_us_alone": cost[alone], **figures, "ratio": more / less}


async def _followed(port: int, count: int) -> None:
    """One stream, and all who hear it: its client among them."""
    begun: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def hear(event: bytes) -> None:
        if not begun.done():
            begun.set_result(id_in(event))

    async def listen(path: str, method: str, take: Any, body: object = None) -> None:
        connection = await Connection.open(port)
        with contextlib.closing(connection):
            await connection.stream(path, body, take, method=method)

    async with asyncio.TaskGroup() as group:
        body = {"model": "m", "input": "Go on.", "stream": True}
        group.create_task(listen("/responses", "POST", hear, body))
        path = f"/responses/{await begun}?stream=true"
        for _ in range(count - 1):
            group.create_task(listen(path, "GET", len))
