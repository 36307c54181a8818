"""An engine's answer under way: from the bytes of a reply to batches of chunks.

What has arrived is always told before an error that came behind it. Where an engine sends one whole answer though
a stream was asked for, that is a batch too. Batches are pushed into a tap, where there is one, from within the read of
the socket.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from catena.chunks import Chunk
from catena.errors import UpstreamError
from catena.sse import Decoder, EventTooLargeError, ServerSentEvent
from catena.taps import Tap
from catena.upstream.faults import Faults
from catena.upstream.http import HttpError, Reply

__all__ = ["Answer", "Normaliser"]


class Normaliser(Protocol):
    """Turns the data of one answer's events into chunks.

    `finished` says that the engine told how it ended; `over` that nothing more comes.
    """

    @property
    def finished(self) -> bool: ...
    @property
    def over(self) -> bool: ...
    def feed(self, data: bytes) -> list[Chunk]: ...


class Answer:
    """The answer in `reply`, whose status was good. No event of it may have more than `limit` bytes."""

    __slots__ = (
        "_chunks",
        "_decoder",
        "_ended",
        "_error",
        "_faults",
        "_limit",
        "_normaliser",
        "_reply",
        "_tap",
        "_whole",
    )

    def __init__(self, reply: Reply, normaliser: Normaliser, faults: Faults, *, limit: int) -> None:
        self._reply = reply
        self._normaliser = normaliser
        self._faults = faults
        self._limit = limit
        self._decoder = Decoder(limit=limit)
        self._chunks: Sequence[Chunk] = ()
        self._tap: Tap[Sequence[Chunk]] | None = None
        self._ended = False
        self._error: Exception | None = None
        told = reply.header(b"content-type")
        kind = "text/event-stream" if told is None else told.partition(";")[0].strip().lower()
        self._whole = kind.endswith("json")
        if not self._whole and kind != "text/event-stream":
            self._error = faults.garbage(f"sent '{kind[:60]}' instead of a stream of events")

    async def batch(self, tap: Tap[Sequence[Chunk]] | None = None) -> Sequence[Chunk]:
        """The chunks that arrived together next and that `tap` did not take; none at the end.

        Raises UpstreamError, and what the tap has raised.
        """
        self._tap = tap
        while self._error is None and not self._ended:
            await (self._read_whole() if self._whole else self._read())
            if self._chunks:
                chunks, self._chunks = self._chunks, ()
                return chunks
        if self._error is not None:
            raise self._error
        self._reply.release()
        return ()

    def close(self) -> None:
        """Read no more. An engine that still answers hears of it at once."""
        self._reply.abort()

    async def _read(self) -> None:
        try:
            if not await self._reply.pour(self._arrived):
                self._chunks = self._normalised(self._decoder.finish())
                self._end(self._faults.cut())
        except HttpError as error:
            self._end(self._faults.of_connection(error))

    def _arrived(self, data: bytes) -> bool:
        """Whether more may arrive before who reads goes on."""
        try:
            chunks = self._normalised(self._decoder.feed(data))
            if chunks and (self._tap is None or not self._tap(chunks)):
                self._chunks = chunks
                return False
        except EventTooLargeError:
            self._error = self._faults.garbage(f"sent an event of more than {self._limit} bytes")
        except Exception as error:  # it is for who reads, not for the socket
            self._error = error
        return self._error is None and not self._ended

    async def _read_whole(self) -> None:
        try:
            body = await self._reply.read(self._limit)
        except HttpError as error:
            self._error = self._faults.of_connection(error)
            return
        self._chunks = self._normalised((ServerSentEvent("", body),))
        self._end(self._faults.garbage("sent what is not an answer"))

    def _normalised(self, events: Iterable[ServerSentEvent]) -> list[Chunk]:
        chunks: list[Chunk] = []
        try:
            for event in events:
                chunks += self._normaliser.feed(event.data)
        except UpstreamError as error:
            self._error = error
        self._ended = self._normaliser.over
        return chunks

    def _end(self, error: UpstreamError) -> None:
        """No more can be read: that is an error, unless the engine had told how its answer ends."""
        if self._normaliser.finished:
            self._ended = True
        elif self._error is None:
            self._error = error
