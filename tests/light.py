"""A client over bare sockets: light enough to be five hundred of them, rude enough to hang up in the middle."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import httptools
import msgspec

from catena.sse import Decoder, ServerSentEvent

__all__ = ["Answer", "Exchange", "ask", "exchange"]

_READ = 64 * 1024


class Answer(msgspec.Struct, frozen=True):
    """A whole reply."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class Exchange:
    """One request on a connection of its own, and what comes back. `status` and `headers` are there from the start."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self._reader = reader
        self._writer = writer
        self._parser = httptools.HttpResponseParser(self)
        self._pieces: list[bytes] = []
        self._headed = False
        self._complete = False

    async def begin(self, request: bytes) -> None:
        """Send the request and wait for the head of the reply."""
        self._writer.write(request)
        await self._writer.drain()
        while not self._headed:
            await self._read()

    async def body(self) -> bytes:
        """All of the body. Raises ConnectionError if the server hung up before its end."""
        return b"".join([piece async for piece in self.pieces()])

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The body as it arrives. Raises ConnectionError if the server hung up before its end."""
        while True:
            arrived, self._pieces = self._pieces, []
            for piece in arrived:
                yield piece
            if self._complete:
                return
            await self._read()

    async def events(self) -> AsyncGenerator[ServerSentEvent, None]:
        """The events of a stream as they arrive. Raises ConnectionError if the server hung up before its end."""
        decoder = Decoder()
        async for piece in self.pieces():
            for event in decoder.feed(piece):
                yield event

    def hang_up(self) -> None:
        """Close without a goodbye."""
        self._writer.transport.abort()

    async def _read(self) -> None:
        data = await self._reader.read(_READ)
        if not data:
            raise ConnectionResetError("the server hung up")
        self._parser.feed_data(data)

    # What the parser calls

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode().lower()] = value.decode()

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        self._headed = True

    def on_body(self, piece: bytes) -> None:
        self._pieces.append(piece)

    def on_message_complete(self) -> None:
        self._complete = True


@contextlib.asynccontextmanager
async def exchange(url: str, method: str, path: str, body: Any = None) -> AsyncIterator[Exchange]:
    """A request to the server at `url`, with `body` as JSON; its connection is closed at the end.

    Raises ConnectionError where the server is not there, or hung up before it answered.
    """
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    try:
        opened = Exchange(reader, writer)
        content = b"" if body is None else msgspec.json.encode(body)
        head = (
            f"{method} {path} HTTP/1.1\r\nhost: {place.netloc}\r\nconnection: close\r\n"
            f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
        )
        await opened.begin(head.encode() + content)
        yield opened
    finally:
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def ask(url: str, method: str, path: str, body: Any = None) -> Answer:
    """A request and its whole reply. Raises ConnectionError where there is none."""
    async with exchange(url, method, path, body) as opened:
        return Answer(opened.status, opened.headers, await opened.body())
