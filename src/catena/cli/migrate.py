"""`catena migrate`: the tables of a PostgreSQL database, brought up to date before servers of this version start."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from enum import Enum
from typing import Annotated, Final

import typer

from catena.cli.options import Where, grouped
from catena.cli.terminal import console, stop
from catena.config import ConfigError, is_postgres
from catena.errors import CatenaError
from catena.stores import migrate as migrate_store

__all__ = ["migrate"]


class Partition(Enum):
    """What has a partition."""

    day = "day"
    week = "week"


_DAYS: Final[Mapping[Partition, int]] = {Partition.day: 1, Partition.week: 7}


@grouped
def migrate(
    *,
    where: Where,
    partition: Annotated[
        Partition | None,
        typer.Option(help="Have the trees of each day, or week, in a partition; for a new database."),
    ] = None,
    shards: Annotated[
        int, typer.Option(min=1, max=64, help="Spread each partition over so many, by a hash of the tree.")
    ] = 1,
) -> None:
    """Bring the tables of a PostgreSQL database up to date. Servers of the version before may go on meanwhile."""
    if shards > 1 and partition is None:
        stop("--shards spreads partitions: say --partition day or --partition week as well.")
    found = where.settings()
    if not is_postgres(found):
        console.print("A SQLite database is brought up to date when the server starts: nothing to do.")
        return
    try:
        days = _DAYS[partition] if partition is not None else None
        before, after = asyncio.run(migrate_store(found, days=days, shards=shards))
    except (CatenaError, ConfigError) as error:
        stop(str(error))
    console.print(f"schema {after}, as before" if before == after else f"schema {before} → {after}")
