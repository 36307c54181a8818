"""The parts of `make bench`: each starts what it measures, and adds its rows to the report."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console

from bench.catalogue import Size, catalogue
from bench.choosing import Choice
from bench.load import Connection
from bench.report import Report
from bench.rounds import measure
from bench.systems import Process, catena, catena_on_postgres, engine, floor

__all__ = ["Asked", "explorer", "large", "replicas", "server"]


@dataclass(frozen=True)
class Asked:
    """What the command line asks for."""

    console: Console
    report: Report
    only: Choice
    rounds: int
    size: Size
    stored: int


async def server(asked: Asked) -> None:
    """One server, on SQLite and on PostgreSQL, beside what is below it."""
    rows = [workload for workload in catalogue(asked.size) if workload.name in asked.only]
    if not rows and not asked.only.takes_any("W5"):
        return
    async with contextlib.AsyncExitStack() as stack:
        direct = await stack.enter_async_context(engine())
        systems = [
            await stack.enter_async_context(each(direct)) for each in (catena, catena_on_postgres, floor)
        ]
        if "W5 start" in asked.only:
            _add_memory(asked.report, "W5 start", systems, seconds=True)
        await _warm(systems)
        for row in rows:
            await measure(asked.console, asked.report, row, [*systems, direct], asked.rounds)
        if "W5 end" in asked.only:
            _add_memory(asked.report, "W5 end", systems, seconds=False)


def _add_memory(report: Report, name: str, systems: list[Process], *, seconds: bool) -> None:
    for system in systems:
        figures = {"seconds": system.started_in} if seconds else {}
        report.add(name, system.name, {**figures, "mb": system.memory()})


async def _warm(systems: list[Process]) -> None:
    """What is loaded with the first request is loaded before the first row."""
    for system in systems[:2]:
        connection = await Connection.open(system.port)
        with contextlib.closing(connection):
            for _ in range(20):
                await connection.ask("/responses", {"model": "m", "input": "Say hello."})


async def large(asked: Asked) -> None:
    """One server on a SQLite file that has many turns."""
    if asked.only.takes_any("W8"):
        from bench import large

        await large.measure(asked.console, asked.report, rounds=asked.rounds, stored=asked.stored)


async def replicas(asked: Asked) -> None:
    """Several servers on one PostgreSQL, which has many turns."""
    if asked.only.takes_any("replicas", "W8"):
        from bench import replicas

        with _all_cores():
            await replicas.measure(
                asked.console, asked.report, asked.only, rounds=asked.rounds, stored=asked.stored
            )


async def explorer(asked: Asked) -> None:
    """A tree in a browser, where there is one."""
    if asked.only.takes_any("explorer"):
        from bench import explorer

        with _all_cores():
            await explorer.measure(asked.console, asked.report, asked.rounds)


@contextlib.contextmanager
def _all_cores() -> Iterator[None]:
    """What is started meanwhile may use any core: a database that several servers ask, a browser."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)
