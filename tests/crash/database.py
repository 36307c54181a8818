"""A real PostgreSQL that stops in the middle of everything, freezes, and comes back."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import asyncpg
import psutil

from catena.store.postgres import DatabaseSettings, migrate
from catena.store.rows import id_of
from tests.crash.rows import Rows
from tests.local_postgres import LocalPostgres, local_postgres
from tests.pooler import pooler_before

__all__ = ["FragileDatabase", "fragile_postgres"]


class FragileDatabase:
    """A server of its own at `url`, with the tables of the newest schema once `prepare` was called.

    Servers reach it there, or through the pooler at `pooler` if there is one.
    """

    def __init__(self, server: LocalPostgres, pooler: str | None) -> None:
        self.url = server.url
        self.pooler = pooler
        self._server = server
        self._frozen: list[psutil.Process] = []

    async def prepare(self) -> None:
        await migrate(DatabaseSettings(url=self.url, timeout=20.0))

    # What happens to it

    async def crash(self) -> None:
        """At once, whatever it is at: its next start is a recovery from its log."""
        await asyncio.to_thread(self._server.stop, "immediate")

    async def stop(self) -> None:
        """In its order: what is not committed is taken back, and every connection is told goodbye."""
        await asyncio.to_thread(self._server.stop, "fast")

    async def start(self) -> None:
        await asyncio.to_thread(self._server.start)

    def freeze(self) -> None:
        """None of its processes does anything any more, and no connection breaks."""
        postmaster = psutil.Process(self._server.pid)
        postmaster.send_signal(signal.SIGSTOP)  # from now on there are no new ones
        self._frozen = [postmaster, *postmaster.children(recursive=True)]
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)
        self._frozen = []

    def _signal(self, number: signal.Signals) -> None:
        for process in self._frozen:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    # What is in it

    async def rows(self) -> Rows:
        """What a checker wants to know of its tables."""
        under_way = await self.run("SELECT tree, id FROM turns WHERE status < 2")
        kept = await self.run("SELECT input FROM turns WHERE NOT deleted AND door <> 2")
        logged = await self.run("SELECT DISTINCT tree, turn AS id FROM logs")
        held = await self.run("SELECT tree, holder AS id FROM conversations WHERE holder IS NOT NULL")
        claimed = await self.run("SELECT tree, id, fence FROM turns WHERE fence > 0")
        return Rows(
            under_way=[id_of(row["tree"], row["id"]) for row in under_way],
            inputs=[row["input"] for row in kept],
            left=[
                *(f"the log of {id_of(row['tree'], row['id'])}" for row in logged),
                *(f"a conversation held by {id_of(row['tree'], row['id'])}" for row in held),
            ],
            claims={id_of(row["tree"], row["id"]): row["fence"] for row in claimed},
        )

    async def run(self, sql: str, *arguments: object) -> list[asyncpg.Record]:
        """Do something behind the servers' backs."""
        connection = await asyncpg.connect(self.url)
        try:
            return list(await connection.fetch(sql, *arguments))
        finally:
            await connection.close()


@contextmanager
def fragile_postgres() -> Iterator[FragileDatabase]:
    """One for as long as the context lasts."""
    with local_postgres() as server, pooler_before(server.url) as pooler:
        database = FragileDatabase(server, pooler)
        try:
            yield database
        finally:
            database.thaw()
