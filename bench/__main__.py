"""`python -m bench [explorer|replicas] [--rounds N] [--quick] [--only W1,W2] [--out FILE]`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from rich.console import Console

from bench import sockets, workloads
from bench.report import Report
from bench.systems import Process, catena, engine, floor
from bench.workloads import Figures
from catena.server import event_loop

Work: TypeAlias = Callable[[Process], Awaitable[Figures]]

console = Console(width=140)


async def measure(report: Report, name: str, systems: Sequence[Process], work: Work, rounds: int) -> None:
    console.print(f"[dim]{name}[/]")
    for _ in range(rounds):
        for system in systems:
            report.add(name, system.name, await work(system))


async def at_once(report: Report, rounds: int, scale: int) -> None:
    """The workloads on an engine that answers at once."""
    async with contextlib.AsyncExitStack() as stack:
        direct = await stack.enter_async_context(engine())
        ours = await stack.enter_async_context(catena(direct))
        below = await stack.enter_async_context(floor(direct))
        report.add("W5 start", "catena", {"seconds": ours.started_in, "idle_mb": ours.memory()})
        report.add("W5 start", "floor", {"seconds": below.started_in, "idle_mb": below.memory()})
        for stream in (False, True):
            for width in (1, 16, 64):
                name = f"W1 stateless {'streamed' if stream else 'plain'} x{width}"
                count = (400 if width == 1 else 1600) * scale

                async def work(
                    system: Process, width: int = width, count: int = count, stream: bool = stream
                ) -> Figures:
                    return await workloads.stateless(system, at_once=width, requests=count, stream=stream)

                await measure(report, name, [ours, below, direct], work, rounds)
        await measure(
            report,
            "stored creates x16",
            [ours],
            lambda system: workloads.stored(system, at_once=16, requests=1600 * scale),
            rounds,
        )
        for width, turns in ((16, 50), (4, 200)):
            await measure(
                report,
                f"W2 chains {width}x{turns}",
                [ours],
                lambda system, width=width, turns=turns: workloads.chains(  # type: ignore[misc]  # defaults bind
                    system, chains_at_once=width, turns=turns
                ),
                rounds,
            )
        await measure(
            report, "W2 depth 2x1000", [ours], lambda s: workloads.depth(s, turns=1000), max(1, rounds // 2)
        )
        await measure(report, "W4 reads", [ours], lambda s: workloads.reads(s, requests=1600 * scale), rounds)
        await measure(
            report,
            "W6 one connection",
            [ours],
            lambda s: sockets.one_connection(s, turns=100 * scale),
            rounds,
        )
        report.add("W5 end", "catena", {"mb": ours.memory()})


async def paced(report: Report, rounds: int) -> None:
    """The workloads on an engine that sends piece by piece, and in bursts."""
    for streams, deltas, pace, name in (
        (256, 40, 0.05, "W3 paced x256"),
        (1000, 40, 0.1, "W3 paced x1000"),
        (64, 400, 0.0, "W3 burst x64"),
    ):
        async with contextlib.AsyncExitStack() as stack:
            direct = await stack.enter_async_context(engine(deltas=deltas, pace=pace))
            ours = await stack.enter_async_context(catena(direct))
            below = await stack.enter_async_context(floor(direct))

            async def work(
                system: Process, streams: int = streams, deltas: int = deltas, pace: float = pace
            ) -> Figures:
                if pace:
                    return await workloads.paced(system, streams=streams, deltas=deltas)
                figures = await workloads.stateless(
                    system, at_once=streams, requests=streams * 4, stream=True
                )
                return {"cpu_us": figures["cpu_us"] / deltas}

            await measure(report, f"{name} (a delta)", [ours, below, direct], work, rounds)


async def on_postgres(asked: argparse.Namespace) -> None:
    """Several servers on one PostgreSQL."""
    from bench import replicas  # needs a driver and a database, which the others do not

    report = Report()
    await replicas.measure(console, report, rounds=asked.rounds, stored=asked.stored, quick=asked.quick)
    report.show(console)
    if asked.out:
        report.write(asked.out)


async def main() -> None:
    parser = argparse.ArgumentParser(prog="bench")
    parser.add_argument("what", nargs="?", choices=["server", "explorer", "replicas"], default="server")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="small counts: to see that it runs")
    parser.add_argument("--stored", type=int, default=0, help="turns that are there before (replicas)")
    parser.add_argument("--out", type=Path, help="where to write the figures as JSON")
    asked = parser.parse_args()
    if asked.what == "explorer":
        from bench import explorer  # needs a browser, which the others do not

        await explorer.measure(console, asked.rounds)
        return
    if asked.what == "replicas":
        await on_postgres(asked)
        return
    os.sched_setaffinity(0, {(os.cpu_count() or 1) - 1})
    report = Report()
    await at_once(report, asked.rounds, 1 if asked.quick else 4)
    await paced(report, asked.rounds)
    report.show(console)
    if asked.out:
        report.write(asked.out)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=event_loop) as runner:
        runner.run(main())
