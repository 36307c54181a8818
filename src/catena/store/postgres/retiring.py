"""A sweep: trees that have had their time go one by one, or with their partition when most of it has.

A period whose last day is over under some term is weighed: what stays in it is found without a look at what does not.
If little stays, that is copied into new tables, which take the place of the old ones; if nothing does, the old ones go
without that. So the cost is that of what stays. Meanwhile requests go on: triggers note the trees that are written to,
and those are copied again while nobody can write, for a moment. That moment needs all tables; if it cannot be had at
once, everything is as before, and the next sweep tries again.

One server is at a period, any other at the next.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

import asyncpg
import msgspec

from catena.errors import StoreUnavailable
from catena.store.housekeeping import Expiry
from catena.store.postgres.database import Database, Session, Values
from catena.store.postgres.expiry import Walk, thresholds
from catena.store.postgres.partitions import (
    Busy,
    attach,
    bind,
    columns_of,
    layout_of,
    lock,
    make_ahead,
    make_table,
    periods_there,
)
from catena.store.postgres.periods import TREE_TABLES, Layout, Period, names_of_shards, rest_of
from catena.store.postgres.statements import Q, Statement, statement

__all__ = ["Sweep"]

log = logging.getLogger("catena.store")

_FEW: Final = 10_000
"""Turns. If no more are over, they go one by one: new tables would be more work."""

_ESTIMATED: Final = 100_000
"""Turns of a period that are counted rather than estimated."""

_WAIT: Final = "200ms"
"""How long the lock is waited for. Everybody's requests wait behind it."""

_TRIES: Final = 20
_PAUSE: Final = 0.5
"""Seconds from one try to the next, in which the requests that had to wait are done."""

_WALK: Final = 1_000
"""Trees from one pause to the next."""


class Weight(msgspec.Struct, frozen=True):
    """About how many turns a period has, and how many of them stay."""

    turns: int
    kept: int


class Sweep:
    """One sweep under these terms at this time."""

    def __init__(self, database: Database, terms: Sequence[Expiry], now: float) -> None:
        self._database = database.patient()
        self._terms = terms
        self._now = now

    async def run(self) -> int:
        """Make room for what comes, and remove what is over. Returns about how many turns."""
        layout = await self._database.transaction(layout_of)
        if layout is None:
            return await self._walk("turns")
        await self._make_room(layout)
        there = await self._database.transaction(lambda session: periods_there(session, layout))
        removed = await self._walk(rest_of("turns"))
        for period in there:
            if any(period.end <= term.older_than for term in self._terms):
                removed += await self._retire(layout, period)
        return removed

    async def _make_room(self, layout: Layout) -> None:
        try:
            while await self._database.transaction(lambda session: make_ahead(session, layout, self._now)):
                pass
        except Busy:
            log.warning("no partition could be made for the next days: others hold that for the rest")

    async def _walk(self, place: str) -> int:
        removed = 0
        if self._terms:
            walk = Walk(self._database, self._terms, place=place)
            while not walk.is_over:
                _, turns = await walk.on(_WALK)
                removed += turns
        return removed

    async def _retire(self, layout: Layout, period: Period) -> int:
        retiring = Retiring(layout, period, self._terms)
        try:
            weight = await self._database.transaction(retiring.weigh)
            over = weight.turns - weight.kept
            if weight.kept and (over <= _FEW or over < weight.kept):
                return await self._walk(period.table("turns"))
            await self._database.transaction(retiring.watch)
            await self._database.transaction(retiring.replace)
        except Busy:
            return 0
        except StoreUnavailable as error:
            if not isinstance(error.__cause__, asyncpg.UndefinedTableError):
                raise
            return 0  # another has dropped it, by terms of its own
        log.info("the trees of %s that have had their time are dropped as one", period.name)
        return over


