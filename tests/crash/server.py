"""The server as its users have it: `python -m catena serve`, a process that can be killed, and frozen."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from tests.light import ask

__all__ = ["Server"]

_SETTINGS: Final = """
[server]
port = 0
stop_seconds = 1.0
[store]
database = "{database}"
timeout_seconds = {patience}
outage_seconds = {outage}
pooled = {pooled}
[upstreams.default]
url = "{engine}"
[streams]
grace_seconds = 1.0
wait_for_log = {wait}
[background]
concurrency = 8
lease_seconds = {lease}
"""


class Server:
    """One server after another on the same database. `up` is set while one of them answers at `url`.

    The database is a file of its own unless the URL of another is given. `name` tells it from others in the folder,
    and a run is its own for a `lease` in seconds. It waits `patience` seconds for an answer of the database, and the
    end of a stream for an `outage` to be over; with `wait_for_log`, each piece as well.
    """

    def __init__(
        self,
        folder: Path,
        engine: str,
        *,
        name: str = "server",
        database: str = "",
        lease: float = 1.0,
        patience: float = 5.0,
        outage: float = 60.0,
        pooled: bool = False,
        wait_for_log: bool = False,
    ) -> None:
        self.database = folder / "catena.sqlite3"
        self.url = ""
        self.up = asyncio.Event()
        self._log = folder / f"{name}.log"
        self._settings = folder / f"{name}.toml"
        self._settings.write_text(
            _SETTINGS.format(
                database=database or self.database,
                engine=engine,
                lease=lease,
                patience=patience,
                outage=outage,
                pooled=str(pooled).lower(),
                wait=str(wait_for_log).lower(),
            )
        )
        self._process: asyncio.subprocess.Process | None = None

    async def somewhere(self) -> str:
        """Where a server answers, as soon as one does."""
        await self.up.wait()
        return self.url

    async def start(self) -> None:
        """Start it and wait until it answers. Raises RuntimeError if it does not come up."""
        await self.spawn()
        assert self._process is not None
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            address = re.search(rb"(http://127\.0\.0\.1:\d+)/v1", line)
            if address:
                self.url = address[1].decode()
                await self._answer()
                self.up.set()
                return
        raise RuntimeError(f"the server does not start:\n{self.complaints()}")

    async def _answer(self) -> None:
        """Have it answer: it says where it is before it has read all that it needs."""
        with suppress(ConnectionError):
            await ask(self.url, "GET", "/metrics")
        self.check()

    async def spawn(self) -> None:
        """Start it, and wait for nothing."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "catena", "serve", "--config", str(self._settings)),
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env={name: value for name, value in os.environ.items() if not name.startswith("CATENA_")},
            )

    def check(self) -> None:
        """Raise RuntimeError if it has come to an end by itself."""
        if self._process is not None and self._process.returncode is not None:
            raise RuntimeError(f"the server ended by itself:\n{self.complaints()}")

    async def kill(self) -> None:
        """SIGKILL: not a line of its code runs any more."""
        self.up.clear()
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    def freeze(self) -> None:
        """SIGSTOP: it does nothing any more, and does not know."""
        assert self._process is not None
        self.up.clear()
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT: it goes on where it was."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)
        self.up.set()

    async def stop(self) -> None:
        """SIGTERM: it may put its things in order. Raises RuntimeError if it fails at that."""
        assert self._process is not None
        self.up.clear()
        self._process.terminate()
        if await self._process.wait() != 0:
            raise RuntimeError(f"the server does not stop as it should:\n{self.complaints()}")

    def complaints(self) -> str:
        """The end of what all of them logged."""
        return self._log.read_text(errors="replace")[-4000:] if self._log.exists() else ""
