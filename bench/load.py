"""The load generator: HTTP on raw connections, no more than what the measuring needs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import msgspec

__all__ = ["Connection", "Paced"]


class Connection:
    """One keep-alive connection, one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> Connection:
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=2**22))

    def close(self) -> None:
        self._writer.close()

    async def ask(self, path: str, body: object = None, *, method: str = "POST") -> bytes:
        """The body of the reply, which must be a 200."""
        await self._send(path, body, method)
        head = await self._head()
        at = head.find(b"content-length:")
        if at >= 0:
            return await self._reader.readexactly(int(head[at + 15 :].split(b"\r\n", 1)[0]))
        return b"".join([piece async for piece in self._pieces()])

    async def watch(self, path: str, body: object) -> Paced:
        """Read a paced stream, and tell how late each of its stamped deltas came."""
        await self._send(path, body, "POST")
        await self._head()
        paced = Paced()
        async for piece in self._pieces():
            paced.take(piece)
        return paced

    async def _send(self, path: str, body: object, method: str) -> None:
        data = b"" if body is None else msgspec.json.encode(body)
        head = f"{method} /v1{path} HTTP/1.1\r\nhost: bench\r\ncontent-length: {len(data)}\r\n"
        self._writer.write(head.encode() + b"content-type: application/json\r\n\r\n" + data)

    async def _head(self) -> bytes:
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        if not head.startswith(b"http/1.1 200"):
            raise RuntimeError(f"expected a 200: {head[:200]!r}")
        return head

    async def _pieces(self):  # type: ignore[no-untyped-def]  # an async generator of bytes
        while True:
            size = int(await self._reader.readline(), 16)
            piece = await self._reader.readexactly(size + 2)
            if size == 0:
                return
            yield piece[:-2]


class Paced:
    """How late the deltas of one stream came, in milliseconds."""

    def __init__(self) -> None:
        self.late: list[float] = []

    def take(self, piece: bytes) -> None:
        now = time.time_ns()
        for frame in piece.split(b"\n\n"):
            if b'"delta":' in frame:  # the events at the end have the whole text again
                stamps: Sequence[bytes] = frame.split(b"@")
                self.late += [(now - int(stamp)) / 1e6 for stamp in stamps[1::2]]
