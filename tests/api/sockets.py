"""A WebSocket client for tests: it sends objects, and reads what comes as objects."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection, connect

from tests.running import LIMIT, RunningServer

ENDS = ("response.completed", "response.incomplete", "response.failed", "error")


class Socket:
    """One connection."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def send(self, message: Any) -> None:
        """Anything, as JSON unless it is text."""
        await self.connection.send(
            message if isinstance(message, str) else msgspec.json.encode(message).decode()
        )

    async def ask(self, said: Any, **fields: Any) -> None:
        """Send a `response.create` of this input."""
        await self.send({"type": "response.create", "model": "m", "input": said, **fields})

    async def frame(self) -> dict[str, Any]:
        """The next frame."""
        async with asyncio.timeout(LIMIT):
            message = await self.connection.recv()
        assert isinstance(message, str)
        decoded: dict[str, Any] = msgspec.json.decode(message)
        return decoded

    async def until(self, *kinds: str) -> list[dict[str, Any]]:
        """The frames up to one of these types."""
        frames = [await self.frame()]
        while frames[-1]["type"] not in kinds:
            frames.append(await self.frame())
        return frames

    async def end(self) -> dict[str, Any]:
        """The end of the response that is being told, or the error."""
        return (await self.until(*ENDS))[-1]

    async def answer(self, said: Any, **fields: Any) -> dict[str, Any]:
        """Ask, and return the completed response."""
        await self.ask(said, **fields)
        last = await self.end()
        assert last["type"] == "response.completed", last
        response: dict[str, Any] = last["response"]
        return response

    async def error(self, message: Any) -> dict[str, Any]:
        """Send what is wrong, and return the error frame."""
        await self.send(message)
        last = await self.frame()
        assert last["type"] == "error", last
        return last

    async def closed(self) -> int:
        """Wait until the server closes the connection; its code."""
        async with asyncio.timeout(LIMIT):
            await self.connection.wait_closed()
        assert self.connection.close_code is not None
        return self.connection.close_code


@contextlib.asynccontextmanager
async def socket(server: RunningServer, **options: Any) -> AsyncIterator[Socket]:
    """A connection to a server."""
    url = server.url.replace("http", "ws", 1) + "/v1/responses"
    async with connect(url, open_timeout=LIMIT, max_size=None, **options) as connection:
        yield Socket(connection)


def text_of(response: dict[str, Any]) -> str:
    """What a response says."""
    return "".join(part["text"] for item in response["output"] for part in item["content"])
