"""An endpoint that webhooks are delivered to: it keeps what it hears, and answers as it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from tests.upstream.raw_engine import Peer, raw_engine

__all__ = ["Heard", "Receiver", "receiver"]


class Heard(msgspec.Struct, frozen=True):
    """One delivery. Header names are in lower case."""

    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> Any:
        return msgspec.json.decode(self.body)


class Receiver:
    """`heard` are all deliveries; `answers` are the statuses of the next ones, and then 200. 0 hangs up instead."""

    def __init__(self, answers: Sequence[int]) -> None:
        self.url = ""
        self.heard: list[Heard] = []
        self.answers = list(answers)
        self.open = asyncio.Event()
        """While it is not set, nothing is answered."""
        self.open.set()
        self._more = asyncio.Event()

    async def hears(self, number: int) -> None:
        """Wait until there were so many deliveries."""
        while len(self.heard) < number:
            self._more.clear()
            await self._more.wait()

    async def answer(self, peer: Peer) -> None:
        """The script of one connection."""
        while request := await peer.request():
            head, _, body = request.partition(b"\r\n\r\n")
            lines = [line.split(": ", 1) for line in head.decode().split("\r\n")[1:]]
            self.heard.append(Heard({name.lower(): value for name, value in lines}, body))
            self._more.set()
            await self.open.wait()
            status = self.answers.pop(0) if self.answers else 200
            if not status:
                return
            location = "location: http://127.0.0.1:9/\r\n" if status == 302 else ""
            await peer.send(f"HTTP/1.1 {status} X\r\n{location}content-length: 0\r\n\r\n".encode())


@asynccontextmanager
async def receiver(*answers: int) -> AsyncIterator[Receiver]:
    """A receiver on loopback."""
    made = Receiver(answers)
    async with raw_engine(made.answer) as engine:
        made.url = f"{engine.url}/hooks?from=catena"
        yield made
