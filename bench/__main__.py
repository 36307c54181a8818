"""`python -m bench [PART] [--only W3,growth] [--rounds N] [--quick] [--stored N] [--minutes N] [--out FILE]`.

Without a part, all are measured but the day, into one table.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import sys
from pathlib import Path

from rich.console import Console

from bench.catalogue import FULL, QUICK
from bench.choosing import Choice
from bench.day import main as live_a_day
from bench.parts import Asked, explorer, large, replicas, server
from bench.report import Report
from catena.http_server import event_loop

console = Console(width=170)

PARTS = {"server": server, "large": large, "replicas": replicas, "explorer": explorer}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description="Speed, as ratios within one run.")
    parser.add_argument(
        "part", nargs="?", choices=[*PARTS, "day"], help="by default all of them, but the day"
    )
    parser.add_argument(
        "--only", type=Choice, default=Choice(""), help="rows whose names begin so: W3,growth"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="small counts: to see that it runs")
    parser.add_argument("--stored", type=int, help="turns that are there before, for W8 and the replicas")
    parser.add_argument("--minutes", type=float, default=10.0, help="how long the day lasts")
    parser.add_argument("--out", type=Path, help="where to write the figures as JSON")
    return parser.parse_args()


async def main(asked: argparse.Namespace) -> int:
    """The exit status: 1 where a check failed."""
    _have_room()
    if asked.part == "day":
        return await live_a_day(console, minutes=asked.minutes, out=asked.out)
    report = Report()
    wanted = Asked(
        console=console,
        report=report,
        only=asked.only,
        rounds=asked.rounds,
        size=QUICK if asked.quick else FULL,
        stored=asked.stored or (2_000 if asked.quick else 20_000),
    )
    for name, part in PARTS.items():
        if asked.part in (None, name):
            await part(wanted)
    report.show(console)
    if asked.out:
        report.write(asked.out)
    return 1 if report.failures else 0


def _have_room() -> None:
    """The generator on the last core, the servers on the first, and as many connections as the machine allows."""
    os.sched_setaffinity(0, {(os.cpu_count() or 1) - 1})
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=event_loop) as runner:
        sys.exit(runner.run(main(arguments())))
