"""The load generator: HTTP on raw connections, no more than what the measuring needs."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from typing import Final, Protocol, TypeAlias, cast

import msgspec

__all__ = ["Asker", "Connection", "Paced", "Take"]

Take: TypeAlias = Callable[[bytes], None]

_STAMP: Final = re.compile(rb"@(\d+)@")


class Asker(Protocol):
    """Who can be asked: one connection, or several that take turns."""

    async def ask(self, path: str, body: object = None, *, method: str = "POST") -> bytes: ...


class Connection(asyncio.Protocol):
    """One keep-alive connection, one request at a time."""

    def __init__(self) -> None:
        self._reply: _Reply | None = None
        self._transport: asyncio.Transport
        self._is_lost = False

    @classmethod
    async def open(cls, port: int) -> Connection:
        _, connection = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        return connection

    @property
    def is_open(self) -> bool:
        return not self._is_lost

    def close(self) -> None:
        self._transport.close()

    def drop(self) -> None:
        """Be gone, as by a cut cable: who waits for a reply has a ConnectionResetError."""
        self._transport.abort()

    async def ask(self, path: str, body: object = None, *, method: str = "POST") -> bytes:
        """The body of the reply, which must be a 200."""
        pieces: list[bytes] = []
        await self._exchange(path, body, method, pieces.append)
        return b"".join(pieces)

    async def stream(self, path: str, body: object, take: Take, *, method: str = "POST") -> None:
        """Give each event of a stream to `take` as it comes, until the stream has ended."""
        await self._exchange(path, body, method, _Frames(take))

    async def watch(self, path: str, body: object) -> Paced:
        """Read a paced stream, and tell how late each of its stamped deltas came."""
        paced = Paced()
        await self.stream(path, body, paced.take)
        return paced

    async def _exchange(self, path: str, body: object, method: str, take: Take) -> None:
        if self._is_lost:
            raise ConnectionResetError("the connection was lost before")
        self._reply = _Reply(take)
        data = b"" if body is None else msgspec.json.encode(body)
        head = f"{method} /v1{path} HTTP/1.1\r\nhost: bench\r\ncontent-length: {len(data)}\r\n"
        self._transport.write(head.encode() + b"content-type: application/json\r\n\r\n" + data)
        await self._reply.done

    # What the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's has no such base

    def connection_lost(self, error: Exception | None) -> None:
        self._is_lost = True
        if self._reply is not None:
            self._reply.fail(ConnectionResetError("the connection was lost"))

    def data_received(self, data: bytes) -> None:
        if self._reply is not None:
            self._reply.feed(data)


class _Reply:
    """The reply to one request: its body goes to `take`, piece by piece; then it is done."""

    def __init__(self, take: Take) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._take = take
        self._data = b""
        self._left: int | None = None
        """Bytes that are to come; None where they come in chunks."""
        self._has_head = False

    def fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)

    def feed(self, data: bytes) -> None:
        self._data = self._data + data if self._data else data
        try:
            if not self._has_head and not self._read_head():
                return
            is_whole = self._read_chunks() if self._left is None else self._read_rest(self._left)
        except Exception as error:  # whoever asked is told
            self.fail(error)
        else:
            if is_whole and not self.done.done():
                self.done.set_result(None)

    def _read_head(self) -> bool:
        end = self._data.find(b"\r\n\r\n")
        if end < 0:
            return False
        head, self._data = self._data[: end + 2].lower(), self._data[end + 4 :]
        if not head.startswith(b"http/1.1 200"):
            raise RuntimeError(f"expected a 200: {(head + self._data)[:600]!r}")
        at = head.find(b"content-length:")
        self._left = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else None
        self._has_head = True
        return True

    def _read_rest(self, size: int) -> bool:
        if len(self._data) < size:
            return False
        self._take(self._data[:size])
        return True

    def _read_chunks(self) -> bool:
        data, at = self._data, 0
        while (line := data.find(b"\r\n", at)) >= 0:
            size = int(data[at:line], 16)
            end = line + 2 + size
            if len(data) < end + 2:
                break
            if size == 0:
                return True
            self._take(data[line + 2 : end])
            at = end + 2
        self._data = data[at:]
        return False


class _Frames:
    """Cuts what comes into events."""

    def __init__(self, take: Take) -> None:
        self._take = take
        self._begun = b""

    def __call__(self, piece: bytes) -> None:
        *whole, self._begun = (self._begun + piece).split(b"\n\n")
        for frame in whole:
            self._take(frame)


class Paced:
    """How late the deltas of one stream came, in milliseconds."""

    def __init__(self) -> None:
        self.late: list[float] = []

    def take(self, frame: bytes) -> None:
        if b'"delta":' in frame:  # the events at the end have the whole text again
            now = time.time_ns()
            self.late += [(now - int(stamp)) / 1e6 for stamp in _STAMP.findall(frame)]
