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
