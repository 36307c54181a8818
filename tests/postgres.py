"""A real PostgreSQL for tests: one server for each test process, and one database in it, emptied before each test."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import asyncpg

from catena.store import Page
from catena.store.lineage import Wanted
from catena.store.postgres import DatabaseSettings, Layout, PostgresStore, migrate
from catena.wire.words import terms
from tests.local_postgres import local_postgres
from tests.pooler import pooler_before

__all__ = ["TestDatabase", "looked_back", "running_postgres"]


class TestDatabase:
    """A server at `url`; each test has an empty database of the newest schema there.

    Stores reach it through the pooler at `pooler`, if there is one. With a `layout` its tables are in partitions.
    """

    __test__ = False

    def __init__(self, url: str, pooler: str | None = None, layout: Layout | None = None) -> None:
        self.url = url
        self._layout = layout
        self._pooler = pooler
        self._tables = ""

    @property
    def settings(self) -> DatabaseSettings:
        pooled = self._pooler is not None
        return DatabaseSettings(url=self._pooler or self.url, connections=5, timeout=20.0, pooled=pooled)

    async def empty(self) -> None:
        """Have nothing in the tables, which are made the first time."""
        if not self._tables:
            await migrate(self.settings, self._layout)
            found = await self.run(
                "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition "
                "AND relnamespace = 'public'::regnamespace AND relname NOT IN ('schema_version', 'partitioning')"
            )
            self._tables = ", ".join(row["relname"] for row in found)
        await self.run(f"TRUNCATE {self._tables}")

    @contextlib.asynccontextmanager
    async def another(self, name: str) -> AsyncIterator[TestDatabase]:
        """A database of its own on the same server, without tables, for as long as the context lasts."""
        await self.run(f'CREATE DATABASE "{name}"')
        try:
            yield self.beside(name)
        finally:
            await self.run(f'DROP DATABASE "{name}" WITH (FORCE)')

    def beside(self, name: str, layout: Layout | None = None) -> TestDatabase:
        """The database of this name on the same server."""
        here, there = "/postgres?", f"/{name}?"
        pooler = self._pooler.replace(here, there) if self._pooler is not None else None
        return TestDatabase(self.url.replace(here, there), pooler, layout)

    async def run(self, sql: str, *arguments: object) -> list[asyncpg.Record]:
        """Do something past the store."""
        connection = await asyncpg.connect(self.url)
        try:
            return list(await connection.fetch(sql, *arguments))
        finally:
            await connection.close()


@contextmanager
def running_postgres() -> Iterator[TestDatabase]:
    """A server of its own for as long as the context lasts. It need not survive a loss of power."""
    with local_postgres() as server, pooler_before(server.url) as pooler:
        yield TestDatabase(server.url, pooler)


async def looked_back(store: PostgresStore) -> PostgresStore:
    """The store, when it has taken the words of what was there before: for that it holds turns, for a moment."""
    await store.lineage.list_turns("default", Page(), Wanted(words=terms("nothing")))
    return store
