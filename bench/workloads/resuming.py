"""W7: many streams are begun, all connections break in the middle, and all are resumed with `starting_after`.

The engine goes on meanwhile, so a client that comes back has something to catch up with. It is caught up when it has
each delta that the engine had sent when it asked. What came before and after is put together and checked.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Iterable
from typing import Final

from bench.load import Connection
from bench.systems import Process
from bench.workloads.asking import id_in
from bench.workloads.joining import check_joined, number_of
from bench.workloads.timing import Figures, Meter, quantile

__all__ = ["resumed"]

_STAMP: Final = re.compile(rb"@(\d+)@")

_HEARD: Final = 0.4
_AWAY: Final = 0.25
"""The shares of a stream after which its connection breaks, and for which its client is away then."""


async def resumed(system: Process, *, streams: int, deltas: int, pace: float) -> Figures:
    """How long until each stream is caught up, in milliseconds, and what a resume costs the server, until the stream is
    live again. Raises Torn if the parts of one do not fit."""
    lasts, begun = deltas * pace, time.monotonic()
    broken = [_Stream() for _ in range(streams)]
    telling = [asyncio.ensure_future(stream.begin(system.port)) for stream in broken]
    await _until_all(stream.is_heard for stream in broken)
    await asyncio.sleep(begun + lasts * _HEARD - time.monotonic())
    for stream in broken:
        stream.drop()
    await asyncio.gather(*telling)
    await asyncio.sleep(lasts * _AWAY)
    await asyncio.gather(*(stream.connect(system.port) for stream in broken))
    meter = Meter(system)
    telling = [asyncio.ensure_future(stream.resume()) for stream in broken]
    await _until_all(stream.is_live for stream in broken)
    figures = meter.each(streams)
    await asyncio.gather(*telling)
    for stream in broken:
        check_joined(stream.before, stream.after, deltas=deltas)
    caught = [stream.caught_up_after() for stream in broken]
    return {
        "caught_up_ms_p50": quantile(caught, 0.5),
        "caught_up_ms_p99": quantile(caught, 0.99),
        "missed_events": sum(stream.missed for stream in broken) / streams,
        "cpu_us": figures["cpu_us"],
        "load_us": figures["load_us"],
    }


async def _until_all(events: Iterable[asyncio.Event]) -> None:
    async with asyncio.timeout(60):
        for event in events:
            await event.wait()


class _Stream:
    """One client's stream: the events `before` its connection broke, and `after`."""

    def __init__(self) -> None:
        self.before: list[bytes] = []
        self.after: list[bytes] = []
        self.is_heard = asyncio.Event()
        self.is_live = asyncio.Event()
        self._arrived: list[int] = []
        self._asked = 0
        self._connection: Connection

    async def connect(self, port: int) -> None:
        self._connection = await Connection.open(port)

    async def begin(self, port: int) -> None:
        """Listen until the connection is dropped."""
        await self.connect(port)
        with contextlib.suppress(ConnectionResetError):
            body = {"model": "m", "input": "Go on.", "stream": True}
            await self._connection.stream("/responses", body, self._hear)
            raise RuntimeError("a stream ended before it was broken: make it longer")

    def _hear(self, event: bytes) -> None:
        self.before.append(event)
        self.is_heard.set()

    def drop(self) -> None:
        self._connection.drop()

    async def resume(self) -> None:
        """Listen to the rest."""
        self._asked = time.time_ns()
        after = number_of(self.before[-1])
        path = f"/responses/{id_in(self.before[0])}?stream=true&starting_after={after}"
        with contextlib.closing(self._connection) as connection:
            try:
                await connection.stream(path, None, self._hear_again, method="GET")
            finally:
                self.is_live.set()

    def _hear_again(self, event: bytes) -> None:
        self._arrived.append(time.time_ns())
        self.after.append(event)
        if not self.is_live.is_set() and not self._is_late(event):
            self.is_live.set()

    @property
    def missed(self) -> int:
        """How many events were told while nobody listened."""
        return len(self._late())

    def caught_up_after(self) -> float:
        """Milliseconds from the request until it had what the engine had sent by then."""
        return (max(self._late(), default=self._asked) - self._asked) / 1e6

    def _late(self) -> list[int]:
        return [
            arrived for event, arrived in zip(self.after, self._arrived, strict=True) if self._is_late(event)
        ]

    def _is_late(self, event: bytes) -> bool:
        """Whether the engine had sent it when the stream was asked for again."""
        if b'"delta":' not in event:
            return False
        stamp = _STAMP.search(event)
        return stamp is not None and int(stamp[1]) <= self._asked
