"""The server as its users have it: `python -m catena serve`, a process that can be killed."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path
from typing import Final

__all__ = ["Server"]

_SETTINGS: Final = """
[server]
port = 0
stop_seconds = 1.0
[store]
database = "{database}"
[upstreams.default]
url = "{engine}"
[streams]
grace_seconds = 1.0
[background]
concurrency = 8
lease_seconds = 1.0
"""


class Server:
    """One server after another on the same database. `up` is set while one of them answers at `url`."""

    def __init__(self, folder: Path, engine: str) -> None:
        self.database = folder / "catena.sqlite3"
        self.url = ""
        self.up = asyncio.Event()
        self._log = folder / "server.log"
        self._settings = folder / "catena.toml"
        self._settings.write_text(_SETTINGS.format(database=self.database, engine=engine))
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it and wait until it answers. Raises RuntimeError if it does not come up."""
        await self.spawn()
        assert self._process is not None
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            address = re.search(rb"(http://127\.0\.0\.1:\d+)/v1", line)
            if address:
                self.url = address[1].decode()
                self.up.set()
                return
        raise RuntimeError(f"the server does not start:\n{self.complaints()}")

    async def spawn(self) -> None:
        """Start it, and wait for nothing."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "catena", "serve", "--config", str(self._settings)),
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env={name: value for name, value in os.environ.items() if not name.startswith("CATENA_")},
            )

    async def kill(self) -> None:
        """SIGKILL: not a line of its code runs any more."""
        self.up.clear()
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

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
