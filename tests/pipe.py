"""A way to a database that can be cut, blocked and mended: a socket that passes on to another one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

__all__ = ["Pipe", "running_pipe"]

_NAME = ".s.PGSQL.5432"


class Pipe:
    """From a socket in `folder` to the one in `target`."""

    def __init__(self, folder: Path, target: Path) -> None:
        self.folder = folder
        self._target = target
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()

    async def mend(self) -> None:
        """Let connections be made again, and bytes through."""
        self._flowing.set()
        if self._server is None:
            self._server = await asyncio.start_unix_server(self._connected, self.folder / _NAME)

    async def cut(self) -> None:
        """Break every connection, and let none be made."""
        if self._server is not None:
            self._server.close()
            self._server = None
        (self.folder / _NAME).unlink(missing_ok=True)
        for writer in list(self._writers):
            writer.transport.abort()

    def block(self) -> None:
        """Let nothing through, without a word."""
        self._flowing.clear()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_unix_connection(self._target / _NAME)
        self._writers |= {writer, far_writer}
        there = asyncio.create_task(self._pass_on(reader, far_writer))
        back = asyncio.create_task(self._pass_on(far_reader, writer))
        with contextlib.suppress(asyncio.CancelledError):  # at the end of a test
            await asyncio.wait([there, back])
        self._writers -= {writer, far_writer}

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while some := await reader.read(65536):
                await self._flowing.wait()
                writer.write(some)
                await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def running_pipe(folder: Path, target: Path) -> AsyncIterator[Pipe]:
    """A pipe that is mended, for as long as the context lasts."""
    pipe = Pipe(folder, target)
    await pipe.mend()
    try:
        yield pipe
    finally:
        pipe._flowing.set()
        await pipe.cut()
