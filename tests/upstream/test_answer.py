"""From the bytes of a reply to batches of chunks: those that are pushed, and those that are left."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from catena.chunks import Chunk, Finish, TextDelta
from catena.errors import UpstreamError
from catena.upstream.answer import Answer
from catena.upstream.chat_stream import ChatStream
from catena.upstream.faults import Faults
from catena.upstream.http import Reply
from catena.upstream.http.head import Origin


class Source:
    """The connection of a reply, of which nothing is asked."""

    origin = Origin("engine", 80, tls=False)

    def resume(self) -> None: ...

    def linger(self) -> None: ...

    def abort(self) -> None: ...


def says(word: str) -> bytes:
    return b'data: {"choices": [{"index": 0, "delta": {"content": "%b"}}]}\n\n' % word.encode()


STOP = b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"


class Reading:
    """Reads an answer with a tap that takes batches while `willing`."""

    def __init__(self) -> None:
        self.willing = True
        self.fault: Exception | None = None
        self.pushed: list[Chunk] = []
        self.reply = Reply(Source())
        self.reply.begin(200, [])
        self.answer = Answer(self.reply, ChatStream(Faults("engine")), Faults("engine"), limit=1000)

    def _take(self, chunks: Sequence[Chunk]) -> bool:
        if self.fault is not None:
            raise self.fault
        if self.willing:
            self.pushed += chunks
        return self.willing

    def arrive(self, data: bytes) -> None:
        self.reply.push(data)
        self.reply.wake()

    async def waiting(self) -> asyncio.Task[Sequence[Chunk]]:
        task = asyncio.ensure_future(self.answer.batch(self._take))
        await asyncio.sleep(0)
        return task


async def test_batches_are_pushed_as_they_arrive_and_the_end_is_told() -> None:
    reading = Reading()
    batch = await reading.waiting()
    whole = says("two")
    for piece in (says("one"), whole[:20], whole[20:]):
        reading.arrive(piece)
    assert reading.pushed == [TextDelta("one"), TextDelta("two")]
    assert not batch.done()
    reading.arrive(says("three") + STOP + DONE)
    assert await batch == ()
    assert reading.pushed[2:] == [TextDelta("three"), Finish("stop")]


async def test_a_batch_that_is_left_is_what_is_read_next() -> None:
    reading = Reading()
    batch = await reading.waiting()
    reading.willing = False
    reading.arrive(says("one"))
    reading.willing = True
    reading.arrive(says("two"))
    assert await batch == [TextDelta("one")]
    batch = await reading.waiting()
    reading.arrive(says("three"))
    assert reading.pushed == [TextDelta("two"), TextDelta("three")]
    reading.reply.end(None)
    with pytest.raises(UpstreamError):
        await batch


async def test_what_came_before_an_error_is_pushed_before_it() -> None:
    reading = Reading()
    batch = await reading.waiting()
    reading.arrive(says("one") + b'data: {"error": {"message": "out of memory"}}\n\n')
    with pytest.raises(UpstreamError, match="out of memory"):
        await batch
    assert reading.pushed == [TextDelta("one")]


async def test_a_fault_in_the_tap_is_for_who_reads() -> None:
    reading = Reading()
    batch = await reading.waiting()
    reading.fault = LookupError("of ours")
    reading.arrive(says("one"))
    with pytest.raises(LookupError):
        await batch


async def test_an_event_that_is_too_large_ends_a_pushed_answer_too() -> None:
    reading = Reading()
    batch = await reading.waiting()
    reading.arrive(says("x" * 2000))
    with pytest.raises(UpstreamError, match="more than 1000 bytes"):
        await batch
