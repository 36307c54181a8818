"""`make bench-rivals [ARGS="--rounds N --quick --only NAME --out FILE"]`: the same workloads for Catena and for others.

All run at once with one mock engine behind them, and are asked in turn, round by round. Catena and OGX have it as a
chat server, so they translate; the others forward to it as a Responses server, which is less work. What keeps its turns
in PostgreSQL is compared with Catena on PostgreSQL, and each has the core of its server for its database as well.

What a server cannot do it is not asked; that, and what it answered with an error, is told below the tables. The engine
tells how much of a chain it was sent: a turn that came without its whole history is not counted as a fast one.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from rich.console import Console
from rich.table import Table

from bench import workloads
from bench.peers import PEERS, LeftOut, Peer, python_of, started
from bench.report import Report
from bench.systems import ON_POSTGRES, Database, Process, catena, catena_on_postgres, engine, postgres
from bench.workloads import DEPTHS, Figures
from catena.http_server import event_loop

console = Console(width=190)

_PATIENCE: Final = 300.0
"""Seconds after which a server is not waited for."""

_SERVER_CORE: Final = 0

_ERRORS: Final = (RuntimeError, OSError, ValueError, TimeoutError)


class Entrant(NamedTuple):
    """A system with what it can be asked."""

    system: Process
    beside: str = "catena"
    """The name of the one that its figures are compared with."""
    is_slow: bool = False
    remembers: bool = True


class Work(NamedTuple):
    """A workload: `ask` it of a system, with so large a share of the requests."""

    name: str
    ask: Callable[[Process, int], Awaitable[Figures]]
    rounds: int
    is_of_chains: bool = False


def works(rounds: int, scale: int) -> Sequence[Work]:
    turns = 200 if scale == 1 else 1000
    return (
        Work(
            "W1 stateless x64",
            lambda s, less: workloads.stateless(s, at_once=64, requests=1600 * scale // less, stream=False),
            rounds,
        ),
        Work(
            "stored creates x16",
            lambda s, less: workloads.stored(s, at_once=16, requests=800 * scale // less),
            rounds,
        ),
        Work("W2 chains 16x50", lambda s, _: workloads.chains(s, chains_at_once=16, turns=50), rounds, True),
        Work(f"W2 depth 2x{turns}", lambda s, _: _depth(s, turns), max(1, rounds // 2), True),
    )


async def _depth(system: Process, turns: int) -> Figures:
    """What a turn costs at a depth, as far as the engine got all of the history; and bytes on the disk for each."""
    before = system.stored()
    figures = await workloads.depth(system, turns=turns)
    reached, whole_to = figures["reached"], figures["whole_to"]
    if reached and system.folder is not None and (more := system.stored() - before) > 0:
        figures["disk_bytes"] = more / (2 * reached)
    if whole_to < _deepest(reached):
        figures = {name: value for name, value in figures.items() if name in ("reached", "whole_to")} | {
            f"ms_at_{place}": figures[f"ms_at_{place}"] for place in DEPTHS if place <= whole_to
        }
    return figures


def _deepest(reached: float) -> int:
    return max((place for place in DEPTHS if place <= reached), default=0)


async def compare(report: Report, rounds: int, scale: int, only: str) -> None:
    """Measure all that can be started here."""
    told: dict[str, object] = {}
    report.about["rivals"] = told
    async with contextlib.AsyncExitStack() as stack:
        behind = await stack.enter_async_context(engine())
        entrants = [Entrant(await stack.enter_async_context(catena(behind)))]
        peers = [peer for peer in PEERS if only.lower() in peer.name.lower()]
        database = None
        if any(peer.on_postgres for peer in peers):
            entrants.append(
                Entrant(await stack.enter_async_context(catena_on_postgres(behind)), beside=ON_POSTGRES)
            )
            database = await stack.enter_async_context(postgres())
            database.pin(_SERVER_CORE)
        for peer in peers:
            console.print(f"[dim]starting {peer.name}[/]")
            try:
                entrants.append(await _entered(stack, peer, behind, database, report, told))
            except (LeftOut, *_ERRORS) as error:
                _tell(report, f"{peer.name}: {str(error) or 'no answer in time'}")
        for work in works(rounds, scale):
            console.print(f"[dim]{work.name}[/]")
            await _measure(
                report, work, [each for each in entrants if each.remembers or not work.is_of_chains]
            )


async def _entered(
    stack: contextlib.AsyncExitStack,
    peer: Peer,
    behind: Process,
    database: Database | None,
    report: Report,
    told: dict[str, object],
) -> Entrant:
    """The server, which has answered, and whether it remembers."""
    system = await stack.enter_async_context(started(peer, behind, database))
    async with asyncio.timeout(60):
        while True:  # some answer only a while after they have begun to listen
            try:
                await workloads.stored(system, at_once=1, requests=1)
            except (RuntimeError, OSError):
                await asyncio.sleep(0.2)
            else:
                break
    told[peer.name] = {
        "package": peer.package,
        "python": python_of(peer),
        "started_in": system.started_in,
        "idle_mb": system.memory(),
    }
    remembers = (await workloads.depth(system, turns=10))["whole_to"] == 10
    if not remembers:
        _tell(report, f"{peer.name}: chains, as the engine was not sent the earlier turns")
    return Entrant(system, ON_POSTGRES if peer.on_postgres else "catena", peer.is_slow, remembers)


async def _measure(report: Report, work: Work, entrants: Sequence[Entrant]) -> None:
    failed: set[str] = set()
    for number in range(work.rounds):
        report.noise.look()
        for system, _, is_slow, _ in entrants:
            if system.name in failed or (is_slow and work.is_of_chains and number > 0):
                continue
            try:
                async with asyncio.timeout(_PATIENCE):
                    figures = await work.ask(system, 8 if is_slow else 1)
            except _ERRORS as error:
                failed.add(system.name)
                _tell(report, f"{system.name}, {work.name}: {str(error) or 'no answer in time'}")
            else:
                report.add(work.name, system.name, figures)


def _tell(report: Report, failure: str) -> None:
    report.failures.append(failure)
    console.print(f"[yellow]Not measured:[/] {failure}", highlight=False)


def show(report: Report) -> None:
    """A table for each workload: a row for each system, with its share of what Catena has in the same place."""
    rows: dict[str, dict[str, dict[str, float]]] = {}
    for workload, figure, medians in report.medians():
        for system, value in medians.items():
            rows.setdefault(workload, {}).setdefault(system, {})[figure] = value
    for workload, systems in rows.items():
        console.print(_table(workload, systems))
    console.print(
        "Medians of the rounds; behind each its ratio to Catena's, on the same kind of store. Milliseconds at a depth "
        "(ms_at) stand only where the engine was sent the whole history."
    )
    for sentence in report.noise.sentences():
        console.print(sentence, highlight=False)
    for failure in report.failures:
        console.print(f"Not measured: {failure}", highlight=False)


def _table(workload: str, systems: dict[str, dict[str, float]]) -> Table:
    names = dict.fromkeys(name for figures in systems.values() for name in figures)
    is_deep = "reached" in names
    columns = [name for name in names if name not in ("reached", "whole_to")]
    table = Table(title=workload, title_justify="left", box=None, pad_edge=False)
    for number, column in enumerate(("", *columns, *(["history"] if is_deep else []))):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    beside = {peer.name: ON_POSTGRES for peer in PEERS if peer.on_postgres}
    for system, figures in systems.items():
        ours = systems.get(beside.get(system, "catena"), {})
        cells = [_cell(name, figures, ours) for name in columns]
        table.add_row(system, *cells, *([_history(figures)] if is_deep else []))
    return table


def _cell(name: str, figures: Figures, ours: Figures) -> str:
    if name not in figures:
        return "-"
    value = figures[name]
    told = f"{value:,.1f}" if value >= 10 else f"{value:,.2f}"
    return f"{told} ×{value / ours[name]:.2f}" if ours.get(name) and ours is not figures else told


def _history(figures: Figures) -> str:
    """How much of the history came, and where a chain ended before its time."""
    reached, whole_to = int(figures["reached"]), int(figures["whole_to"])
    if whole_to < _deepest(reached):
        later = min(place for place in DEPTHS if place > whole_to)
        return f"all at {whole_to}, cut at {later}"
    return f"all, to {reached}"


async def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.rivals")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="small counts: to see that it runs")
    parser.add_argument("--only", default="", help="the others with this in their name, not all")
    parser.add_argument("--out", type=Path, help="where to write the figures as JSON")
    asked = parser.parse_args()
    os.sched_setaffinity(0, {(os.cpu_count() or 1) - 1})
    report = Report()
    await compare(report, asked.rounds, 1 if asked.quick else 4, asked.only)
    show(report)
    if asked.out:
        report.write(asked.out)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=event_loop) as runner:
        runner.run(main())