class Retiring:
    """The steps in which a period goes, but for what stays.

    Each is a transaction, and raises Busy if others are at it.
    """

    def __init__(self, layout: Layout, period: Period, terms: Sequence[Expiry]) -> None:
        self._layout = layout
        self._period = period
        self._values = {**thresholds(terms), "kind": period.table("turns")}
        self._parts = {"turns": period.table("turns"), "conversations": period.table("conversations")}

    async def weigh(self, session: Session) -> Weight:
        """How much of it stays. What was noted for a change that never came is of no use any more."""
        await self._hold(session)
        await session.fetch(Q["forget_touched"], self._values)
        turns = await _number(session, Q["estimate"], self._values)
        if turns < _ESTIMATED:
            turns = await _number(session, statement("count_turns", **self._parts), {})
        kept = await _number(session, statement("count_survivors", **self._parts), self._values)
        return Weight(max(turns, kept), kept)

    async def watch(self, session: Session) -> None:
        """From now on the trees that are written to are noted. What wrote before has ended."""
        await self._hold(session)
        await session.execute(f"SET LOCAL lock_timeout = '{_WAIT}'")
        await lock(session, map(self._period.table, TREE_TABLES), mode="SHARE ROW EXCLUSIVE")
        await session.fetch(Q["forget_touched"], self._values)
        for table in map(self._period.table, TREE_TABLES):
            await session.execute(
                f"CREATE OR REPLACE TRIGGER note_touched_tree AFTER INSERT OR UPDATE OR DELETE ON {table} "
                f"FOR EACH ROW EXECUTE FUNCTION note_touched_tree('{self._period.table('turns')}')"
            )

    async def replace(self, session: Session) -> None:
        """Copy what stays, and have that in the place of all."""
        await self._hold(session)
        # Each change needs all tables, and holds what another waits for from here on: so they come one after another.
        await session.fetch(Q["await_name"], {"kind": "replace"})
        await self._check_watched(session)
        await session.execute("CREATE TEMP TABLE kept_trees (tree bytea) ON COMMIT DROP")
        await session.fetch(statement("keep_survivors", **self._parts), self._values)
        await session.execute("ANALYZE kept_trees")
        for table in TREE_TABLES:
            await make_table(session, self._layout, table, self._new(table))
            await bind(session, self._new(table), self._period)
            await self._each("copy_kept", session, table)
        await self._lock(session)
        await self._catch_up(session)
        left = await session.fetch(statement("any_turn", turns=self._new("turns")), {})
        for table in TREE_TABLES:
            await session.execute(f"DROP TABLE {self._period.table(table)}")
            if left:
                await self._put_in_place(session, table)
            else:
                await session.execute(f"DROP TABLE {self._new(table)}")
        await session.fetch(Q["forget_touched"], self._values)

    async def _put_in_place(self, session: Session, table: str) -> None:
        old, new = self._period.table(table), self._new(table)
        news = [new, *names_of_shards(new, self._layout)]
        for name, then in zip(news, [old, *names_of_shards(old, self._layout)], strict=True):
            await session.execute(f"ALTER TABLE {name} RENAME TO {then}")
        await attach(session, table, self._period, old)

    async def _catch_up(self, session: Session) -> None:
        """Copy what was written to since the copy again, unless it is over all the same, as words were only taken; and
        forget words that somebody had all removed since."""
        await session.fetch(Q["forget_kept"], {})
        touched = statement("keep_touched", which="{touched_among}", **self._parts)
        await session.fetch(touched, self._values)
        for table in TREE_TABLES:
            await self._each("forget_copied", session, table)
            await self._each("copy_touched", session, table)
        for table in ("words", "unworded"):
            old = statement("any_turn", turns=self._period.table(table))
            if not await session.fetch(old, {}):
                await session.execute(f"TRUNCATE {self._new(table)}")

    async def _each(self, name: str, session: Session, table: str) -> None:
        written = await columns_of(session, table)
        parts = {"old": self._period.table(table), "new": self._new(table), "written": written}
        await session.fetch(statement(name, **parts), self._values)

    async def _hold(self, session: Session) -> None:
        """Be alone at this period, which another may just have dropped."""
        ((held,),) = await session.fetch(Q["hold_name"], self._values)
        ((there,),) = await session.fetch(Q["is_there"], self._values)
        if not (held and there):
            raise Busy

    async def _check_watched(self, session: Session) -> None:
        """That what is written is noted: another may have put new tables in the place of those that were watched."""
        tables = [self._period.table(table) for table in TREE_TABLES]
        if await _number(session, Q["watched"], {"tables": tables}) < len(tables):
            raise Busy

    async def _lock(self, session: Session) -> None:
        """Hold all tables that the change is about, in which nobody is in the middle of anything."""
        tables = [
            each for table in TREE_TABLES for each in (table, rest_of(table), self._period.table(table))
        ]
        await session.execute(f"SET LOCAL lock_timeout = '{_WAIT}'")
        for remaining in reversed(range(_TRIES)):
            await session.execute("SAVEPOINT unlocked")
            try:
                await lock(session, tables)
            except Busy:
                await session.execute("ROLLBACK TO SAVEPOINT unlocked")
                if not remaining:
                    raise
                await asyncio.sleep(_PAUSE)
            else:
                return

    def _new(self, table: str) -> str:
        return f"{self._period.table(table)}_new"


async def _number(session: Session, counting: Statement, values: Values) -> int:
    ((number,),) = await session.fetch(counting, values)
    return int(number)
