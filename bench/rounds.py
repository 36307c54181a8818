"""How workloads are measured: each system in turn, round after round (A B A B …), so that a machine whose speed drifts
drifts for all of them."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, TypeAlias

from rich.console import Console

from bench.load import Connection
from bench.report import Report
from bench.systems import Process
from bench.workloads import Figures

__all__ = ["Manner", "Work", "Workload", "instruct", "measure"]

Work: TypeAlias = Callable[[Process], Awaitable[Figures]]


class Manner(NamedTuple):
    """How the engine answers: with so many deltas, so many seconds apart; for one `model` only, if that is given."""

    deltas: int = 2
    pace: float = 0.0
    model: str = ""


class Workload(NamedTuple):
    """What is measured: a row of the table for each figure of `work`, on the systems with these names.

    Of `rounds` that are asked for, a long one may take only some.
    """

    name: str
    work: Work
    systems: Sequence[str]
    manner: Manner = Manner()
    share_of_rounds: float = 1.0


async def measure(
    console: Console, report: Report, workload: Workload, systems: Sequence[Process], rounds: int
) -> None:
    """Add the figures to the report. What fails a check is told there in place of figures."""
    console.print(f"[dim]{workload.name}[/]")
    taking_part = [system for system in systems if system.name in workload.systems]
    if not taking_part:
        return
    await instruct(taking_part[0].behind or taking_part[0], workload.manner)
    for _ in range(max(1, round(rounds * workload.share_of_rounds))):
        for system in taking_part:
            try:
                report.add(workload.name, system.name, await workload.work(system))
            except RuntimeError as error:
                report.failures.append(f"{workload.name}, {system.name}: {error}")
        report.noise.look()


async def instruct(engine: Process, manner: Manner) -> None:
    """Have the engine answer so from now on."""
    model = f"&model={manner.model}" if manner.model else ""
    connection = await Connection.open(engine.port)
    with contextlib.closing(connection):
        await connection.ask(f"/manner?deltas={manner.deltas}&pace={manner.pace}{model}", method="GET")
