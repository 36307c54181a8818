"""The partitions of a database whose trees are in some: which there are, and that those to come are made ahead.

They are made beside the tables and attached, which holds up nobody but who looks into the partition for the rest. If
trees of the period are there already, as no server was there to make it in time, they come along.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import asyncpg

from catena.store.postgres.database import Session
from catena.store.postgres.periods import (
    TREE_TABLES,
    Layout,
    Period,
    by_hash,
    period_called,
    rest_of,
    shards,
)
from catena.store.postgres.statements import Q, statement

__all__ = [
    "Busy",
    "attach",
    "bind",
    "columns_of",
    "complete",
    "layout_of",
    "lock",
    "make_ahead",
    "make_table",
    "periods_there",
]

log = logging.getLogger("catena.store")

_AHEAD_DAYS: Final = 7
"""For so many days at least there is room always."""

_WAIT: Final = "1s"
"""How long a lock is waited for. Who comes behind waits as well."""

_BOUND: Final = "of_one_period"


class Busy(Exception):
    """Others are at work in these tables: for another time."""


async def layout_of(session: Session) -> Layout | None:
    """How the database is partitioned by time, if it is."""
    ((known,),) = await session.fetch(Q["is_partitioned"], {})
    if not known:
        return None
    (row,) = await session.fetch(Q["layout"], {})
    return Layout(days=row["days"], shards=row["shards"])


async def periods_there(session: Session, layout: Layout) -> Sequence[Period]:
    """Those that have partitions, the oldest first."""
    names = [row["name"] for row in await session.fetch(Q["partitions"], {"kind": "turns"})]
    found = (period_called(name, layout) for name in names)
    return sorted((period for period in found if period is not None), key=lambda period: period.day)


async def missing(session: Session, layout: Layout, now: float) -> Sequence[Period]:
    """The periods of now and of the next days that have no partitions yet, and can have some."""
    there = await periods_there(session, layout)
    wanted = layout.periods(now, -(-_AHEAD_DAYS // layout.days))
    return [period for period in wanted if not any(period.overlaps(other) for other in there)]


async def make_ahead(session: Session, layout: Layout, now: float) -> bool:
    """Make the partitions of the next period that has none; False if there is nothing to do, or somebody does it.

    Raises Busy if the tables cannot be had.
    """
    if not await missing(session, layout, now):
        return False
    ((held,),) = await session.fetch(Q["hold_name"], {"kind": "make ahead"})
    periods = await missing(session, layout, now) if held else ()
    if not periods:
        return False
    await session.execute(f"SET LOCAL lock_timeout = '{_WAIT}'")
    with _busy_if_held():
        await _make(session, layout, periods[0])
    return True


async def complete(session: Session, layout: Layout) -> None:
    """Make the partitions of tables that were not there yet when those of the others were made."""
    for table in TREE_TABLES:
        there = {row["name"] for row in await session.fetch(Q["partitions"], {"kind": table})}
        for period in await periods_there(session, layout):
            if period.table(table) not in there:
                await make_table(session, layout, table, period.table(table))
                await attach(session, table, period, period.table(table))


async def _make(session: Session, layout: Layout, period: Period) -> None:
    for table in TREE_TABLES:
        await make_table(session, layout, table, period.table(table))
    await lock(session, map(rest_of, TREE_TABLES))
    for table in TREE_TABLES:
        names = {"rest": rest_of(table), "new": period.table(table), "holds": period.has()}
        written = await columns_of(session, table)
        # That for the rest may stay as it is only if it has nothing that belongs here.
        await session.fetch(statement("move_from_rest", **names, written=written), {})
        await attach(session, table, period, period.table(table))


async def make_table(session: Session, layout: Layout, table: str, name: str) -> None:
    """A table like another, to be a partition of it. That of turns can be searched by time, at next to no cost."""
    await session.execute(
        f"CREATE TABLE {name} (LIKE {table} INCLUDING ALL){by_hash(layout)};{shards(name, layout)}"
    )
    if table == "turns":
        await session.execute(
            f"CREATE INDEX ON {name} USING brin (substr(id, 2, 4)) WITH (autosummarize = on)"
        )


async def attach(session: Session, table: str, period: Period, name: str) -> None:
    """Make a table the partition of a period. It is gone through, unless that was known of it (`bind`)."""
    await session.execute(
        f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES {period.values}; "
        f"ALTER TABLE {name} DROP CONSTRAINT IF EXISTS {_BOUND}"
    )


async def bind(session: Session, name: str, period: Period) -> None:
    """Have a table hold nothing but what is of a period."""
    await session.execute(f"ALTER TABLE {name} ADD CONSTRAINT {_BOUND} CHECK ({period.has()})")


async def columns_of(session: Session, table: str) -> str:
    """The columns of a table that are written."""
    ((columns,),) = await session.fetch(Q["columns_of"], {"kind": table})
    return str(columns)


async def lock(session: Session, tables: Iterable[str], *, mode: str = "ACCESS EXCLUSIVE") -> None:
    """Hold tables, without their partitions, until the transaction has ended. Raises Busy if that takes too long."""
    names = ", ".join(f"ONLY {table}" for table in tables)
    with _busy_if_held():
        await session.execute(f"LOCK TABLE {names} IN {mode} MODE")


@contextlib.contextmanager
def _busy_if_held() -> Iterator[None]:
    try:
        yield
    except asyncpg.LockNotAvailableError as error:
        raise Busy from error
