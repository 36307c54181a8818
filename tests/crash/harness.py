"""The whole round: load, kill, start again, over and over; then hold the server to what it told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Final

from tests.crash.checker import Findings, check
from tests.crash.engine import running_engine
from tests.crash.load import Load
from tests.crash.rows import Rows, rows_of_sqlite
from tests.crash.server import Server
from tests.crash.told import Notebook

__all__ = ["run"]

_PATIENCE: Final = 20.0
"""Seconds that a run may go on after the last start."""

Meddle = Callable[[Path, Notebook], None]
"""What a test does to the database behind the server's back."""


async def run(
    folder: Path,
    *,
    kills: int,
    seed: int,
    clients: int = 24,
    calm: tuple[float, float] = (0.3, 1.8),
    patience: float = _PATIENCE,
    while_down: Meddle | None = None,
    at_the_end: Meddle | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Findings:
    """Kill the server `kills` times, each after a random time of `calm` seconds, and check what it told.

    Now and then it is killed again while it starts, or asked to stop in between. `while_down` is called between the
    last kill and the last start, `at_the_end` before the check. In `folder` remain the database, the log of the
    servers and the notebook.
    """
    random = Random(seed)
    notebook = Notebook(folder / "told.jsonl")
    async with running_engine() as engine:
        server = Server(folder, engine)
        try:
            await server.start()
            load = Load(server, notebook, clients=clients, seed=seed)
            for number in range(1, kills + 1):
                await asyncio.sleep(random.uniform(*calm))
                load.check()
                await server.kill()
                if number == kills and while_down is not None:
                    while_down(server.database, notebook)
                if random.random() < 0.2:
                    await _die_young(server, random)
                await server.start()
                tell(f"killed {number} of {kills}")
                if random.random() < 0.2:
                    await asyncio.sleep(random.uniform(*calm))
                    await server.stop()
                    await server.start()
            await asyncio.sleep(random.uniform(*calm))
            waiting = await load.stop(patience)
            if at_the_end is not None:
                at_the_end(server.database, notebook)

            async def look() -> Rows:
                return rows_of_sqlite(server.database)

            findings = await check(notebook, server, look, patience=patience)
            findings.note_waiting(waiting)
        finally:
            await server.kill()
            notebook.close()
    findings.counts["kills survived"] = kills
    return findings


async def _die_young(server: Server, random: Random) -> None:
    """Once more, while it starts."""
    await server.spawn()
    await asyncio.sleep(random.uniform(0.1, 0.9))
    await server.kill()
