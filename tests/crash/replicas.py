"""Several servers on one database. Whoever asks for one is sent to another each time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from tests.crash.server import Server

__all__ = ["Replicas"]


class Replicas:
    """As many servers as `count` says, on the PostgreSQL at `database`; each has a run as its own for a `lease`."""

    def __init__(
        self,
        folder: Path,
        engine: str,
        database: str,
        *,
        count: int = 3,
        lease: float = 2.0,
        pooled: bool = False,
        wait_for_log: bool = False,
    ) -> None:
        self.servers: Sequence[Server] = [
            Server(
                folder,
                engine,
                name=f"replica-{number}",
                database=database,
                lease=lease,
                patience=1.5,
                pooled=pooled,
                wait_for_log=wait_for_log,
            )
            for number in range(1, count + 1)
        ]
        self.lease = lease
        self._turn = 0

    async def somewhere(self) -> str:
        """Where one of them answers: the next in turn of those that do, as soon as there is one."""
        while not any(server.up.is_set() for server in self.servers):
            waits = [asyncio.ensure_future(server.up.wait()) for server in self.servers]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
        while True:
            self._turn += 1
            server = self.servers[self._turn % len(self.servers)]
            if server.up.is_set():
                return server.url

    async def start(self) -> None:
        await asyncio.gather(*(server.start() for server in self.servers))

    def check(self) -> None:
        """Raise RuntimeError if one of them has come to an end by itself."""
        for server in self.servers:
            server.check()

    async def kill(self) -> None:
        for server in self.servers:
            await server.kill()
