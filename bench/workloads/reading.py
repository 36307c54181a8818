"""W4: what was stored is read: a response, and a page of the items behind a turn at depth 200."""

from __future__ import annotations

from bench.load import Connection
from bench.systems import Process
from bench.workloads.chains import chain
from bench.workloads.timing import Figures, side_by_side, timed

__all__ = ["reads"]

_AT_ONCE = 16


async def reads(system: Process, *, requests: int, turns: int = 200) -> Figures:
    """Requests a second, and what one costs; `items_…` is the page, asked for less often, as it has more in it."""
    connection = await Connection.open(system.port)
    last, _ = (await chain(connection, turns))[-1]
    connection.close()
    figures: Figures = {}
    for name, path, count in (
        ("get", f"/responses/{last}", requests // _AT_ONCE * _AT_ONCE),
        ("items", f"/responses/{last}/input_items", max(1, requests // _AT_ONCE // 20) * _AT_ONCE),
    ):

        async def work(connection: Connection, path: str = path, count: int = count) -> None:
            for _ in range(count // _AT_ONCE):
                await connection.ask(path, method="GET")

        measured = await timed(system, count, side_by_side(_AT_ONCE, system.port, work))
        figures |= {f"{name}_{unit}": value for unit, value in measured.items()}
    return figures
