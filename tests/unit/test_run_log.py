"""The log of a run while its store comes and goes."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from catena.chunks import TextDelta
from catena.errors import StoreUnavailable
from catena.run_log import RunLog, decode_log
from catena.store import LeaseLost, Store, Turn
from tests.store.turns import running

LIMIT = 30.0


class Shaky:
    """Keeps logs, but for when it is `away`; then it may have kept a batch all the same."""

    def __init__(self, *, keeps: bool) -> None:
        self.away: Exception | None = None
        self.keeps = keeps
        self.batches: dict[int, bytes] = {}
        self.seen: list[tuple[int, bytes]] = []
        self.written = asyncio.Event()

    async def append_log(self, turn: Turn, batch: int, chunks: bytes) -> None:
        self.log_at_once(turn, batch, chunks)

    def log_at_once(self, turn: Turn, batch: int, chunks: bytes) -> None:
        self.seen.append((batch, chunks))
        if self.away is None or self.keeps:
            self.batches[batch] = chunks
        if self.away is not None:
            raise self.away
        self.written.set()

    @property
    def text(self) -> str:
        chunks = decode_log([self.batches[number] for number in sorted(self.batches)])
        return "".join(chunk.text for chunk in chunks if isinstance(chunk, TextDelta))


def log_in(store: Shaky, patience: float | None = None) -> tuple[RunLog, asyncio.Event]:
    lost = asyncio.Event()
    return RunLog(cast("Store", store), running(), 0.0, lost, patience), lost


def may_wait(log: RunLog) -> bool:
    """What it says now: a property that changes in between is not taken to be what it was."""
    return log.may_wait


async def test_a_run_goes_on_without_its_store_and_its_log_follows() -> None:
    for keeps in (True, False):
        store = Shaky(keeps=keeps)
        log, lost = log_in(store)
        await log.add([TextDelta("a")])
        store.away = StoreUnavailable()
        for letter in "bcd":
            async with asyncio.timeout(LIMIT):
                await log.add([TextDelta(letter)])
        store.away = None
        store.written.clear()
        async with asyncio.timeout(LIMIT):
            while store.text != "abcd":
                await store.written.wait()
                store.written.clear()
        await log.close()
        assert not lost.is_set()


async def test_what_others_must_be_able_to_read_waits_until_it_is_on_record() -> None:
    for keeps in (True, False):
        store = Shaky(keeps=keeps)
        log, lost = log_in(store, patience=LIMIT)
        store.away = StoreUnavailable()
        adding = asyncio.create_task(log.add([TextDelta("a")]))
        async with asyncio.timeout(LIMIT):
            while len(store.seen) < 2:
                await asyncio.sleep(0)
            assert not adding.done()
            store.away = None
            await adding
        assert (store.text, store.seen[0]) == ("a", store.seen[-1])
        await log.close()
        assert not lost.is_set()


async def test_what_cannot_be_put_on_record_in_time_is_an_error() -> None:
    store = Shaky(keeps=False)
    log, lost = log_in(store, patience=0.0)
    store.away = StoreUnavailable()
    with pytest.raises(StoreUnavailable):
        await log.add([TextDelta("a")])
    await log.close()
    assert not lost.is_set()


async def test_a_batch_that_may_be_there_is_written_again_as_it_was() -> None:
    """Another server may have read it already: it must not find more under the same number later."""
    store = Shaky(keeps=True)
    log, _ = log_in(store)
    store.away = StoreUnavailable()
    await log.add([TextDelta("a")])
    await log.add([TextDelta("b")])
    store.away = None
    async with asyncio.timeout(LIMIT):
        while store.text != "ab":
            await store.written.wait()
            store.written.clear()
    await log.close()
    contents: dict[int, set[Any]] = {}
    for number, chunks in store.seen:
        contents.setdefault(number, set()).add(chunks)
    assert all(len(written) == 1 for written in contents.values())


async def test_who_lost_the_run_is_told() -> None:
    store = Shaky(keeps=False)
    log, lost = log_in(store)
    store.away = LeaseLost("resp_1")
    await log.add([TextDelta("a")])
    assert lost.is_set()
    await log.close()


async def test_what_is_added_at_once_is_there_at_once_and_in_its_order_when_the_store_was_away() -> None:
    for keeps in (True, False):
        store = Shaky(keeps=keeps)
        log, lost = log_in(store)
        await log.add([TextDelta("a")])
        assert not may_wait(log)
        log.add_at_once([TextDelta("b")])
        assert store.text == "ab"
        store.away = StoreUnavailable()
        log.add_at_once([TextDelta("c")])
        assert may_wait(log)
        await log.add([TextDelta("d")])
        store.away = None
        async with asyncio.timeout(LIMIT):
            while may_wait(log):
                store.written.clear()
                await store.written.wait()
                await asyncio.sleep(0)  # it was told within the writing
        log.add_at_once([TextDelta("e")])
        assert store.text == "abcde"
        await log.close()
        assert not lost.is_set()


async def test_who_lost_the_run_is_told_at_once() -> None:
    store = Shaky(keeps=False)
    log, lost = log_in(store)
    store.away = LeaseLost("resp_1")
    log.add_at_once([TextDelta("a")])
    assert lost.is_set()
    await log.close()


async def test_a_log_that_is_written_now_and_then_is_not_written_at_once() -> None:
    log = RunLog(cast("Store", Shaky(keeps=False)), running(), 60.0, asyncio.Event())
    assert log.may_wait


async def test_who_slept_hears_that_the_run_is_anothers_before_more_is_told() -> None:
    """Half a lease without an answer: the store may have been there, and this server not."""

    class Waking(Shaky):
        async def append_log(self, turn: Turn, batch: int, chunks: bytes) -> None:
            self.seen.append((batch, chunks))
            raise StoreUnavailable if len(self.seen) == 1 else LeaseLost(turn.id)

    for lease, knows in ((-1.0, True), (1000.0, False)):
        store, lost = Waking(keeps=False), asyncio.Event()
        log = RunLog(cast("Store", store), running(), 0.0, lost, lease=lease)
        await log.add([TextDelta("a")])
        assert lost.is_set() == knows
        await log.close()


async def test_a_timer_that_comes_while_a_piece_is_being_written_overwrites_nothing() -> None:
    """Two writes under one number would leave the one that came last, and a gap where the next should be."""

    class Slow(Shaky):
        go_on = asyncio.Event()

        async def append_log(self, turn: Turn, batch: int, chunks: bytes) -> None:
            if self.seen:
                await self.go_on.wait()
            await super().append_log(turn, batch, chunks)

    store = Slow(keeps=True)
    log, _ = log_in(store)
    await log.add([TextDelta("a")])
    adding = asyncio.create_task(log.add([TextDelta("b")]))
    await asyncio.sleep(0)
    writing = asyncio.create_task(log._write())  # as what was put off is
    await asyncio.sleep(0)
    store.go_on.set()
    async with asyncio.timeout(LIMIT):
        await asyncio.gather(adding, writing)
        await log.add([TextDelta("c")])
    await log.close()
    assert (store.text, sorted(store.batches)) == ("abc", [0, 1, 2])
