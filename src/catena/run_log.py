"""What an engine sent so far, kept in the store while a run goes on.

Chunks are logged, not events: with the response's id they make every event again. What followers hear is in the log
before they hear it, so that nothing that was told is told in another way after a crash; when the run is finished its
log goes. While the store cannot be reached, a run that others could take up waits; any other goes on without, and the
log follows when it can.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from catena.chunks import Chunk
from catena.errors import CatenaError, StoreUnavailable
from catena.store import LeaseLost, Store, Turn

__all__ = ["RunLog", "decode_log"]

log = logging.getLogger("catena.runs")

_AGAIN: Final = 0.5
"""Seconds until a batch that could not be written is tried again."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Chunk]).decode


def decode_log(batches: Iterable[bytes]) -> list[Chunk]:
    """The chunks of a log, in their order."""
    return [chunk for batch in batches for chunk in _decode(batch)]


class RunLog:
    """The log of one run. With an `interval` in seconds, chunks are gathered that long; 0 writes them at once.

    What is written at once waits `patience` seconds for a store that cannot be reached; None waits for nothing. `lost`
    is set when another worker turns out to have the run; who heard nothing of the store for half a `lease` looks again
    whether it has, before anything more is told.
    """

    def __init__(
        self,
        store: Store,
        turn: Turn,
        interval: float,
        lost: asyncio.Event,
        patience: float | None = None,
        *,
        lease: float = math.inf,
    ) -> None:
        self._store = store
        self._append = store.log_at_once
        self._turn = turn
        self._interval = interval
        self._lost = lost
        self._patience = patience
        self._lease = lease
        self._gathered: list[Chunk] = []
        self._batch = 0
        self._failed: bytes | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None
        self._one_at_a_time = asyncio.Lock()
        """What was put off is written by a timer, which may come while the next piece is being written."""

    async def add(self, chunks: Sequence[Chunk]) -> None:
        """Keep these: they are in the store when this returns, or will be with the next batch.

        Raises StoreUnavailable where that was waited for in vain.
        """
        self._gathered += chunks
        if self._interval <= 0 and self._patience is not None:
            await self._write_patiently(self._patience)
        elif self._interval <= 0 and self._failed is None:
            await self._write()
        else:
            self._write_in(self._interval)

    @property
    def may_wait(self) -> bool:
        """Whether `add` may have to wait: for the store, for its time, or for what came before."""
        return self._append is None or self._interval > 0 or self._failed is not None or bool(self._gathered)

    def add_at_once(self, chunks: Sequence[Chunk]) -> None:
        """The same as `add`, which need not wait."""
        assert self._append is not None
        batch = _encode(chunks)
        try:
            self._append(self._turn, self._batch, batch)
        except LeaseLost:
            self._lost.set()
        except CatenaError as error:
            self._put_off(batch, error)
            self._write_in(_AGAIN)
        else:
            self._batch += 1

    def under(self, fence: int) -> None:
        """Write under this fence from now on."""
        self._turn = replace(self._turn, fence=fence)

    async def close(self) -> None:
        """Write no more; what is being written is finished."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._writing is not None:
            await asyncio.wait([self._writing])

    def _write_in(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(
                max(seconds, _AGAIN if self._failed else 0), self._begin
            )

    def _begin(self) -> None:
        self._timer = None
        if self._writing is not None and not self._writing.done():
            # A store that is slow gets larger batches, not more of them.
            self._write_in(self._interval)
            return
        self._writing = asyncio.create_task(self._write())

    async def _write_patiently(self, patience: float) -> None:
        loop = asyncio.get_running_loop()
        give_up = loop.time() + patience
        while (error := await self._try()) is not None:
            if not isinstance(error, StoreUnavailable) or loop.time() >= give_up:
                raise error
            await asyncio.sleep(_AGAIN)

    async def _write(self) -> None:
        async with self._one_at_a_time:
            if self._failed is not None or self._gathered:  # else another was faster
                await self._write_gathered()

    async def _write_gathered(self) -> None:
        again = self._failed is not None
        began = asyncio.get_running_loop().time()
        error = await self._try()
        if error is not None and asyncio.get_running_loop().time() - began > self._lease / 2:
            # This server slept: what it did not hear may be that others have the run, and that is not gone on with.
            error = await self._try()
        if error is not None:
            # The run goes on: its end will be committed, or fail, by itself.
            self._write_in(_AGAIN)
        elif again and self._gathered:
            self._write_in(0)

    async def _try(self) -> CatenaError | None:
        """Write what there is. Returns why it could not be written."""
        # One that failed may be there all the same, and read by others: so it is written again as it was.
        batch = self._failed
        if batch is None:
            batch, self._gathered = _encode(self._gathered), []
        try:
            await self._store.append_log(self._turn, self._batch, batch)
        except LeaseLost:
            self._lost.set()
        except CatenaError as error:
            self._put_off(batch, error)
            return error
        else:
            self._batch += 1
            self._failed = None
        return None

    def _put_off(self, batch: bytes, error: CatenaError) -> None:
        """It is to be written later, as it is."""
        if self._failed is None:
            log.warning("the log of %s could not be written: %s", self._turn.id, error.message)
        self._failed = batch
