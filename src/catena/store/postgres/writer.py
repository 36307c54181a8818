"""Writes that wait are sent together and committed together.

A commit costs a round trip and a flush of the database's disk, whatever is in it. While one group is under way others
queue up, and share the next. A write that fails takes nobody along: its group is done again, each by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, NamedTuple

from catena.errors import StoreUnavailable
from catena.store.postgres.database import Database, Row, Session, Values, is_out_of_reach
from catena.store.postgres.statements import Statement

__all__ = ["Writer"]

_MOST: Final = 256
"""Writes in one transaction, at most."""


class _Write(NamedTuple):
    statement: Statement
    values: Values
    future: asyncio.Future[Row]


class Writer:
    """Sends writes, each of which is a statement that gives one row. What was handed over is done, also when nobody
    waits for it any more."""

    def __init__(self, database: Database) -> None:
        self.commits = 0
        self.writes = 0
        self._database = database
        self._waiting: list[_Write] = []
        self._wake = asyncio.Event()
        self._closed = False
        self._task = asyncio.create_task(self._work(), name="catena store writer")

    async def write(self, statement: Statement, values: Values) -> Row:
        """The row that the statement gives; it is committed when this returns.

        Raises StoreUnavailable: then it was not, as far as is known.
        """
        if self._closed:
            raise StoreUnavailable("The store is closed.")
        future: asyncio.Future[Row] = asyncio.get_running_loop().create_future()
        naming = self._database.naming
        named = naming.named(statement, values) if naming is not None else statement
        self._waiting.append(_Write(named, values, future))
        self._wake.set()
        return await future

    async def close(self) -> None:
        """Do what is waiting, and end."""
        self._closed = True
        self._wake.set()
        await asyncio.wait([self._task])

    async def _work(self) -> None:
        while self._waiting or not self._closed:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                group, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
                await self._send(group)

    async def _send(self, group: Sequence[_Write]) -> None:
        try:
            rows = await self._done(group)
        except StoreUnavailable as error:
            if len(group) == 1 or is_out_of_reach(error):
                _fail(group, error)
            else:
                for write in group:
                    await self._send([write])
        except Exception as error:
            _fail(group, error)
        else:
            self.commits += 1
            self.writes += len(group)
            for write, row in zip(group, rows, strict=True):
                if not write.future.done():  # else nobody waits any more
                    write.future.set_result(row)

    async def _done(self, group: Sequence[_Write]) -> Sequence[Row]:
        by_statement: dict[str, list[int]] = {}
        for place, write in enumerate(group):
            by_statement.setdefault(write.statement.sql, []).append(place)
        if len(by_statement) == 1:
            return await self._database.fetch_each(group[0].statement, [write.values for write in group])

        async def in_one(session: Session) -> Sequence[Row]:
            rows: dict[int, Row] = {}
            for places in by_statement.values():
                values = [group[place].values for place in places]
                found = await session.fetch_each(group[places[0]].statement, values)
                rows.update(zip(places, found, strict=True))
            return [rows[place] for place in range(len(group))]

        return await self._database.transaction(in_one)


def _fail(group: Sequence[_Write], error: Exception) -> None:
    for write in group:
        if not write.future.done():
            write.future.set_exception(error)
