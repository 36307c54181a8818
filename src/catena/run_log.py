"""What an engine sent so far, kept in the store while a run goes on.

Chunks are logged, not events: with the response's id they make every event again. What followers hear is in the log
before they hear it, so that nothing that was told is told in another way after a crash; when the run is finished its
log goes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence

import msgspec

from catena.chunks import Chunk
from catena.errors import CatenaError
from catena.store import LeaseLost, Store, Turn

__all__ = ["RunLog", "decode_log"]

log = logging.getLogger("catena.runs")

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Chunk]).decode


def decode_log(batches: Iterable[bytes]) -> list[Chunk]:
    """The chunks of a log, in their order."""
    return [chunk for batch in batches for chunk in _decode(batch)]


class RunLog:
    """The log of one run. With an `interval` in seconds, chunks are gathered that long; 0 writes them at once.

    `lost` is set when another worker turns out to have the run.
    """

    def __init__(self, store: Store, turn: Turn, interval: float, lost: asyncio.Event) -> None:
        self._store = store
        self._turn = turn
        self._interval = interval
        self._lost = lost
        self._gathered: list[Chunk] = []
        self._batch = 0
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None

    async def add(self, chunks: Sequence[Chunk]) -> None:
        """Keep these: they are in the store when this returns, or will be with the next batch."""
        self._gathered += chunks
        if self._interval <= 0:
            await self._write()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._interval, self._begin)

    async def close(self) -> None:
        """Write no more; what is being written is finished."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._writing is not None:
            await asyncio.wait([self._writing])

    def _begin(self) -> None:
        self._timer = None
        if self._writing is not None and not self._writing.done():
            # A store that is slow gets larger batches, not more of them.
            self._timer = asyncio.get_running_loop().call_later(self._interval, self._begin)
            return
        self._writing = asyncio.create_task(self._write())

    async def _write(self) -> None:
        chunks, self._gathered = self._gathered, []
        try:
            await self._store.append_log(self._turn, self._batch, _encode(chunks))
            self._batch += 1
        except LeaseLost:
            self._lost.set()
        except CatenaError as error:
            # The run goes on: its end will be committed, or fail, by itself.
            log.warning("the log of %s could not be written: %s", self._turn.id, error.message)
            self._gathered = [*chunks, *self._gathered]
