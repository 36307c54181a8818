"""`make bench-rivals`: the same workloads for Catena and for other servers that install from PyPI, in one run.

Each rival lives in an environment of its own under `.cache/rivals` and has the mock engine behind it. They forward to
a Responses server; Catena has the same engine as a chat server behind it, which is more work, not less. What a rival
cannot do it is not asked: what it answered with an error is left out and told.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from bench import workloads
from bench.report import Report
from bench.systems import Process, catena, engine, free_port, running
from bench.workloads import Figures
from catena.server import event_loop

console = Console(width=180)

HOME = Path(__file__).parents[1] / ".cache" / "rivals"


class Rival(NamedTuple):
    """How it is installed and started: `command` of a port, the engine's URL and a folder of its own."""

    name: str
    package: str
    command: Callable[[int, str, str], Sequence[str]]


RIVALS = (
    Rival(
        "smg (memory)",
        "smg",
        lambda port, url, _: [
            *("smg", "launch", "--host", "127.0.0.1", "--port", str(port)),
            *(
                "--backend",
                "openai",
                "--worker-urls",
                url,
                "--history-backend",
                "memory",
                "--log-level",
                "error",
            ),
        ],
    ),
    Rival(
        "agentic-api (SQLite)",
        "agentic-api",
        lambda port, url, folder: [
            *("agentic-server", "--llm-api-base", url, "--skip-llm-ready-check"),
            *("--gateway-host", "127.0.0.1", "--gateway-port", str(port)),
            *("--db-url", f"sqlite://{folder}/turns.db?mode=rwc"),
        ],
    ),
)


def install(rival: Rival) -> Path:
    """The folder of its programs; made once."""
    home = HOME / rival.package.partition("[")[0]
    programs = home / "bin"
    name = rival.command(0, "", "")[0]
    if not (programs / name).exists():
        console.print(f"[dim]installing {rival.package} …[/]")
        uv = str(Path(sys.executable).with_name("uv"))
        subprocess.run([uv, "venv", "--quiet", "--allow-existing", str(home)], check=True)
        python = str(programs / "python")
        subprocess.run([uv, "pip", "install", "--quiet", "--python", python, rival.package], check=True)
    return programs


@contextlib.asynccontextmanager
async def started(rival: Rival, behind: Process) -> AsyncIterator[Process]:
    programs = await asyncio.to_thread(install, rival)
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="catena-rival-") as folder:
        program, *arguments = rival.command(port, f"http://127.0.0.1:{behind.port}", folder)
        async with running(rival.name, port, [str(programs / program), *arguments]) as process:
            process.folder = Path(folder)
            await _warm(process)
            yield process


async def _warm(process: Process) -> None:
    """Some answer only a while after they have begun to listen."""
    async with asyncio.timeout(60):
        while True:
            try:
                await workloads.stored(process, at_once=1, requests=1)
            except (RuntimeError, OSError, asyncio.IncompleteReadError):
                await asyncio.sleep(0.2)
            else:
                return


async def compare(report: Report, rounds: int, scale: int) -> None:
    async with contextlib.AsyncExitStack() as stack:
        behind = await stack.enter_async_context(engine())
        systems = [await stack.enter_async_context(catena(behind))]
        systems += [await stack.enter_async_context(started(rival, behind)) for rival in RIVALS]
        works = {
            "W1 stateless x64": lambda s: workloads.stateless(
                s, at_once=64, requests=1600 * scale, stream=False
            ),
            "stored creates x16": lambda s: workloads.stored(s, at_once=16, requests=800 * scale),
            "W2 chains 16x50": lambda s: workloads.chains(s, chains_at_once=16, turns=50),
            "W2 depth 2x200": lambda s: workloads.depth(s, turns=200),
        }
        for name, work in works.items():
            console.print(f"[dim]{name}[/]")
            for _ in range(rounds):
                for system in systems:
                    try:
                        figures: Figures = await work(system)
                    except (RuntimeError, OSError, ValueError) as error:
                        console.print(f"{system.name}, {name}: {error}")
                    else:
                        report.add(name, system.name, figures)


def show(report: Report) -> None:
    names = ["catena", *(rival.name for rival in RIVALS)]
    table = Table(box=None, pad_edge=False)
    for column in ("workload", "figure", *names, *(f"catena / {name}" for name in names[1:])):
        table.add_column(
            column, no_wrap=True, justify="left" if column in ("workload", "figure") else "right"
        )
    for workload, figure, medians in report.medians():
        ours = medians["catena"]
        cells = [f"{medians[name]:,.1f}" if name in medians else "-" for name in names]
        ratios = [f"{ours / medians[name]:.2f}" if medians.get(name) else "-" for name in names[1:]]
        table.add_row(workload, figure, *cells, *ratios)
    console.print(table)


async def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.rivals")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="small counts: to see that it runs")
    parser.add_argument("--out", type=Path, help="where to write the figures as JSON")
    asked = parser.parse_args()
    os.sched_setaffinity(0, {(os.cpu_count() or 1) - 1})
    report = Report()
    await compare(report, asked.rounds, 1 if asked.quick else 4)
    show(report)
    if asked.out:
        report.write(asked.out)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=event_loop) as runner:
        runner.run(main())
