"""The round with several servers on one PostgreSQL: load, a disaster, another, …; then hold them to what they told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from random import Random
from typing import Final, TypeAlias

from tests.crash.checker import KILLED_OR_AWAY, Findings, check
from tests.crash.database import FragileDatabase, fragile_postgres
from tests.crash.disasters import DISASTERS, Disaster, Scene
from tests.crash.engine import running_engine
from tests.crash.load import Load
from tests.crash.replicas import Replicas
from tests.crash.told import Notebook

__all__ = ["drawn", "run"]

_PATIENCE: Final = 30.0
"""Seconds that a run may go on after the last disaster."""

Meddle: TypeAlias = Callable[[FragileDatabase, Notebook], Awaitable[None]]
"""What a test does to the database behind the servers' backs."""


def drawn(events: int, seed: int) -> Sequence[Disaster]:
    """As many disasters, one after another as the seed says."""
    return Random(seed).choices(list(DISASTERS), list(DISASTERS.values()), k=events)


async def run(
    folder: Path,
    *,
    disasters: Sequence[Disaster],
    seed: int,
    clients: int = 24,
    calm: tuple[float, float] = (0.5, 2.0),
    patience: float = _PATIENCE,
    wait_for_log: bool = False,
    meddle: Meddle | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Findings:
    """Have each of these happen after a random time of `calm` seconds, and check what clients were told.

    Servers have their usual settings, or `wait_for_log`: then not even two things at once may take back what was told.
    `meddle` is called before the check. In `folder` remain the logs of the servers and the notebook.
    """
    random = Random(seed)
    notebook = Notebook(folder / "told.jsonl")
    with fragile_postgres() as database:
        await database.prepare()
        async with running_engine() as engine:
            replicas = Replicas(
                folder,
                engine,
                database.pooler or database.url,
                pooled=database.pooler is not None,
                wait_for_log=wait_for_log,
            )
            scene = Scene(replicas, database, notebook, random)
            try:
                await replicas.start()
                load = Load(replicas, notebook, clients=clients, seed=seed)
                for number, disaster in enumerate(disasters, 1):
                    await asyncio.sleep(random.uniform(*calm))
                    load.check()
                    replicas.check()
                    await disaster(scene)
                    tell(f"{number} of {len(disasters)}: {disaster.__name__.replace('_', ' ')}")
                await asyncio.sleep(random.uniform(*calm))
                waiting = await load.stop(patience)
                if meddle is not None:
                    await meddle(database, notebook)
                findings = await check(
                    notebook,
                    replicas,
                    database.rows,
                    patience=patience,
                    clear=KILLED_OR_AWAY,
                    forgiving=not wait_for_log,
                )
                findings.note_waiting(waiting)
            finally:
                database.thaw()
                await replicas.kill()
                notebook.close()
    findings.counts["disasters survived"] = len(disasters)
    return findings
