"""A server that is scripted in raw bytes, for what no well-behaved server would do."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeAlias

__all__ = ["Engine", "Peer", "Script", "answering", "raw_engine"]


class Peer:
    """One connection, as the server has it."""

    def __init__(self, engine: Engine, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.engine = engine
        self.reader = reader
        self.writer = writer

    async def request(self) -> bytes:
        """The next request, head and body; b"" if the client has left."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)\r\ncontent-length: (\d+)\r\n", head)
            body = await self.reader.readexactly(int(length[1])) if length else b""
        except (asyncio.IncompleteReadError, ConnectionError):
            return b""
        self.engine.requests.append(head + body)
        return head + body

    async def send(self, data: bytes) -> None:
        """Hand bytes to the socket."""
        self.writer.write(data)
        await self.writer.drain()

    async def hung_up(self) -> None:
        """Return once the client has closed the connection; fails if it says something more."""
        with suppress(ConnectionError):
            assert await self.reader.read(1) == b""

    def reset(self) -> None:
        """Close without a goodbye."""
        self.writer.transport.abort()


Script: TypeAlias = Callable[[Peer], Awaitable[None]]


class Engine:
    """A running server. `connections` counts those that were accepted, `requests` are all that were read."""

    def __init__(self, script: Script) -> None:
        self.connections = 0
        self.requests: list[bytes] = []
        self.url = ""
        self.server: asyncio.Server | None = None
        self._script = script
        self._peers: dict[Peer, asyncio.Task[None]] = {}

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Run the script for one more connection."""
        self.connections += 1
        peer = Peer(self, reader, writer)
        self._peers[peer] = asyncio.create_task(self._run(peer))

    async def refuse(self) -> None:
        """Accept no more connections; those that are open stay."""
        assert self.server is not None
        self.server.close()
        await asyncio.sleep(0)

    async def scripts_done(self) -> None:
        """Wait until the script of every connection has ended, and fail with those that failed."""
        while pending := [task for task in self._peers.values() if not task.done()]:
            await asyncio.wait(pending)
        for task in self._peers.values():
            task.result()

    async def stop(self) -> None:
        """Cut every connection, and fail with the scripts that failed."""
        for peer, task in self._peers.items():
            task.cancel()
            if not peer.writer.is_closing():
                peer.writer.transport.abort()
            with suppress(ConnectionError):
                await peer.writer.wait_closed()
        outcomes = await asyncio.gather(*self._peers.values(), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome

    async def _run(self, peer: Peer) -> None:
        try:
            await self._script(peer)
        finally:
            peer.writer.close()


@asynccontextmanager
async def raw_engine(
    script: Script, *, tls: ssl.SSLContext | None = None, within: float = 10
) -> AsyncIterator[Engine]:
    """A server on loopback that runs `script` for each connection. What is done with it has so many seconds."""
    engine = Engine(script)
    server = await asyncio.start_server(engine.accept, "127.0.0.1", 0, ssl=tls)
    engine.server = server
    port = server.sockets[0].getsockname()[1]
    engine.url = f"https://localhost:{port}" if tls else f"http://127.0.0.1:{port}"
    try:
        async with asyncio.timeout(within):
            yield engine
    finally:
        server.close()
        await engine.stop()
        await server.wait_closed()


def answering(*answers: bytes) -> Script:
    """Give each request of a connection the next of `answers`, the last one over and over."""

    async def script(peer: Peer) -> None:
        left = list(answers)
        while await peer.request():
            await peer.send(left.pop(0) if len(left) > 1 else left[0])

    return script
